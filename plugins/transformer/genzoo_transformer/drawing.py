"""Sampling a token from logits, and the text that a growing sequence of tokens makes."""

from __future__ import annotations

import torch
from torch import Tensor

from genzoo import Tokenizer
from genzoo_transformer import TransformerSampleOptions


def choose(logits: Tensor, tokens: Tensor, u: Tensor, options: TransformerSampleOptions) -> Tensor:
    """The next token of each row, int64 (B,), from its logits (B, V), its tokens so far (B, T), and a random number
    uniform in [0, 1), (B,). The options change the logits in the order of transformers' `generate`."""
    if options.repetition_penalty != 1:
        logits = penalised(logits, tokens, options.repetition_penalty)
    if options.temperature == 0:
        return logits.argmax(1)
    logits = narrowed(logits / options.temperature, options.top_k, options.top_p, options.min_p)
    device = logits.device
    if device.type == "mps":  # which has no float64
        logits, u = logits.cpu(), u.cpu()
    cumulative = logits.double().softmax(1).cumsum(1)  # (B, V)
    threshold = u.double()[:, None] * cumulative[:, -1:]  # (B, 1)
    drawn = torch.searchsorted(cumulative, threshold, right=True)[:, 0].clamp_max(logits.shape[1] - 1)
    return drawn.to(device)


def penalised(logits: Tensor, tokens: Tensor, penalty: float) -> Tensor:
    """Logits (B, V) with those of `tokens` (B, T) less likely by a factor (Keskar et al. 2019)."""
    known = logits.gather(1, tokens)
    return logits.scatter(1, tokens, torch.where(known < 0, known * penalty, known / penalty))


def narrowed(logits: Tensor, top_k: int | None, top_p: float, min_p: float) -> Tensor:
    """Logits (B, V) with those of unlikely tokens -inf; the likeliest always stays."""
    if top_k is not None:
        least = logits.topk(min(top_k, logits.shape[1])).values[:, -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    if top_p < 1:
        ordered, order = logits.sort(descending=True)
        shares = ordered.softmax(1)
        outside = shares.cumsum(1) - shares >= top_p  # those before have the share already
        outside[:, 0] = False
        logits = logits.masked_fill(outside.scatter(1, order, outside), -torch.inf)
    if min_p > 0:
        shares = logits.softmax(1)
        logits = logits.masked_fill(shares < min_p * shares.amax(1, keepdim=True), -torch.inf)
    return logits


class Until:
    """The text of one sample as its tokens come: whole characters, up to a stop text or an end token.

    Args:
        stop: texts; the sample ends before the first of them that comes.
        end_tokens: tokens that end it.

    Attributes:
        ended: whether the sample has ended.
    """

    def __init__(self, tokenizer: Tokenizer, stop: tuple[str, ...], end_tokens: set[int]) -> None:
        self._pieces, self._stop, self._end_tokens = tokenizer.pieces(), stop, end_tokens
        self._held_back = ""  # text that may be the beginning of one of `stop`
        self.ended = False

    def add(self, token: int) -> str:
        """The text that is certain after one more token, beyond that of earlier calls."""
        if self.ended or token in self._end_tokens:
            return self._end(self._held_back)
        text = self._held_back + self._pieces.add(token)
        positions = [position for stop in self._stop if (position := text.find(stop)) >= 0]
        if positions:
            return self._end(text[: min(positions)])
        overlap = max((_overlap(text, stop) for stop in self._stop), default=0)
        certain, self._held_back = text[: len(text) - overlap], text[len(text) - overlap :]
        return certain

    def rest(self) -> str:
        """The text held back, when no more tokens come."""
        return self._end(self._held_back)

    def _end(self, text: str) -> str:
        self.ended, self._held_back = True, ""
        return text


def _overlap(text: str, stop: str) -> int:
    """How many characters at the end of a text are the beginning of another."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if stop.startswith(text[len(text) - n :])), 0)
