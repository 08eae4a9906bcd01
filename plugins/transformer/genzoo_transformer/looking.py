"""What `genzoo probe` shows of a model: shares of the tokens at each place of a text, and maps of attention."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from genzoo import UsageError
from genzoo_transformer.model import Transformer

GAP = 2  # pixels between two maps
MAP = 96  # pixels of a map's side, at least


def predictions(model: Transformer, text: str, top: int) -> list[dict[str, Any]]:
    """Of each token of a text: the token, its share, its surprise in bits, and the `top` likeliest of its place. Raises
    `UsageError` for a text that the model cannot see at once."""
    tokens, context = model.tokenizer.encode(text), model.config.context_length
    if not tokens or len(tokens) > context:
        allowed = f"allowed are 1 to {context:,}, which the model sees at once"
        raise UsageError(f"the text has {len(tokens):,} tokens; {allowed}")
    with torch.no_grad():
        shares = model.network(torch.tensor([tokens], device=model.device))[0].double().softmax(1).cpu()  # (T, V)
    uniform = torch.full((1, shares.shape[1]), 1 / model.vocabulary, dtype=torch.float64)
    shares = torch.cat([uniform, shares[:-1]])  # of the token at each place, given those before it
    places: list[dict[str, Any]] = []
    for place, token in enumerate(tokens):
        share = shares[place, token].item()
        likeliest = shares[place].topk(min(top, shares.shape[1])) if place else None
        expected = [] if likeliest is None else [
            {"token": model.tokenizer.decode([number]), "share": value}
            for value, number in zip(likeliest.values.tolist(), likeliest.indices.tolist(), strict=True)
        ]  # fmt: skip
        bits = -math.log2(share) if share > 0 else math.inf
        places.append({"token": model.tokenizer.decode([token]), "share": share, "bits": bits, "expected": expected})
    return places


def attention_of(model: Transformer, text: str) -> Tensor:
    """The attention (L, H, T, T) of a text as a grey picture, uint8 (1, height, width): a row a layer, a column a
    head."""
    weights = model.attention(torch.tensor(model.tokenizer.encode(text), device=model.device)).cpu()
    scaled = weights / weights.amax(-1, keepdim=True)
    side = max(1, -(-MAP // weights.shape[-1]))
    large = scaled.repeat_interleave(side, 2).repeat_interleave(side, 3)  # (L, H, S, S)
    padded = F.pad(large, (GAP, GAP, GAP, GAP), value=0.5)
    rows = padded.permute(0, 2, 1, 3).flatten(2).flatten(0, 1)  # (L * (S + 2 GAP), H * (S + 2 GAP))
    return (rows * 255).round().to(torch.uint8)[None]
