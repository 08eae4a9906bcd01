"""`genzoo prune`, `rm`, `rename` and `note`: what is done to runs that are there."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from genzoo.cli.options import as_json_option, complete_run, run_argument, runs_dir_option, with_options
from genzoo.cli.output import print_json, show
from genzoo.interface.errors import UsageError
from genzoo.interface.parsing import printable
from genzoo.runs import manage
from genzoo.runs.find import exact_run, exact_runs

careful_options = with_options(  # of what cannot be undone
    click.argument("runs", nargs=-1, required=True, metavar="RUN...", shell_complete=complete_run),
    click.option("--yes", is_flag=True, help="Do not ask."),
    click.option("--dry-run", is_flag=True, help="Say what would go, and leave it."),
    runs_dir_option,
    as_json_option,
)


@click.command("prune")
@careful_options
def prune_command(runs: tuple[str, ...], yes: bool, dry_run: bool, runs_dir: str | None, as_json: bool) -> None:
    """Remove checkpoints: all but the newest, by which a run goes on. What it samples with stays.

    RUN may be a group.
    """
    folders = exact_runs(runs, runs_dir)
    prunable = {folder.name: manage.prunable(folder) for folder in folders}
    sizes = {name: sum(map(manage.size_of, checkpoints)) for name, checkpoints in prunable.items()}
    lines = [f"{name}: {len(prunable[name])} checkpoints, {manage.in_bytes(size)}" for name, size in sizes.items()]
    if _agreed(lines, sum(sizes.values()), yes=yes, dry_run=dry_run, as_json=as_json):
        sizes = {folder.name: manage.prune(folder) for folder in folders}
    _report(sizes, dry_run=dry_run, as_json=as_json)


@click.command("rm")
@careful_options
def rm_command(runs: tuple[str, ...], yes: bool, dry_run: bool, runs_dir: str | None, as_json: bool) -> None:
    """Remove runs, whole. RUN may be a group."""
    folders = exact_runs(runs, runs_dir)
    sizes = {folder.name: manage.size_of(folder.path) for folder in folders}
    lines = [f"{f.path}: {f.progress:,} steps, {f.status}, {manage.in_bytes(sizes[f.name])}" for f in folders]
    if _agreed(lines, sum(sizes.values()), yes=yes, dry_run=dry_run, as_json=as_json):
        sizes = {folder.name: manage.remove(folder) for folder in folders}
    _report(sizes, dry_run=dry_run, as_json=as_json)


def _agreed(lines: Sequence[str], size: int, *, yes: bool, dry_run: bool, as_json: bool) -> bool:
    """Whether what is listed is to go. Raises `UsageError` where nobody can be asked, `Abort` for a no."""
    if not as_json:
        show(printable("\n".join(lines), "\n"))
    if dry_run or yes or not size:
        return bool(not dry_run and size)
    if not sys.stdin.isatty():
        raise UsageError("there is nobody to ask; give --yes to remove it, or --dry-run to look")
    return click.confirm(f"remove {manage.in_bytes(size)}?", abort=True)


def _report(sizes: dict[str, int], *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        print_json({"runs": sizes, "bytes": sum(sizes.values()), "dry_run": dry_run})
    else:
        show(f"{'would free' if dry_run else 'freed'} {manage.in_bytes(sum(sizes.values()))}")


@click.command("rename")
@run_argument
@click.argument("name")
@runs_dir_option
def rename_command(run: str, name: str, runs_dir: str | None) -> None:
    """Give a run another name."""
    show(manage.rename(exact_run(run, runs_dir), name).path)


@click.command("note")
@run_argument
@click.argument("words", metavar="TEXT")
@runs_dir_option
def note_command(run: str, words: str, runs_dir: str | None) -> None:
    """Write a note into a run, for `genzoo show` and `genzoo runs --columns`; an empty TEXT takes it away."""
    manage.note(exact_run(run, runs_dir), words)
