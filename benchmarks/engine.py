"""What the run engine costs, and what it gains: the 784-512-16 VAE (preset `article`) at batch 64, trained four ways.

    uv run python benchmarks/engine.py

genzoo       genzoo.train, timed as the run itself says
bare loop    the same operations on the same data in memory, in a plain `for` loop
DataLoader   what a tutorial has: DataLoader over pictures with ToTensor, torch.optim.Adam as it comes
TensorDataset  the same with the pictures as float tensors in memory beforehand

The sides run in turn, several rounds in one process; the medians are printed.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable

import torch
from plain import DATA, Pictures, take_turns
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

import genzoo
from genzoo_vae import VAEOptions, genzoo_generators
from genzoo_vae.model import VAE

BATCH = 64
PRESET = genzoo_generators()[0].presets["article"]
OPTIONS = {name: value for name, value in PRESET.items() if name in VAEOptions.__dataclass_fields__}


def engine(steps: int) -> float:
    """Images a second of a genzoo training."""
    with tempfile.TemporaryDirectory() as folder:
        off = {"save_every": 0, "sample_every": 0, "eval_every": 0}
        run = genzoo.train("vae", preset="article", steps=steps, batch_size=BATCH, runs_dir=folder, **off)
        return steps * BATCH / run.record["seconds"]


def bare_loop(steps: int) -> float:
    """The same model, loss, optimiser and batches."""
    model = VAE(VAEOptions(**OPTIONS), DATA.spec("mnist-5k"))
    optimizer = torch.optim.Adam(model.parameters(), lr=model.config.learning_rate, fused=True)
    start = time.perf_counter()
    for batch in DATA.batches(range(steps), genzoo.Share(BATCH, seed=0), torch.device("cpu")):
        reconstruction, kl = model(batch.examples)
        loss, _, _ = model.objective(reconstruction, kl, model.config.beta)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return steps * BATCH / (time.perf_counter() - start)


def tutorial(dataset: Dataset[tuple[Tensor, int]], steps: int) -> float:
    """The loop that tutorials have, over a DataLoader."""
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 32))
    decoder = nn.Sequential(nn.Linear(16, 512), nn.ReLU(), nn.Linear(512, 784), nn.Sigmoid())
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-3)
    loader = DataLoader(dataset, batch_size=BATCH, shuffle=True)
    done, start = 0, time.perf_counter()
    while True:
        for images, _ in loader:
            mu, log_var = encoder(images).chunk(2, dim=1)
            z = mu + torch.exp(0.5 * log_var) * torch.randn_like(mu)
            error = nn.functional.mse_loss(decoder(z), images.flatten(1))
            kl = -0.5 * torch.mean(torch.sum(1 + log_var - mu.pow(2) - log_var.exp(), dim=1))
            loss = error + 2.5e-4 * kl
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            done += 1
            if done == steps:
                return steps * BATCH / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=600)
    arguments = parser.parse_args()
    assert isinstance(DATA.train_images, Tensor)
    floats = TensorDataset(DATA.train_images.float() / 255, DATA.train_labels)
    sides: dict[str, Callable[[int], float]] = {
        "genzoo": engine,
        "bare loop": bare_loop,
        "DataLoader": lambda steps: tutorial(Pictures(), steps),
        "TensorDataset": lambda steps: tutorial(floats, steps),
    }
    take_turns(sides, arguments.rounds, arguments.steps)


if __name__ == "__main__":
    main()
