"""A training step of dense layers 784-512-256-512-784, with torch's linear layers and with genzoo's, run in turn.

uv run python benchmarks/linear.py
"""

from __future__ import annotations

import statistics
import time
from itertools import pairwise

import torch
from torch import nn

from genzoo import kernels
from genzoo.kernels.linear import onednn_is_faster

SIZES = (784, 512, 256, 512, 784)


def network(kind: type[nn.Linear]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in pairwise(SIZES):
        layers += [kind(before, after), nn.ReLU()]
    return nn.Sequential(*layers)


def milliseconds(model: nn.Sequential, images: torch.Tensor, steps: int = 200) -> float:
    start = time.perf_counter()
    for _ in range(steps):
        model.zero_grad()
        model(images).square().mean().backward()
    return 1000 * (time.perf_counter() - start) / steps


def main() -> None:
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, oneDNN chosen: {onednn_is_faster()}")
    for batch in (32, 64, 128, 256):
        sides = {"torch": network(nn.Linear), "genzoo": network(kernels.Linear)}
        images = torch.rand(batch, SIZES[0])
        times: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(8):
            for name, model in sides.items():
                times[name].append(milliseconds(model, images))
        one, other = (statistics.median(times[name][1:]) for name in ("torch", "genzoo"))
        print(f"batch {batch:4}: torch {one:.2f} ms, genzoo {other:.2f} ms, {one / other:.2f} times as fast")


if __name__ == "__main__":
    main()
