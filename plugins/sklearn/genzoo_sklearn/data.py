"""The data themselves."""

from __future__ import annotations

from pathlib import Path

import torch
from sklearn import datasets

from genzoo import ImageData


def load_digits(data_dir: Path) -> ImageData:
    """UCI's digits: 16 shades of grey, spread over 0 to 255. Every tenth of a class is held out."""
    digits = datasets.load_digits()
    images = torch.from_numpy(digits.images).mul(255 / 16).round().to(torch.uint8)[:, None]  # (N, 1, 8, 8)
    labels = torch.from_numpy(digits.target).to(torch.int64)
    held = torch.zeros(len(labels), dtype=torch.bool)
    for digit in range(10):
        held[(labels == digit).nonzero()[9::10, 0]] = True
    return ImageData(
        train_images=images[~held], train_labels=labels[~held], test_images=images[held], test_labels=labels[held],
        classes=tuple("0123456789"),
    )  # fmt: skip
