"""Option dataclasses as click options. Everything is checked by `genzoo.options`; click only carries the text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import click

from genzoo.data import DATASETS
from genzoo.errors import GenzooError
from genzoo.options import Option, options_of
from genzoo.registry import registry
from genzoo.run_folder import find_run, runs
from genzoo.spec import TRAIN_OPTIONS, GeneratorSpec

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

METAVARS = {int: "INT", float: "FLOAT", str: "TEXT", bool: ""}


class OptionType(click.ParamType[Any]):
    """Text of the command line to an option's value."""

    name = "option"

    def __init__(self, item: Option, owner: str) -> None:
        self.item, self.owner = item, owner

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return self.item.check(value, self.owner)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        names = [spec.name for spec in DATASETS] if self.item.name == "data" else self.item.choices
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def click_option(item: Option, owner: str, default: Any) -> click.Option:
    """One option. What is not given stays None, so that files and presets may decide it."""
    facts = [item.bounds] if item.bounds and not item.choices else []
    facts += [f"default: {item.shown(default)}"] if default is not None else []
    unit = f" ({item.unit})" if item.unit else ""
    text = item.help + unit + (f"  [{'; '.join(facts)}]" if facts else "")
    if item.type is bool:
        return click.Option([f"{item.flag}/--no-{item.flag[2:]}", item.name], default=None, help=text)
    metavar = "|".join(item.choices) or METAVARS[item.type] + (",..." if item.many else "")
    return click.Option([item.flag, item.name], type=OptionType(item, owner), metavar=metavar, help=text)


def click_options(config: type, owner: str, defaults: Mapping[str, Any] | None = None) -> list[click.Option]:
    """The options of a dataclass, in the order of its fields; `defaults` are shown in place of its own."""
    changed = defaults or {}
    return [click_option(o, owner, changed.get(name, o.default)) for name, o in options_of(config).items()]


class ModelCommand(click.Command):
    """`genzoo train MODEL`: the model's own options apart from those of every training."""

    def __init__(self, spec: GeneratorSpec, callback: Any) -> None:
        own = click_options(spec.config, spec.name, spec.defaults)
        training = click_options(TRAIN_OPTIONS[spec.modality], spec.name, spec.defaults)
        presets = ", ".join(spec.presets) or "none"
        sources: list[click.Option] = [
            click.Option(["--preset"], metavar="NAME", help=f"A named set of options: {presets}."),
            click.Option(["--config", "config_file"], metavar="FILE", help="Options in a TOML file."),
            click.Option(
                ["--set", "settings"],
                metavar="OPTION=VALUE",
                multiple=True,
                help="Any option; weighs more than --config.",
            ),
            click.Option(["--json", "as_json"], is_flag=True, help="Print the run as JSON at the end."),
        ]
        self.sections = [
            (f"Options of {spec.name}", own),
            ("Options of every training", training),
            ("Where options come from", sources),
        ]
        params: list[click.Parameter] = [option for _, options in self.sections for option in options]
        super().__init__(spec.name, callback=callback, params=params, help=_describe(spec), short_help=spec.summary)
        self.spec = spec

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        helped = [(title, list(options)) for title, options in self.sections]
        if (help_option := self.get_help_option(ctx)) is not None:
            helped[-1][1].append(help_option)
        for title, options in helped:
            records = [record for option in options if (record := option.get_help_record(ctx))]
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


def _describe(spec: GeneratorSpec) -> str:
    text = f"Train {spec.name}. {spec.summary}."
    return text + (f"\n\n{spec.paper}" if spec.paper else "")


class SampleCommand(click.Command):
    """`genzoo sample RUN`, which has the sampling options of the run's model besides its own."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta["genzoo.sampling"] = spec = _spec_of_run(args)
        if spec is None:  # the run will be complained of, not the options that its model may have
            ctx.ignore_unknown_options = ctx.allow_extra_args = not ctx.resilient_parsing
        return super().parse_args(ctx, args)

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        spec = ctx.meta.get("genzoo.sampling")
        own = click_options(spec.sample_options, f"sampling {spec.name}") if spec else []
        return [*own, *super().get_params(ctx)]


def _spec_of_run(args: list[str]) -> GeneratorSpec | None:
    runs_dir = next((after for before, after in pairwise(args) if before == "--runs-dir"), None)
    for text in args:
        if text.startswith("-"):
            continue
        try:
            folder = find_run(text, runs_dir)
            return next(
                spec
                for _, plugin, spec in registry().generators
                if (plugin.distribution, spec.name) == (folder.record["plugin"], folder.model)
            )
        except (GenzooError, StopIteration):
            continue
    return None


def complete_run(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of runs and models for the shell."""
    from click.shell_completion import CompletionItem

    every = runs(ctx.params.get("runs_dir"))
    names = sorted({run.model for run in every} | {run.name for run in every})
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def table(rows: Sequence[tuple[str, ...]]) -> str:
    """Rows as aligned columns, the first being the heading."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines)
