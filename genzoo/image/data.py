"""Images as a training sees them: in memory where it runs, or streamed from files."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Protocol, Self, TypeVar

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from genzoo.interface.dataset import (
    Batch,
    Dataset,
    Part,
    Share,
    check_labels,
    fingerprint,
    select,
    to_device,
    validation_cut,
)
from genzoo.interface.errors import GenzooError, some_of
from genzoo.interface.specs import DataSpec

T = TypeVar("T")
LOOKED_AT = 100  # images, evenly spaced, to see how near to black and white they are


class Images(Protocol):
    """Images that are read from files one by one. Each item is a uint8 tensor (C, H, W)."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Tensor: ...


class ImageBatch(Batch):
    """One batch: images as float32 in [0, 1], shape (B, C, H, W), and int64 labels (B,) or None."""

    __slots__ = ()

    @property
    def images(self) -> Tensor:
        """The images."""
        return self.examples


@dataclass(kw_only=True)
class ImageData(Dataset):
    """A data set of images with training, validation and test images apart.

    Images are uint8 tensors (N, C, H, W), or `Images` that are read from files when needed. Labels are integer
    tensors (N,) with values in [0, len(classes)), or None for data without. Where there are no validation images, they
    are cut from the training images (`with_validation`). Raises `GenzooError` if they are not so.
    """

    train_images: Tensor | Images
    test_images: Tensor | Images
    train_labels: Tensor | None = None
    test_labels: Tensor | None = None
    validation_images: Tensor | Images | None = None
    validation_labels: Tensor | None = None
    classes: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    fingerprint: str = ""
    distance: Callable[[Tensor], float] | None = field(default=None, init=False, repr=False)  # made at the first score

    def __post_init__(self) -> None:
        for part, images, labels in self._parts():
            if len(images) == 0:
                raise GenzooError(f"the {part} data hold no image")
            if isinstance(images, Tensor) and (images.dtype != torch.uint8 or images.ndim != 4):
                raise GenzooError(f"the {part} images are {images.dtype} {tuple(images.shape)}, not uint8 (N, C, H, W)")
            check_labels(labels, self.classes, len(images), f"{part} images")
            if not isinstance(images, Tensor) and not self.fingerprint:
                raise GenzooError(f"the {part} images are read from files; such data bring their `fingerprint`")
            if images[0].shape != self.train_images[0].shape:
                raise GenzooError(f"train and {part} images differ in shape")

    def _parts(self) -> Iterator[tuple[str, Tensor | Images, Tensor | None]]:
        yield "train", self.train_images, self.train_labels
        if self.validation_images is not None:
            yield "validation", self.validation_images, self.validation_labels
        yield "test", self.test_images, self.test_labels

    def with_validation(self, share: float) -> ImageData:
        """The same data with a validation part: their own, or a share of the training images."""
        if self.validation_images is not None:
            return self
        train, validation = validation_cut(len(self.train_images), share)
        labels = self.train_labels
        return replace(
            self,
            fingerprint=self.fingerprint or self._fingerprint(),  # of all examples, however they are cut
            train_images=select(self.train_images, train),
            train_labels=None if labels is None else labels[train],
            validation_images=select(self.train_images, validation),
            validation_labels=None if labels is None else labels[validation],
        )

    def summary(self) -> str:
        """Which files were left out, if any were."""
        if not self.skipped:
            return ""
        return f"{len(self.skipped)} files cannot be read and are left out: {some_of(self.skipped)}"

    def part(self, part: Part) -> tuple[Tensor | Images, Tensor | None]:
        """The images and labels of a part."""
        if part == "train":
            return self.train_images, self.train_labels
        if part == "test":
            return self.test_images, self.test_labels
        assert self.validation_images is not None, "the modality cuts a validation part from data that have none"
        return self.validation_images, self.validation_labels

    def count(self, part: Part) -> int:
        return len(self.part(part)[0])

    def spec(self, name: str) -> DataSpec:
        return DataSpec(
            name=name,
            modality="image",
            shape=tuple(self.train_images[0].shape),
            classes=self.classes,
            train_count=self.count("train"),
            validation_count=self.count("validation"),
            test_count=self.count("test"),
            fingerprint=self.fingerprint or self._fingerprint(),
            skipped=self.skipped,
            extra={"binarisation_noise": round(self._binarisation_noise(), 6)},
        )

    def _binarisation_noise(self) -> float:
        """The variance that drawing pixels as black or white with their value as probability adds, by that of the
        images themselves; of a hundred of them."""
        images = to_unit(self.pixels("train", torch.linspace(0, self.count("train") - 1, LOOKED_AT).long()).cpu())
        return ((images * (1 - images)).mean() / images.var(unbiased=False).clamp_min(1e-6)).item()

    def _fingerprint(self) -> str:
        tensors: list[Tensor | None] = []
        for _, images, labels in self._parts():
            assert isinstance(images, Tensor), "data read from files bring their fingerprint"
            tensors += [images, labels]
        return fingerprint(*tensors)

    def pixels(self, part: Part, index: Tensor) -> Tensor:
        """The images of a part at `index` (B,), as uint8 (B, C, H, W)."""
        images = self.part(part)[0]
        if isinstance(images, Tensor):
            return images.index_select(0, index.to(images.device))
        return torch.stack([images[i] for i in index.tolist()])

    def take(self, part: Part, index: Tensor, device: torch.device) -> ImageBatch:
        labels = self.part(part)[1]
        of_batch = None if labels is None else to_device(labels.index_select(0, index.to(labels.device)), device)
        return ImageBatch(to_unit(to_device(self.pixels(part, index), device)), of_batch)

    def batches(self, steps: range, share: Share, device: torch.device, **how: object) -> Iterator[Batch]:
        """As `Dataset.batches`. Images in memory are indexed where they lie; others come from worker processes."""
        if how:
            yield from super().batches(steps, share, device, **how)  # which refuses it
        images, labels, count = self.train_images, self.train_labels, self.count("train")
        if isinstance(images, Tensor):
            for step in steps:
                yield self.take("train", share.index(step, count, images.device), device)
            return
        loader = DataLoader(
            _Streamed(images, None if labels is None else labels.cpu()),
            batch_sampler=(share.index(step, count).tolist() for step in steps),
            collate_fn=_as_it_is,
            worker_init_fn=_leave_signals_to_the_trainer,
            num_workers=min(4, os.cpu_count() or 1),
            pin_memory=device.type == "cuda",
            generator=torch.Generator(),  # else it draws from the training's own random numbers
        )
        for pixels, of_batch in loader:
            yield ImageBatch(
                to_unit(to_device(pixels, device)), None if of_batch is None else to_device(of_batch, device)
            )

    def place(self, device: torch.device) -> Self:
        """The same data, with what fits in memory on `device`. Anything else stays where it is."""
        parts = [images for _, images, _ in self._parts() if isinstance(images, Tensor)]
        if device.type == "cuda" and sum(map(Tensor.numel, parts)) > 0.4 * torch.cuda.mem_get_info(device)[0]:
            return self
        for part, _, _ in self._parts():
            for name in (f"{part}_images", f"{part}_labels"):
                value = getattr(self, name)
                if isinstance(value, Tensor):
                    setattr(self, name, value.to(device))
        return self


def to_unit(images: Tensor) -> Tensor:
    """Images as uint8 to float32 in [0, 1]."""
    return images.to(torch.float32).div_(255)


def to_bytes(images: Tensor) -> Tensor:
    """Images in [0, 1] as uint8, rounded to the nearest of 256 values, on the CPU."""
    return images.clamp(0, 1).mul(255).round().to(torch.uint8).cpu()


class _Streamed(TorchDataset[tuple[Tensor, Tensor | None]]):
    def __init__(self, images: Images, labels: Tensor | None) -> None:
        self.images, self.labels = images, labels

    def __getitems__(self, indices: list[int]) -> tuple[Tensor, Tensor | None]:
        images = torch.stack([self.images[i] for i in indices])
        return images, None if self.labels is None else self.labels[indices]

    def __len__(self) -> int:
        return len(self.images)


def _leave_signals_to_the_trainer(_worker: int) -> None:
    """Ctrl-C reaches every process of a terminal; the training process decides when its workers end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if hasattr(signal, "SIGBREAK"):
        signal.signal(signal.SIGBREAK, signal.SIG_IGN)


def _as_it_is(batch: T) -> T:
    return batch
