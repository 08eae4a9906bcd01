"""Spoken digits by espeak-ng for genzoo. Imports nothing heavy."""

from __future__ import annotations

import genzoo
from genzoo import DatasetSpec


@genzoo.hookimpl
def genzoo_datasets() -> list[DatasetSpec]:
    """The digits."""
    return [
        DatasetSpec(
            name="spoken-digits",
            summary="3,000 digits spoken by 100 synthetic voices at three speeds, 0.75 s at 16 kHz, 10 voices for test",
            modality="audio",
            target="genzoo_speech.data:load_digits",
            source="espeak-ng, by the espeakng-loader package; made once, nothing is downloaded",
        )
    ]
