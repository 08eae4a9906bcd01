"""GANs at batch 64: genzoo against a plain script of the same layout, run in turn.

    uv run python benchmarks/gan.py              # gan, preset article-1024
    uv run python benchmarks/gan.py dcgan        # dcgan, preset article-256

The plain script has a DataLoader over pictures with ToTensor and two Adams as they come, and uses each batch of fakes
for both updates, as PyTorch's own DCGAN tutorial does.
"""

from __future__ import annotations

import argparse
import tempfile
import time

import torch
from plain import Pictures, take_turns
from torch import nn
from torch.utils.data import DataLoader

import genzoo

BATCH = 64
PRESETS = {"gan": "article-1024", "dcgan": "article-256"}
RATES = {"gan": 1e-3, "dcgan": 1e-4}


def engine(model: str, steps: int) -> float:
    """Images a second of a genzoo training."""
    with tempfile.TemporaryDirectory() as folder:
        off = {"save_every": 0, "sample_every": 0, "eval_every": 0}
        run = genzoo.train(model, preset=PRESETS[model], steps=steps, batch_size=BATCH, runs_dir=folder, **off)
        return steps * BATCH / run.record["seconds"]


def dense_networks() -> tuple[nn.Module, nn.Module]:
    generator = nn.Sequential(
        nn.Linear(100, 256), nn.LeakyReLU(0.2), nn.Linear(256, 512), nn.LeakyReLU(0.2), nn.Linear(512, 1024),
        nn.LeakyReLU(0.2), nn.Linear(1024, 784), nn.Sigmoid(), nn.Unflatten(1, (1, 28, 28)),
    )  # fmt: skip
    discriminator = nn.Sequential(
        nn.Flatten(), nn.Linear(784, 512), nn.LeakyReLU(0.2), nn.Linear(512, 256), nn.LeakyReLU(0.2), nn.Linear(256, 1)
    )
    return generator, discriminator


def convolutional_networks() -> tuple[nn.Module, nn.Module]:
    generator = nn.Sequential(
        nn.Linear(100, 7 * 7 * 256, bias=False), nn.BatchNorm1d(7 * 7 * 256), nn.LeakyReLU(0.2),
        nn.Unflatten(1, (256, 7, 7)),
        nn.ConvTranspose2d(256, 128, 5, 1, 2, bias=False), nn.BatchNorm2d(128), nn.LeakyReLU(0.2),
        nn.ConvTranspose2d(128, 64, 5, 2, 2, 1, bias=False), nn.BatchNorm2d(64), nn.LeakyReLU(0.2),
        nn.ConvTranspose2d(64, 1, 5, 2, 2, 1), nn.Tanh(),
    )  # fmt: skip
    discriminator = nn.Sequential(
        nn.Conv2d(1, 64, 5, 2, 2), nn.LeakyReLU(0.2), nn.Dropout(0.3),
        nn.Conv2d(64, 128, 5, 2, 2), nn.LeakyReLU(0.2), nn.Dropout(0.3), nn.Flatten(), nn.Linear(7 * 7 * 128, 1),
    )  # fmt: skip
    return generator, discriminator


def plain_script(model: str, steps: int) -> float:
    """Images a second of what a tutorial has."""
    generator, discriminator = {"gan": dense_networks, "dcgan": convolutional_networks}[model]()
    generator_adam = torch.optim.Adam(generator.parameters(), lr=RATES[model])
    discriminator_adam = torch.optim.Adam(discriminator.parameters(), lr=RATES[model])
    criterion = nn.BCEWithLogitsLoss()
    loader = DataLoader(Pictures(), batch_size=BATCH, shuffle=True, drop_last=True)
    real_labels, fake_labels = torch.ones(BATCH, 1), torch.zeros(BATCH, 1)
    done, start = 0, time.perf_counter()
    while True:
        for images, _ in loader:
            real = images if model == "gan" else images * 2 - 1
            fake = generator(torch.randn(BATCH, 100))
            discriminator_adam.zero_grad()
            criterion(discriminator(real), real_labels).backward()
            criterion(discriminator(fake.detach()), fake_labels).backward()
            discriminator_adam.step()
            generator_adam.zero_grad()
            criterion(discriminator(fake), real_labels).backward()
            generator_adam.step()
            done += 1
            if done == steps:
                return steps * BATCH / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", choices=PRESETS, default="gan")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, help="Default: 400, or 60 for dcgan.")
    arguments = parser.parse_args()
    model = arguments.model
    sides = {"genzoo": lambda n: engine(model, n), "plain script": lambda n: plain_script(model, n)}
    take_turns(sides, arguments.rounds, arguments.steps or {"gan": 400, "dcgan": 60}[model])


if __name__ == "__main__":
    main()
