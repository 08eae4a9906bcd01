"""`genzoo plot` and `genzoo cite`: what is printed of runs."""

from __future__ import annotations

import re
from pathlib import Path

import click

from genzoo.cli.options import complete_run, overwrite_option, runs_dir_option
from genzoo.cli.output import show
from genzoo.interface.errors import UsageError
from genzoo.interface.parsing import printable
from genzoo.interface.specs import check_file_name
from genzoo.interface.version import __version__
from genzoo.registry.plugins import registry
from genzoo.runs.curves import curves
from genzoo.runs.find import find_runs
from genzoo.runs.folder import RunFolder

ENDINGS = (".pdf", ".svg", ".png")
SIDES = re.compile(r"(\d+(?:\.\d+)?)x(\d+(?:\.\d+)?)")
SMALLEST, LARGEST = 2, 100  # cm
GENZOO = """@misc{{genzoo,
  title = {{genzoo: every family of generative model behind one interface}},
  author = {{{{The genzoo developers}}}},
  version = {{{version}}},
  year = {{2026}}
}}"""

runs_argument = click.argument("runs", nargs=-1, required=True, metavar="RUN...", shell_complete=complete_run)


@click.command("plot")
@runs_argument
@click.option("--y", metavar="NAME", help="A logged value, or a column of `genzoo runs`.  [default: what all log]")
@click.option(
    "--x",
    default="step",
    metavar="NAME",
    show_default=True,
    help="For a logged value, step or seconds; else a column of `genzoo runs`.",
)
@click.option("--out", metavar="FILE", required=True, help="A file that ends in .pdf, .svg or .png.")
@click.option("--size", default="8.4x6.3", metavar="WxH", show_default=True, help="Width and height in cm.")
@click.option("--dpi", type=click.IntRange(50, 1200), default=300, show_default=True, help="Dots an inch of a .png.")
@click.option("--apart", is_flag=True, help="Each run by itself, also those that differ in their seed alone.")
@overwrite_option
@runs_dir_option
def plot_command(
    runs: tuple[str, ...], y: str | None, x: str, out: str, size: str, dpi: int, apart: bool, overwrite: bool,
    runs_dir: str | None,
) -> None:  # fmt: skip
    """Plot runs, or groups of them, for print: what they logged, or two measures against each other.

    Runs that differ in their seed alone are one line, their mean, in a band of a standard deviation. The data lie
    beside the figure as CSV.
    """
    folders = [folder for run in dict.fromkeys(runs) for folder in find_runs(run, runs_dir, any_status=True)]
    path, sides = _path(out, overwrite), _sides(size)
    y = y or _logged_by_all(folders)
    logged = any(y in curves(folder) for folder in folders)
    if logged and x not in ("step", "seconds"):
        raise UsageError(f"--y {y} is logged while training, and --x is {x!r}; allowed is step or seconds")
    from genzoo.runs import plot

    grouped = plot.groups(folders, apart=apart)
    against = not logged
    if against and x == "step":
        raise UsageError(f"no run logged {y!r}; to plot it as measured, say against what: --x NAME, such as seconds")
    plotted = plot.plot_against(grouped, x, y, size=sides) if against else plot.plot_curves(grouped, y, x=x, size=sides)
    facts = {"generator": "genzoo", "version": __version__, "operation": "plot", "x": x, "y": y}
    for written in plot.write_plot(plotted, path, facts | {"runs": [folder.name for folder in folders]}, dpi):
        show(printable(str(written)))


def _path(out: str, overwrite: bool) -> Path:
    check_file_name("--out", out)
    path = Path(out).expanduser()
    if path.suffix.lower() not in ENDINGS:
        raise UsageError(f"--out is {out!r}; allowed is a file that ends in .pdf, .svg or .png")
    for file in (path, path.with_suffix(".csv")):
        if file.exists() and not overwrite:
            raise UsageError(f"{file} exists; give --overwrite to replace it")
    return path


def _sides(size: str) -> tuple[float, float]:
    match = SIDES.fullmatch(size)
    sides = [float(side) for side in match.groups()] if match else []
    if not sides or not all(SMALLEST <= side <= LARGEST for side in sides):
        raise UsageError(f"--size is {size!r}; allowed is WxH in cm, each {SMALLEST} to {LARGEST}, such as 8.4x6.3")
    return sides[0], sides[1]


def _logged_by_all(folders: list[RunFolder]) -> str:
    """The first value that all runs log, of validation data where there is one."""
    logged = [curves(folder) for folder in folders]
    common = [name for name in logged[0] if all(name in others for others in logged)]
    common.sort(key=lambda name: "/" not in name)
    if not common:
        raise UsageError("these runs log no value that all of them have; say what to plot: --y NAME --x NAME")
    return common[0]


@click.command("cite")
@click.argument("runs", nargs=-1, metavar="[RUN]...", shell_complete=complete_run)
@runs_dir_option
def cite_command(runs: tuple[str, ...], runs_dir: str | None) -> None:
    """Print BibTeX of genzoo and of the papers of runs' models. RUN may be a group, or a model's name."""
    entries = [GENZOO.format(version=__version__)]
    for run in runs:
        if run in registry().generators.names():
            spec = registry().generators.get(run)[1]
        else:
            spec = find_runs(run, runs_dir, any_status=True)[0].spec()[0]
        entries.append(spec.bibtex.strip() or _misc(spec.name, spec.paper))
    show(printable("\n\n".join(entry for entry in dict.fromkeys(entries) if entry), "\n"))


def _misc(name: str, paper: str) -> str:
    """An entry for a model that says in words where it is from; a comment for one that does not say it."""
    text = re.sub(r"([&%$#_])", r"\\\1", paper)
    if not paper:
        return f"% {name}: its plugin names no paper"
    return f"@misc{{genzoo-{name},\n  title = {{{{{name}}}}},\n  note = {{{text}}}\n}}"
