"""What a modality promises: how a kind of data is read, batched, checked, written, shown, scored and measured.

A modality is one room that anyone can bring: a `ModalitySpec` from the hook `genzoo_modalities` names a `Modality`, and
what that reads is a `Dataset`. genzoo's own images and texts come in by the same door.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from genzoo.interface import provenance
from genzoo.interface.dataset import Batch, Dataset, Progress
from genzoo.interface.errors import GenzooError, UsageError
from genzoo.interface.generator import Evaluates, Generator
from genzoo.interface.measures import EvaluationRequest, Reference
from genzoo.interface.provenance import Facts
from genzoo.interface.randomness import permutation
from genzoo.interface.specs import DataSpec, Json, ModalitySpec, TrainOptions, WriteOptions

Samples = TypeVar("Samples")
SCORED = 1000  # validation examples in a score while training


@dataclass(frozen=True)
class SampleSpace:
    """Made-up data with few possible examples.

    Attributes:
        options: the training options that name them, as of `Modality.example`.
        examples: gives all that there can be of such data, or a grid over them, as a batch has them, (N, ...).
        volume: of the space around each, for a density; None where they are counted.
        wider: for a density that has mass beyond the range of the data, a grid of the same volume over more of it.
        applies: whether the likelihood of a model is one of such examples; None: it is of any model.
    """

    options: Mapping[str, object]
    examples: Callable[[DataSpec], Tensor]
    volume: float | None = None
    wider: Callable[[DataSpec], Tensor] | None = None
    applies: Callable[[Generator], bool] | None = None


@dataclass(frozen=True, kw_only=True)
class DataSurvey:
    """What there is to know of data before a training.

    Attributes:
        facts: by title, as JSON has them.
        problems: what a training would refuse, or a person should know, a line each.
        options: what a training on these data may be given, such as `--image-size 32`.
        sheet: a picture of examples, uint8 (C, H, W) with 1 or 3 channels; None: there is none.
    """

    facts: Mapping[str, Any] = field(default_factory=dict)
    problems: Sequence[str] = ()
    options: Sequence[str] = ()
    sheet: Tensor | None = None


def survey_of(dataset: Dataset, data: DataSpec) -> DataSurvey:
    """What a data set that can be trained on says of itself."""
    parts = {"training": data.train_count, "validation": data.validation_count, "test": data.test_count}
    facts = {"shape": list(data.shape), "parts": parts, "classes": list(data.classes)}
    problems = [summary] if (summary := dataset.summary()) else []
    return DataSurvey(facts=facts, problems=problems, options=["--conditional"] if data.classes else [])


class Modality(ABC, Generic[Samples]):
    """A kind of data: what its data sets are, and what samples of it are.

    One object serves a process; it holds nothing of a run. `Samples` are what models give: a tensor (N, ...), a list.

    Attributes:
        spec: as the plugin registers it; genzoo sets it.
    """

    spec: ModalitySpec

    # Data

    @abstractmethod
    def open(
        self, paths: tuple[Path, ...], options: TrainOptions, kept: Mapping[str, bytes], progress: Progress
    ) -> Dataset:
        """The data set in the folder or files that `--data` names, which are there.

        Args:
            options: an instance of the spec's `train_options`.
            kept: what the run keeps of its data (`Dataset.kept`), when it goes on; empty for a new one.
            progress: called with (what, done, total) while it takes long.

        Raises:
            UsageError, GenzooError: they cannot be read as this kind of data; the message names the file and says why.
        """

    def survey(self, paths: tuple[Path, ...], progress: Progress) -> DataSurvey:
        """A look at the folder or files that `--data` names, all of it at once. As it stands, what `open` gives of them
        with the default options, or says. Raises `UsageError` for what is not of this modality."""
        try:
            dataset = self.open(paths, self.spec.train_options(), {}, progress)
        except UsageError:
            raise
        except GenzooError as error:
            return DataSurvey(problems=[str(error)])
        return survey_of(dataset, dataset.spec(paths[0].resolve().stem))

    def take(self, data: object, options: TrainOptions, kept: Mapping[str, bytes], progress: Progress) -> Dataset:
        """The data set of what the target of a `DatasetSpec` gave, or `genzoo.train(..., data=...)` was given in
        memory. As it stands, that must be a `Dataset`. Raises `UsageError` for what is none."""
        if not isinstance(data, Dataset):
            raise UsageError(
                f"a {type(data).__name__} is no data set of modality {self.spec.name!r}: no genzoo.Dataset"
            )
        return data

    def equip(self, model: Generator, kept: Mapping[str, bytes]) -> None:
        """Give a model, which was just built, what it needs of the files that its run keeps, such as a tokeniser. It is
        called after the model's `__init__`, which knows the `DataSpec` alone."""

    # Samples

    @abstractmethod
    def check(self, samples: object, count: int, data: DataSpec, *, strict: bool = False) -> Samples:
        """What a model gave for `count` samples, on the CPU, in the form that all other methods take. Raises
        `GenzooError`, with what was given and what is promised, for what is none; with `strict`, also for what could be
        mended, such as numbers a rounding beside their range."""

    def samples_of(self, batch: Batch, data: DataSpec) -> Samples:
        """The examples of a batch in the form of samples, to be written beside them. As it stands they are samples, and
        are checked as these."""
        return self.check(batch.examples, len(batch), data)

    def real_samples(
        self, dataset: Dataset, data: DataSpec, count: int, *, seed: int, like: Samples | None = None
    ) -> Samples:
        """Up to `count` test examples, picked by `seed`, in the form of samples, to be set beside those of a model.
        Where samples differ in length, they are as long as those in `like`, in turn. As it stands, what `samples_of`
        gives."""
        index = permutation(seed, 0, dataset.count("test"))[:count]
        return self.samples_of(dataset.take("test", index, torch.device("cpu")), data)

    def data_of(self, samples: object) -> DataSpec | None:
        """What samples say themselves of the data that they are like, for `genzoo.show`; None if that is too little to
        write them, or they are not of this modality."""
        return None

    @abstractmethod
    def join(self, parts: Sequence[Samples], data: DataSpec) -> Samples:
        """The samples of several parts, of none too, as one."""

    @abstractmethod
    def write(
        self,
        samples: Samples,
        path: Path,
        facts: Facts,
        options: WriteOptions,
        data: DataSpec,
        labels: Tensor | None = None,
    ) -> None:
        """Write samples, marked as generated.

        Args:
            path: a file with one of the suffixes of `WriteOptions` (in upper case too), or the folder that its `suffix`
                asked for. What is there is replaced.
            facts: their provenance (`RunFolder.provenance`), to be written inside the file, or beside it by
                `genzoo.write_file(path, content, facts)`.
            options: an instance of the spec's `write_options`.
            data: what the data are like: `data.classes` names the labels, and `data.extra` has what the modality put
                there itself, such as the names of columns.
            labels: the class of each, int64 (N,), of a conditional model.
        """

    def write_rows(self, rows: Sequence[Samples], path: Path, facts: Facts, data: DataSpec) -> None:
        """Write rows of samples that belong together: `genzoo reconstruct` gives up to eight examples and then what the
        model makes of them, in turn; `genzoo interpolate` a row a pair. As it stands, one after another."""
        self.write(self.join(rows, data), path, facts, self.spec.write_options(), data)

    @abstractmethod
    def preview(self, path: Path) -> Tensor | str:
        """What a person is shown of a file that `write` wrote, in `genzoo show`, reports and TensorBoard: a picture,
        uint8 (C, H, W) with 1 or 3 channels, or a text."""

    def read(self, path: Path, data: DataSpec) -> Samples:
        """One example from a file, as a batch of one, sized as `data` says. Raises `UsageError` for a file that is
        none."""
        raise UsageError(f"{self.spec.name} data cannot be read from single files")

    def text(self, samples: Samples) -> str:
        """Samples as they are printed, for a modality whose `WriteOptions` are `printed`."""
        raise NotImplementedError(f"modality {self.spec.name!r} prints its samples and does not say how")

    def conversation(self, model: Generator, messages: Sequence[tuple[str, str]]) -> str:
        """What a model goes on from to answer in `genzoo sample --chat`: messages as pairs of a role ("system", "user",
        "assistant") and a text, of which the last is the user's. As it stands, their texts, a line each."""
        return "\n".join(text for _, text in messages)

    def provenance(self, path: Path) -> Json:
        """What a file that `write` wrote says of itself: keys of `genzoo.provenance.labels`. As it stands, from the
        file beside it. Raises `UsageError`, or what reading it raises."""
        return provenance.read_sidecar(path)

    # Scores and measures

    def score(
        self, model: Generator, dataset: Dataset, data: DataSpec, draw: Callable[[int], Samples]
    ) -> dict[str, float]:
        """What a model is scored on while it trains (`--eval-every`), from validation data alone and in bounded time.
        It is called with the model as it is sampled from. As it stands, the means of what `evaluate` gives for up to
        1,000 validation examples.

        Returns numbers by name; they are logged, and named by `Generator.best_by`, with `validation/` before.

        Args:
            dataset: placed on the model's device.
            draw: `draw(count)` gives samples of the model from the run's own fixed random numbers.
        """
        if not isinstance(model, Evaluates):
            return {}
        totals: dict[str, list[Tensor]] = {}
        for batch in dataset.examples("validation", model.device, SCORED):
            for name, scores in model.evaluate(batch).items():
                totals.setdefault(name, []).append(scores.to(torch.float32))
        return {name: torch.cat(parts).mean().item() for name, parts in totals.items()}

    @abstractmethod
    def reference(
        self, dataset: Dataset, data: DataSpec, request: EvaluationRequest, progress: Progress
    ) -> Reference[Any]:
        """What runs on these data are held against by `genzoo evaluate`: their test part, and nothing that was chosen
        on it. Raises `UsageError` for a request that cannot be met."""

    # Conformance

    @abstractmethod
    def example(self, folder: Path) -> Mapping[str, object]:
        """Made-up data for `genzoo check`, written into `folder` and small enough to train on in a second; with labels
        of three classes or more where the modality has them. Returns the training options that name them: `{"data":
        ...}`."""

    def sample_spaces(self, folder: Path) -> Sequence[SampleSpace]:
        """Made-up data, written into `folder`, with so few possible examples that `genzoo check` can go through all of
        them, to see whether likelihoods sum to 1. As it stands there are none."""
        return ()
