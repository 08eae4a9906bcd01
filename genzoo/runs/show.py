"""A run at a glance: how its samples and its logged values went, in one picture."""

from __future__ import annotations

import html
import io
import re
import textwrap
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, cast

import matplotlib
import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from genzoo.interface.errors import UsageError
from genzoo.interface.specs import Json
from genzoo.registry.plugins import modality_of
from genzoo.runs.curves import Points, both_parts, is_measured
from genzoo.runs.folder import RunFolder
from genzoo.runs.plot import COLORS

T = TypeVar("T")
SVG_FACTS = ("Creator", "Date", "Format", "Type")  # that matplotlib would say of a drawing
SHOWN = 5  # samples of the training side by side, evenly over it
WIDE, LONG = 56, 34  # characters and lines of a text that are shown
COLUMNS = 3  # curves side by side


def facts(run: RunFolder) -> dict[str, object]:
    """What `run.json` and the last logged values say of a run, in short: texts and numbers by name."""
    record, lines, best = run.record, run.metrics(), run.best()
    last: dict[str, float] = {}
    for line in lines:
        last |= {name: value for name, value in line.items() if is_measured(name)}
    return {
        "run": run.name,
        "model": f"{run.model} ({record['plugin']})",
        "status": run.status,
        "steps": f"{run.step:,} of {record['steps_total']:,}",
        "seconds": record["seconds"],
        "data": f"{record['data_spec']['name']}, {record['data_spec']['train_count']:,} for training",
        "seed": record["training"]["seed"],
        "preset": record.get("preset"),
        "parameters": record.get("parameters"),
        "best": f"step {best['step']:,}, with {best['score_name']} {best['score']:.4g}" if best else None,
        "parent": f"{record['parent']['run']}, step {record['parent']['step']:,}" if record.get("parent") else None,
        "resumed": "; ".join(_resumed(resume) for resume in record.get("resumes", [])) or None,
        "note": record.get("note"),
        "error": record.get("error"),
    } | {name: round(value, 6) for name, value in last.items()}


def _resumed(resume: Json) -> str:
    changes = ", ".join(f"{name} {was} -> {now}" for name, (was, now) in resume["changes"].items())
    return f"step {resume['from_step']:,} to {resume['to_step']:,}" + (f" ({changes})" if changes else "")


def picture(run: RunFolder) -> Tensor:
    """What was drawn while training, from first noise to last, above a curve of each logged value; uint8 (3, H, W)."""
    shown = evenly(run.training_samples())
    both = both_parts(run)
    lines = -(-len(both) // COLUMNS)
    figure = Figure(figsize=(15, 3.3 + 2.6 * lines), layout="constrained")
    FigureCanvasAgg(figure)
    above, below = cast(Any, figure.subfigures(2, 1, height_ratios=(3.3, max(2.6 * lines, 0.1))))
    above.suptitle(f"{run.name}: {run.step:,} steps, {run.status}")
    modality = modality_of(run.data_spec.modality)
    for number, (step, path) in enumerate(shown):
        axes = above.add_subplot(1, SHOWN, number + 1)
        preview = modality.preview(path)
        if isinstance(preview, str):
            axes.text(0, 1, _excerpt(preview), va="top", fontsize=5, family="monospace", parse_math=False)
        else:
            axes.imshow(preview.expand(3, -1, -1).permute(1, 2, 0).numpy(), interpolation="nearest")
        axes.set_title(f"step {step:,}", fontsize=9)
        axes.set_axis_off()
    _plot(below, both)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)  # of texts: a box stands for it
        figure.canvas.draw()
    array = np.asarray(figure.canvas.buffer_rgba())[:, :, :3]  # type: ignore[attr-defined]
    return torch.from_numpy(array.copy()).permute(2, 0, 1)


def evenly(drawn: Sequence[T]) -> list[T]:
    """Some of what was drawn while training, evenly from the first to the last."""
    return [drawn[i] for i in sorted({round(i) for i in np.linspace(0, len(drawn) - 1, SHOWN)})] if drawn else []


def draw_curves(run: RunFolder) -> str:
    """A curve of each value that a run logged, as SVG to stand in a page of HTML, one after another: on no ground, with
    letters and lines in the colour of the text around. Empty where nothing was logged yet."""
    ink = "#010203"  # a colour that nothing else has
    colours = dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), ink)
    style: Any = {**colours, "svg.fonttype": "none", "svg.hashsalt": "genzoo", "font.family": "sans-serif"}
    drawings = []
    with matplotlib.rc_context(style):
        for name, parts in both_parts(run).items():
            figure, buffer = Figure(figsize=(4.2, 2.6), layout="constrained"), io.StringIO()
            _plot(figure, {name: parts}, 1)
            figure.savefig(buffer, format="svg", transparent=True, metadata=dict.fromkeys(SVG_FACTS))
            drawing = buffer.getvalue()[buffer.getvalue().index("<svg") :].replace(ink, "currentColor")
            drawing = re.sub(r' xmlns(:\w+)?="[^"]*"', "", drawing).replace("xlink:href", "href")  # as HTML has it
            title = html.escape(f"curve of {name}", quote=True)
            drawings.append(drawing.replace("<svg ", f'<svg role="img" aria-label="{title}" class="curve" ', 1))
    return "".join(drawings)


def _plot(figure: Any, both: Mapping[str, Mapping[str, Points]], columns: int = COLUMNS) -> None:
    """A curve of each value, in as many columns, of training and of validation."""
    lines = -(-len(both) // columns)
    for number, (name, parts) in enumerate(both.items()):
        axes = figure.add_subplot(lines, columns, number + 1)
        for label, points in parts.items():
            color, marker = COLORS[label == "validation"], "." if len(points) < 3 else None
            axes.plot(*zip(*points, strict=True), label=label, color=color, marker=marker)
        axes.set_title(name, fontsize=9)
        axes.grid(alpha=0.3)
        if len(parts) > 1:
            axes.legend(fontsize=8, framealpha=0)


def animation(run: RunFolder) -> tuple[list[Tensor], list[str]]:
    """What was drawn while training, from the same random numbers each time: pictures, uint8 (C, H, W), and at which
    step each. Raises `UsageError` where there are none, or these are no pictures."""
    modality = modality_of(run.data_spec.modality)
    previews = [(step, modality.preview(path)) for step, path in run.training_samples()]
    pictures = [preview for _, preview in previews if isinstance(preview, Tensor)]
    if len(pictures) < 2 or len({picture.shape for picture in pictures}) > 1:
        raise UsageError(
            f"run {run.name!r} has no pictures of its training to animate: {len(pictures)} of one size; train with"
            " --sample-every"
        )
    return pictures, [f"step {step:,}" for step, _ in previews]


def _excerpt(text: str) -> str:
    """The beginning of a text, as much as there is room for."""
    lines = [part for line in text.splitlines() for part in textwrap.wrap(line, WIDE) or [""]]
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in "\n".join(lines[:LONG]))
