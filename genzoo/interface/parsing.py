"""What others wrote: JSON, and what a terminal would obey; and a line that is said. Imports nothing heavy."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import Any


def parse_json(text: str | bytes) -> Any:
    """What a text of JSON says. Raises `ValueError` for one that is damaged or nested too deeply to be read."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def printable(text: str, keep: str = "") -> str:
    """A text without control characters, which a name or a sample may hold and a terminal would obey: each is written
    as a backslash escape, but for those in `keep`."""
    if text.isprintable():
        return text
    import unicodedata

    return "".join(c if c in keep or unicodedata.category(c) not in ("Cc", "Cf", "Cs") else _escaped(c) for c in text)


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows as aligned columns, the first being the heading, without what a terminal would obey."""
    clean = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in clean) for i in range(len(clean[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in clean]
    return "\n".join(lines)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()


def say(line: str) -> None:
    """A line on standard error, as far as someone still reads it."""
    try:
        sys.stderr.write(printable(line, "\n") + "\n")
        sys.stderr.flush()
    except (OSError, ValueError):  # the reader has gone, and what is said must not end what is done
        if sys.stderr is sys.__stderr__:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
