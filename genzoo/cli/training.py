"""`genzoo train` and `genzoo resume`."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import click

from genzoo.cli.options import (
    DEVICES,
    Commands,
    as_json_option,
    click_options,
    data_options,
    not_none,
    run_argument,
    runs_dir_option,
)
from genzoo.cli.output import print_json, show
from genzoo.interface.errors import UsageError
from genzoo.interface.options import read_pairs, read_toml
from genzoo.interface.parsing import printable
from genzoo.interface.specs import MOST_STEPS, GeneratorSpec
from genzoo.registry.plugins import registry
from genzoo.runs.progress import Watched
from genzoo.training.plan import NO_MODEL, Plan, plan

if TYPE_CHECKING:
    from genzoo.runs.folder import RunFolder


class Models(Commands):
    """One command a model, made from its spec when it is asked for. A run to train again, or a file of options, may
    name the model."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0].startswith("--") and args[0] != "--help" and not ctx.resilient_parsing:
            args = [_model_in(args), *args]
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return registry().generators.names()

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if ctx.resilient_parsing and name not in registry().generators.names():
            return None
        return ModelCommand(registry().generators.get(name)[1])


def _model_in(args: list[str]) -> str:
    """The model of the run or file that an option names. Raises `UsageError` if none does."""
    from genzoo.runs.find import find_record

    values = dict(pairwise([part for arg in args for part in arg.split("=", 1)]))
    for name in ("--like", "--init-from", "--config"):
        if (source := values.get(name)) is None:
            continue
        if name == "--config" and not source.endswith(".json"):
            model = read_toml(source).get("model")
            if model is None:
                continue
            return str(model)
        record = find_record(source, values.get("--runs-dir"))[1]
        return f"{record['plugin']}/{record['model']}"
    raise UsageError(NO_MODEL)


class ModelCommand(click.Command):
    """`genzoo train MODEL`: the model's own options apart from those of every training."""

    def __init__(self, spec: GeneratorSpec) -> None:
        modality = registry().modalities.get(spec.modality)[1]
        model = click_options(spec.config, spec.name, spec.defaults)
        several = ("data",) if modality.several else ()
        training = click_options(modality.train_options, spec.name, spec.defaults, several)
        if not spec.mini_batches:
            training = [option for option in training if option.name != "batch_size"]
        training.append(
            click.Option(
                ["--seeds"], type=click.IntRange(min=1), metavar="INT",
                help="Train once for each of so many seeds, from --seed on, one after another: a group of runs.",
            )
        )  # fmt: skip
        presets = ", ".join(spec.presets) or "none"
        sources: list[click.Option] = [
            click.Option(["--preset"], metavar="NAME", help=printable(f"A named set of options: {presets}.")),
            click.Option(["--like"], metavar="RUN", help="Train a run again, with its options where none are given."),
            click.Option(["--config", "config_file"], metavar="FILE", help="Options in a TOML file, or a run.json."),
            click.Option(
                ["--set", "settings"],
                metavar="OPTION=VALUE",
                multiple=True,
                help="Any option; weighs more than --config.",
            ),
            click.Option(["--json", "as_json"], is_flag=True, help="Print the run as JSON at the end."),
        ]
        self.sections = [
            (f"Options of {spec.name}", model),
            ("Options of every training", training),
            ("Where options come from", sources),
        ]
        params: list[click.Parameter] = [option for _, options in self.sections for option in options]
        summary, paper = printable(spec.summary), printable(spec.paper)
        text = f"Train {spec.name}. {summary}." + (f"\n\n{paper}" if paper else "")
        super().__init__(spec.name, callback=_train, params=params, help=text, short_help=summary)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections = [(title, list(options)) for title, options in self.sections]
        if (help_option := self.get_help_option(ctx)) is not None:
            sections[-1][1].append(help_option)
        for title, options in sections:
            records = [record for option in options if (record := option.get_help_record(ctx))]
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


@click.group("train", cls=Models, no_args_is_help=True)
def train_command() -> None:
    """Train a model. With --like, --init-from or a --config that says it, MODEL may be left out."""


def _train(
    preset: str | None,
    like: str | None,
    config_file: str | None,
    settings: tuple[str, ...],
    as_json: bool,
    seeds: int | None,
    **options: object,
) -> None:
    """What `genzoo train MODEL` does."""
    name = click.get_current_context().info_name or ""
    start = time.perf_counter()
    sources: dict[str, Any] = {
        "settings": read_pairs(settings), "config_file": config_file, "preset": preset, "like": like
    }  # fmt: skip
    if seeds is not None:
        from genzoo.training.groups import plan_group

        return _train_group(plan_group(name, seeds, not_none(options), **sources), as_json)
    planned = plan(name, not_none(options), **sources)
    from genzoo.training.train import carry_out

    with Watched() as watched:
        run = carry_out(planned, watched.watchers, watched.data)
    _report(run, as_json, time.perf_counter() - start)


@click.command("resume")
@run_argument
@click.option("--steps", type=click.IntRange(1, MOST_STEPS), help="A new total, to train further than was planned.")
@click.option("--shorten", is_flag=True, help="Let --steps be less than was planned.")
@click.option("--device", metavar="TEXT", help=DEVICES)
@click.option("--threads", type=click.IntRange(1, 1024), help="CPU threads.")
@click.option("--accept-changes", is_flag=True, help="Go on with options that were edited in the run's run.json.")
@data_options
@runs_dir_option
@as_json_option
def resume_command(run: str, runs_dir: str | None, as_json: bool, **changes: Any) -> None:
    """Go on with a run that was stopped, from its newest checkpoint.

    RUN is a run's folder or name, or a model's name for its newest run that is not finished; or the name of a group, of
    which all runs are trained that are not finished.
    """
    from genzoo.runs.find import find_run, runs_of_group
    from genzoo.runs.folder import RunFolder

    if group := runs_of_group(run, runs_dir):
        from genzoo.training.groups import plan_rest

        return _train_group(plan_rest(group, **changes), as_json)

    start, folder = time.perf_counter(), find_run(run, runs_dir, to_resume=True)
    earlier = _seconds(folder)
    from genzoo.training.train import resume

    with Watched() as watched:
        resume(folder, watchers=watched.watchers, progress=watched.data, **changes)
    _report(RunFolder(folder.path), as_json, time.perf_counter() - start + earlier)


def _train_group(planned: Sequence[Plan | RunFolder], as_json: bool) -> None:
    """Train what is left of a group, and say what it is."""
    from genzoo.training.groups import carry_out_group

    with Watched() as watched:
        runs = carry_out_group(planned, watched.watchers, watched.data)
    if os.environ.get("RANK", "0") != "0":
        return
    if as_json:
        print_json([{"name": run.name, "folder": str(run.path), **run.record} for run in runs])
        return
    record, seconds = runs[0].record, sum(run.record["seconds"] for run in runs)
    seeds = ", ".join(str(run.record["training"]["seed"]) for run in runs)
    show(
        f"trained  {record['model']} on {record['data_spec']['name']}: {len(runs)} runs of {record['step']:,} steps in"
        f" {seconds:,.1f} s, seeds {seeds}"
    )
    for run in runs:
        show(f"run      {printable(str(run.path))}")
    show(f"group    {runs[0].group}\nnext     genzoo compare {runs[0].group}")


def _seconds(run: RunFolder) -> float:
    """Of training, and of scoring, drawing and saving."""
    return float(run.record["seconds"] + run.record.get("seconds_between", 0.0))


def _report(run: RunFolder, as_json: bool, seconds: float) -> None:
    """What a training was; `seconds` are those of all of it, in earlier processes too."""
    if os.environ.get("RANK", "0") != "0":
        return
    record, (_, drawn) = run.record, run.training_samples()[-1]
    if as_json:
        print_json({"name": run.name, "folder": str(run.path), "samples": str(drawn), **record})
        return
    data = record["data_spec"]["name"]
    show(f"trained  {record['model']} on {data}: {run.step:,} steps in {record['seconds']:,.1f} s")
    if best := run.best():
        show(f"best     step {best['step']:,}, with {best['score_name']} {best['score']:.4g}; it is sampled from")
    count = run.modality.count
    more = f" -n {count}" if count > 1 else ""
    between, rest = record.get("seconds_between", 0.0), max(0.0, seconds - _seconds(run))
    show(f"besides  {rest:,.1f} s of loading, {between:,.1f} s of scoring, drawing and saving")
    show(f"run      {printable(str(run.path))}\nsamples  {printable(str(drawn))}")
    show(f"next     genzoo sample {run.name}{more}")
