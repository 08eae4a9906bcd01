"""What a measure is given and gives, and what a run is held against: the frame that every modality fills."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, NamedTuple, Self, TypeVar

import numpy as np
from torch import Tensor

from genzoo.interface.dataset import Dataset
from genzoo.interface.errors import GenzooError
from genzoo.interface.generator import Generator
from genzoo.interface.provenance import Facts
from genzoo.interface.randomness import derive_seed
from genzoo.interface.specs import DataSpec

T = TypeVar("T")


class NotMeasurable(GenzooError):
    """A measure has no value here; the message says why."""


class Estimate(NamedTuple):
    """What a measure found.

    `uncertainty` is a standard error in the same unit. `baseline` is what a trivial model scores, for a measure that
    needs something of the model, so that it cannot be taken of the baselines' samples. `of` says of what the measure
    is, where two models can differ in it.
    """

    value: float
    uncertainty: float | None = None
    baseline: float | None = None
    of: str = ""


def mean(values: Tensor, **more: Any) -> Estimate:
    """The mean of one value an example, (N,), with its standard error. `more` are further fields of the estimate."""
    values = values.cpu().double()  # MPS has no float64
    error = values.std().item() / math.sqrt(len(values)) if len(values) > 1 else None
    return Estimate(values.mean().item(), error, **more)


@dataclass(eq=False, kw_only=True)
class Subject:
    """What a measure sees. A modality's own subclass has the samples, and the data that they are held against.

    Attributes:
        data: what the data are like.
        seed: of the protocol; `rng` makes random numbers of it.
        model: what made the samples; None for real data and baselines.
        shared: what was worked out of the data alone, once for all subjects of a reference.
    """

    data: DataSpec
    seed: int
    model: Generator | None = None
    shared: dict[Callable[..., object], Any] = field(default_factory=dict)
    _of_samples: dict[Callable[..., object], Any] = field(default_factory=dict, init=False)

    def once(self, function: Callable[[Self], T], *, of_data: bool = False) -> T:
        """`function(self)`, worked out once for all measures of this subject; or, with `of_data`, once for all subjects
        of the reference, if it looks at the data alone and not at the samples."""
        results = self.shared if of_data else self._of_samples
        if function not in results:
            results[function] = function(self)
        result: T = results[function]
        return result

    def against_first(self, count: int) -> tuple[Self, float] | None:
        """The same held against the first `count` test examples alone, and how many times more there are in all, for a
        look at how long the measures take that need something of the model. As it stands there is none."""
        return None

    def rng(self, purpose: str) -> np.random.Generator:
        """Random numbers of this protocol for a purpose."""
        return np.random.default_rng(derive_seed(self.seed, "evaluation", purpose))


S = TypeVar("S", bound=Subject)


@dataclass(frozen=True, kw_only=True)
class EvaluationRequest:
    """What a person asked for.

    Attributes:
        count: how many samples; None: as many as the modality finds right.
        seed: of the samples and of all that is drawn.
        features: what to measure in: "auto", or the name of a `FeatureSpec` of the modality.
        load_features: `load_features(name, dataset, data)` gives what that spec's target does. Raises `UsageError` for
            a name that the modality does not have.
    """

    count: int | None
    seed: int
    features: str
    load_features: Callable[[str, Dataset, DataSpec], Any]


class Reference(ABC, Generic[S]):
    """The data that runs are held against, one for all runs of a protocol.

    Attributes:
        count: how many samples of each run are measured.
        protocol: all that two results must share to be compared, as JSON, besides what the core puts in: the version,
            modality, data and their fingerprint, the seed and the number of samples.
        heading: in one line, what is measured how.
        columns: titles of what stands beside each value in a report: "floor" and the baselines, by name.
        legend: what these are, in words.
    """

    count: int
    protocol: Mapping[str, object]
    heading: str
    columns: Mapping[str, str]
    legend: str

    @abstractmethod
    def subject(self, samples: Any, labels: Tensor | None, model: Generator) -> S:
        """Samples of a model, as `Modality.join` has them, held against the data; `labels` (N,) are the classes that
        they were asked to be of."""

    @abstractmethod
    def others(self) -> Mapping[str, S]:
        """What the same measures are taken of besides: "floor", which is real data, and the baselines; the first of
        these is what an estimate's own `baseline` stands beside."""

    def facts(self, subject: S) -> dict[str, object]:
        """What is said of samples besides the measures, as JSON."""
        return {}

    @abstractmethod
    def illustrate(self, subject: S, folder: Path, facts: Facts) -> None:
        """Write samples beside a result, with their provenance `facts`: files that `Modality.preview` can show."""
