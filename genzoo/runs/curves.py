"""What a training logged, as curves. Imports nothing heavy."""

from __future__ import annotations

from genzoo.runs.folder import RunFolder

Points = list[tuple[float, float]]


def is_measured(name: str) -> bool:
    """Whether a logged value is the model's, and not how far and how fast the training went."""
    return name not in ("step", "seconds") and not name.endswith("_per_second")


def curves(run: RunFolder, x: str = "step") -> dict[str, Points]:
    """By logged value, its points over the steps or the seconds (`x`) of training."""
    points: dict[str, Points] = {}
    for line in run.metrics():
        for name, value in line.items():
            if is_measured(name):
                points.setdefault(name, []).append((line[x], value))
    return points
