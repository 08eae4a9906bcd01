"""`genzoo sweep` and `genzoo sweep show`. Imported when they are called."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import click

import genzoo
from genzoo import UsageError

RUN = "run"
runs_dir_option = click.option(
    "--runs-dir", metavar="FOLDER", help="Folder of runs. Default: GENZOO_RUNS_DIR, or runs."
)


class Sweeps(click.Group):
    """`genzoo sweep MODEL...` is a sweep, unless the first word is one of the commands below."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands:
            args = [RUN, *args]
        return super().parse_args(ctx, args)


@click.group(cls=Sweeps, no_args_is_help=True)
def sweep() -> None:
    """Search over the options of models, and over models.

    `genzoo sweep MODEL... --vary OPTION=VALUES --measure NAME` begins a sweep, or takes part in one that is there;
    `genzoo sweep MODEL --help` has its options.
    """


@sweep.command(RUN, hidden=True)
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.option("--vary", multiple=True, metavar="OPTION=VALUES",
              help="Values (A,B,C), a range (LOW..HIGH, LOW..HIGH:log) or steps (LOW..HIGH:STEP) of an option; of one"
              " model alone as MODEL.OPTION; may be given again.")  # fmt: skip
@click.option("--measure", "measures", multiple=True, metavar="NAME",
              help="A score on validation data; NAME:higher where more is better; several: all at once.")  # fmt: skip
@click.option("--trials", type=click.IntRange(min=1), default=20, show_default=True,
              help="Stop when the sweep has so many, those of other workers counted; a grid has its own.")  # fmt: skip
@click.option("--name", metavar="TEXT", help="The sweep's name. Default: sweep and the time.")
@click.option("--sampler", type=click.Choice(["tpe", "random", "grid"]), default="tpe", show_default=True,
              help="What proposes trials.")  # fmt: skip
@click.option("--prune", type=click.Choice(["none", "median", "hyperband"]), default="none", show_default=True,
              help="Stop trials that fall behind, when they are scored (--set eval_every=STEPS).")  # fmt: skip
@click.option("--seeds", type=click.IntRange(min=1), default=1, show_default=True, help="Trainings of a trial.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True,
              help="Of the proposals, and the first of the trainings.")  # fmt: skip
@click.option("--data", metavar="TEXT", help="The data of every trial.")
@click.option("--steps", type=click.IntRange(min=1), help="How long to train.")
@click.option("--preset", metavar="NAME", help="Of every trial.")
@click.option("--set", "settings", multiple=True, metavar="OPTION=VALUE", help="Any other option of every trial.")
@click.option(
    "--storage", metavar="URL", help="A database that Optuna takes, in place of a file in the sweep's folder."
)
@click.option("--submit", type=click.Choice(["slurm", "local"]),
              help="Start workers as jobs of SLURM, or as processes here, by submitit.")  # fmt: skip
@click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Of --submit.")
@click.option("--job", "job", multiple=True, metavar="NAME=VALUE",
              help="What a job asks for, as submitit has it: timeout_min=240, gpus_per_node=1.")  # fmt: skip
@runs_dir_option
@click.option("--json", "as_json", is_flag=True, help="Print the trials as JSON at the end.")
def run(
    models: tuple[str, ...], name: str | None, trials: int, submit: str | None, workers: int, job: tuple[str, ...],
    runs_dir: str | None, as_json: bool, **how: Any,
) -> None:  # fmt: skip
    """Begin a sweep, or take part in one that is there.

    The same command, on as many machines as share the folder of runs, works on one sweep. Trials are ordinary runs,
    NAME-000-seed0 and so on; one that was stopped or killed is gone on with by whoever comes next.
    """
    from genzoo_sweep.sweep import Plan, Sweep

    settings = _pairs("--set", how.pop("settings"))
    for option in ("data", "steps"):
        if (value := how.pop(option)) is not None:
            settings[option] = str(value)
    plan = Plan(models=models, settings=settings, **how)
    name = name or f"sweep-{datetime.now():%Y%m%d-%H%M%S}"
    begun = Sweep.begin(name, plan, runs_dir)
    if submit is not None:
        from genzoo_sweep.submit import submitted

        for line in submitted(begun, trials, submit, workers, _pairs("--job", job)):
            click.echo(line)
        return
    from genzoo_sweep.watching import Lines

    with Lines(begun, trials) as lines:
        begun.work(trials, [lines])
    _print(begun, as_json)


@sweep.command("show")
@click.argument("name")
@click.option("--out", metavar="FILE", help="A page (.html) or picture (.png) with plots besides.")
@click.option("--overwrite", is_flag=True, help="Replace FILE.")
@runs_dir_option
@click.option("--json", "as_json", is_flag=True, help="Print the trials as JSON.")
def show(name: str, out: str | None, overwrite: bool, runs_dir: str | None, as_json: bool) -> None:
    """Show a sweep: every trial with its values, the best first, and what mattered.

    NAME is a sweep's name or folder.
    """
    from genzoo_sweep.sweep import Sweep

    found = Sweep.find(name, runs_dir)
    _print(found, as_json)
    if out is not None:
        from genzoo_sweep.report import write

        click.echo(f"wrote {write(found, out, overwrite)}", err=as_json)


def _print(sweep: Any, as_json: bool) -> None:
    from genzoo_sweep.report import lines, to_json

    if as_json:
        click.echo(json.dumps(to_json(sweep), indent=2))
        return
    for line in lines(sweep):
        click.echo(genzoo.printable(line))


def _pairs(flag: str, texts: tuple[str, ...]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        name = name.strip().removeprefix("--").replace("-", "_")
        if not equals or not name:
            raise UsageError(f"{flag} {text!r} is not of the form NAME=VALUE")
        if name in pairs:
            raise UsageError(f"{flag} {name} is given twice; give it once")
        pairs[name] = value.strip()
    return pairs
