"""Features to compare recordings by: genzoo's own networks of pictures, which are shown log-mel spectrograms."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

import genzoo
from genzoo import Batch, Dataset, DataSpec, Features, Part, Progress
from genzoo import kept_classifier as kept_classifier
from genzoo_audio.spectrograms import Mel, to_unit

COARSE = (4, 2)  # bands and frames that the networks see as one


def pictures(waves: Tensor, mel: Mel) -> Tensor:
    """Recordings (B, C, T) as the networks see them: (B, C, bands / 4, frames / 2) in [0, 1]."""
    return F.avg_pool2d(to_unit(mel.of(waves)), COARSE, ceil_mode=True)


class Pictures(Dataset):
    """Recordings as pictures."""

    def __init__(self, dataset: Dataset, data: DataSpec) -> None:
        self.dataset, self.data, self.mel = dataset, data, Mel(data.extra["sample_rate"])

    def spec(self, name: str) -> DataSpec:
        channels, samples = self.data.shape
        shape = pictures(torch.zeros(1, channels, samples), self.mel).shape[1:]
        return replace(self.data, name=name, shape=tuple(shape))

    def count(self, part: Part) -> int:
        return self.dataset.count(part)

    def take(self, part: Part, index: Tensor, device: torch.device) -> Batch:
        batch = self.dataset.take(part, index, device)
        return Batch(pictures(batch.examples, self.mel), batch.labels)


def classifier(dataset: Dataset, data: DataSpec, folder: Path, progress: Progress) -> Features:
    """The features of a classifier of the data's own labels. Raises `UsageError` for data without."""
    seen = Pictures(dataset, data)
    return genzoo.classifier_features(seen, seen.spec(data.name), folder, progress)


def random(dataset: Dataset, data: DataSpec, folder: Path, progress: Progress) -> Features:
    """The features of the same network untrained."""
    seen = Pictures(dataset, data)
    return genzoo.random_features(seen, seen.spec(data.name), folder, progress)
