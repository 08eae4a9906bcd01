"""Option dataclasses as click options, and the options that several verbs have. Values are checked by
`genzoo.interface.options`; click only carries the text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, TypeVar

import click

from genzoo.cli.output import printable
from genzoo.interface.errors import GenzooError
from genzoo.interface.options import Option, options_of
from genzoo.interface.specs import GeneratorSpec
from genzoo.registry.plugins import registry

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from genzoo.runs.folder import RunFolder

C = TypeVar("C", bound=Callable[..., object])
V = TypeVar("V")
METAVARS = {int: "INT", float: "FLOAT", str: "TEXT", bool: ""}
DEVICES = "auto (CUDA, then MPS, then CPU), cpu, cuda, cuda:N or mps."


class OptionType(click.ParamType[object]):
    """Text of the command line to an option's value."""

    name = "option"

    def __init__(self, item: Option, owner: str) -> None:
        self.item, self.owner = item, owner

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> object:
        return self.item.check(value, self.owner)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        names = registry().datasets.names() if self.item.name == "data" else self.item.choices
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def click_option(item: Option, owner: str, default: object) -> click.Option:
    """One option. What is not given stays None, so that files and presets may decide it."""
    facts = [item.bounds] if item.bounds and not item.choices else []
    facts += [f"default: {item.shown(default)}"] if default is not None and default != "" else []
    unit = f" ({item.unit})" if item.unit else ""
    text = printable(item.help + unit + (f"  [{'; '.join(facts)}]" if facts else ""), "\n")
    if item.type is bool:
        return click.Option([f"{item.flag}/--no-{item.flag[2:]}", item.name], default=None, help=text)
    metavar = printable("|".join(item.choices)) or METAVARS[item.type] + (",..." if item.many else "")
    return click.Option([item.flag, item.name], type=OptionType(item, owner), metavar=metavar, help=text)


def click_options(config: type, owner: str, defaults: Mapping[str, object] | None = None) -> list[click.Option]:
    """The options of a dataclass, in the order of its fields; `defaults` are shown in place of its own."""
    changed = defaults or {}
    return [click_option(o, owner, changed.get(name, o.default)) for name, o in options_of(config).items()]


class RunCommand(click.Command):
    """A verb that draws from a run, with the sampling options of the run's model besides its own."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta["genzoo.run"] = _run_in(args)
        if ctx.meta["genzoo.run"] is None:  # the run will be complained of, not the options that its model may have
            ctx.ignore_unknown_options = ctx.allow_extra_args = not ctx.resilient_parsing
        return super().parse_args(ctx, args)

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        folder = ctx.meta.get("genzoo.run")
        return [*(self.options_for(folder) if folder else ()), *super().get_params(ctx)]

    def options_for(self, folder: RunFolder) -> list[click.Option]:
        """What the verb has besides for a run."""
        spec: GeneratorSpec = folder.spec()[0]
        return click_options(spec.sample_options, f"sampling {spec.name}")


def _run_in(args: list[str]) -> RunFolder | None:
    """The run that an argument names, if its plugins are installed."""
    from genzoo.runs.find import find_run

    runs_dir = next((after for before, after in pairwise(args) if before == "--runs-dir"), None)
    for text in args:
        if text.startswith("-"):
            continue
        try:
            folder = find_run(text, runs_dir)
            folder.spec(), folder.modality
            return folder
        except GenzooError:
            continue
    return None


def complete_run(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of runs and models for the shell."""
    from click.shell_completion import CompletionItem

    from genzoo.runs.find import list_runs

    runs = list_runs(ctx.params.get("runs_dir"))
    names = sorted({run.model for run in runs} | {run.name for run in runs})
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def not_none(options: Mapping[str, V | None]) -> dict[str, V]:
    """Those options that a person gave."""
    return {name: value for name, value in options.items() if value is not None}


# Options that several verbs have

seed_type = click.IntRange(0, 2**31 - 1)
run_argument = click.argument("run", shell_complete=complete_run)
as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
runs_dir_option = click.option(
    "--runs-dir", metavar="FOLDER", help="Folder of runs. Default: GENZOO_RUNS_DIR, or runs."
)
device_option = click.option("--device", default="auto", metavar="TEXT", help=DEVICES)
overwrite_option = click.option("--overwrite", is_flag=True, help="Let --out take the place of what is there.")
batch_size_option = click.option(
    "--batch-size", type=click.IntRange(1), default=64, show_default=True, help="Samples drawn at a time."
)
weights_option = click.option(
    "--weights", type=click.Choice(["best", "last"]), default="best", show_default=True,
    help="Those with the best score, if the run keeps them, or the last.",
)  # fmt: skip


def with_options(*options: Callable[[C], C]) -> Callable[[C], C]:
    """Several options at once, in their order."""

    def decorate(command: C) -> C:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


held_out_options = with_options(  # of verbs that make one file from held-out examples
    click.option("--seed", type=seed_type, default=0, show_default=True, help="Which held-out examples."),
    click.option("--out", metavar="FILE", help="Default: a new file in the run's samples."),
    overwrite_option,
    device_option,
    runs_dir_option,
    as_json_option,
)
