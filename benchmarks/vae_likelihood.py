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
from genzoo.data.builtin import load as load_data
from genzoo.data.files import tick
from genzoo.registry import registry
from genzoo.spec import ImageTrainOptions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--data-dir")
    parser.add_argument("--run", help="a run to estimate for, instead of training one")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--k", type=int, default=1000)
    arguments = parser.parse_args()
    chosen = {"data": arguments.data, "data_dir": arguments.data_dir}
    started = time.perf_counter()
    length = {"steps": arguments.steps} if arguments.steps else {}
    run = (
        genzoo.find_run(arguments.run) if arguments.run else genzoo.train("vae", preset="binarized", **chosen, **length)
    )
    wall = time.perf_counter() - started
    model = genzoo.load(run)
    data, _ = load_data(ImageTrainOptions(**chosen), registry(), tick)
    generator = torch.Generator().manual_seed(0)
    images = torch.bernoulli(data.test_images.float() / 255, generator=generator)
    torch.manual_seed(0)
    started = time.perf_counter()
    nats = torch.cat([-model.log_likelihood(part, num_samples=arguments.k) for part in images.split(100)])
    error = nats.std() / len(nats) ** 0.5
    print(f"run                       {run.name}, {run.step:,} steps, {torch.get_num_threads()} threads")
    print(f"training                  {run.record['seconds']:.0f} s, with start-up and all else {wall:.0f} s")
    print(f"test NLL, {len(nats):,} images   {nats.mean():.2f} nats +- {error:.2f} (k = {arguments.k:,})")
    print(f"estimation                {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
