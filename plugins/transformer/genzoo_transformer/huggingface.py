"""What needs Hugging Face transformers, which is imported by `export`, and by `--from` for an architecture that
network.py does not have."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from genzoo import GenzooError, Tokenizer, one_line
from genzoo_transformer import TransformerOptions
from genzoo_transformer.network import Layout, Network, cross_entropy

try:
    from transformers import (
        AutoConfig,
        AutoModelForCausalLM,
        GPT2Config,
        LlamaConfig,
        PreTrainedConfig,
        PreTrainedModel,
        PreTrainedTokenizerFast,
    )
    from transformers.cache_utils import DynamicCache, StaticCache
    from transformers.utils import logging
except ModuleNotFoundError as error:
    if error.name != "transformers":
        raise
    raise GenzooError(
        "this needs Hugging Face transformers, which is not installed; pip install 'genzoo-transformer[huggingface]'"
    ) from None

NO_DROPOUT = ("resid_pdrop", "embd_pdrop", "attn_pdrop", "attention_dropout", "attention_probs_dropout_prob")

CODE_OF_OTHERS = ("auto_map", "attn_implementation", "_attn_implementation", "_attn_implementation_internal")


class PretrainedNetwork(nn.Module):
    """A network of transformers, asked as one of ours is."""

    def __init__(self, config: TransformerOptions, vocabulary: int) -> None:
        super().__init__()
        described = described_in(config.from_config or "{}")
        network = AutoModelForCausalLM.from_config(described, attn_implementation="sdpa", trust_remote_code=False)
        if network.config.vocab_size < vocabulary:
            raise ValueError(
                f"the pretrained model knows {network.config.vocab_size} tokens, its tokeniser {vocabulary}"
            )
        for name, child in network.named_children():  # not the network itself: weights keep the names that it has
            self.add_module(name, child)
        self._network, self._context_length = (network,), config.context_length
        parameters = inspect.signature(network.forward).parameters
        self._cache = "cache" if "cache" in parameters else "past_key_values"  # its name before transformers 5.24

    @property
    def network(self) -> PreTrainedModel:
        return self._network[0]

    def forward(
        self, tokens: Tensor, targets: Tensor | None = None, *, cache: DynamicCache | StaticCache | None = None,
        last: bool = False,
    ) -> Tensor:  # fmt: skip
        """As `Network.forward`."""
        output = self.network(
            input_ids=tokens, **{self._cache: cache}, use_cache=cache is not None, logits_to_keep=1 if last else 0
        )
        logits: Tensor = output.logits  # (B, T, V)
        if targets is None:
            return logits
        return cross_entropy(nn.Identity(), logits.flatten(0, 1), targets.flatten()) / targets.numel()

    def attention(self, tokens: Tensor) -> Tensor:
        """As `Network.attention`."""
        self.network.set_attn_implementation("eager")
        try:
            return torch.stack(self.network(input_ids=tokens, output_attentions=True).attentions, 1)
        finally:
            self.network.set_attn_implementation("sdpa")

    def cache(self, count: int, capacity: int) -> DynamicCache | StaticCache:
        """As `Network.cache`; on CUDA of fixed size, so that nothing is allocated from token to token."""
        if next(self.parameters()).device.type == "cuda":
            return StaticCache(config=self.network.config, max_cache_len=self._context_length)
        return DynamicCache(config=self.network.config)

    def flops_per_token(self, context: int) -> float:
        """As `Network.flops_per_token`."""
        embeddings = sum(m.weight.numel() for m in self.modules() if isinstance(m, nn.Embedding))
        first, last = self.network.get_input_embeddings(), self.network.get_output_embeddings()
        weights = sum(p.numel() for p in self.parameters()) - embeddings
        weights += first.weight.numel() if last.weight is first.weight else 0
        sizes = self.network.config
        return float(6 * weights + 12 * sizes.num_hidden_layers * sizes.hidden_size * context)

    @property
    def end_tokens(self) -> set[int]:
        eos = self.network.config.eos_token_id
        return set() if eos is None else set(eos) if isinstance(eos, list) else {eos}

    def load(self, folder: Path) -> None:
        """Load the weights of a folder. Raises `GenzooError` if any is missing."""
        try:
            with silence():
                pretrained, loading = AutoModelForCausalLM.from_pretrained(
                    folder, config=self.network.config, dtype=torch.float32, use_safetensors=True,
                    trust_remote_code=False, output_loading_info=True,
                )  # fmt: skip
            self.network.load_state_dict(pretrained.state_dict())
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            raise GenzooError(f"the weights in {folder} cannot be read: {one_line(error)}") from None
        if missing := sorted(loading["missing_keys"]):
            raise GenzooError(f"the weights in {folder} lack {missing[0]}, and {len(missing) - 1} others")


def described_in(config: str) -> PreTrainedConfig:
    """The configuration that is written in a `config.json`, without dropout and without what would fetch or run code.
    Raises `GenzooError` for weights that are quantised."""
    values = {name: value for name, value in json.loads(config).items() if name not in CODE_OF_OTHERS}
    if values.get("quantization_config") is not None:
        raise GenzooError("--from has quantised weights; allowed are those of float32, float16 and bfloat16")
    kind = values.pop("model_type")
    try:
        described = AutoConfig.for_model(kind, **values)
    except ValueError:
        raise GenzooError(f"--from has the model_type {kind!r}, which transformers does not know") from None
    for name in NO_DROPOUT:
        if hasattr(described, name):
            setattr(described, name, 0.0)
    return described


def described(config: TransformerOptions, vocabulary: int) -> PreTrainedConfig:
    """The configuration of transformers that the options stand for."""
    if config.from_config is not None:
        return described_in(config.from_config)
    no_special_tokens = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
    sizes = Layout.of(config, vocabulary)
    if config.architecture == "gpt2":
        return GPT2Config(
            vocab_size=vocabulary, n_layer=sizes.num_layers, n_head=sizes.num_heads, n_embd=sizes.hidden_size,
            n_positions=sizes.context_length, resid_pdrop=sizes.dropout, embd_pdrop=sizes.dropout, attn_pdrop=0.0,
            layer_norm_epsilon=sizes.norm_epsilon, activation_function="gelu_pytorch_tanh", **no_special_tokens,
        )  # fmt: skip
    return LlamaConfig(
        vocab_size=vocabulary, num_hidden_layers=sizes.num_layers, num_attention_heads=sizes.num_heads,
        hidden_size=sizes.hidden_size, intermediate_size=sizes.intermediate_size, rms_norm_eps=sizes.norm_epsilon,
        max_position_embeddings=sizes.context_length, **no_special_tokens,
    )  # fmt: skip


def export(network: Network | PretrainedNetwork, config: TransformerOptions, tokenizer: Tokenizer, folder: Path) -> str:
    """Write a network and its tokeniser as transformers reads them; returns the line of Python that does."""
    described_network = described(config, tokenizer.size)
    theirs = AutoModelForCausalLM.from_config(described_network)
    theirs.load_state_dict(network.state_dict())
    with silence():
        theirs.save_pretrained(folder)
    (folder / "tokenizer.json").write_text(tokenizer.json, "utf-8")
    fast = PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"), model_max_length=config.context_length,
        clean_up_tokenization_spaces=False,
    )  # fmt: skip
    fast.save_pretrained(folder)
    return f"AutoModelForCausalLM.from_pretrained('{folder}'), AutoTokenizer.from_pretrained('{folder}')"


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
