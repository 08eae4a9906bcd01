"""The measures of text that genzoo has, and the trivial model that they are also taken of."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from genzoo.interface.generator import log_likelihood
from genzoo.interface.measures import Estimate, NotMeasurable, Subject, mean
from genzoo.text.ngram import NGram, Numbers, best_order

Codes = npt.NDArray[np.uint64]  # of characters, and hashes of passages of them
WORD = re.compile(r"\w+|[^\w\s]")
DISTINCT = 3  # words of what `distinct` counts
REPEATED = 4  # words of what `repetition` counts (Welleck et al. 2020)
BLOCK = 500  # tokens whose mean is one draw of the likelihood's uncertainty


@dataclass(eq=False, kw_only=True)
class TextSubject(Subject):
    """What a measure of text sees: samples, and what they are held against.

    Attributes:
        data: what the data are like.
        seed: of the protocol; `rng` makes random numbers of it.
        model: what made the samples; None for real data and baselines.
        samples: what is measured; none where there are no samples.
        train, validation, test: the text of each part, up to as much as the protocol takes.
        characters: all that are in the data, sorted.
    """

    samples: list[str]
    train: str
    validation: str
    test: str
    characters: str


# The likelihood of the held-out text


def token_nats(subject: TextSubject) -> Tensor:
    """Of each token of the held-out text as the model cuts it, float64 (T,), on the CPU."""
    model: Any = subject.model  # which has the method, as the measure needs it
    tokens = torch.tensor([model.tokenizer.encode(subject.test)], device=model.device)
    with torch.no_grad():
        nats = -log_likelihood(model, tokens, seed=subject.seed)[0].cpu().double()
    return nats


def _likelihood(subject: TextSubject, per: int) -> tuple[float, float | None, float]:
    """Nats by `per`, their standard error, and the baseline's."""
    nats = subject.once(token_nats)
    blocks = nats[: len(nats) // BLOCK * BLOCK].view(-1, BLOCK).mean(1)
    error = blocks.std().item() / math.sqrt(len(blocks)) * len(nats) / per if len(blocks) > 1 else None
    return nats.sum().item() / per, error, subject.once(baseline_nats, of_data=True) / per


def bits_per_character(subject: TextSubject) -> Estimate:
    value, error, trivial = _likelihood(subject, len(subject.test))
    bit = math.log(2)
    return Estimate(value / bit, None if error is None else error / bit, trivial / bit, _of(subject))


def nll(subject: TextSubject) -> Estimate:
    return Estimate(*_likelihood(subject, len(subject.test)), _of(subject))


def perplexity(subject: TextSubject) -> Estimate:
    """Of a token, so that it depends on the tokeniser; the baseline's is of as many."""
    nats, error, trivial = _likelihood(subject, len(subject.once(token_nats)))
    value = math.exp(nats)
    which: Any = subject.model
    return Estimate(value, None if error is None else value * error, math.exp(trivial), which.tokenizer.name)


def _of(subject: TextSubject) -> str:
    model: Any = subject.model
    return "" if model.likelihood_kind == "exact" else "a bound"


# The samples


def words(text: str) -> list[str]:
    """Words and signs."""
    return WORD.findall(text)


def _runs(sequence: list[str], length: int) -> list[tuple[str, ...]]:
    return [tuple(sequence[i : i + length]) for i in range(len(sequence) - length + 1)]


def distinct(subject: TextSubject) -> Estimate:
    """Distinct-3 (Li et al. 2016) over all samples together."""
    every = [run for text in subject.samples for run in _runs(words(text), DISTINCT)]
    if not every:
        raise NotMeasurable(f"the samples have fewer than {DISTINCT} words")
    return Estimate(len(set(every)) / len(every))


def repetition(subject: TextSubject) -> Estimate:
    runs = [repeated for text in subject.samples if (repeated := _runs(words(text), REPEATED))]
    if not runs:
        raise NotMeasurable(f"the samples have fewer than {REPEATED} words")
    return mean(torch.tensor([1 - len(set(repeated)) / len(repeated) for repeated in runs]))


def copied(subject: TextSubject) -> list[int]:
    """Of each sample, how many characters its longest passage has that is in the training text."""
    index = subject.once(_index, of_data=True)
    return [index.longest(text) for text in subject.samples]


def copied_length(subject: TextSubject) -> Estimate:
    return mean(torch.tensor(_some(subject.once(copied))))


def longest_copy(subject: TextSubject) -> Estimate:
    return Estimate(float(max(_some(subject.once(copied)))))


def _some(lengths: list[int]) -> list[int]:
    if not lengths:
        raise NotMeasurable("there are no samples")
    return lengths


class Index:
    """Which passages a text has, by hashes of all its passages of a length, made when that length is asked for."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._codes = _codes(text)
        self._hashes: dict[int, Codes] = {}

    def longest(self, text: str) -> int:
        """The length of the longest passage of `text` that is here too."""
        codes = _codes(text)
        low, high = 0, min(len(text), len(self._text))
        while low < high:  # what a passage of a length has, shorter ones have
            length = (low + high + 1) // 2
            if self._has_one(text, codes, length):
                low = length
            else:
                high = length - 1
        return low

    def _has_one(self, text: str, codes: Codes, length: int) -> bool:
        if length not in self._hashes:
            self._hashes[length] = np.sort(_hashes(self._codes, length))
        asked, known = _hashes(codes, length), self._hashes[length]
        place = np.searchsorted(known, asked).clip(max=len(known) - 1)
        return any(text[i : i + length] in self._text for i in np.flatnonzero(known[place] == asked))


def _codes(text: str) -> Codes:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)


def _hashes(codes: Codes, length: int) -> Codes:
    """Of each passage of a length (Karp & Rabin 1987), modulo 2^64; by doubling, in log2(length) passes."""
    base, made, size = np.uint64(0x9E3779B97F4A7C15), codes, 1
    with np.errstate(over="ignore"):
        for bit in bin(length)[3:]:
            made = made[size:] + made[: len(made) - size] * np.uint64(pow(int(base), size, 2**64))
            size *= 2
            if bit == "1":
                made = made[: len(made) - 1] * base + codes[size:]
                size += 1
    return made


def _index(subject: TextSubject) -> Index:
    return Index(subject.train)


# What stands beside


class Trivial:
    """The best n-gram model of the training text, and its characters as numbers."""

    def __init__(self, train: str, validation: str, characters: str) -> None:
        self._characters = characters
        seen = "".join(sorted(set(train) | set(validation)))  # without what only the test text has
        self.order = best_order(_numbers(train, seen), _numbers(validation, seen), len(seen))
        self._model = NGram(self.numbers(train), len(characters), self.order)

    def numbers(self, text: str) -> Numbers:
        """Of the characters of a text, int64 (N,)."""
        return _numbers(text, self._characters)

    def nats(self, text: str) -> float:
        """Of all of a text."""
        return -float(self._model.log_probabilities(self.numbers(text)).sum())

    def texts(self, lengths: list[int], rng: np.random.Generator) -> list[str]:
        """Draws of such lengths."""
        drawn = self._model.draw(len(lengths), max(lengths, default=0), rng)
        rows = zip(drawn, lengths, strict=True)
        return ["".join(self._characters[i] for i in row[:length]) for row, length in rows]


def _numbers(text: str, characters: str) -> Numbers:
    """The place of each character of a text among `characters`, which are sorted and have them all: int64 (N,)."""
    return np.searchsorted(_codes(characters), _codes(text))


def trivial(subject: TextSubject) -> Trivial:
    """The baseline's model, of the data alone."""
    return Trivial(subject.train, subject.validation, subject.characters)


def baseline_nats(subject: TextSubject) -> float:
    """What the baseline says of the whole held-out text."""
    return subject.once(trivial, of_data=True).nats(subject.test)


def baseline_texts(subject: TextSubject, lengths: list[int]) -> list[str]:
    """Samples of the baseline."""
    return subject.once(trivial, of_data=True).texts(lengths, subject.rng("baseline"))


def passages_like(text: str, lengths: list[int], rng: np.random.Generator) -> list[str]:
    """Passages of a text, from anywhere, of such lengths or as long as it is."""
    starts = [int(rng.integers(0, max(1, len(text) - length + 1))) for length in lengths]
    return [text[start : start + length] for start, length in zip(starts, lengths, strict=True)]
