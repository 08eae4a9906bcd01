"""Training the default diffusion model: genzoo against diffusers' own unconditional recipe, run in turn.

    uv run python benchmarks/diffusion.py

The recipe (examples/unconditional_image_generation in diffusers) has the same U-Net in the layout that torch gives it,
a DataLoader over pictures that are resized and cropped, an Accelerate loop, AdamW, gradient clipping, a learning rate
schedule, diffusers' average of the weights, and the loss read at every step. `--sampling` compares the time of a
sample in 20 steps with that of one in 1,000; `--quality RUN` measures what few steps cost in quality.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from functools import partial

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from diffusers import DDPMScheduler
from diffusers.optimization import get_scheduler
from diffusers.training_utils import EMAModel
from plain import Pictures, take_turns
from torch.utils.data import DataLoader
from torchvision import transforms

import genzoo
from genzoo.evaluation.evaluate import HeldOut, Sampling
from genzoo.evaluation.time_left import TimeLeft
from genzoo.image import measures
from genzoo.image.data import to_bytes
from genzoo.interface.dataset import silent
from genzoo_diffusion import DiffusionOptions, genzoo_generators
from genzoo_diffusion.model import unet

SIZE = genzoo_generators()[0].defaults["batch_size"]
OFF = {"save_every": 0, "sample_every": 0, "eval_every": 0}


def engine(steps: int, size: int) -> float:
    """Images a second of a genzoo training."""
    with tempfile.TemporaryDirectory() as folder:
        run = genzoo.train("diffusion", steps=steps, batch_size=size, runs_dir=folder, **OFF)
        return steps * size / run.record["seconds"]


def recipe(steps: int, size: int) -> float:
    """Images a second of diffusers' recipe."""
    accelerator = Accelerator(cpu=True)
    model = unet(DiffusionOptions(), 1, (32, 32), 0)
    average = EMAModel(model.parameters(), decay=0.9999, use_ema_warmup=True, inv_gamma=1.0, power=0.75)
    scheduler = DDPMScheduler(num_train_timesteps=1000)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.95, 0.999), weight_decay=1e-6, eps=1e-8)
    data = Pictures()
    data.transform = transforms.Compose([
        transforms.Resize(32), transforms.CenterCrop(32), transforms.ToTensor(), transforms.Normalize([0.5], [0.5]),
    ])  # fmt: skip
    loader = DataLoader(data, batch_size=size, shuffle=True, drop_last=True)
    schedule = get_scheduler("cosine", optimizer, num_warmup_steps=500, num_training_steps=100_000)
    model, optimizer, loader, schedule = accelerator.prepare(model, optimizer, loader, schedule)
    model.train()
    done, start = 0, time.perf_counter()
    while True:
        for clean, _ in loader:
            noise = torch.randn(clean.shape)
            t = torch.randint(0, 1000, (len(clean),))
            noisy = scheduler.add_noise(clean, noise, t)
            with accelerator.accumulate(model):
                loss = F.mse_loss(model(noisy, t).sample.float(), noise.float())
                accelerator.backward(loss)
                accelerator.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                schedule.step()
                optimizer.zero_grad()
            average.step(model.parameters())
            accelerator.log({"loss": loss.detach().item(), "lr": schedule.get_last_lr()[0]}, step=done)
            done += 1
            if done == steps:
                return steps * size / (time.perf_counter() - start)


def sampling() -> None:
    """Print the seconds of 16 samples in 20 steps and in 1,000."""
    with tempfile.TemporaryDirectory() as folder:
        run = genzoo.train("diffusion", steps=1, runs_dir=folder, **OFF)
        model, seconds = genzoo.load(run), {}
        genzoo.sample(model, 16, num_steps=2)
        for sampler, steps in (("dpm-solver++", 20), ("ddim", 20), ("ddpm", 1000)):
            start = time.perf_counter()
            genzoo.sample(model, 16, sampler=sampler, num_steps=steps)
            seconds[sampler] = time.perf_counter() - start
            print(f"{sampler:14} {steps:5} steps  {seconds[sampler]:8.2f} s")
        print(f"20 steps cost 1/{seconds['ddpm'] / seconds['dpm-solver++']:.0f} of 1,000")


def quality(run: str) -> None:
    """Print, as Markdown, what 500 samples of a run score against test images for each sampler and number of steps."""
    model, folder = genzoo.load(run), genzoo.find_run(run)
    reference = HeldOut({folder: Sampling(None, 64, "cpu")}, 500, 0, "classifier", TimeLeft(silent)).reference
    print("| sampler | steps | above 0.9 confidence | rarest class | Fréchet distance | recall | seconds |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for sampler in ("dpm-solver++", "unipc", "ddim", "ddpm"):
        for steps in (5, 10, 20, 50, 100, *((1000,) if sampler == "ddpm" else ())):
            start = time.perf_counter()
            subject = reference.against(to_bytes(genzoo.sample(model, 500, sampler=sampler, num_steps=steps)))
            seconds, rarest = time.perf_counter() - start, measures.class_shares(subject).min()
            print(
                f"| `{sampler}` | {steps:,} | {measures.confident(subject).value:.1%} | {rarest:.1%} |"
                f" {measures.frechet_distance(subject).value:.2f} | {measures.recall(subject).value:.3f} |"
                f" {seconds:.1f} |",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--batch-size", type=int, default=SIZE)
    parser.add_argument("--sampling", action="store_true", help="Time samples instead.")
    parser.add_argument("--quality", metavar="RUN", help="Measure samples of a run instead.")
    arguments = parser.parse_args()
    if arguments.sampling:
        sampling()
    elif arguments.quality:
        quality(arguments.quality)
    else:
        size = arguments.batch_size
        sides = {"genzoo": partial(engine, size=size), "diffusers": partial(recipe, size=size)}
        take_turns(sides, arguments.rounds, arguments.steps)


if __name__ == "__main__":
    main()
