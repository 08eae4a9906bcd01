"""The networks of transformers: built from options or a pretrained model's configuration, and made faster on CPUs.

The faster modules compute the same to rounding, and weights keep their names, so that transformers reads them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, GPT2Config, LlamaConfig, PreTrainedConfig, PreTrainedModel
from transformers.models.llama.modeling_llama import LlamaRMSNorm
from transformers.pytorch_utils import Conv1D
from transformers.utils import logging

from genzoo import GenzooError, UsageError, kernels
from genzoo_transformer import TransformerOptions


def build(config: TransformerOptions, vocabulary: int) -> PreTrainedModel:
    """The network of the options, with fresh weights, for tokens in [0, vocabulary)."""
    network = AutoModelForCausalLM.from_config(described(config, vocabulary), attn_implementation="sdpa")
    if network.config.vocab_size < vocabulary:
        raise ValueError(f"the pretrained model knows {network.config.vocab_size} tokens, its tokeniser {vocabulary}")
    add_dropout(network, config.dropout)
    make_faster(network)
    return network


def described(config: TransformerOptions, vocabulary: int) -> PreTrainedConfig:
    """The configuration of transformers that the options stand for."""
    if config.from_config is not None:
        values = json.loads(config.from_config)
        pretrained = AutoConfig.for_model(values.pop("model_type"), **values)
        for name in ("resid_pdrop", "embd_pdrop", "attn_pdrop", "attention_dropout"):
            if hasattr(pretrained, name):
                setattr(pretrained, name, 0.0)
        return pretrained
    no_special_tokens = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
    if config.architecture == "gpt2":
        return GPT2Config(
            vocab_size=vocabulary, n_layer=config.num_layers, n_head=config.num_heads, n_embd=config.hidden_size,
            n_positions=config.context_length, resid_pdrop=config.dropout, embd_pdrop=config.dropout, attn_pdrop=0.0,
            activation_function="gelu_pytorch_tanh", **no_special_tokens,
        )  # fmt: skip
    # SwiGLU's three matrices with as many weights as the two of GPT-2's MLP (Shazeer 2020)
    intermediate_size = max(16, 16 * round(config.hidden_size * 8 / 3 / 16))
    return LlamaConfig(
        vocab_size=vocabulary, num_hidden_layers=config.num_layers, num_attention_heads=config.num_heads,
        hidden_size=config.hidden_size, intermediate_size=intermediate_size,
        max_position_embeddings=config.context_length, **no_special_tokens,
    )  # fmt: skip


class FasterConv1D(Conv1D):  # type: ignore[misc]
    """GPT-2's linear layer, whose weight is (in, out), by genzoo's matrix product."""

    def forward(self, x: Tensor) -> Tensor:
        return kernels.Linear.product(x, self.weight.t(), self.bias)


class FasterRMSNorm(LlamaRMSNorm):  # type: ignore[misc]
    """RMSNorm (Zhang & Sennrich 2019) by torch's own function."""

    def forward(self, hidden_states: Tensor) -> Tensor:
        if hidden_states.dtype != torch.float32:
            normalized: Tensor = super().forward(hidden_states)
            return normalized
        return F.rms_norm(hidden_states, self.weight.shape, self.weight, self.variance_epsilon)


FASTER: dict[type, type] = {
    nn.Linear: kernels.Linear, Conv1D: FasterConv1D, LlamaRMSNorm: FasterRMSNorm, nn.Dropout: kernels.Dropout,
}  # fmt: skip


def make_faster(network: nn.Module) -> None:
    """Give modules faster forward methods in place; their parameters stay as they are."""
    for module in network.modules():
        if type(module) in FASTER:
            module.__class__ = FASTER[type(module)]


def add_dropout(network: nn.Module, probability: float) -> None:
    """Dropout after the embeddings and each residual branch (Vaswani et al. 2017, 5.4), which transformers' Llama does
    not have."""
    if probability == 0:
        return
    for name, module in list(network.named_modules()):
        if name.endswith(("embed_tokens", "o_proj", "down_proj")):
            module.add_module("dropout", kernels.Dropout(probability))
            module.register_forward_hook(lambda module, _inputs, output: module.dropout(output))


def find_pretrained(name: str) -> tuple[Path, str, int]:
    """The folder of a pretrained model, downloaded from the hub if it is no folder here, its configuration as JSON, and
    its context length. Raises `UsageError` if there is no such model."""
    folder = Path(name).expanduser()
    folder = folder.resolve() if folder.exists() else _downloaded(name)
    if not (folder / "config.json").is_file():
        raise UsageError(f"--from {name} has no config.json; allowed is a folder that save_pretrained wrote")
    try:
        config = AutoConfig.from_pretrained(folder)
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(f"--from {name} cannot be read: {_first_line(error)}") from None
    if not list(folder.glob("*.safetensors")):
        raise UsageError(f"--from {name} has no .safetensors file, the only format of weights that is read")
    values = config.to_dict()
    context_length = values.get("max_position_embeddings") or values.get("n_positions") or 1024
    return folder, json.dumps(values), int(context_length)


def _downloaded(name: str) -> Path:
    if name.startswith((".", "~", "/")) or name.count("/") > 1:
        raise UsageError(f"--from {name} does not exist; allowed is a folder, or a name on the Hugging Face hub")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=["*.json", "*.safetensors"]))
    except Exception as error:  # from the network, the hub or the name
        raise UsageError(
            f"--from {name} is no folder here, and cannot be fetched from the Hugging Face hub ({_first_line(error)})"
        ) from None


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def load_pretrained(network: PreTrainedModel, folder: str) -> None:
    """Load the weights of a folder into a network. Raises `GenzooError` if any is missing."""
    try:
        with silence():
            pretrained = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, use_safetensors=True)
        network.load_state_dict(pretrained.state_dict())
    except (OSError, ValueError, RuntimeError) as error:
        raise GenzooError(f"the weights in {folder} cannot be read: {_first_line(error)}") from None


@contextmanager
def silence() -> Iterator[None]:
    """While this context is open, transformers shows no progress bars."""
    enabled = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if enabled:
            logging.enable_progress_bar()
