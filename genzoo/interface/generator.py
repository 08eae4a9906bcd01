"""The interface that every model has, and the abilities that only some have."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import is_dataclass
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn

from genzoo.interface.dataset import Batch
from genzoo.interface.options import to_json
from genzoo.interface.randomness import RandomStreams
from genzoo.interface.run import Run
from genzoo.interface.shown import escaped, facts_as_html, text_as_html
from genzoo.interface.specs import DataSpec, GeneratorSpec, TrainOptions

_watcher: ContextVar[Callable[[int, int], None] | None] = ContextVar("watcher", default=None)


@contextmanager
def watching(watcher: Callable[[int, int], None]) -> Iterator[None]:
    """While it lasts, `watcher(done, total)` is told what models report in this thread, and in no other: several may
    sample from one model."""
    token = _watcher.set(watcher)
    try:
        yield
    finally:
        _watcher.reset(token)


class Generator(nn.Module, ABC):
    """A generative model: it learns a distribution from data and draws from what it learnt.

    Args:
        config: an instance of the option dataclass in the model's `GeneratorSpec`.
        data: what the data are like; sizes come from here and are never assumed.

    A model that can learn from labels has an option `conditional: bool`. Where it is true, `self.conditional` is, and
    `sample` and every ability take `labels` besides: int64 of shape (B,), positions in `data.classes`.

    Raises:
        ValueError: `conditional` is asked for, and the data have no labels.
    """

    training_only: ClassVar[tuple[str, ...]] = ()  # submodules that sampling does not need, such as a discriminator
    best_by: ClassVar[tuple[str, Literal["lower", "higher"]] | None] = None
    """The score of `--eval-every` by which the best weights are kept and sampled from: a name that the modality or
    `evaluate` gives, with `validation/` before it, as `("validation/loss", "lower")`; None: the last weights are."""
    spec: GeneratorSpec  # as the plugin registers it; genzoo sets it when it builds the model
    run: Path | None = None  # the folder of the run that `genzoo.load` took it from

    def __init__(self, config: object, data: DataSpec) -> None:
        super().__init__()
        self.config: Any = config
        self.data = data
        self.conditional: bool = getattr(config, "conditional", False)
        if self.conditional and not data.classes:
            raise ValueError(f"--conditional needs labels, and data {data.name!r} have none")

    @classmethod
    def settled(cls, config: Any, training: TrainOptions) -> tuple[Any, TrainOptions]:
        """What a training begins with, for a model that must look at the disk to know it, such as one that goes on from
        pretrained weights. Called once, before the data are read; what it returns is what the run keeps."""
        return config, training

    @property
    def device(self) -> torch.device:
        """Where the model's parameters, or its buffers, are."""
        return next(chain(self.parameters(), self.buffers()), torch.empty(0)).device

    def _title(self) -> str:
        parameters = sum(parameter.numel() for parameter in self.parameters())
        of_run = "" if self.run is None else f" of run {self.run.name}"
        name = self.spec.name if hasattr(self, "spec") else type(self).__name__
        return f"model {name}{of_run}: {parameters:,} parameters on {self.device}"

    def __repr__(self) -> str:
        return f"<{self._title()}>"

    def _repr_html_(self) -> str:
        options = to_json(self.config) if is_dataclass(self.config) else {}
        facts = facts_as_html({"data": self.data, **options})
        modules = f"<details><summary>modules</summary>{text_as_html(nn.Module.__repr__(self))}</details>"
        return f"<p><b>{escaped(self._title())}</b></p>{facts}{modules}"

    def labels_of(self, batch: Batch) -> Tensor | None:
        """What a conditional model learns of a batch besides its examples: the labels (B,); None for another model."""
        return batch.labels if self.conditional else None

    def report(self, done: int, total: int) -> None:
        """For a `sample` that takes long to call: `done` of `total` parts of its work are done."""
        if (watcher := _watcher.get()) is not None:
            watcher(done, total)

    @abstractmethod
    def fit(self, run: Run) -> None:
        """Train: iterate over `run.batches()` (or `run.steps()`), one optimiser update of the whole model an item."""

    @abstractmethod
    def sample(self, count: int, *, options: Any, rng: RandomStreams) -> Any:
        """Draw `count` samples.

        A conditional model is given `labels` besides, int64 (count,). What a text goes on from (`--prompt`) is an
        option of the model's own, in its `sample_options`, as a text.

        Args:
            count: how many, 0 or more.
            options: an instance of the spec's `sample_options`.
            rng: the only source of random numbers; row i of what it gives belongs to sample i.

        Returns:
            Samples as the modality has them: images as floats in [0, 1], shape (count, C, H, W); `count` texts.
        """


@runtime_checkable
class Evaluates(Protocol):
    """A model that can score held-out data while it trains."""

    def evaluate(self, batch: Any) -> dict[str, Tensor]:
        """Scores of each example of a batch, by name, each of shape (B,); lower or higher is the model's to say."""


@runtime_checkable
class Reconstructs(Protocol):
    """A model that can carry data through itself. One that has `encode` and `decode` need not have it. A conditional
    model is given `labels` besides, by name, int64 (B,)."""

    def reconstruct(self, examples: Tensor) -> Tensor:
        """Examples as a batch has them (images: (B, C, H, W) in [0, 1]), as the model gives them back, in the same
        shape and range."""


@runtime_checkable
class Encodes(Protocol):
    """A model with a latent space that data can be taken to and brought back from. A conditional model is given
    `labels` besides, by name, int64 (B,)."""

    def encode(self, examples: Tensor) -> Tensor:
        """The latent vectors (B, latent_dim) of examples (images: (B, C, H, W) in [0, 1]); deterministic."""

    def decode(self, latents: Tensor) -> Tensor:
        """What `sample` gives (images: (B, C, H, W) in [0, 1]), of latent vectors (B, latent_dim); deterministic."""


@runtime_checkable
class HasLatents(Protocol):
    """A model that draws from a latent vector. A conditional model is given `labels` besides, by name, int64 (B,)."""

    def draw_latents(self, count: int, *, rng: RandomStreams) -> Tensor:
        """The latent vectors (count, D) that `sample` draws from the same random numbers, with its default options."""

    def decode(self, latents: Tensor) -> Tensor:
        """As `Encodes.decode`."""


@runtime_checkable
class Streams(Protocol):
    """A model of what is printed that can say a sample piece by piece, as it is drawn."""

    def stream(self, *, options: Any, rng: RandomStreams) -> Iterator[str]:
        """The pieces of the text that `sample(1, ...)` gives, each of whole characters, behind the prompt if there is
        one. `rng` is one stream."""


@runtime_checkable
class Exports(Protocol):
    """A model that can be written in a format that other libraries read."""

    def export(self, folder: Path) -> str:
        """Write into `folder`, which is there and empty. Returns the line of Python that reads it from there."""


@runtime_checkable
class HasLikelihood(Protocol):
    """A model that can say how likely data are.

    What it is given are examples as a batch has them: images (B, C, H, W) in [0, 1], or rows of tokens, int64 (B, T)
    with T of any length; of a conditional model also `labels`, int64 (B,). One that draws (to dequantise, by importance
    sampling) takes an argument `rng` besides, `genzoo.RandomStreams` whose row i belongs to example i, and draws from
    it alone::

        def log_likelihood(self, images, labels=None, *, rng=None):
            rng = rng or RandomStreams(0, len(images), device=images.device)
            noise = rng.uniform(*self.data.shape)

    Attributes:
        likelihood_kind: whether it is exact or a bound from below.
        pixel_values: for images, of how many values a pixel is one: 2 for binarised images, 256 for those of 8 bits;
            None if the likelihood is a density on [0, 1].
    """

    likelihood_kind: ClassVar[Literal["exact", "lower bound"]]

    def log_likelihood(self, examples: Tensor) -> Tensor:
        """Nats, exact or a bound from below, as `likelihood_kind` says: of each example, (B,); or of each token given
        those before it in its row, (B, T), whose sums are those of the rows."""


def log_likelihood(
    model: Generator, examples: Tensor, *, seed: int, start: int = 0, labels: Tensor | None = None
) -> Tensor:
    """What a model's `log_likelihood` gives, in nats, of examples on its device: (B,), or (B, T) for tokens. Where the
    model draws, it is a function of the seed and of the place of each example in a request, of which the first is the
    `start`-th. `labels`, int64 (B,), are given to a conditional model alone."""
    method = cast(HasLikelihood, model).log_likelihood
    more: dict[str, Any] = {"labels": labels} if model.conditional and labels is not None else {}
    if "rng" in inspect.signature(method).parameters:
        more["rng"] = RandomStreams(seed, len(examples), start=start, device=examples.device)
    return method(examples, **more)


def ability(model: Generator, name: str) -> Any:
    """The method (or other attribute) of a model that some have; None for a model that does not. A model that has
    `encode` and `decode` has `reconstruct`."""
    if name == "reconstruct" and not isinstance(model, Reconstructs) and isinstance(model, Encodes):
        return lambda examples, **labels: model.decode(model.encode(examples, **labels), **labels)
    return getattr(model, name, None)
