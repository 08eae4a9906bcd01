"""A GAN of the layout `article-1024` at batch 64: genzoo against a plain script, run in turn.

    uv run python benchmarks/gan.py

The plain script has the same layout and batch, a DataLoader over pictures with ToTensor, and two Adams as they come.
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


def engine(steps: int) -> float:
    """Images a second of a genzoo training."""
    with tempfile.TemporaryDirectory() as folder:
        off = {"save_every": 0, "sample_every": 0, "eval_every": 0}
        run = genzoo.train("gan", preset="article-1024", steps=steps, batch_size=BATCH, runs_dir=folder, **off)
        return steps * BATCH / run.record["seconds"]


def plain_script(steps: int) -> float:
    """Images a second of what a tutorial has."""
    generator = nn.Sequential(
        nn.Linear(100, 256), nn.LeakyReLU(0.2), nn.Linear(256, 512), nn.LeakyReLU(0.2), nn.Linear(512, 1024),
        nn.LeakyReLU(0.2), nn.Linear(1024, 784), nn.Sigmoid(),
    )  # fmt: skip
    discriminator = nn.Sequential(
        nn.Linear(784, 512), nn.LeakyReLU(0.2), nn.Linear(512, 256), nn.LeakyReLU(0.2), nn.Linear(256, 1)
    )
    generator_adam = torch.optim.Adam(generator.parameters(), lr=1e-3)
    discriminator_adam = torch.optim.Adam(discriminator.parameters(), lr=1e-3)
    criterion = nn.BCEWithLogitsLoss()
    loader = DataLoader(Pictures(), batch_size=BATCH, shuffle=True, drop_last=True)
    real_labels, fake_labels = torch.ones(BATCH, 1), torch.zeros(BATCH, 1)
    done, start = 0, time.perf_counter()
    while True:
        for images, _ in loader:
            real = images.flatten(1)
            fake = generator(torch.randn(BATCH, 100))
            loss = criterion(discriminator(real), real_labels) + criterion(discriminator(fake.detach()), fake_labels)
            discriminator_adam.zero_grad()
            loss.backward()
            discriminator_adam.step()
            fake = generator(torch.randn(BATCH, 100))
            loss = criterion(discriminator(fake), real_labels)
            generator_adam.zero_grad()
            loss.backward()
            generator_adam.step()
            done += 1
            if done == steps:
                return steps * BATCH / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=400)
    arguments = parser.parse_args()
    take_turns({"genzoo": engine, "plain script": plain_script}, arguments.rounds, arguments.steps)


if __name__ == "__main__":
    main()
