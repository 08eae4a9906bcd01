"""Sets of examples in a space of features, held against one another: what the measures of several modalities share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Generic, Self, TypeVar

from torch import Tensor

from genzoo.interface import distances
from genzoo.interface.measures import Estimate, NotMeasurable, Reference, Subject, mean
from genzoo.interface.specs import ModalitySpec

MOST_BY_MODEL = 1000  # test examples at most that a model's likelihood or reconstructions are taken of


class ExampleSet(ABC):
    """Examples to measure. A modality's own subclass has them, and more that is made of them at need.

    Attributes:
        extractor: what they are seen by, a `genzoo.Features`.
    """

    extractor: Any

    @property
    @abstractmethod
    def features(self) -> Tensor:
        """As the extractor has them, (N, D), float64."""

    @cached_property
    def probabilities(self) -> Tensor:
        """What the classifier gives each class, (N, K). Raises `NotMeasurable` if there is none."""
        probabilities: Tensor | None = self.extractor.probabilities(self.features)
        if probabilities is None:
            raise NotMeasurable(f"the features {self.extractor.name} know no classes")
        return probabilities

    @abstractmethod
    def first(self, count: int) -> Self:
        """The first of them."""

    @abstractmethod
    def __len__(self) -> int: ...


E = TypeVar("E", bound=ExampleSet)


@dataclass(eq=False, kw_only=True)
class SetSubject(Subject, Generic[E]):
    """What a measure of sets sees: samples, and what they are held against.

    Attributes:
        samples: what is measured.
        train, validation, test: the data, up to as many as the protocol takes.
        train_index: where `samples` are themselves training examples, which of them, int64 (N,).
        labels, test_labels: the class each sample was asked to be of, and that of each test example; or None.
    """

    samples: E
    train: E
    validation: E
    test: E
    train_index: Tensor | None = None
    labels: Tensor | None = None
    test_labels: Tensor | None = None

    def against_first(self, count: int) -> tuple[Self, float] | None:
        return replace(self, test=self.test.first(count)), min(len(self.test), MOST_BY_MODEL) / count


S = TypeVar("S", bound=SetSubject[Any])


class SetReference(Reference[S]):
    """A reference whose `floor` holds training examples against test examples.

    Args:
        spec: of the modality.
    """

    def __init__(self, floor: S, protocol: Mapping[str, object], heading: str, spec: ModalitySpec) -> None:
        self.floor, self.protocol, self.heading, self.count = floor, protocol, heading, len(floor.samples)
        self.spec = spec

    def facts(self, subject: S) -> dict[str, object]:
        """The shares of the classes, where the features know any."""
        try:
            shares = subject.once(class_shares).tolist()
        except NotMeasurable:
            return {}
        return {"class_shares": dict(zip(subject.data.classes, (round(share, 6) for share in shares), strict=True))}


def class_shares(subject: SetSubject[Any]) -> Tensor:
    """The share of each class among the samples, (K,)."""
    return distances.shares(subject.samples.probabilities.argmax(1), len(subject.data.classes))


def mean_confidence(subject: SetSubject[Any]) -> Estimate:
    """The mean probability of the class that the classifier gives each sample."""
    return mean(subject.samples.probabilities.max(1).values)


def label_agreement(subject: SetSubject[Any]) -> Estimate:
    """The share of samples that the classifier finds to be of the class that they were asked to be of."""
    assert subject.labels is not None, "a conditional model's samples have labels"
    return mean((subject.samples.probabilities.argmax(1) == subject.labels).double())
