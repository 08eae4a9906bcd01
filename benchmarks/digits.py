"""Whether samples of handwritten digits can be read: 2,000 of each run, judged by a classifier trained on all of MNIST.

    uv run python benchmarks/digits.py --data-dir FOLDER RUN [RUN ...]

Prints the classifier's accuracy on the test images, and for each run the share of samples that it is more than 0.9 sure
of, and the share of the rarest digit.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import genzoo
from genzoo.image.builtin import load_mnist


def classifier(data: genzoo.ImageData) -> nn.Module:
    """A small convolutional network, trained for four epochs with a fixed seed."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(0.3), nn.Linear(64 * 49, 128), nn.ReLU(), nn.Linear(128, 10),
    )  # fmt: skip
    optimizer = torch.optim.Adam(network.parameters(), 1e-3, fused=True)
    assert isinstance(data.train_images, Tensor)
    assert data.train_labels is not None
    for _ in range(4):
        for index in torch.randperm(len(data.train_images)).split(256):
            loss = F.cross_entropy(network(data.train_images[index].float() / 255), data.train_labels[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return network.eval()


@torch.no_grad()
def sure(network: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """How sure the classifier is of images (N, 1, 28, 28) in [0, 1], and of which digit; each (N,)."""
    confidence, digits = torch.cat([network(part).softmax(1) for part in images.split(500)]).max(1)
    return confidence, digits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="RUN")
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--count", type=int, default=2000)
    arguments = parser.parse_args()
    data = load_mnist(Path(arguments.data_dir))
    network = classifier(data)
    assert isinstance(data.test_images, Tensor)
    _, digits = sure(network, data.test_images.float() / 255)
    print(f"classifier: {(digits == data.test_labels).float().mean():.2%} of the test images right")
    for run in arguments.runs:
        confidence, digits = sure(network, genzoo.sample(run, arguments.count))
        shares = digits.bincount(minlength=10) / len(digits)
        readable, rarest = (confidence > 0.9).float().mean(), shares.argmin()
        print(f"{Path(run).name}: {readable:.1%} above 0.9 confidence, rarest digit {rarest} with {shares[rarest]:.1%}")


if __name__ == "__main__":
    main()
