"""Figures for print: curves of several runs, and two measures of them against each other, with the data beside."""

from __future__ import annotations

import csv
import io
import json
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from genzoo.interface.errors import UsageError, unknown
from genzoo.interface.files import write_file
from genzoo.interface.provenance import Facts as Provenance
from genzoo.interface.specs import Json
from genzoo.registry.plugins import registry
from genzoo.runs.curves import Points, curves
from genzoo.runs.folder import UNDECIDING, RunFolder
from genzoo.runs.groups import all_but_seed
from genzoo.runs.manage import Facts, measures_of, protocols

FORMATS = (".pdf", ".svg", ".png")
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")  # Okabe & Ito 2008
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1, 1, 1)), (0, (1, 1)))  # told apart in grey
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
STYLE: Any = {
    "font.size": 8, "axes.labelsize": 8, "xtick.labelsize": 7, "ytick.labelsize": 7,
    "axes.linewidth": 0.6, "axes.spines.top": False, "axes.spines.right": False,
    "grid.linewidth": 0.4, "grid.alpha": 0.4,
    "pdf.fonttype": 42, "ps.fonttype": 42, "svg.fonttype": "path", "svg.hashsalt": "genzoo",
}  # fmt: skip
WIDE = 28  # characters of a line of a legend
AXES = {"step": "training step", "seconds": "training time (s)"}
UNITS = {"size": "bytes"}
UNNAMED = {*UNDECIDING, "seed", "init_from"} - {"steps"}  # options that a line is not called after


@dataclass(frozen=True)
class Series:
    """Runs that differ in their seed alone, and what they are called together."""

    name: str
    runs: Sequence[RunFolder]


@dataclass(frozen=True)
class Plotted:
    """A figure, and its data as rows under a heading."""

    figure: Figure
    rows: Sequence[Sequence[object]]


def groups(runs: Sequence[RunFolder], *, apart: bool = False) -> list[Series]:
    """The runs that differ in the seed alone, together; or each `apart`. They are called after their group or model,
    where no others are of that, else after the options in which they differ."""
    if apart:
        return [Series(run.name, [run]) for run in runs]
    together: dict[str, list[RunFolder]] = {}
    for run in runs:
        together.setdefault(json.dumps(all_but_seed(run), sort_keys=True), []).append(run)
    members = list(together.values())
    return [Series(_title(same, members), same) for same in members]


def _training(run: RunFolder) -> Json:
    """What names a training among others of its model."""
    options = run.record["training"] | run.record["options"]
    deciding = {k: v for k, v in options.items() if k not in UNNAMED}
    parent = run.record.get("parent") or {}
    return deciding | {"model": run.model, "data": run.data_spec.name, "parent": parent.get("run")}


def _title(same: Sequence[RunFolder], members: Sequence[Sequence[RunFolder]]) -> str:
    rivals = [_training(runs[0]) for runs in members if runs[0].model == same[0].model]
    if len(rivals) > 1 and same[0].group and sum(runs[0].group == same[0].group for runs in members) == 1:
        return same[0].group
    if len(rivals) == 1:
        return same[0].model if len(members) > 1 or len(same) > 1 else same[0].name
    mine = _training(same[0])
    differ = [name for name in mine if len({json.dumps(rival.get(name)) for rival in rivals}) > 1]
    return f"{same[0].model}, " + ", ".join(f"{name.replace('_', ' ')} {mine[name]}" for name in differ)


# Curves


def plot_curves(grouped: Sequence[Series], value: str, *, x: str = "step", size: tuple[float, float]) -> Plotted:
    """One logged value over the steps or the seconds of training: a line a group, the mean over its runs, in a band of
    a standard deviation.

    Args:
        value: a logged value; with `validation/` before it that of validation data.
        x: "step" or "seconds".
        size: width and height in cm.

    Raises `UsageError` for a value that a run did not log.
    """
    figure, axes = _axes(size, AXES[x], value.replace("/", ": ").replace("_", " "))
    rows: list[Sequence[object]] = [("group", x, value, "standard_deviation", "runs")]
    for number, group in enumerate(grouped):
        at, mean, deviation = _band([_points(run, value, x) for run in group.runs])
        color = COLORS[number % len(COLORS)]
        label = _wrapped(group.name) + (f" ({len(group.runs)} seeds)" if len(group.runs) > 1 else "")
        marker = MARKERS[number % len(MARKERS)]
        axes.plot(
            at, mean, color=color, linestyle=LINES[number % len(LINES)], linewidth=1.2, label=label, marker=marker,
            markersize=3, markevery=max(1, len(at) // 8),
        )  # fmt: skip
        if len(group.runs) > 1:
            axes.fill_between(at, mean - deviation, mean + deviation, color=color, alpha=0.2, linewidth=0)
        rows += [(group.name, *map(float, row), len(group.runs)) for row in zip(at, mean, deviation, strict=True)]
    axes.legend(fontsize=7, frameon=False)
    return Plotted(figure, rows)


def _points(run: RunFolder, value: str, x: str) -> Points:
    logged = curves(run, x)
    if value not in logged:
        raise unknown(f"logged value of run {run.name!r}", value, logged)
    return logged[value]


def _band(series: Sequence[Points]) -> tuple[Any, Any, Any]:
    """Where on the axis, the mean and the standard deviation of several series: at all places up to the end of the
    shortest, between the points of each on a straight line."""
    start, end = max(points[0][0] for points in series), min(points[-1][0] for points in series)
    places = sorted({place for points in series for place, _ in points if start <= place <= end}) or [start]
    values = np.array([np.interp(places, [at for at, _ in points], [v for _, v in points]) for points in series])
    deviation = values.std(0, ddof=1) if len(series) > 1 else np.zeros(len(places))
    return np.array(places), values.mean(0), deviation


# Two measures


def plot_against(grouped: Sequence[Series], x: str, y: str, *, size: tuple[float, float]) -> Plotted:
    """Two facts of runs against each other, such as `recall` and `precision`: a point a group, the mean over its runs,
    with a standard deviation each way. `x`, `y`: as the columns of `genzoo runs`; measures are of the newest protocol
    that all runs were measured by. Raises `UsageError` for what a run does not have."""
    protocol = _shared_protocol([run for group in grouped for run in group.runs], (x, y))
    modality = grouped[0].runs[0].data_spec.modality
    figure, axes = _axes(size, titled(x, modality), titled(y, modality))
    rows: list[Sequence[object]] = [("group", x, f"{x}_deviation", y, f"{y}_deviation", "runs")]
    for number, group in enumerate(grouped):
        across, up = ([_fact(run, name, protocol) for run in group.runs] for name in (x, y))
        point = [float(np.mean(across)), float(np.mean(up))]
        spread = [float(np.std(v, ddof=1)) if len(v) > 1 else 0.0 for v in (across, up)]
        color = COLORS[number % len(COLORS)]
        axes.errorbar(
            point[0], point[1], xerr=spread[0] or None, yerr=spread[1] or None, color=color, label=_wrapped(group.name),
            marker=MARKERS[number % len(MARKERS)], linestyle="none", markersize=5, capsize=2, elinewidth=0.8,
        )  # fmt: skip
        rows.append((group.name, point[0], spread[0], point[1], spread[1], len(group.runs)))
    axes.legend(fontsize=7, frameon=False)
    return Plotted(figure, rows)


def _shared_protocol(runs: Sequence[RunFolder], names: Sequence[str]) -> str | None:
    """The newest protocol of the first run that the others were measured by too; None where no measure is asked for.
    Raises `UsageError` for runs that were measured differently."""
    if not any(name in measures_of(run) for run in runs for name in names):
        return None
    of_runs = [protocols(run) for run in runs]
    for run, measured in zip(runs, of_runs, strict=True):
        if not measured:
            raise UsageError(f"run {run.name!r} was not measured yet; do it with: genzoo compare RUN...")
    shared = [protocol for protocol in of_runs[0] if all(protocol in others for others in of_runs)]
    if not shared:
        raise UsageError("these runs were measured differently; measure them alike with: genzoo compare RUN...")
    return shared[0]


def _fact(run: RunFolder, name: str, protocol: str | None) -> float:
    facts = Facts(run, protocol)
    value = facts.get(name)
    if value is None:
        raise UsageError(f"run {run.name!r} has no {name!r}; `genzoo runs --columns` takes what there is")
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise UsageError(f"{name} of run {run.name!r} is {value!r}, which is no number to plot")
    return float(value)


def titled(name: str, modality: str) -> str:
    """The title of an axis: a fact or a measure of a kind of data, with its unit."""
    units = {spec.name: spec.unit for _, spec in registry().metrics.of_modality(modality)}
    unit = units.get(name) or UNITS.get(name, "")
    return AXES.get(name) or name.replace("_", " ") + (f" ({unit})" if unit else "")


def _wrapped(name: str) -> str:
    return textwrap.fill(name, WIDE)


def _axes(size: tuple[float, float], x: str, y: str) -> tuple[Figure, Any]:
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(size[0] / 2.54, size[1] / 2.54), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(visible=True)
    return figure, axes


def write_plot(plotted: Plotted, path: Path, facts: Provenance, dpi: int = 300) -> list[Path]:
    """Write a figure (`FORMATS`) with what it was made from in its metadata, and its data as CSV beside it."""
    text = json.dumps(dict(facts))
    keys = {".pdf": ("Creator", "Keywords"), ".svg": ("Creator", "Description"), ".png": ("Software", "genzoo")}
    creator, described = keys[path.suffix.lower()]
    metadata: dict[str, Any] = {creator: f"genzoo {facts['version']}", described: text}
    if path.suffix.lower() != ".png":
        metadata[{".pdf": "CreationDate", ".svg": "Date"}[path.suffix.lower()]] = None  # the same bytes each time
    buffer, table = io.BytesIO(), io.StringIO()
    with matplotlib.rc_context(STYLE):
        plotted.figure.savefig(buffer, format=path.suffix[1:].lower(), dpi=dpi, metadata=metadata)
    csv.writer(table, lineterminator="\n").writerows(plotted.rows)
    data = path.with_suffix(".csv")
    return [write_file(path, buffer.getvalue()), write_file(data, table.getvalue().encode())]
