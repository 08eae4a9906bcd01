"""Data sets of scikit-learn for genzoo. Imports nothing heavy."""

from __future__ import annotations

import genzoo
from genzoo import DatasetSpec


@genzoo.hookimpl
def genzoo_datasets() -> list[DatasetSpec]:
    """Small ones, for quick experiments."""
    return [
        DatasetSpec(
            name="digits-8x8",
            summary="1,797 handwritten digits, 8x8 grey (Alpaydin & Kaynak 1998)",
            modality="image",
            target="genzoo_sklearn.data:load_digits",
            source="the scikit-learn package; nothing is downloaded",
            classifier="genzoo_sklearn:classifiers",
        )
    ]
