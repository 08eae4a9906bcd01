"""A run, as a plugin's `fit` and its watchers see it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor

from genzoo.interface.dataset import Batch, Dataset
from genzoo.interface.specs import DataSpec, TrainOptions

State = dict[str, Any]
"""What a `state_dict()` gives: tensors, numbers, texts, and lists and dictionaries of these."""
F = TypeVar("F", bound=Callable[..., object])


@runtime_checkable
class Stateful(Protocol):
    """What `Run.track` takes besides tensors."""

    def state_dict(self) -> State: ...

    def load_state_dict(self, state_dict: State) -> object: ...


class Run(ABC):
    """One training, as a plugin's `fit` sees it.

    Attributes:
        name: of the run.
        path: the run's folder on disk; `genzoo.find_run(run.path)` says what is in it.
        options: those that every training of the modality has.
        data: what the data are like.
        dataset: the data themselves, for models that see all at once.
        device: where tensors belong.
        step: optimiser steps done.
        steps_total: how many there will be.
        seconds: of training so far.
        memory: the bytes that the training takes, as the model counts them; None where it does not.
    """

    name: str
    path: Path
    options: TrainOptions
    data: DataSpec
    dataset: Dataset
    device: torch.device
    step: int
    steps_total: int
    seconds: float
    memory: float | None

    @property
    @abstractmethod
    def is_main(self) -> bool:
        """Whether this process is the one that writes."""

    @abstractmethod
    def prepare(self, *objects: object, find_unused_parameters: bool = False) -> Any:
        """Make modules and optimisers ready for the device, mixed precision and data parallel; call it once for each.

        Returns them in the same order (one alone, not in a tuple). Call a prepared module, not the original: with
        several processes it is the wrapped one that keeps them together, and with mixed precision it is the one that
        computes in it. The original stays in float32, as gradients of gradients need it. On a resume the optimisers'
        states are loaded here.

        Args:
            find_unused_parameters: whether a step may leave parameters of the modules unused
                (`torch.nn.parallel.DistributedDataParallel`).
        """

    @abstractmethod
    def batches(self, **how: object) -> Iterator[Any]:
        """One training step an item: a batch on the device, as the modality makes them. `how` is what the modality may
        be told: nothing for images (`genzoo.ImageBatch`), `length` for text (`genzoo.TextBatch`). Batch k is a
        function of the run's seed and k. Raises `UsageError` if the data do not suffice for one."""

    @abstractmethod
    def steps(self) -> Iterator[int]:
        """One training step an item, numbered from 0, for models that make no use of mini-batches
        (`GeneratorSpec.mini_batches` is false)."""

    @abstractmethod
    def sweeps(self, activity: str, most: int) -> Iterator[int]:
        """What a model does behind its last step, such as a fit to all data, an item a part of it, of which there are
        at most so many. The progress display shows it as `activity`, its unit in brackets at the end; between two
        parts a stop is answered, and a resume begins with the first again."""

    @abstractmethod
    def training_examples(self, count: int) -> Iterator[Batch]:
        """The first `count` training examples, or all there are, in their own order: batches on the device, each of up
        to 250 `examples` with their `labels` (of images `images` too)::

            images = torch.cat([batch.images for batch in run.training_examples(5000)])  # (N, C, H, W)
        """

    @abstractmethod
    def backward(self, loss: Tensor) -> None:
        """`loss.backward()`, scaled where the precision needs it."""

    @abstractmethod
    def parts(self, batch: Tensor, count: int) -> Iterator[Tensor]:
        """Up to `count` parts of a batch (B, ...), for gradients that are added up over several passes. Several
        processes take the mean of their gradients once, behind the last::

            for part in run.parts(batch.tokens, 4):
                run.backward(loss_of(part) * len(part) / len(batch))
        """

    @abstractmethod
    def clip(self, optimizer: torch.optim.Optimizer, max_norm: float) -> Tensor:
        """Scale the gradients of a prepared optimiser's parameters so that their norm is at most `max_norm`, between
        `backward` and `optimizer.step()`. Returns the norm before, a scalar on the device; 0 where float16 overflowed,
        and the step is left out."""

    @abstractmethod
    def log(self, **values: Tensor | float) -> None:
        """Note scalars of the current step. Their means are written every `--log-every` steps, and only then read off
        the device; one that is not finite ends the run with the step at which it was."""

    @abstractmethod
    def track(self, **state: Tensor | Stateful) -> None:
        """Name what else a checkpoint must hold: tensors (restored in place) and objects with `state_dict`. On a
        resume they are loaded here. An `EMA` among them is what samples and the finished model are made with."""

    @abstractmethod
    def compile(self, function: F) -> F:
        """`function`, compiled where `--compile` asks for it; as it is elsewhere."""

    @abstractmethod
    def count_flops(self, flops: float) -> None:
        """Say how many floating-point operations a step takes. Where the device's peak is known, the share of it that
        is reached is logged as `utilisation`."""

    @abstractmethod
    def count_memory(self, size: float) -> None:
        """Say how many bytes the training takes: weights, gradients, what an optimiser keeps, and what a step holds for
        its backward pass. It is shown before the first step, and warned of where less is free."""

    @abstractmethod
    def as_sampled(self) -> AbstractContextManager[None]:
        """The model as it is sampled from: averaged weights, evaluation mode, no gradients, random numbers of its own.
        Afterwards all is as it was."""

    @abstractmethod
    def stop(self) -> None:
        """Ask the training to save all and stop before its next step, as Ctrl-C does: `genzoo.train` then raises
        `Interrupted`, and `genzoo resume` goes on. For models and watchers, such as one that prunes a trial."""

    @abstractmethod
    def warn(self, message: str) -> None:
        """Say something that a person should know and that does not stop the run."""
