"""`genzoo inpaint` and `genzoo trajectory`: commands for diffusion models. Imported when one of them is called."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import click
import torch

import genzoo
from genzoo import RandomStreams, RunFolder, UsageError
from genzoo_diffusion import DiffusionSampleOptions
from genzoo_diffusion.model import Diffusion

Command = TypeVar("Command", bound=Callable[..., None])
PICTURES = (".png", ".jpg", ".jpeg")
MAX_SHOWN = 10  # states of a trajectory


def shared_options(command: Command) -> Command:
    """The options that both commands have."""
    for option in (
        click.option("--runs-dir", metavar="FOLDER", help="Folder of runs."),
        click.option("--device", default="auto", metavar="TEXT", help="auto, cpu, cuda, cuda:N or mps."),
        click.option("--overwrite", is_flag=True, help="Let --out take the place of what is there."),
        click.option("--out", metavar="FILE", help="Default: a new file in the run's samples."),
        click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True),
        click.option("--label", metavar="CLASS", help="Of this class, if the model was trained --conditional."),
        click.argument("run"),
    ):
        command = option(command)
    return command


def load(run: str, device: str, runs_dir: str | None) -> tuple[RunFolder, Diffusion]:
    """A run and its model. Raises `UsageError` if it is of another kind."""
    folder = genzoo.find_run(run, runs_dir)
    model = genzoo.load(folder, device=device)
    if not isinstance(model, Diffusion):
        raise UsageError(f"run {folder.name!r} is of model {folder.model!r}; allowed is a diffusion model")
    return folder, model


def labels(folder: RunFolder, model: Diffusion, label: str | None, count: int) -> torch.Tensor | None:
    """The class of `--label`, (count,), or without it, for a conditional model, each class in turn."""
    if label is not None:
        return torch.full((count,), folder.class_number(label), device=model.device)
    return torch.arange(count, device=model.device) % model.classes if model.conditional else None


@click.command()
@click.option("--image", required=True, metavar="FILE", help="The picture.")
@click.option(
    "--mask", required=True, metavar="FILE", help="White where the picture is to be filled in, black elsewhere."
)
@click.option(
    "-n", "count", type=click.IntRange(1, 1000), default=8, show_default=True, help="How many ways to fill it in."
)
@click.option(
    "--num-steps", type=click.IntRange(1, 10000), default=50, show_default=True, help="Steps from noise to image."
)
@click.option(
    "--resamplings", type=click.IntRange(1, 100), default=5, show_default=True, help="How often each is taken."
)
@shared_options
def inpaint(
    run: str, image: str, mask: str, count: int, num_steps: int, resamplings: int, label: str | None, seed: int,
    out: str | None, overwrite: bool, device: str, runs_dir: str | None,
) -> None:  # fmt: skip
    """Fill in the unknown part of a picture: the picture without it, then samples of the whole.

    Known pixels are left as they are (RePaint, Lugmayr et al. 2022).
    """
    folder, model = load(run, device, runs_dir)
    path = genzoo.output_path(folder, "inpaint", out, PICTURES, overwrite=overwrite)
    modality = genzoo.modality_of("image")
    picture = modality.read(Path(image), model.data)[0].to(model.device)  # (C, H, W)
    grey = replace(model.data, shape=(1, *model.data.shape[1:]))
    unknown = modality.read(Path(mask), grey)[0].to(model.device) >= 0.5  # (1, H, W)
    if bool(unknown.all()) or not bool(unknown.any()):
        color = "white" if bool(unknown.all()) else "black"
        raise UsageError(
            f"--mask {mask} is all {color}; it should be white where the picture is to be filled in, and there alone"
        )
    with torch.no_grad():
        filled = model.inpaint(
            picture.expand(count, *picture.shape), ~unknown.expand(count, *unknown.shape),
            rng=RandomStreams(seed, count, device=model.device), num_steps=num_steps, resamplings=resamplings,
            labels=labels(folder, model, label, count),
        )  # fmt: skip
    masked = torch.where(unknown, 0.5, picture)[None]  # (1, C, H, W)
    row = torch.cat([masked, filled]).cpu()  # (1 + count, C, H, W)
    modality.write_rows([row], path, folder.provenance(seed, operation="inpaint"), model.data)
    click.echo(genzoo.printable(str(path)))


@click.command()
@click.option("-n", "count", type=click.IntRange(1, 1000), default=8, show_default=True, help="How many samples.")
@click.option(
    "--num-steps", type=click.IntRange(1, 10000), default=20, show_default=True, help="Steps from noise to image."
)
@click.option(
    "--sampler", type=click.Choice(["ddpm", "ddim", "dpm-solver++", "unipc"]), default="dpm-solver++", show_default=True
)
@shared_options
def trajectory(
    run: str, count: int, num_steps: int, sampler: str, label: str | None, seed: int,
    out: str | None, overwrite: bool, device: str, runs_dir: str | None,
) -> None:  # fmt: skip
    """Show samples on their way from noise (left) to image (right), a row a sample."""
    folder, model = load(run, device, runs_dir)
    path = genzoo.output_path(folder, "trajectory", out, PICTURES, overwrite=overwrite)
    states: list[torch.Tensor] = []

    def keep(state: torch.Tensor, _timestep: int) -> torch.Tensor:
        states.append(model.to_images(state))
        return state

    options = DiffusionSampleOptions(sampler=sampler, num_steps=num_steps)
    rng = RandomStreams(seed, count, device=model.device)
    with torch.no_grad():
        last = model.walk(count, options, rng, labels(folder, model, label, count), between=keep)
    states.append(model.to_images(last))
    shown = torch.linspace(0, len(states) - 1, min(MAX_SHOWN, len(states))).round().long().tolist()
    rows = torch.stack([states[i] for i in shown], dim=1).cpu()  # (count, shown, C, H, W)
    provenance = folder.provenance(seed, operation="trajectory")
    genzoo.modality_of("image").write_rows(list(rows), path, provenance, model.data)
    click.echo(genzoo.printable(str(path)))
