"""What a training logged, as curves. Imports nothing heavy."""

from __future__ import annotations

from genzoo.interface.specs import VALIDATION
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


def both_parts(run: RunFolder) -> dict[str, dict[str, Points]]:
    """By logged value, its curve in training and on validation data."""
    both: dict[str, dict[str, Points]] = {}
    for key, points in curves(run).items():
        name = key.removeprefix(VALIDATION)
        both.setdefault(name, {})["training" if name == key else "validation"] = points
    return both
