"""The shipped classifier as features to measure in."""

from __future__ import annotations

from pathlib import Path

import genzoo
from genzoo import Dataset, DataSpec, Features, Progress


def load_features(dataset: Dataset, data: DataSpec, folder: Path, progress: Progress) -> Features:
    """Those of the classifier of `emoji`. Raises `UsageError` for images of another size."""
    return genzoo.shipped_features("emoji", dataset, data)
