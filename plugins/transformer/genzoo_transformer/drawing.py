"""From logits to a token, and from tokens to the text that is shown."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers.generation.logits_process import (
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from genzoo import Tokenizer
from genzoo_transformer import TransformerSampleOptions


class Chooser:
    """Draws tokens as the options say; the order of what is done to the logits is that of transformers."""

    def __init__(self, options: TransformerSampleOptions) -> None:
        steps: list[Any] = []
        if options.repetition_penalty != 1:
            steps.append(RepetitionPenaltyLogitsProcessor(options.repetition_penalty))
        self._greedy = options.temperature == 0
        if not self._greedy:
            if options.temperature != 1:
                steps.append(TemperatureLogitsWarper(float(options.temperature)))
            if options.top_k is not None:
                steps.append(TopKLogitsWarper(options.top_k))
            if options.top_p < 1:
                steps.append(TopPLogitsWarper(options.top_p))
            if options.min_p > 0:
                steps.append(MinPLogitsWarper(options.min_p))
        self._steps = steps

    def __call__(self, logits: Tensor, known: Tensor, numbers: Tensor) -> Tensor:
        """A token for each row: of logits (N, V), after tokens (N, T), by numbers (N,) in [0, 1). int64 (N,)."""
        for step in self._steps:
            logits = step(known, logits)
        if self._greedy:
            return logits.argmax(1)
        cumulated = logits.double().softmax(1).cumsum(1)  # (N, V)
        drawn = numbers.double()[:, None] * cumulated[:, -1:]
        return torch.searchsorted(cumulated, drawn, right=True)[:, 0].clamp_max(logits.shape[1] - 1)


class Until:
    """The text of one sample as it grows: whole characters, and nothing of what it is to stop before.

    Args:
        stop: the text that ends it, or None.
        ends: tokens that end it.

    Attributes:
        ended: whether it has.
    """

    def __init__(self, tokenizer: Tokenizer, stop: str | None, ends: set[int]) -> None:
        self._pieces, self._stop, self._ends = tokenizer.pieces(), stop, ends
        self._held = ""  # may be the beginning of `stop`
        self.ended = False

    def add(self, token: int) -> str:
        """What can be shown after one token more."""
        if self.ended or token in self._ends:
            return self._end(self._held)
        text = self._held + self._pieces.add(token)
        if self._stop is None:
            return text
        found = text.find(self._stop)
        if found >= 0:
            return self._end(text[:found])
        most = min(len(text), len(self._stop) - 1)
        kept = next((n for n in range(most, 0, -1) if self._stop.startswith(text[len(text) - n :])), 0)
        self._held = text[len(text) - kept :]
        return text[: len(text) - kept]

    def rest(self) -> str:
        """What was held back, when no more tokens come."""
        return self._end(self._held)

    def _end(self, text: str) -> str:
        self.ended, self._held = True, ""
        return text
