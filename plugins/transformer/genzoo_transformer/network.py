"""The networks, from tokens to logits: Llama (Touvron et al. 2023, arXiv:2302.13971) and GPT-2 (Radford et al. 2019).

Both are blocks on a residual stream, each of causal self-attention and an MLP (Vaswani et al. 2017, arXiv:1706.03762),
with the norm before each (Xiong et al. 2020, arXiv:2002.04745):

    x = x + attention(norm(x)),    x = x + mlp(norm(x)),    attention = softmax(Q K^T / sqrt(D)) V

Weights have the names and shapes of transformers, so that `export` writes and `--from` reads them as they are. In
shapes, B are texts, T their tokens, C the hidden size, H heads of width D, K heads of keys and values, V the
vocabulary.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from genzoo import kernels
from genzoo_transformer import TransformerOptions

LOGITS = 2**25  # that a loss computes at a time
INITIAL_STD = 0.02  # of weights (Radford et al. 2019)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The sizes of a network."""

    architecture: str  # "llama" or "gpt2"
    vocabulary: int
    num_layers: int
    num_heads: int
    num_key_value_heads: int  # fewer than `num_heads`: several share one (Ainslie et al. 2023, arXiv:2305.13245)
    head_dim: int
    hidden_size: int
    intermediate_size: int
    context_length: int
    norm_epsilon: float
    tied: bool  # the embedding is the last layer too (Press & Wolf 2017, arXiv:1608.05859)
    dropout: float = 0.0
    rope_theta: float = 10000.0
    attention_bias: bool = False  # of Llama's attention; GPT-2's has biases
    mlp_bias: bool = False
    end_tokens: tuple[int, ...] = ()

    @classmethod
    def of(cls, config: TransformerOptions, vocabulary: int) -> Layout:
        """That of the options, for tokens in [0, vocabulary)."""
        width = config.hidden_size
        gpt2 = config.architecture == "gpt2"
        # SwiGLU's three matrices with as many weights as the two of GPT-2's MLP (Shazeer 2020)
        intermediate_size = 4 * width if gpt2 else max(16, 16 * round(width * 8 / 3 / 16))
        return cls(
            architecture=config.architecture, vocabulary=vocabulary, num_layers=config.num_layers,
            num_heads=config.num_heads, num_key_value_heads=config.num_heads, head_dim=width // config.num_heads,
            hidden_size=width, intermediate_size=intermediate_size, context_length=config.context_length,
            norm_epsilon=1e-5 if gpt2 else 1e-6, tied=gpt2, dropout=config.dropout,
        )  # fmt: skip


class Cache:
    """The keys and values of the tokens seen so far, `length` of at most `capacity`, of every layer."""

    def __init__(self, layout: Layout, count: int, capacity: int, device: torch.device) -> None:
        shape = (2, layout.num_layers, count, layout.num_key_value_heads, capacity, layout.head_dim)
        self.keys, self.values = torch.empty(shape, device=device)  # (L, B, K, capacity, D) each
        self.length = 0

    def extend(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Those of all tokens, with the new ones (B, K, T, D) behind; the network counts them when all layers have."""
        end = self.length + k.shape[2]
        self.keys[layer, :, :, self.length : end], self.values[layer, :, :, self.length : end] = k, v
        return self.keys[layer, :, :, :end], self.values[layer, :, :, :end]


class Attention(nn.Module):
    """Causal self-attention. Layouts make the queries, keys and values, and mix the heads, each in its way."""

    def __init__(self, layer: int) -> None:
        super().__init__()
        self.layer = layer

    def queries_keys_values(self, x: Tensor, rotation: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor, Tensor]:
        raise NotImplementedError

    def mixed(self, heads: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, x: Tensor, rotation: tuple[Tensor, Tensor] | None, cache: Cache | None) -> Tensor:
        q, k, v = self.queries_keys_values(x, rotation)  # (B, H, T, D), (B, K, T, D), (B, K, T, D)
        if cache is not None:
            k, v = cache.extend(self.layer, k, v)  # (B, K, S, D)
        later = later_tokens(q, k) if 1 < q.shape[2] < k.shape[2] else None
        heads = F.scaled_dot_product_attention(
            q, k, v, attn_mask=None if later is None else ~later, is_causal=q.shape[2] == k.shape[2] > 1,
            enable_gqa=q.shape[1] != k.shape[1],
        )  # fmt: skip
        return self.mixed(heads.transpose(1, 2).flatten(2))  # (B, T, C)

    def weights(self, x: Tensor, rotation: tuple[Tensor, Tensor] | None) -> Tensor:
        """softmax(Q K^T / sqrt(D)), which `forward` never has as a whole: (B, H, T, T)."""
        q, k, _ = self.queries_keys_values(x, rotation)
        k = k.repeat_interleave(q.shape[1] // k.shape[1], 1)  # (B, H, T, D)
        scores = q @ k.transpose(2, 3) / math.sqrt(q.shape[-1])
        return scores.masked_fill(later_tokens(q, k), -torch.inf).softmax(-1)


def later_tokens(q: Tensor, k: Tensor) -> Tensor:
    """Which tokens are later than each, (T, S), where the T queries are those of the last T of S tokens."""
    length, seen = q.shape[2], k.shape[2]
    return torch.ones(length, seen, dtype=torch.bool, device=q.device).triu(seen - length + 1)


def split(x: Tensor, width: int) -> Tensor:
    """(B, T, H * D) to (B, H, T, D)."""
    return x.view(*x.shape[:2], -1, width).transpose(1, 2)


def rotate(x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Rotary positions (Su et al. 2021, arXiv:2104.09864): each pair (i, i + D/2) of x, (B, H, T, D), turned by an
    angle that is the position times a frequency; a query times a key then depends on their distance."""
    cos, sin = rotation  # (T, D / 2) each
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


# Llama


class LlamaAttention(Attention):
    def __init__(self, layout: Layout, layer: int) -> None:
        super().__init__(layer)
        self.head_dim, bias = layout.head_dim, layout.attention_bias
        width, narrow = layout.num_heads * layout.head_dim, layout.num_key_value_heads * layout.head_dim
        self.q_proj = kernels.Linear(layout.hidden_size, width, bias)
        self.k_proj = kernels.Linear(layout.hidden_size, narrow, bias)
        self.v_proj = kernels.Linear(layout.hidden_size, narrow, bias)
        self.o_proj = kernels.Linear(width, layout.hidden_size, bias)

    def queries_keys_values(self, x: Tensor, rotation: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor, Tensor]:
        assert rotation is not None, "Llama's positions are rotary"
        q, k, v = (split(project(x), self.head_dim) for project in (self.q_proj, self.k_proj, self.v_proj))
        return rotate(q, rotation), rotate(k, rotation), v

    def mixed(self, heads: Tensor) -> Tensor:
        projected: Tensor = self.o_proj(heads)
        return projected


class SwiGLU(nn.Module):
    """silu(x W) * (x U), then down (Shazeer 2020, arXiv:2002.05202)."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.gate_proj = kernels.Linear(layout.hidden_size, layout.intermediate_size, layout.mlp_bias)
        self.up_proj = kernels.Linear(layout.hidden_size, layout.intermediate_size, layout.mlp_bias)
        self.down_proj = kernels.Linear(layout.intermediate_size, layout.hidden_size, layout.mlp_bias)

    def forward(self, x: Tensor) -> Tensor:  # (B, T, C)
        projected: Tensor = self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))
        return projected


class LlamaBlock(nn.Module):
    def __init__(self, layout: Layout, layer: int) -> None:
        super().__init__()
        self.self_attn, self.mlp = LlamaAttention(layout, layer), SwiGLU(layout)
        self.input_layernorm = nn.RMSNorm(layout.hidden_size, layout.norm_epsilon)  # Zhang & Sennrich 2019
        self.post_attention_layernorm = nn.RMSNorm(layout.hidden_size, layout.norm_epsilon)
        self.dropout = kernels.Dropout(layout.dropout)

    def forward(self, x: Tensor, rotation: tuple[Tensor, Tensor] | None, cache: Cache | None) -> Tensor:
        x = x + self.dropout(self.self_attn(self.input_layernorm(x), rotation, cache))
        x = x + self.dropout(self.mlp(self.post_attention_layernorm(x)))
        return x

    def attention_weights(self, x: Tensor, rotation: tuple[Tensor, Tensor] | None) -> Tensor:
        return self.self_attn.weights(self.input_layernorm(x), rotation)


# GPT-2


class Projection(nn.Module):
    """x W + b: a linear layer whose weight is (in, out), as GPT-2 keeps them."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.empty(width, out)), nn.Parameter(torch.zeros(out))

    def forward(self, x: Tensor) -> Tensor:
        return kernels.Linear.product(x, self.weight.t(), self.bias)


class GPT2Attention(Attention):
    def __init__(self, layout: Layout, layer: int) -> None:
        super().__init__(layer)
        self.head_dim = layout.head_dim
        self.c_attn = Projection(layout.hidden_size, 3 * layout.hidden_size)
        self.c_proj = Projection(layout.hidden_size, layout.hidden_size)

    def queries_keys_values(self, x: Tensor, rotation: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v = (split(part, self.head_dim) for part in self.c_attn(x).chunk(3, 2))
        return q, k, v

    def mixed(self, heads: Tensor) -> Tensor:
        projected: Tensor = self.c_proj(heads)
        return projected


class GELU(nn.Module):
    """GELU (Hendrycks & Gimpel 2016, arXiv:1606.08415) by its tanh approximation, between two projections."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.c_fc = Projection(layout.hidden_size, layout.intermediate_size)
        self.c_proj = Projection(layout.intermediate_size, layout.hidden_size)

    def forward(self, x: Tensor) -> Tensor:  # (B, T, C)
        projected: Tensor = self.c_proj(F.gelu(self.c_fc(x), approximate="tanh"))
        return projected


class GPT2Block(nn.Module):
    def __init__(self, layout: Layout, layer: int) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(layout.hidden_size, layout.norm_epsilon)
        self.attn = GPT2Attention(layout, layer)
        self.ln_2 = nn.LayerNorm(layout.hidden_size, layout.norm_epsilon)
        self.mlp = GELU(layout)
        self.dropout = kernels.Dropout(layout.dropout)

    def forward(self, x: Tensor, rotation: tuple[Tensor, Tensor] | None, cache: Cache | None) -> Tensor:
        x = x + self.dropout(self.attn(self.ln_1(x), rotation, cache))
        x = x + self.dropout(self.mlp(self.ln_2(x)))
        return x

    def attention_weights(self, x: Tensor, rotation: tuple[Tensor, Tensor] | None) -> Tensor:
        return self.attn.weights(self.ln_1(x), rotation)


# From tokens to logits


class Network(nn.Module):
    """A causal language model of a layout, with fresh weights.

    Llama's `model` and GPT-2's `transformer` hold the embeddings, the blocks and the last norm; `lm_head` gives logits.
    """

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.layout, width = layout, layout.hidden_size
        embedding, layers = nn.Embedding(layout.vocabulary, width), range(layout.num_layers)
        if layout.architecture == "gpt2":
            blocks = nn.ModuleList(GPT2Block(layout, layer) for layer in layers)
            positions, last_norm = nn.Embedding(layout.context_length, width), nn.LayerNorm(width, layout.norm_epsilon)
            self.transformer = nn.ModuleDict({"wte": embedding, "wpe": positions, "h": blocks, "ln_f": last_norm})
        else:
            blocks = nn.ModuleList(LlamaBlock(layout, layer) for layer in layers)
            norm = nn.RMSNorm(width, layout.norm_epsilon)
            self.model = nn.ModuleDict({"embed_tokens": embedding, "layers": blocks, "norm": norm})
        self.lm_head = kernels.Linear(width, layout.vocabulary, bias=False)
        self.dropout = kernels.Dropout(layout.dropout)
        if layout.tied:
            self.lm_head.weight = embedding.weight
        self.initialize()

    def initialize(self) -> None:
        """Normal weights and zero biases; GPT-2's last projections onto the residual stream are smaller, as their
        number is added up there (Radford et al. 2019, 2.3)."""
        for name, parameter in self.named_parameters():
            if parameter.ndim >= 2:
                smaller = math.sqrt(2 * self.layout.num_layers) if name.endswith("c_proj.weight") else 1
                nn.init.normal_(parameter, std=INITIAL_STD / smaller)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def forward(
        self, tokens: Tensor, targets: Tensor | None = None, *, cache: Cache | None = None, last: bool = False
    ) -> Tensor:
        """Logits (B, T, V) of the token after each of `tokens`, int64 (B, T), with `last` of the last alone (B, 1, V);
        or with `targets`, the tokens that do come, their mean cross-entropy in nats. The tokens in `cache` are before
        them, and they are put there."""
        x, rotation = self.embedded(tokens, cache)  # (B, T, C)
        for block in self.blocks:
            x = block(x, rotation, cache)
        if cache is not None:
            cache.length += tokens.shape[1]
        x = self.norm(x[:, -1:] if last else x)
        if targets is None:
            logits: Tensor = self.lm_head(x)
            return logits
        return next_token_loss(self.lm_head, x.flatten(0, 1), targets.flatten())

    def embedded(self, tokens: Tensor, cache: Cache | None) -> tuple[Tensor, tuple[Tensor, Tensor] | None]:
        """What the first block is given, (B, T, C), and for Llama the cosines and sines (T, D / 2) of rotary positions;
        GPT-2's positions are learnt and added."""
        start = 0 if cache is None else cache.length
        positions = torch.arange(start, start + tokens.shape[1], device=tokens.device)
        if self.layout.architecture == "gpt2":
            return self.dropout(self.transformer["wte"](tokens) + self.transformer["wpe"](positions)), None
        pairs = torch.arange(0, self.layout.head_dim, 2, device=tokens.device).float()
        angles = positions[:, None] / self.layout.rope_theta ** (pairs / self.layout.head_dim)
        return self.dropout(self.model["embed_tokens"](tokens)), (angles.cos(), angles.sin())

    @property
    def blocks(self) -> Any:
        return self.transformer["h"] if self.layout.architecture == "gpt2" else self.model["layers"]

    @property
    def norm(self) -> nn.Module:
        return self.transformer["ln_f"] if self.layout.architecture == "gpt2" else self.model["norm"]

    def attention(self, tokens: Tensor) -> Tensor:
        """How each token looks at those before it, by layer and head, (B, L, H, T, T); rows sum to 1."""
        x, rotation = self.embedded(tokens, None)
        weights = []
        for block in self.blocks:
            weights.append(block.attention_weights(x, rotation))
            x = block(x, rotation, None)
        return torch.stack(weights, 1)

    @property
    def end_tokens(self) -> tuple[int, ...]:
        """Those after which a text is at its end."""
        return self.layout.end_tokens

    def cache(self, count: int, capacity: int) -> Cache:
        """An empty cache of `count` texts of up to `capacity` tokens."""
        return Cache(self.layout, count, capacity, self.lm_head.weight.device)

    def flops_per_token(self, context: int) -> float:
        """Floating-point operations of a training step for each token: 6 for each weight of a matrix product, and those
        of attention (Chowdhery et al. 2022, appendix B)."""
        looked_up = [module for module in self.modules() if isinstance(module, nn.Embedding)]
        weights = sum(p.numel() for p in self.parameters()) - sum(module.weight.numel() for module in looked_up)
        weights += self.lm_head.weight.numel() if self.layout.tied else 0
        return float(6 * weights + 12 * self.layout.num_layers * self.layout.hidden_size * context)


def next_token_loss(head: nn.Linear, x: Tensor, targets: Tensor) -> Tensor:
    """The mean cross-entropy of tokens (N,) given x (N, C), in nats a token. Where logits (N, V) are many, they are
    computed in pieces, and again in the backward pass, so that memory never holds them all."""
    size = max(1, LOGITS // head.out_features)
    if len(x) <= size:
        return cross_entropy(head, x, targets) / len(x)
    total = x.new_zeros((), dtype=torch.float32)
    for start in range(0, len(x), size):
        rows, next_tokens = x[start : start + size], targets[start : start + size]
        total = total + checkpoint(
            cross_entropy, head, rows, next_tokens, use_reentrant=False, preserve_rng_state=False
        )
    return total / len(x)


def cross_entropy(head: nn.Module, x: Tensor, targets: Tensor) -> Tensor:
    """Summed over tokens."""
    return F.cross_entropy(head(x).float(), targets, reduction="sum")
