"""Test negative log-likelihood of the `binarized` VAE on MNIST: trains it, then estimates by importance sampling.

    uv run python benchmarks/vae_likelihood.py --data-dir FOLDER_WITH_MNIST

The test images are binarised once (static binarisation: each pixel is one draw with its grey level as probability,
from a fixed seed). The estimate uses k draws from q(z|x) for each image (Burda et al. 2016) and is an upper bound of
the negative log-likelihood in expectation. `--run` estimates for a run that is there; `--data mnist-5k` needs no files.
"""

from __future__ import annotations

import argparse
import time

import torch

import genzoo
from genzoo.runs.data import load_data


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--data-dir")
    parser.add_argument("--run", help="a run to estimate for on its own data, instead of training one")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--k", type=int, default=1000)
    arguments = parser.parse_args()
    started = time.perf_counter()
    if arguments.run:
        run = genzoo.find_run(arguments.run)
    else:
        options = {"data": arguments.data, "data_dir": arguments.data_dir, "steps": arguments.steps}
        present = {name: value for name, value in options.items() if value is not None}
        run = genzoo.train("vae", preset="binarized", **present)
    wall = time.perf_counter() - started
    model = genzoo.load(run)
    dataset, _ = load_data(run, data_dir=arguments.data_dir)
    grey = torch.cat([batch.examples for batch in dataset.examples("test", torch.device("cpu"))])
    images = torch.bernoulli(grey, generator=torch.Generator().manual_seed(0)).to(model.device)
    started, nats = time.perf_counter(), torch.empty(0)
    for part in images.split(100):
        rng = genzoo.RandomStreams(0, len(part), start=len(nats), device=part.device)
        nats = torch.cat([nats, -model.log_likelihood(part, num_samples=arguments.k, rng=rng).cpu()])
    error = nats.std() / len(nats) ** 0.5
    print(f"run                       {run.name}, {run.step:,} steps, {torch.get_num_threads()} threads")
    print(f"training                  {run.record['seconds']:.0f} s, with start-up and all else {wall:.0f} s")
    print(f"test NLL, {len(nats):,} images   {nats.mean():.2f} nats +- {error:.2f} (k = {arguments.k:,})")
    print(f"estimation                {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
