"""What `genzoo states` shows of a model."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from genzoo_hmm.model import HMM, shares

FOLLOWING = 3  # states that are named behind each


def stationary(transition: Tensor) -> Tensor:
    """The share of time that a chain spends in each state in the long run, (S,): by repeated squaring of a transition
    matrix (S, S) that may also stay where it is, so that it has one limit."""
    power = (transition.cpu().double() + torch.eye(len(transition), dtype=torch.float64)) / 2
    for _ in range(40):
        power = shares(power @ power)
    return power[0]


def what_states_are(model: HMM, top: int) -> list[dict[str, Any]]:
    """Of each state, those that the chain spends most time in first: its share of time, the `top` likeliest tokens, and
    the states that follow it most often."""
    share = stationary(model.transition)
    rows = []
    for state in share.argsort(descending=True, stable=True).tolist():
        tokens = model.emission[state].topk(min(top, model.vocabulary))
        following = model.transition[state].topk(min(FOLLOWING, len(share)))
        rows.append({
            "state": state,
            "share": share[state].item(),
            "tokens": [
                {"token": model.tokenizer.decode([number]), "share": value}
                for value, number in zip(tokens.values.tolist(), tokens.indices.tolist(), strict=True)
            ],
            "next": [
                {"state": number, "share": value}
                for value, number in zip(following.values.tolist(), following.indices.tolist(), strict=True)
            ],
        })  # fmt: skip
    return rows


def path_of(model: HMM, text: str) -> list[tuple[str, int]]:
    """Each token of a text with its state on the likeliest path."""
    tokens = model.tokenizer.encode(text)
    path = model.states(torch.tensor(tokens, device=model.device)).tolist()
    return [(model.tokenizer.decode([token]), state) for token, state in zip(tokens, path, strict=True)]
