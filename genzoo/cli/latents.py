"""`genzoo reconstruct`, `interpolate`, `walk` and `latent`: examples through a model, and its latent space."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from genzoo.cli.options import (
    as_json_option,
    device_option,
    held_out_options,
    overwrite_option,
    run_argument,
    runs_dir_option,
    seed_type,
    with_options,
)
from genzoo.cli.output import print_json, show
from genzoo.interface.errors import UsageError
from genzoo.interface.parsing import printable
from genzoo.runs.find import find_run, output_path
from genzoo.runs.folder import RunFolder

PICTURES = (".png", ".jpg", ".jpeg")
IN_A_ROW = 8  # examples above what a model makes of them
ANIMATION = ".gif"  # what a walk is written as where the modality has it

from_options = with_options(  # of verbs that take examples from files, too
    click.argument("files", nargs=-1, metavar="[FILE]..."),
    click.option("--from", "first", metavar="FILE...", help="Files of yours, in place of held-out examples."),
    click.option("--label", metavar="CLASS", help="The class of --from, if the model was trained --conditional."),
)


def _behind_from(first: str | None, files: tuple[str, ...]) -> list[str] | None:
    """The files behind --from, of which click gives the first apart. Raises `UsageError` for others."""
    if first is None and files:
        raise UsageError(f"{files[0]!r} is one argument too many; files of yours come behind --from")
    return None if first is None else [first, *files]


@click.command("reconstruct")
@run_argument
@from_options
@click.option("-n", "count", type=click.IntRange(1, 10_000), default=32, show_default=True, help="How many.")
@held_out_options
def reconstruct_command(
    run: str, files: tuple[str, ...], first: str | None, label: str | None, count: int, seed: int, out: str | None,
    overwrite: bool, device: str, data: str | None, data_dir: str | None, runs_dir: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Show held-out examples, or --from files of yours, each row above what the model makes of it."""
    examples = _behind_from(first, files)
    folder = find_run(run, runs_dir)
    path = output_path(folder, "reconstruct", out, folder.modality.write_options.suffixes, overwrite=overwrite)
    from genzoo.sampling.latents import mean_squared_error, reconstruct

    originals, copies = reconstruct(
        folder, count, examples=examples, label=label, seed=seed, device=device, data=data, data_dir=data_dir
    )
    rows = [
        samples[start : start + IN_A_ROW]
        for start in range(0, len(originals), IN_A_ROW)
        for samples in (originals, copies)
    ]
    _write_rows(folder, rows, path, seed, "reconstruct")
    error = mean_squared_error(originals, copies)
    more = {} if error is None else {"mean_squared_error": round(error, 6)}
    _report(folder, path, as_json, count=len(originals), seed=seed, **more)


@click.command("interpolate")
@run_argument
@from_options
@click.option("-n", "count", type=click.IntRange(1, 1000), default=8, show_default=True, help="How many pairs.")
@click.option("--num-steps", type=click.IntRange(2, 1000), default=10, show_default=True, help="Samples on each way.")
@held_out_options
def interpolate_command(
    run: str, files: tuple[str, ...], first: str | None, label: str | None, count: int, num_steps: int, seed: int,
    out: str | None, overwrite: bool, device: str, data: str | None, data_dir: str | None, runs_dir: str | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Show ways between pairs of held-out examples, or of --from files of yours, through the latent space, a row a
    pair."""
    examples = _behind_from(first, files)
    folder = find_run(run, runs_dir)
    path = output_path(folder, "interpolate", out, folder.modality.write_options.suffixes, overwrite=overwrite)
    from genzoo.sampling.latents import interpolate

    ways = interpolate(
        folder, count, num_steps=num_steps, examples=examples, label=label, seed=seed, device=device, data=data,
        data_dir=data_dir,
    )  # fmt: skip
    _write_rows(folder, list(ways), path, seed, "interpolate")
    _report(folder, path, as_json, count=len(ways), seed=seed)


def _write_rows(folder: RunFolder, rows: Sequence[object], path: Path, seed: int, operation: str) -> None:
    from genzoo.registry.plugins import modality_of

    modality = modality_of(folder.data_spec.modality)
    modality.write_rows(rows, path, folder.provenance(seed, operation=operation), folder.data_spec)


def _report(run: RunFolder, path: Path, as_json: bool, **facts: object) -> None:
    if as_json:
        print_json({"run": run.name, "path": str(path), **facts})
    else:
        show(printable(str(path)))


@click.command("walk")
@run_argument
@click.option("-n", "count", type=click.IntRange(2, 1000), default=6, show_default=True, help="Places on the way.")
@click.option(
    "--num-steps", type=click.IntRange(1, 1000), default=24, show_default=True, help="Samples from one to the next."
)
@click.option("--label", metavar="CLASS", help="Of this class, if the model was trained --conditional.")
@click.option("--seed", type=seed_type, default=0, show_default=True, help="Which places.")
@click.option("--out", metavar="FILE", help="Default: a new file in the run's samples; of images a .gif.")
@overwrite_option
@device_option
@runs_dir_option
@as_json_option
def walk_command(
    run: str, count: int, num_steps: int, label: str | None, seed: int, out: str | None, overwrite: bool, device: str,
    runs_dir: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Walk through a latent space: from one sample to the next, and back to the first, as an animation."""
    folder = find_run(run, runs_dir)
    if label is not None:
        folder.class_number(label)
    suffixes = folder.modality.write_options.suffixes
    suffixes = (ANIMATION, *suffixes) if ANIMATION in suffixes else suffixes
    path = output_path(folder, "walk", out, suffixes, overwrite=overwrite)
    from genzoo.registry.plugins import modality_of
    from genzoo.sampling.latents import walk

    samples = walk(folder, count, num_steps=num_steps, seed=seed, label=label, device=device)
    modality = modality_of(folder.data_spec.modality)
    facts = folder.provenance(seed, operation="walk")
    modality.write(samples, path, facts, modality.spec.write_options(), folder.data_spec)
    _report(folder, path, as_json, count=len(samples), seed=seed)


@click.command("latent")
@run_argument
@click.option(
    "-n", "count", type=click.IntRange(3, 100_000), default=1000, show_default=True, help="How many examples, at most."
)
@click.option(
    "--grid", type=click.IntRange(2, 100), default=15, show_default=True, help="Places a side that are decoded."
)
@click.option("--label", metavar="CLASS", help="Decode as this class, if the model was trained --conditional.")
@held_out_options
def latent_command(
    run: str, count: int, grid: int, label: str | None, seed: int, out: str | None, overwrite: bool, device: str,
    data: str | None, data_dir: str | None, runs_dir: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Show a latent space as a plane: where held-out examples lie in it, by class, beside what the model makes of each
    place. Of more than two dimensions, along the two principal components."""
    folder = find_run(run, runs_dir)
    if label is not None:
        folder.class_number(label)
    path = output_path(folder, "latent", out, PICTURES, overwrite=overwrite)
    from genzoo.interface.pictures import write_picture
    from genzoo.sampling.plane import latent

    plane = latent(
        folder, count, grid=grid, label=label, seed=seed, device=device, data=data, data_dir=data_dir,
    )  # fmt: skip
    write_picture(plane.picture, path, folder.provenance(seed, operation="latent"))
    shares = [round(share, 4) for share in plane.explained]
    _report(folder, path, as_json, count=len(plane.codes), seed=seed, explained=shares)
