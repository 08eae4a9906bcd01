"""What the benchmarks share: the digits as tutorials read them, and sides that take turns."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset
from torchvision import transforms

from genzoo.image import ImageTrainOptions
from genzoo.image.builtin import load_mnist_5k

DATA = load_mnist_5k(Path()).with_validation(ImageTrainOptions().validation)  # with genzoo's training images


class Pictures(Dataset[tuple[Tensor, int]]):
    """Items as torchvision's MNIST gives them: a PIL picture through ToTensor, and a label."""

    def __init__(self) -> None:
        self.transform = transforms.ToTensor()

    def __len__(self) -> int:
        return len(DATA.train_images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        assert isinstance(DATA.train_images, Tensor)
        assert DATA.train_labels is not None
        picture = Image.fromarray(DATA.train_images[index, 0].numpy())
        return self.transform(picture), int(DATA.train_labels[index])


def take_turns(sides: dict[str, Callable[[int], float]], rounds: int, steps: int, unit: str = "images") -> None:
    """Run every side in every round and print the medians of what they give, units a second, and the ratios to the
    first side."""
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for side in sides.values():
        side(min(steps, 50))  # warm up
    for _ in range(rounds):
        for name, side in sides.items():
            rates[name].append(side(steps))
    medians = {name: statistics.median(values) for name, values in rates.items()}
    first = next(iter(medians))
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {rounds} rounds of {steps} steps")
    for name, rate in medians.items():
        print(f"{rate:9,.0f} {unit}/s  {name:14} {first} is {medians[first] / rate:.2f} times as fast")
