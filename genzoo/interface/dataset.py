"""A data set as a training sees it: three parts of examples, and batches that are a function of a seed and a step."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol, Self

import numpy as np
import torch
from torch import Tensor

from genzoo.interface.errors import GenzooError, UsageError
from genzoo.interface.randomness import derive_seed, permutation
from genzoo.interface.specs import DataSpec

Part = Literal["train", "validation", "test"]
Progress = Callable[[str, int, int], None]
AT_A_TIME = 250  # examples that are gone through together
MOST_VALIDATION = 10_000  # examples that are cut from a training part
CPU = torch.device("cpu")


def silent(_what: str, _done: int, _total: int) -> None:
    """A `Progress` that shows nothing. A `Progress` is called with an activity, which may end in the unit that is
    counted, such as "reading (images)", and with how many of how many are done."""


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor on `device`, without waiting for what the device does at the time."""
    if device.type != "cuda" or tensor.device.type != "cpu":
        return tensor.to(device)
    return (tensor if tensor.is_pinned() else tensor.pin_memory()).to(device, non_blocking=True)


def fingerprint(*tensors: Tensor | None) -> str:
    """The SHA-256 of tensors: their types, shapes and values."""
    digest = hashlib.sha256()
    for tensor in tensors:
        if tensor is not None:
            digest.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def validation_cut(count: int, share: float) -> tuple[Tensor, Tensor]:
    """Which of `count` training examples stay such, and which are the validation part, where a source has none: int64
    positions, in order. The latter are a share, at most 10,000 and at least one, evenly spaced over all in their own
    order, so that the same share of each class is cut where classes lie together. Raises `GenzooError` for fewer than
    two examples."""
    if count < 2:
        raise GenzooError(f"there is {count} training example; training and validation need one each at least")
    size = min(MOST_VALIDATION, max(1, round(count * share)), count - 1)
    validation = (2 * torch.arange(size) + 1) * count // (2 * size)
    stays = torch.ones(count, dtype=torch.bool)
    stays[validation] = False
    return stays.nonzero()[:, 0], validation


def check_labels(labels: Tensor | None, classes: Sequence[str], count: int, examples: str) -> None:
    """Raises `GenzooError` unless there is a label in [0, len(classes)) for each of `count` examples, such as "train
    images", or there are neither labels nor classes."""
    part = examples.partition(" ")[0]
    if (labels is None) != (not classes):
        raise GenzooError(f"the {part} data have labels without classes, or classes without labels")
    if labels is not None and len(labels) != count:
        raise GenzooError(f"there are {count} {examples} and {len(labels)} labels")
    if labels is not None and not bool(((labels >= 0) & (labels < len(classes))).all()):
        raise GenzooError(f"a {part} label is not in 0 to {len(classes) - 1}")


class Readable(Protocol):
    """Examples that are read one by one when they are asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, number: int, /) -> Tensor: ...


@dataclass(frozen=True)
class _Selection:
    examples: Readable
    index: list[int]

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, number: int) -> Tensor:
        return self.examples[self.index[number]]


def select(examples: Tensor | Readable, index: Tensor) -> Tensor | Readable:
    """Some of the examples (N, ...), at `index`, int64 (M,): (M, ...); of those that are read when asked for, such."""
    return examples[index] if isinstance(examples, Tensor) else _Selection(examples, index.tolist())


@dataclass(frozen=True, slots=True)
class Batch:
    """Some examples as a model sees them, and int64 labels (B,), or None for data without. A modality may give its
    batches further names in a subclass (`ImageBatch.images`)."""

    examples: Tensor
    labels: Tensor | None

    def __len__(self) -> int:
        return len(self.examples)


class Share:
    """The part of each batch of a training that one of several processes takes.

    Args:
        batch_size: examples in a step, over all processes.
        seed: of the run.
        rank, world: which process of how many.

    Attributes:
        size: examples of this process in a step.

    Raises `UsageError` if the processes cannot share a batch evenly.
    """

    def __init__(self, batch_size: int, seed: int, *, rank: int = 0, world: int = 1) -> None:
        if batch_size % world:
            raise UsageError(f"--batch-size is {batch_size}; with {world} processes allowed is a multiple of {world}")
        self.batch_size, self.seed, self.size = batch_size, seed, batch_size // world
        self.part = slice(rank * self.size, (rank + 1) * self.size)
        self._epochs: dict[tuple[int, int], Tensor] = {}

    def index(self, step: int, count: int, device: torch.device = CPU) -> Tensor:
        """Which of `count` examples make this process's share of batch `step` (0-based): int64 (size,) on `device`, a
        function of (seed, step). Every epoch is a permutation of all examples; batches run across the end of an epoch
        and are always full."""
        epoch, offset = divmod(step * self.batch_size + self.part.start, count)
        taken = self._epoch(epoch, count, device)[offset : offset + self.size]
        parts, missing = [taken], self.size - len(taken)
        while missing:
            epoch += 1
            parts.append(self._epoch(epoch, count, device)[:missing])
            missing -= len(parts[-1])
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def rng(self, step: int, purpose: str) -> np.random.Generator:
        """Random numbers for all of batch `step`, the same in every process: what each takes of them is `part`."""
        return np.random.default_rng(derive_seed(self.seed, purpose, step))

    def _epoch(self, epoch: int, count: int, device: torch.device) -> Tensor:
        if (epoch, count) not in self._epochs:
            self._epochs = {key: order for key, order in self._epochs.items() if key == (epoch - 1, count)}
            self._epochs[epoch, count] = permutation(self.seed, epoch, count).to(device)
        return self._epochs[epoch, count]


class Dataset(ABC):
    """A data set in three parts: training, which a model learns from, validation, which is chosen on, and test, which
    is reported.

    A modality's own gives a spec, counts and examples; batches follow from these. It overrides `batches` where a batch
    is something else than examples picked one by one.
    """

    unit: ClassVar[str] = "samples"  # what a training's speed is counted in

    @abstractmethod
    def spec(self, name: str) -> DataSpec:
        """What a model may know of these data."""

    @abstractmethod
    def count(self, part: Part) -> int:
        """How many examples a part has."""

    @abstractmethod
    def take(self, part: Part, index: Tensor, device: torch.device) -> Batch:
        """The examples of a part at `index`, int64 (B,), as a batch on `device`."""

    def summary(self) -> str:
        """What was read, in a line that is said before the first step; empty: nothing."""
        return ""

    def kept(self) -> Mapping[str, bytes]:
        """Files, by name, that a run must keep to be enough without the data, such as a tokeniser. They are given to
        `Modality.open` and `Modality.equip` when the run goes on or is sampled."""
        return {}

    def place(self, device: torch.device) -> Self:
        """The same data, with what fits on `device`."""
        return self

    def batches(self, steps: range, share: Share, device: torch.device, **how: object) -> Iterator[Batch]:
        """This process's share of the batches of `steps`: batch k is a function of (seed, k), and of nothing else.
        `how` is what a model may say of its batches (`run.batches(**how)`)."""
        if how:
            raise TypeError(f"run.batches() of these data takes no {', '.join(how)}")
        for step in steps:
            yield self.take("train", share.index(step, self.count("train")), device)

    def units(self, **how: object) -> int:
        """How many of `unit` an example of such a batch has."""
        return 1

    def examples(self, part: Part, device: torch.device, count: int | None = None) -> Iterator[Batch]:
        """The first `count` examples of a part, or all there are, in their own order: batches of up to 250."""
        stop = self.count(part) if count is None else min(count, self.count(part))
        for start in range(0, stop, AT_A_TIME):
            yield self.take(part, torch.arange(start, min(start + AT_A_TIME, stop)), device)
