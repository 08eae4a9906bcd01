"""Images: what a data set is made of, and the batches of a training."""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from genzoo.errors import GenzooError, UsageError
from genzoo.randomness import permutation
from genzoo.spec import DataSpec


class Images(Protocol):
    """Images that are read from files one by one. Each item is a uint8 tensor (C, H, W)."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Tensor: ...


@dataclass(kw_only=True)
class ImageData:
    """A data set of images with train and held-out test apart.

    Images are uint8 tensors (N, C, H, W), or `Images` that are read from files when needed. Labels are integer
    tensors (N,) with values in [0, len(classes)), or None for data without. Raises `GenzooError` if they are not.
    """

    train_images: Tensor | Images
    test_images: Tensor | Images
    train_labels: Tensor | None = None
    test_labels: Tensor | None = None
    classes: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    fingerprint: str = ""

    def __post_init__(self) -> None:
        for part, images, labels in self._parts():
            if len(images) == 0:
                raise GenzooError(f"the {part} data hold no image")
            if isinstance(images, Tensor) and (images.dtype != torch.uint8 or images.ndim != 4):
                raise GenzooError(f"the {part} images are {images.dtype} {tuple(images.shape)}, not uint8 (N, C, H, W)")
            if (labels is None) != (not self.classes):
                raise GenzooError(f"the {part} data have labels without classes, or classes without labels")
            if labels is not None and len(labels) != len(images):
                raise GenzooError(f"there are {len(images)} {part} images and {len(labels)} labels")
            if labels is not None and not bool(((labels >= 0) & (labels < len(self.classes))).all()):
                raise GenzooError(f"a {part} label is not in 0 to {len(self.classes) - 1}")
        if self.train_images[0].shape != self.test_images[0].shape:
            raise GenzooError("train and test images differ in shape")

    def _parts(self) -> Iterator[tuple[str, Tensor | Images, Tensor | None]]:
        yield "train", self.train_images, self.train_labels
        yield "test", self.test_images, self.test_labels

    def spec(self, name: str) -> DataSpec:
        """What a model may know of these data."""
        return DataSpec(
            name=name,
            modality="image",
            shape=tuple(self.train_images[0].shape),
            classes=self.classes,
            train_count=len(self.train_images),
            test_count=len(self.test_images),
            fingerprint=self.fingerprint or self._fingerprint(),
            skipped=self.skipped,
        )

    def _fingerprint(self) -> str:
        digest = hashlib.sha256()
        for _, images, labels in self._parts():
            assert isinstance(images, Tensor), "data read from files bring their fingerprint"
            digest.update(repr(tuple(images.shape)).encode())
            digest.update(images.contiguous().numpy().tobytes())
            if labels is not None:
                digest.update(labels.to(torch.int64).numpy().tobytes())
        return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch: images as float32 in [0, 1], shape (B, C, H, W), and int64 labels (B,) or None."""

    images: Tensor
    labels: Tensor | None

    def __len__(self) -> int:
        return len(self.images)


def to_unit(images: Tensor) -> Tensor:
    """Images as uint8 to float32 in [0, 1]."""
    return images.to(torch.float32).div_(255)


def share_of(batch_size: int, rank: int, world: int) -> slice:
    """The part of a batch that one of several processes takes. Raises `UsageError` if they cannot share it evenly."""
    if batch_size % world:
        raise UsageError(f"--batch-size is {batch_size}; with {world} processes allowed is a multiple of {world}")
    return slice(rank * batch_size // world, (rank + 1) * batch_size // world)


class Order:
    """Which examples make which batch: batch k is a function of (seed, k), and of nothing else.

    Every epoch is a permutation of all examples; batches run across the end of an epoch and are always full. With
    several processes each takes its share of the batch.
    """

    def __init__(self, count: int, batch_size: int, seed: int, *, rank: int = 0, world: int = 1) -> None:
        self.count, self.batch_size, self.seed = count, batch_size, seed
        share = share_of(batch_size, rank, world)
        self._first, self._share = share.start, share.stop - share.start
        self._epochs: dict[int, Tensor] = {}

    def __call__(self, step: int) -> Tensor:
        """The examples of batch `step` (0-based): int64 of shape (batch_size / world,)."""
        epoch, offset = divmod(step * self.batch_size + self._first, self.count)
        taken = self._epoch(epoch)[offset : offset + self._share]
        parts, missing = [taken], self._share - len(taken)
        while missing:
            epoch += 1
            parts.append(self._epoch(epoch)[:missing])
            missing -= len(parts[-1])
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _epoch(self, epoch: int) -> Tensor:
        if epoch not in self._epochs:
            self._epochs = {e: order for e, order in self._epochs.items() if e == epoch - 1}
            self._epochs[epoch] = permutation(self.seed, epoch, self.count)
        return self._epochs[epoch]


class _Streamed(Dataset[Any]):
    def __init__(self, images: Images, labels: Tensor | None) -> None:
        self.images, self.labels = images, labels

    def __getitems__(self, indices: list[int]) -> tuple[Tensor, Tensor | None]:
        images = torch.stack([self.images[i] for i in indices])
        return images, None if self.labels is None else self.labels[indices]

    def __len__(self) -> int:
        return len(self.images)


def batches(
    images: Tensor | Images, labels: Tensor | None, order: Order, steps: range, device: torch.device
) -> Iterator[Batch]:
    """The batches of `steps`. Images in memory are indexed where they lie; others come from worker processes."""
    if isinstance(images, Tensor):
        for step in steps:
            index = order(step).to(images.device)
            own = None if labels is None else labels.index_select(0, index).to(device)
            yield Batch(to_unit(images.index_select(0, index).to(device)), own)
        return
    loader = DataLoader(
        _Streamed(images, labels),
        batch_sampler=(order(step).tolist() for step in steps),
        collate_fn=_as_it_is,
        worker_init_fn=_leave_signals_to_the_trainer,
        num_workers=min(4, os.cpu_count() or 1),
        pin_memory=device.type == "cuda",
        generator=torch.Generator(),  # else it draws from the training's own random numbers
    )
    for part, own in loader:
        yield Batch(to_unit(part.to(device, non_blocking=True)), None if own is None else own.to(device))


def _leave_signals_to_the_trainer(_worker: int) -> None:
    """Ctrl-C reaches every process of a terminal; the training process decides when its workers end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _as_it_is(batch: Any) -> Any:
    return batch


def in_order(
    images: Tensor | Images, labels: Tensor | None, count: int, size: int, device: torch.device
) -> Iterator[Batch]:
    """The first `count` examples in batches of `size`, in their own order."""
    for start in range(0, count, size):
        stop = min(start + size, count)
        part = (
            images[start:stop] if isinstance(images, Tensor) else torch.stack([images[i] for i in range(start, stop)])
        )
        own = None if labels is None else labels[start:stop].to(device)
        yield Batch(to_unit(part.to(device)), own)


def place(data: ImageData, device: torch.device) -> ImageData:
    """The same data, with what fits in memory on `device`. Anything else stays where it is."""
    if device.type == "cuda":
        sizes = [part.numel() for part in (data.train_images, data.test_images) if isinstance(part, Tensor)]
        if sum(sizes) > 0.4 * torch.cuda.mem_get_info(device)[0]:
            return data
    for name in ("train_images", "test_images", "train_labels", "test_labels"):
        value = getattr(data, name)
        if isinstance(value, Tensor):
            setattr(data, name, value.to(device))
    return data
