"""Recordings as a training sees them: in memory where it runs, or read from their files when they are needed."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Protocol, Self

import torch
from torch import Tensor

import genzoo
from genzoo import Batch, Dataset, DataSpec, GenzooError, Part


class Recordings(Protocol):
    """Recordings that are read from files one by one. Each item is an int16 tensor (C, T)."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Tensor: ...


class AudioBatch(Batch):
    """One batch: recordings as float32 in [-1, 1], shape (B, C, T), and int64 labels (B,) or None."""

    __slots__ = ()

    @property
    def waves(self) -> Tensor:
        """The recordings."""
        return self.examples


@dataclass(kw_only=True)
class AudioData(Dataset):
    """Recordings of one length and sample rate, with training, validation and test recordings apart.

    Recordings are int16 tensors (N, C, T), or `Recordings` that are read from files when needed. Labels are int64
    tensors (N,) with values in [0, len(classes)), or None for data without. Where there are no validation recordings,
    they are cut from the training recordings (`with_validation`). Raises `GenzooError` if they are not so.

    Attributes:
        sample_rate: samples a second.
        fingerprint: the SHA-256 of all recordings; worked out for those in memory.
        skipped: files that were left out.
    """

    unit = "recordings"

    sample_rate: int
    train: Tensor | Recordings
    test: Tensor | Recordings
    validation: Tensor | Recordings | None = None
    train_labels: Tensor | None = None
    test_labels: Tensor | None = None
    validation_labels: Tensor | None = None
    classes: tuple[str, ...] = ()
    fingerprint: str = ""
    skipped: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for part, recordings, labels in self._parts():
            if len(recordings) == 0:
                raise GenzooError(f"the {part} data hold no recording")
            if isinstance(recordings, Tensor) and (recordings.dtype != torch.int16 or recordings.ndim != 3):
                form = f"{recordings.dtype} {tuple(recordings.shape)}"
                raise GenzooError(f"the {part} recordings are {form}, not int16 (N, C, T)")
            genzoo.check_labels(labels, self.classes, len(recordings), f"{part} recordings")
            if not isinstance(recordings, Tensor) and not self.fingerprint:
                raise GenzooError(f"the {part} recordings are read from files; such data bring their `fingerprint`")
            if recordings[0].shape != self.train[0].shape:
                raise GenzooError(f"train and {part} recordings differ in length or channels")
        self.fingerprint = self.fingerprint or genzoo.fingerprint(
            *(tensor for _, *pair in self._parts() for tensor in pair if isinstance(tensor, Tensor))
        )

    def _parts(self) -> Iterator[tuple[Part, Tensor | Recordings, Tensor | None]]:
        yield "train", self.train, self.train_labels
        if self.validation is not None:
            yield "validation", self.validation, self.validation_labels
        yield "test", self.test, self.test_labels

    def with_validation(self, share: float) -> AudioData:
        """The same data with a validation part: their own, or a share of the training recordings."""
        if self.validation is not None:
            return self
        stays, cut = genzoo.validation_cut(len(self.train), share)
        labels = self.train_labels
        return replace(
            self, train=genzoo.select(self.train, stays), validation=genzoo.select(self.train, cut),
            train_labels=None if labels is None else labels[stays],
            validation_labels=None if labels is None else labels[cut],
        )  # fmt: skip

    def part(self, part: Part) -> tuple[Tensor | Recordings, Tensor | None]:
        """The recordings and labels of a part."""
        return next((recordings, labels) for name, recordings, labels in self._parts() if name == part)

    def count(self, part: Part) -> int:
        return len(self.part(part)[0])

    def spec(self, name: str) -> DataSpec:
        return DataSpec(
            name=name,
            modality="audio",
            shape=tuple(self.train[0].shape),
            classes=self.classes,
            train_count=self.count("train"),
            validation_count=self.count("validation"),
            test_count=self.count("test"),
            fingerprint=self.fingerprint,
            skipped=self.skipped,
            extra={"sample_rate": self.sample_rate},
        )

    def take(self, part: Part, index: Tensor, device: torch.device) -> AudioBatch:
        recordings, labels = self.part(part)
        if isinstance(recordings, Tensor):
            values = recordings.index_select(0, index.to(recordings.device))
        else:
            with ThreadPoolExecutor() as pool:  # decoding and resampling leave Python's lock alone
                values = torch.stack(list(pool.map(recordings.__getitem__, index.tolist())))
        of_batch = None if labels is None else genzoo.to_device(labels[index.to(labels.device)], device)
        return AudioBatch(to_float(genzoo.to_device(values, device)), of_batch)

    def place(self, device: torch.device) -> Self:
        """The same data, with what fits in memory on `device`. Anything else stays where it is."""
        tensors = [recordings for _, recordings, _ in self._parts() if isinstance(recordings, Tensor)]
        size = sum(tensor.numel() * 2 for tensor in tensors)
        if device.type == "cuda" and size > 0.4 * torch.cuda.mem_get_info(device)[0]:
            return self
        for part, recordings, labels in list(self._parts()):
            if isinstance(recordings, Tensor):
                setattr(self, part, recordings.to(device))
            if labels is not None:
                setattr(self, f"{part}_labels", labels.to(device))
        return self

    def summary(self) -> str:
        seconds = self.train[0].shape[1] / self.sample_rate
        streamed = "" if isinstance(self.train, Tensor) else ", read from their files while training"
        return f"recordings of {seconds:g} s at {self.sample_rate:,} Hz{streamed}"


def to_float(values: Tensor) -> Tensor:
    """Samples as int16 to float32 in [-1, 1)."""
    return values.to(torch.float32).div_(2**15)


def to_int16(waves: Tensor) -> Tensor:
    """The inverse, rounded to the nearest and clipped."""
    return waves.mul(2**15).round_().clamp_(-(2**15), 2**15 - 1).to(torch.int16)
