"""The n-gram model of characters that text models are held against: counts, absolute discounting, interpolation."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.int64]
Probabilities = npt.NDArray[np.float64]
ORDERS = range(1, 7)


class NGram:
    """Characters given the `order` - 1 before them, by absolute discounting (Ney et al. 1994):

        p(w | h) = max(n(h, w) - d, 0) / n(h) + d * distinct(h) / n(h) * p(w | h without its first character)

    where n counts in the training text, distinct(h) is how many different characters follow h, d = n_1 / (n_1 + 2 n_2)
    of each order, and below order 1 all characters are alike.

    Args:
        text: numbers of characters, int64 (N,), in [0, size).
        size: how many characters there are.
        order: 1 or more.
    """

    def __init__(self, text: Numbers, size: int, order: int) -> None:
        self.size, self.order = size, order
        self._levels = [_Level(text, size, length) for length in range(order)]

    def log_probabilities(self, text: Numbers, levels: int | None = None) -> Probabilities:
        """The nats, negative, of each character of a text given those before it, float64 (N,)."""
        probabilities = np.full(len(text), 1 / self.size)
        for length, level in enumerate(self._levels[:levels][: len(text)]):  # a short text has no longer contexts
            probabilities[length:] = level.interpolated(text, probabilities[length:])
        nats: Probabilities = np.log(probabilities)
        return nats

    def draw(self, count: int, length: int, rng: np.random.Generator) -> Numbers:
        """`count` texts of `length` characters, int64 (count, length)."""
        drawn = np.empty((count, length), np.int64)
        every = np.tile(np.arange(self.size), count)
        for place in range(length):
            shares = np.full(count * self.size, 1 / self.size)
            for used, level in enumerate(self._levels[: place + 1]):
                context = drawn[:, place - used : place].repeat(self.size, axis=0)
                shares = level.mixed(np.column_stack([context, every]), shares)
            cumulated = shares.reshape(count, self.size).cumsum(1)
            drawn[:, place] = (cumulated < rng.random((count, 1)) * cumulated[:, -1:]).sum(1)
        return drawn


class _Level:
    """The counts of one order: of every passage of `length` characters, and of every such passage with the next."""

    def __init__(self, text: Numbers, size: int, length: int) -> None:
        self.size, self.length = size, length
        self._tables: list[Numbers] = []  # of passages of 1, 2, ... characters: sorted codes, whose places are numbers
        number = np.zeros(len(text) - length, np.int64)
        for place in range(length):
            codes = number * size + text[place : len(text) - length + place]
            table, number = np.unique(codes, return_inverse=True)
            self._tables.append(table)
        self._pairs, counts = np.unique(number * size + text[length:], return_counts=True)
        self._counts = np.append(counts, 0)
        contexts = self._pairs // size
        known = int(number.max(initial=-1)) + 1
        self._total = np.append(np.bincount(contexts, counts, known), 0.0)
        self._distinct = np.append(np.bincount(contexts, minlength=known), 0.0)
        once, twice = (int((counts == n).sum()) for n in (1, 2))
        self.discount = once / (once + 2 * twice) if once else 0.5

    def interpolated(self, text: Numbers, lower: Probabilities) -> Probabilities:
        """p of the characters of a text from the `length`-th on, given `lower`, p by the order below."""
        windows = np.lib.stride_tricks.sliding_window_view(text, self.length + 1)
        return self.mixed(windows, lower)

    def mixed(self, windows: Numbers, lower: Probabilities) -> Probabilities:
        """p of the last character of each row of `windows`, (N, length + 1), given that of the order below, (N,)."""
        number = np.zeros(len(windows), np.int64)
        for place, table in enumerate(self._tables):
            number = _find(table, np.where(number < 0, -1, number * self.size + windows[:, place]))
        pair = _find(self._pairs, np.where(number < 0, -1, number * self.size + windows[:, -1]))
        count, total, distinct = self._counts[pair], self._total[number], self._distinct[number]
        with np.errstate(invalid="ignore", divide="ignore"):
            higher = (np.maximum(count - self.discount, 0) + self.discount * distinct * lower) / total
        return np.where(total > 0, higher, lower)


def _find(table: Numbers, codes: Numbers) -> Numbers:
    """The place of each code in a sorted table, or -1, which the last entry of the counts (0) stands for."""
    place = np.searchsorted(table, codes)
    place[place == len(table)] = 0
    return np.where((codes >= 0) & (table[place] == codes), place, -1) if len(table) else np.full(len(codes), -1)


def best_order(train: Numbers, validation: Numbers, size: int) -> int:
    """The order that says a validation text best, learnt from a training text."""
    if len(train) <= max(ORDERS):
        return 1
    model = NGram(train, size, max(ORDERS))
    scores = {order: model.log_probabilities(validation, order).mean() for order in ORDERS}
    return max(scores, key=lambda order: scores[order])
