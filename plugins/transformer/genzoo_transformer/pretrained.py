"""Where a training may go on from (`--from`): a run of genzoo, or a folder in Hugging Face's layout. JSON and
safetensors are all that is read of it, so that nothing in it can run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

import genzoo
from genzoo import GenzooError, UsageError, one_line
from genzoo_transformer import TransformerOptions
from genzoo_transformer.network import Layout, Network

INDEX = "model.safetensors.index.json"
LEFT_OUT = (".attn.bias", ".attn.masked_bias", "rotary_emb.inv_freq")  # masks and frequencies, which are no weights
SHAPE = ("architecture", "num_layers", "num_heads", "hidden_size")  # options that a run has settled
USUAL: dict[str, dict[str, tuple[object, ...]]] = {  # what network.py computes; transformers does the rest
    "llama": {"hidden_act": ("silu",), "pretraining_tp": (1,)},
    "gpt2": {
        "activation_function": ("gelu_new", "gelu_pytorch_tanh"), "scale_attn_weights": (True,),
        "scale_attn_by_inverse_layer_idx": (False,), "add_cross_attention": (False,),
    },
}  # fmt: skip
MOST = 2**20  # of any size in a configuration


def settled(config: TransformerOptions, runs_dir: str | None) -> tuple[TransformerOptions, Path]:
    """The options with what `--from` says, and the folder that has the tokeniser. Raises `UsageError` if there is no
    such model, or if options contradict it."""
    assert config.from_ is not None, "there is a model to go on from"
    run = _run(config.from_, runs_dir)
    if run is not None:
        return _as_run(config, run), run.path
    folder = _folder(config.from_)
    values = _config(folder)
    context_length = values.get("max_position_embeddings") or values.get("n_positions") or 1024
    if not _is_size(context_length):
        raise UsageError(f"--from {config.from_}: its context length is {context_length!r}; allowed is 1 to {MOST:,}")
    _check_weights(folder)
    layout_of(values, 0.0, f"--from {config.from_}")
    context_length = min(config.context_length, context_length)
    return replace(config, from_=str(folder), from_config=json.dumps(values), context_length=context_length), folder


def load(network: Network, folder: Path) -> None:
    """Load the weights of what `settled` found. Raises `GenzooError` if one is missing, or has another shape."""
    if (folder / "run.json").is_file():
        model: Any = genzoo.load(folder, device="cpu")
        weights = dict(model.network.state_dict())
    else:
        weights = dict(_tensors(folder))
    parameters = network.state_dict()
    if network.layout.tied:
        del parameters["lm_head.weight"]
    missing = [name for name in parameters if name not in weights]
    if missing:
        raise GenzooError(f"the weights in {folder} lack {missing[0]}, and {len(missing) - 1} others")
    for name, parameter in parameters.items():
        if weights[name].shape != parameter.shape:
            shapes = f"{tuple(weights[name].shape)}, where its config.json says {tuple(parameter.shape)}"
            raise GenzooError(f"the weights in {folder} cannot be read: {name} is {shapes}")
        parameter.copy_(weights[name])


# A run


def _run(name: str, runs_dir: str | None) -> genzoo.RunFolder | None:
    """The run of that name or at that folder; None if it is something else."""
    path = Path(name).expanduser()
    if path.exists() and not (path / "run.json").is_file():
        return None
    try:
        return genzoo.find_run(name, runs_dir)
    except UsageError:
        return None


def _as_run(config: TransformerOptions, run: genzoo.RunFolder) -> TransformerOptions:
    if run.model != "transformer":
        raise UsageError(f"--from {config.from_} is a run of {run.model!r}; allowed is one of transformer")
    options, defaults = run.record["options"], TransformerOptions()
    for name in SHAPE:
        value = getattr(config, name)
        if options["from_config"] is None and value not in (options[name], getattr(defaults, name)):
            flag = f"--{name.replace('_', '-')}"
            raise UsageError(f"{flag} is {value}, and the run that --from names has {options[name]}; leave {flag} out")
    # learnt positions are for as many as there were; so is all that rotary ones were learnt with
    shape = {name: options[name] for name in (*SHAPE, "from_config")}
    context_length = min(config.context_length, options["context_length"])
    if options["from_config"] is None and options["architecture"] == "gpt2":
        context_length = options["context_length"]
    return replace(config, from_=str(run.path.resolve()), context_length=context_length, **shape)


# A folder in Hugging Face's layout


def _folder(name: str) -> Path:
    path = Path(name).expanduser()
    if path.exists():
        return path.resolve()
    if name.startswith((".", "~", "/")) or name.count("/") > 1:
        raise UsageError(f"--from {name} does not exist; allowed is a run, a folder, or a name on the Hugging Face hub")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=["*.json", "*.safetensors"]))
    except Exception as error:  # from the network, the hub or the name
        raise UsageError(
            f"--from {name} is no run or folder here, and cannot be fetched from the Hugging Face hub"
            f" ({one_line(error)})"
        ) from None


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    if not path.is_file():
        raise UsageError(f"--from {folder} has no config.json; allowed is a folder that save_pretrained wrote")
    try:
        values = genzoo.parse_json(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"--from {folder} cannot be read: config.json: {one_line(error)}") from None
    if not isinstance(values, dict) or not isinstance(values.get("model_type"), str):
        raise UsageError(f"--from {folder} cannot be read: its config.json does not say its model_type")
    return values


def layout_of(values: Mapping[str, Any], dropout: float, source: str) -> Layout | None:
    """The layout that a `config.json` describes; None if network.py does not have it. Raises `UsageError` for a number
    out of bounds; `source` begins the message."""
    kind = values.get("model_type")
    if kind not in USUAL or values.get("quantization_config") is not None:
        return None
    if any(name in values and values[name] not in usual for name, usual in USUAL[kind].items()):
        return None

    def size(name: str, default: int | None = None, most: int = MOST) -> int:
        value: Any = values.get(name)
        value = default if value is None else value
        if not _is_size(value) or value > most:
            raise UsageError(
                f"{source}: its config.json has {name} {value!r}; allowed is a whole number, 1 to {most:,}"
            )
        return int(value)

    def number(name: str, default: float) -> float:
        value = values.get(name, default)
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 < value < 1e9:
            raise UsageError(f"{source}: its config.json has {name} {value!r}; allowed is a number above 0")
        return float(value)

    end = values.get("eos_token_id")
    end_tokens = tuple(token for token in (end if isinstance(end, list) else [end]) if isinstance(token, int))
    common = {"architecture": kind, "vocabulary": size("vocab_size"), "dropout": dropout, "end_tokens": end_tokens}
    if kind == "gpt2":
        width, heads = size("n_embd", most=2**16), size("n_head", most=2**10)
        layout = Layout(
            num_layers=size("n_layer", most=1000), num_heads=heads, num_key_value_heads=heads, head_dim=width // heads,
            hidden_size=width, intermediate_size=size("n_inner", 4 * width), context_length=size("n_positions"),
            norm_epsilon=number("layer_norm_epsilon", 1e-5), tied=bool(values.get("tie_word_embeddings", True)),
            **common,
        )  # fmt: skip
    else:
        rope = values.get("rope_parameters") or values.get("rope_scaling") or {}
        if not isinstance(rope, dict) or rope.get("rope_type", rope.get("type", "default")) != "default":
            return None
        width, heads = size("hidden_size", most=2**16), size("num_attention_heads", most=2**10)
        theta = rope.get("rope_theta", values.get("rope_theta", 10000.0))
        values = {**values, "rope_theta": theta}
        layout = Layout(
            num_layers=size("num_hidden_layers", most=1000), num_heads=heads,
            num_key_value_heads=size("num_key_value_heads", heads), head_dim=size("head_dim", max(1, width // heads)),
            hidden_size=width, intermediate_size=size("intermediate_size"),
            context_length=size("max_position_embeddings", 2048), norm_epsilon=number("rms_norm_eps", 1e-6),
            rope_theta=number("rope_theta", 10000.0), attention_bias=bool(values.get("attention_bias", False)),
            mlp_bias=bool(values.get("mlp_bias", False)), tied=bool(values.get("tie_word_embeddings", False)), **common,
        )  # fmt: skip
    if width % heads or heads % layout.num_key_value_heads or (kind == "llama" and layout.head_dim % 2):
        raise UsageError(f"{source}: its config.json has a width of {width} that {heads} heads cannot share")
    return layout


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MOST


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a folder: one, or those that its index names. Raises `UsageError` if there is none."""
    single = folder / "model.safetensors"
    if single.is_file():
        return [single]
    try:
        names = sorted(set(genzoo.parse_json((folder / INDEX).read_text("utf-8"))["weight_map"].values()))
    except OSError:
        names = []
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"--from {folder} cannot be read: {INDEX}: {one_line(error)}") from None
    files = [folder / str(name) for name in names]
    if not files:
        raise UsageError(f"--from {folder} has no model.safetensors and no {INDEX}: no other weights are read")
    for path in files:
        if path.parent != folder or path.suffix != ".safetensors" or not path.is_file():
            raise UsageError(f"--from {folder} has no file {path.name}, which its {INDEX} names")
    return files


def _check_weights(folder: Path) -> None:
    """Raises `UsageError` if there are no safetensors in a folder, or something else by their name."""
    for path in weight_files(folder):
        try:
            with safe_open(path, framework="pt"):
                pass
        except (OSError, SafetensorError) as error:
            raise UsageError(f"--from {folder} cannot be read: {path.name}: {one_line(error)}") from None


def _tensors(folder: Path) -> Iterator[tuple[str, Tensor]]:
    """Weights by the names of network.py; of GPT-2's some folders leave `transformer.` out."""
    try:
        for path in weight_files(folder):
            with safe_open(path, framework="pt") as file:
                for name in file.keys():  # noqa: SIM118  (it is no dictionary)
                    if not name.endswith(LEFT_OUT):
                        bare = name.startswith(("wte.", "wpe.", "h.", "ln_f."))
                        yield (f"transformer.{name}" if bare else name), file.get_tensor(name).to(torch.float32)
    except (OSError, SafetensorError) as error:
        raise GenzooError(f"the weights in {folder} cannot be read: {one_line(error)}") from None
