"""Option dataclasses as click options, and the options that several verbs have. Values are checked by
`genzoo.interface.options`; click only carries the text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar

import click

from genzoo.interface.errors import GenzooError, UsageError
from genzoo.interface.options import Option, options_of
from genzoo.interface.parsing import printable
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


def click_option(item: Option, owner: str, default: object, *, several: bool = False) -> click.Option:
    """One option. What is not given stays None, so that files and presets may decide it. One of a list may be given
    again for more, and so may one of which there are `several`, with commas between."""
    facts = [item.bounds] if item.bounds and not item.choices else []
    facts += [f"default: {item.shown(default)}"] if default not in (None, "", ()) else []
    unit = f" ({item.unit})" if item.unit else ""
    text = printable(item.help + unit + (f"  [{'; '.join(facts)}]" if facts else ""), "\n")
    if item.type is bool:
        return click.Option([f"{item.flag}/--no-{item.flag[2:]}", item.name], default=None, help=text)
    metavar = printable("|".join(item.choices)) or METAVARS[item.type] + (",..." if item.many else "")
    join = _lists_joined if item.many else _texts_joined if several else None
    return click.Option(
        [item.flag, item.name], type=OptionType(item, owner), metavar=metavar, help=text, multiple=join is not None,
        callback=join, hidden=item.hidden,
    )  # fmt: skip


def _lists_joined(_ctx: click.Context, _param: click.Parameter, lists: tuple[tuple[object, ...], ...]) -> object:
    return tuple(value for values in lists for value in values) if lists else None


def _texts_joined(_ctx: click.Context, _param: click.Parameter, texts: tuple[str, ...]) -> str | None:
    return ",".join(texts) if texts else None


class Commands(click.Group):
    """Commands that take an option once, unless it may be given again."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        return name, command and once(command), rest


def once(command: click.Command) -> click.Command:
    """A command that refuses an option which is given twice, where the last would win in silence."""
    make_parser = command.make_parser

    def strict_parser(ctx: click.Context) -> Any:
        parser = make_parser(ctx)
        parse = parser.parse_args

        def parse_args(args: list[str]) -> Any:
            values, rest, order = parse(args)
            for param in order:
                once_only = isinstance(param, click.Option) and not (param.multiple or param.count)
                if once_only and order.count(param) > 1:
                    raise UsageError(f"{' or '.join(param.opts + param.secondary_opts)} is given twice; give it once")
            return values, rest, order

        parser.parse_args = parse_args  # type: ignore[method-assign]
        return parser

    command.make_parser = strict_parser  # type: ignore[method-assign]
    return command


def click_options(
    config: type, owner: str, defaults: Mapping[str, object] | None = None, several: tuple[str, ...] = ()
) -> list[click.Option]:
    """The options of a dataclass, in the order of its fields; `defaults` are shown in place of its own."""
    changed = defaults or {}
    return [
        click_option(item, owner, changed.get(name, item.default), several=name in several)
        for name, item in options_of(config).items()
    ]


class RunCommand(click.Command):
    """A verb that draws from a run, with the sampling options of the run's model besides its own."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        run = _run_in(args)
        ctx.meta["genzoo.spec"] = _spec_in(args) if run is None else run.spec()[0]
        if run is None:  # the run will be complained of, not the options that its model may have
            ctx.ignore_unknown_options = ctx.allow_extra_args = not ctx.resilient_parsing
        return super().parse_args(ctx, args)

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        spec = ctx.meta.get("genzoo.spec")
        return [*(self.options_for(spec) if spec else ()), *super().get_params(ctx)]

    def options_for(self, spec: GeneratorSpec) -> list[click.Option]:
        """What the verb has besides for runs of a model."""
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


def _spec_in(args: list[str]) -> GeneratorSpec | None:
    """The model that an argument names, whose options a help without a run shows."""
    names = registry().generators.names()
    return next((registry().generators.get(text)[1] for text in args if text in names), None)


def complete_run(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of runs and models for the shell."""
    from click.shell_completion import CompletionItem

    from genzoo.runs.find import list_runs

    runs = list_runs(ctx.params.get("runs_dir"))
    names = sorted({run.model for run in runs} | {run.name for run in runs} | {run.group for run in runs if run.group})
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


data_options = with_options(  # of verbs that need the data of a run
    click.option(
        "--data", metavar="PATH", help="Where the run's data are now, if not where they were; the run remembers it."
    ),
    click.option("--data-dir", metavar="FOLDER", help="The folder of data sets, if it is not where it was."),
)
held_out_options = with_options(  # of verbs that make one file from held-out examples
    click.option("--seed", type=seed_type, default=0, show_default=True, help="Which held-out examples."),
    click.option("--out", metavar="FILE", help="Default: a new file in the run's samples."),
    overwrite_option,
    device_option,
    data_options,
    runs_dir_option,
    as_json_option,
)
