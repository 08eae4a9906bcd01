"""Sampling a token from logits, and the text that a growing sequence of tokens makes."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers.generation.logits_process import (
    LogitsProcessor,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from genzoo import Tokenizer
from genzoo_transformer import TransformerSampleOptions


class Chooser:
    """Samples tokens by the options; the logits are processed in the order of transformers' `generate`."""

    def __init__(self, options: TransformerSampleOptions) -> None:
        processors: list[LogitsProcessor] = []
        if options.repetition_penalty != 1:
            processors.append(RepetitionPenaltyLogitsProcessor(options.repetition_penalty))
        self._greedy = options.temperature == 0
        if not self._greedy:
            if options.temperature != 1:
                processors.append(TemperatureLogitsWarper(float(options.temperature)))
            if options.top_k is not None:
                processors.append(TopKLogitsWarper(options.top_k))
            if options.top_p < 1:
                processors.append(TopPLogitsWarper(options.top_p))
            if options.min_p > 0:
                processors.append(MinPLogitsWarper(options.min_p))
        self._processors = processors

    def __call__(self, logits: Tensor, tokens: Tensor, u: Tensor) -> Tensor:
        """The next token of each row, int64 (B,), from its logits (B, V), its tokens so far (B, T), and a random number
        uniform in [0, 1), (B,)."""
        for processor in self._processors:
            logits = processor(tokens, logits)
        if self._greedy:
            return logits.argmax(1)
        cumulative = logits.double().softmax(1).cumsum(1)  # (B, V)
        threshold = u.double()[:, None] * cumulative[:, -1:]  # (B, 1)
        return torch.searchsorted(cumulative, threshold, right=True)[:, 0].clamp_max(logits.shape[1] - 1)


class Until:
    """The text of one sample as its tokens come: whole characters, up to a stop text or an end token.

    Args:
        stop: the text before which the sample ends, or None.
        end_tokens: tokens that end it.

    Attributes:
        ended: whether the sample has ended.
    """

    def __init__(self, tokenizer: Tokenizer, stop: str | None, end_tokens: set[int]) -> None:
        self._pieces, self._stop, self._end_tokens = tokenizer.pieces(), stop, end_tokens
        self._held_back = ""  # text that may be the beginning of `stop`
        self.ended = False

    def add(self, token: int) -> str:
        """The text that is certain after one more token, beyond that of earlier calls."""
        if self.ended or token in self._end_tokens:
            return self._end(self._held_back)
        text = self._held_back + self._pieces.add(token)
        if self._stop is None:
            return text
        position = text.find(self._stop)
        if position >= 0:
            return self._end(text[:position])
        longest = min(len(text), len(self._stop) - 1)
        overlap = next((n for n in range(longest, 0, -1) if self._stop.startswith(text[len(text) - n :])), 0)
        certain, self._held_back = text[: len(text) - overlap], text[len(text) - overlap :]
        return certain

    def rest(self) -> str:
        """The text held back, when no more tokens come."""
        return self._end(self._held_back)

    def _end(self, text: str) -> str:
        self.ended, self._held_back = True, ""
        return text
