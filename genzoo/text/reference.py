"""What runs on text are held against: the test text, and what real text and the best n-gram score beside them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from genzoo.interface.generator import Generator
from genzoo.interface.measures import EvaluationRequest, Reference
from genzoo.interface.specs import DataSpec
from genzoo.text.data import TokenData
from genzoo.text.measures import TextSubject, baseline_texts, passages_like
from genzoo.text.write import write_texts

TEXTS = 32  # samples, if no number is given
SHOWN = 8  # samples beside a result
LENGTH = 500  # characters of the passages that trivial scores are of, if no samples were drawn yet
CHARACTERS = 8_000_000  # of the training text, the last, and of the others, the first, at most


class TextReference(Reference[TextSubject]):
    """A text; `empty` holds no samples against it."""

    columns = {"floor": "real text", "baseline": "best n-gram"}  # noqa: RUF012
    legend = "what passages of the held-out text score (real text), and the best n-gram model of the training text"

    def __init__(self, empty: TextSubject, protocol: Mapping[str, object], heading: str, count: int) -> None:
        self.empty, self.protocol, self.heading, self.count = empty, protocol, heading, count
        self._lengths: list[int] = []  # of the samples that were drawn first, in characters

    def subject(self, samples: list[str], labels: Tensor | None, model: Generator) -> TextSubject:
        self._lengths = self._lengths or [len(text) for text in samples]
        return replace(self.empty, samples=samples, model=model)

    def others(self) -> dict[str, TextSubject]:
        lengths = self._lengths or [LENGTH] * self.count
        real = passages_like(self.empty.test, lengths, self.empty.rng("real"))
        trivial = baseline_texts(self.empty, lengths)
        return {"floor": replace(self.empty, samples=real), "baseline": replace(self.empty, samples=trivial)}

    def facts(self, subject: TextSubject) -> dict[str, object]:
        model: Any = subject.model  # of text, so that it has a tokeniser
        return {"tokenizer": model.tokenizer.name if model else None}

    def illustrate(self, subject: TextSubject, folder: Path, facts: Mapping[str, object]) -> None:
        write_texts(subject.samples[:SHOWN], folder / "samples.txt", facts)


def text_reference(dataset: TokenData, data: DataSpec, request: EvaluationRequest) -> TextReference:
    """The texts of a protocol."""
    train = _last(dataset.text.part("train"), CHARACTERS)
    validation = "".join(dataset.text.part("validation"))[:CHARACTERS]
    test = first(dataset.text.part("test"), CHARACTERS)
    count = request.count or TEXTS
    characters = "".join(sorted(set(train) | set(validation) | set(test)))
    empty = TextSubject(
        data=data, seed=request.seed, samples=[], train=train, validation=validation, test=test, characters=characters
    )
    protocol = {"training_characters": len(train), "test_characters": len(test)}
    heading = (
        f"{count:,} samples of seed {request.seed}, and {len(test):,} held-out characters of {data.name};"
        f" {len(train):,} characters are for training"
    )
    return TextReference(empty, protocol, heading, count)


def _last(pieces: Iterator[str], count: int) -> str:
    """The last `count` characters of a text that comes in pieces, of which no more than those are held."""
    held: deque[str] = deque()
    size = 0
    for piece in pieces:
        held.append(piece[-count:])
        size += len(held[-1])
        while size - len(held[0]) >= count:
            size -= len(held.popleft())
    return "".join(held)[-count:]


def first(pieces: Iterator[str], count: int) -> str:
    """The first `count` characters of a text that comes in pieces."""
    first: list[str] = []
    while count > 0 and (piece := next(pieces, None)) is not None:
        first.append(piece[:count])
        count -= len(piece)
    return "".join(first)
