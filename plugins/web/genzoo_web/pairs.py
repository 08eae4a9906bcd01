"""Pairs of samples to be judged: of two runs, or of a run and real data, with pairs of real data among them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import genzoo
from genzoo import Generator, RunFolder, UsageError
from genzoo_web.ratings import REAL, Item, Rating, now

CONTROL = 4  # each so many-th pair is of real data alone
MOST_PAIRS = 100
QUESTION = "Which one is the real one, or looks, sounds or reads more like it?"


@dataclass(frozen=True)
class Contest:
    """What is judged: samples of a run beside those of another, or beside held-out real data (`second` is None).

    Raises `UsageError` for runs of different data, and for a run beside itself.
    """

    first: RunFolder
    second: RunFolder | None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.second is None:
            return
        if self.first.path.resolve() == self.second.path.resolve():
            raise UsageError(f"{self.first.name} beside itself says nothing; give another run, or real data")
        if self.first.data_spec.fingerprint != self.second.data_spec.fingerprint:
            raise UsageError(
                f"{self.first.name} and {self.second.name} are of different data ({self.first.data_spec.name} and"
                f" {self.second.data_spec.name}), so their samples do not compare"
            )

    def pairs(self, count: int, who: str) -> list[tuple[Item, Item]]:
        """So many pairs, the same for everyone; their order and their sides are each person's own."""
        if not 1 <= count <= MOST_PAIRS:
            raise UsageError(f"{count} pairs are asked for; allowed are 1 to {MOST_PAIRS}")
        rng = np.random.default_rng(genzoo.derive_seed(self.seed, "pairs", self.first.name, who))
        pairs, controls = [], 0
        for number in range(count):
            if number % CONTROL == CONTROL - 1:
                pair = [Item(REAL, count + 2 * controls), Item(REAL, count + 2 * controls + 1)]
                controls += 1
            else:
                pair = [_item(self.first, number), _item(self.second, number)]
            pairs.append((pair[0], pair[1]) if rng.random() < 0.5 else (pair[1], pair[0]))
        return [pairs[number] for number in rng.permutation(count)]

    def samples(
        self, pairs: list[tuple[Item, Item]], load: Callable[[RunFolder], Generator]
    ) -> Iterator[tuple[Item, Any]]:
        """The sample of each item of the pairs, as a batch of one. Raises `GenzooError` if the run's data are gone."""
        items = {item for pair in pairs for item in pair}
        like = None
        for run in (self.first, self.second):
            if run is None:
                continue
            wanted = [item for item in items if item.source == run.name]
            if not wanted:
                continue
            samples = genzoo.sample(load(run), max(item.index for item in wanted) + 1, seed=self.seed)
            like = samples if like is None else like
            for item in wanted:
                yield item, samples[item.index : item.index + 1]
        real = [item for item in items if item.is_real]
        if real:
            examples = genzoo.real_samples(self.first, max(item.index for item in real) + 1, seed=self.seed, like=like)
            for item in real:
                index = item.index % len(examples)
                yield item, examples[index : index + 1]

    def rating(self, pair: tuple[Item, Item], who: str, answer: str, seconds: float) -> Rating:
        """What a person said of a pair."""
        data = self.first.data_spec
        return Rating(
            when=now(), who=who, modality=data.modality, data=data.name, fingerprint=data.fingerprint, seed=self.seed,
            left=pair[0], right=pair[1], answer=answer, seconds=round(seconds, 1),
        )  # fmt: skip


def _item(run: RunFolder | None, index: int) -> Item:
    return Item(REAL, index) if run is None else Item(run.name, index, str(run.weights().get("sha256", "")))
