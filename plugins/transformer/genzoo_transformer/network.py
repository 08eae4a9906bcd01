"""The networks, from tokens to logits: Llama (Touvron et al. 2023, arXiv:2302.13971) and GPT-2 (Radford et al. 2019).

Both are blocks on a residual stream, each of causal self-attention and an MLP (Vaswani et al. 2017, arXiv:1706.03762),
with the norm before each (Xiong et al. 2020, arXiv:2002.04745):

    x = x + attention(norm(x)),    x = x + mlp(norm(x)),    attention = softmax(Q K^T / sqrt(D)) V

Weights have the names and shapes of transformers, so that `export` writes and `--from` reads them as they are. In
shapes, B are texts, T their tokens, S those and the ones before them, C the hidden size, H heads of width D, K heads of
keys and values, I the MLP's width, V the vocabulary.
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
Rotation = tuple[Tensor, Tensor]  # cosines and sines of rotary positions, (T, 1, D) each


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
        width, gpt2 = config.hidden_size, config.architecture == "gpt2"
        # SwiGLU's three matrices with as many weights as the two of GPT-2's MLP (Shazeer 2020)
        intermediate_size = 4 * width if gpt2 else max(16, 16 * round(width * 8 / 3 / 16))
        return cls(
            architecture=config.architecture, vocabulary=vocabulary, num_layers=config.num_layers,
            num_heads=config.num_heads, num_key_value_heads=config.num_heads, head_dim=width // config.num_heads,
            hidden_size=width, intermediate_size=intermediate_size, context_length=config.context_length,
            norm_epsilon=1e-5 if gpt2 else 1e-6, tied=gpt2, dropout=config.dropout,
        )  # fmt: skip


class Cache:
    """The keys and values of the tokens seen so far, `length` of at most `capacity`, of every layer. Where `maps` is a
    list, the attention of each layer is added to it, (B, H, T, S)."""

    def __init__(self, layout: Layout, count: int, capacity: int, device: torch.device) -> None:
        shape = (2, layout.num_layers, count, layout.num_key_value_heads, capacity, layout.head_dim)
        self.keys, self.values = torch.empty(shape, device=device)  # (L, B, K, capacity, D) each
        self.length = 0
        self.maps: list[Tensor] | None = None

    def extend(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Those of all tokens, with the new ones (B, K, T, D) behind; the network counts them when all layers have."""
        end = self.length + k.shape[2]
        self.keys[layer, :, :, self.length : end], self.values[layer, :, :, self.length : end] = k, v
        return self.keys[layer, :, :, :end], self.values[layer, :, :, :end]


def attend(q: Tensor, k: Tensor, v: Tensor, layer: int, cache: Cache | None) -> Tensor:
    """softmax(Q K^T / sqrt(D)) V in each head, where no token looks at later ones: queries (B, T, H, D), keys and
    values (B, T, K, D) to the heads side by side, (B, T, H * D)."""
    q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)  # (B, H, T, D), (B, K, T, D) twice
    if cache is not None:
        k, v = cache.extend(layer, k, v)  # (B, K, S, D)
        if cache.maps is not None:
            scores = q @ k.repeat_interleave(q.shape[1] // k.shape[1], 1).mT / math.sqrt(q.shape[3])  # (B, H, T, S)
            cache.maps.append(scores.masked_fill(~not_later(q, k), -torch.inf).softmax(-1))
    length, seen = q.shape[2], k.shape[2]
    heads = F.scaled_dot_product_attention(
        q, k, v, attn_mask=not_later(q, k) if 1 < length < seen else None, is_causal=length == seen > 1,
        enable_gqa=q.shape[1] != k.shape[1],
    )  # fmt: skip
    return heads.transpose(1, 2).flatten(2)


def not_later(q: Tensor, k: Tensor) -> Tensor:
    """Which of S tokens each of the last T looks at: itself and those before it, (T, S)."""
    length, seen = q.shape[2], k.shape[2]
    return torch.ones(length, seen, dtype=torch.bool, device=q.device).tril(seen - length)


def rotate(x: Tensor, rotation: Rotation) -> Tensor:
    """Rotary positions (Su et al. 2021, arXiv:2104.09864): each pair (i, i + D/2) of x, (B, T, H, D), turned by an
    angle that is the position times a frequency; a query times a key then depends on their distance."""
    cos, sin = rotation
    return x * cos + x.roll(x.shape[-1] // 2, -1) * sin


# Llama


class LlamaAttention(nn.Module):
    def __init__(self, layout: Layout, layer: int) -> None:
        super().__init__()
        self.layer, self.head_dim, bias = layer, layout.head_dim, layout.attention_bias
        width, narrow = layout.num_heads * layout.head_dim, layout.num_key_value_heads * layout.head_dim
        self.q_proj = kernels.Linear(layout.hidden_size, width, bias)
        self.k_proj = kernels.Linear(layout.hidden_size, narrow, bias)
        self.v_proj = kernels.Linear(layout.hidden_size, narrow, bias)
        self.o_proj = kernels.Linear(width, layout.hidden_size, bias)

    def forward(self, x: Tensor, rotation: Rotation, cache: Cache | None) -> Tensor:  # (B, T, C)
        q, k, v = (part(x).unflatten(2, (-1, self.head_dim)) for part in (self.q_proj, self.k_proj, self.v_proj))
        out: Tensor = self.o_proj(attend(rotate(q, rotation), rotate(k, rotation), v, self.layer, cache))
        return out


class SwiGLU(nn.Module):
    """silu(x W) * (x U), then down (Shazeer 2020, arXiv:2002.05202)."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.gate_proj = kernels.Linear(layout.hidden_size, layout.intermediate_size, layout.mlp_bias)
        self.up_proj = kernels.Linear(layout.hidden_size, layout.intermediate_size, layout.mlp_bias)
        self.down_proj = kernels.Linear(layout.intermediate_size, layout.hidden_size, layout.mlp_bias)

    def forward(self, x: Tensor) -> Tensor:  # (B, T, C)
        out: Tensor = self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))
        return out


class LlamaBlock(nn.Module):
    def __init__(self, layout: Layout, layer: int) -> None:
        super().__init__()
        self.self_attn, self.mlp = LlamaAttention(layout, layer), SwiGLU(layout)
        self.input_layernorm = nn.RMSNorm(layout.hidden_size, layout.norm_epsilon)  # Zhang & Sennrich 2019
        self.post_attention_layernorm = nn.RMSNorm(layout.hidden_size, layout.norm_epsilon)
        self.dropout = kernels.Dropout(layout.dropout)

    def forward(self, x: Tensor, rotation: Rotation, cache: Cache | None) -> Tensor:  # (B, T, C)
        x = x + self.dropout(self.self_attn(self.input_layernorm(x), rotation, cache))
        x = x + self.dropout(self.mlp(self.post_attention_layernorm(x)))
        return x


# GPT-2


class Projection(nn.Module):
    """x W + b: a linear layer whose weight is (in, out), as GPT-2 keeps them."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.empty(width, out)), nn.Parameter(torch.zeros(out))

    def forward(self, x: Tensor) -> Tensor:
        return kernels.Linear.product(x, self.weight.t(), self.bias)


class GPT2Attention(nn.Module):
    def __init__(self, layout: Layout, layer: int) -> None:
        super().__init__()
        self.layer, self.head_dim = layer, layout.head_dim
        self.c_attn = Projection(layout.hidden_size, 3 * layout.hidden_size)
        self.c_proj = Projection(layout.hidden_size, layout.hidden_size)

    def forward(self, x: Tensor, cache: Cache | None) -> Tensor:  # (B, T, C)
        q, k, v = (part.unflatten(2, (-1, self.head_dim)) for part in self.c_attn(x).chunk(3, 2))
        out: Tensor = self.c_proj(attend(q, k, v, self.layer, cache))
        return out


class GELU(nn.Module):
    """GELU (Hendrycks & Gimpel 2016, arXiv:1606.08415) by its tanh approximation, between two projections."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.c_fc = Projection(layout.hidden_size, layout.intermediate_size)
        self.c_proj = Projection(layout.intermediate_size, layout.hidden_size)

    def forward(self, x: Tensor) -> Tensor:  # (B, T, C)
        out: Tensor = self.c_proj(F.gelu(self.c_fc(x), approximate="tanh"))
        return out


class GPT2Block(nn.Module):
    def __init__(self, layout: Layout, layer: int) -> None:
        super().__init__()
        self.ln_1, self.attn = nn.LayerNorm(layout.hidden_size, layout.norm_epsilon), GPT2Attention(layout, layer)
        self.ln_2, self.mlp = nn.LayerNorm(layout.hidden_size, layout.norm_epsilon), GELU(layout)
        self.dropout = kernels.Dropout(layout.dropout)

    def forward(self, x: Tensor, rotation: None, cache: Cache | None) -> Tensor:  # (B, T, C)
        x = x + self.dropout(self.attn(self.ln_1(x), cache))
        x = x + self.dropout(self.mlp(self.ln_2(x)))
        return x


# From tokens to logits


class Network(nn.Module):
    """A causal language model of a layout, with fresh weights."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.layout, width, layers = layout, layout.hidden_size, range(layout.num_layers)
        embedding = nn.Embedding(layout.vocabulary, width)
        if layout.architecture == "gpt2":
            positions, last_norm = nn.Embedding(layout.context_length, width), nn.LayerNorm(width, layout.norm_epsilon)
            blocks = nn.ModuleList(GPT2Block(layout, layer) for layer in layers)
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
        start = 0 if cache is None else cache.length
        positions = torch.arange(start, start + tokens.shape[1], device=tokens.device)
        parts: Any
        if self.layout.architecture == "gpt2":
            parts, rotation = self.transformer, None
            x, blocks, norm = parts["wte"](tokens) + parts["wpe"](positions), parts["h"], parts["ln_f"]  # (B, T, C)
        else:
            parts, rotation = self.model, self.rotation(positions)
            x, blocks, norm = parts["embed_tokens"](tokens), parts["layers"], parts["norm"]
        x = self.dropout(x)
        for block in blocks:
            x = block(x, rotation, cache)
        if cache is not None:
            cache.length += tokens.shape[1]
        x = norm(x[:, -1:] if last else x)
        if targets is not None:
            return next_token_loss(self.lm_head, x.flatten(0, 1), targets.flatten())
        logits: Tensor = self.lm_head(x)
        return logits

    def rotation(self, positions: Tensor) -> Rotation:
        """The cosines and sines (T, 1, D) of rotary positions (T,); the first half of the sines is turned back."""
        width = self.layout.head_dim
        pairs = torch.arange(0, width, 2, device=positions.device).float()
        angles = positions[:, None, None] / self.layout.rope_theta ** (pairs / width)  # (T, 1, D / 2)
        cos, sin = angles.cos(), angles.sin()
        return torch.cat([cos, cos], -1), torch.cat([-sin, sin], -1)

    def attention(self, tokens: Tensor) -> Tensor:
        """How each token looks at those before it, by layer and head, (B, L, H, T, T); rows sum to 1."""
        cache = self.cache(*tokens.shape)
        cache.maps = []
        self(tokens, cache=cache)
        return torch.stack(cache.maps, 1)

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
    for part, next_tokens in zip(torch.split(x, size), torch.split(targets, size), strict=True):
        total = total + checkpoint(
            cross_entropy, head, part, next_tokens, use_reentrant=False, preserve_rng_state=False
        )
    return total / len(x)


def cross_entropy(head: nn.Module, x: Tensor, targets: Tensor) -> Tensor:
    """Summed over tokens."""
    return F.cross_entropy(head(x).float(), targets, reduction="sum")
