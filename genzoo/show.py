"""A run at a glance: how its samples and its logged values went, in one picture."""

from __future__ import annotations

import textwrap
import warnings
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from genzoo.logbook import OWN
from genzoo.run_folder import RunFolder

GRIDS = 5  # sample grids side by side, evenly over the training
WIDE, LONG = 56, 34  # characters and lines of a text that are shown
COLUMNS = 3  # curves side by side


def facts(run: RunFolder) -> dict[str, Any]:
    """What `run.json` and the last logged values say of a run, in short: texts and numbers by name."""
    record, lines, best = run.record, run.metrics(), run.best()
    last: dict[str, float] = {}
    for line in lines:
        last |= {name: value for name, value in line.items() if name not in OWN}
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
        "error": record.get("error"),
    } | {name: round(value, 6) for name, value in last.items()}


def picture(run: RunFolder) -> Tensor:
    """The grids drawn while training, from first noise to last, above a curve of each logged value; uint8 (3, H, W)."""
    grids = [path for path in run.samples() if path.name.startswith("step-")]
    chosen = [grids[i] for i in sorted({round(i) for i in np.linspace(0, len(grids) - 1, GRIDS)})] if grids else []
    curves = _curves(run)
    lines = -(-len(curves) // COLUMNS)
    figure = Figure(figsize=(15, 3.3 + 2.6 * lines), layout="constrained")
    FigureCanvasAgg(figure)
    above, below = cast(Any, figure.subfigures(2, 1, height_ratios=(3.3, max(2.6 * lines, 0.1))))
    above.suptitle(f"{run.name}: {run.step:,} steps, {run.status}")
    for number, path in enumerate(chosen):
        axes = above.add_subplot(1, GRIDS, number + 1)
        if path.suffix == ".txt":
            axes.text(0, 1, _excerpt(path), va="top", fontsize=5, family="monospace", parse_math=False)
        else:
            with Image.open(path) as grid:
                axes.imshow(np.asarray(grid.convert("RGB")), interpolation="nearest")
        axes.set_title(f"step {int(path.stem.removeprefix('step-')):,}", fontsize=9)
        axes.set_axis_off()
    for number, (name, parts) in enumerate(curves.items()):
        axes = below.add_subplot(lines, COLUMNS, number + 1)
        for label, points in parts.items():
            axes.plot(*zip(*points, strict=True), label=label, marker="." if len(points) < 3 else None)
        axes.set_title(name, fontsize=9)
        axes.grid(alpha=0.3)
        if len(parts) > 1:
            axes.legend(fontsize=8)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)  # of texts: a box stands for it
        figure.canvas.draw()
    array = np.asarray(figure.canvas.buffer_rgba())[:, :, :3]  # type: ignore[attr-defined]
    return torch.from_numpy(array.copy()).permute(2, 0, 1)


def _excerpt(path: Path) -> str:
    """The beginning of a text, as much as there is room for."""
    lines = [part for line in path.read_text("utf-8").splitlines() for part in textwrap.wrap(line, WIDE) or [""]]
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in "\n".join(lines[:LONG]))


def _curves(run: RunFolder) -> dict[str, dict[str, list[tuple[int, float]]]]:
    """By value, the points (step, value) of training and of held-out data."""
    curves: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for line in run.metrics():
        for key, value in line.items():
            if key not in OWN:
                name, part = (key[5:], "held-out") if key.startswith("test/") else (key, "training")
                curves.setdefault(name, {}).setdefault(part, []).append((line["step"], value))
    return curves
