"""Texts into files, with their provenance beside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from genzoo.interface.files import write_file

BETWEEN = "\n\n---\n\n"  # two texts


def write_texts(texts: Sequence[str], path: Path, facts: Mapping[str, object]) -> None:
    """Write texts, `BETWEEN` two of them, as UTF-8, and their provenance as JSON in a file beside it that has the same
    name with `.json` behind."""
    write_file(path, BETWEEN.join(texts).encode(), {**facts, "samples": len(texts)})
