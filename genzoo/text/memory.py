"""Text that Python has in memory: a list of strings, data sets of torch and of Hugging Face."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from genzoo.interface.dataset import Progress
from genzoo.interface.errors import UsageError
from genzoo.text.data import TextData, special_tokens
from genzoo.text.sources import text_of_row

ALLOWED = "a list of strings, or a data set of torch or Hugging Face whose items are strings or have a field of text"


def text_data(data: Any, field: str, progress: Progress) -> TextData:
    """What is in memory as a text: strings, or rows with one in a `field` (or conversations), in their order, each with
    an empty line behind as those of `.jsonl`. Raises `UsageError` for what is none, `GenzooError` for what cannot be
    taken."""
    if isinstance(data, TextData):
        return data
    if isinstance(data, Mapping):
        raise UsageError(
            f"the data are a dictionary of {', '.join(map(str, data))}; give one of them, which is cut into parts"
        )
    if isinstance(data, (str, bytes)) or not (hasattr(data, "__len__") and hasattr(data, "__getitem__")):
        raise UsageError(f"a {type(data).__name__} is no text; allowed is {ALLOWED}")
    roles: set[str] = set()

    def pieces() -> Iterator[str]:
        for number in range(len(data)):
            item = data[number]
            row = {field: item} if isinstance(item, str) else item
            if not isinstance(row, Mapping):
                raise UsageError(f"item {number} of the data is a {type(item).__name__}; allowed is {ALLOWED}")
            yield text_of_row(row, field, f"item {number} of the data", roles)

    text = TextData.of(pieces, progress, total=len(data))
    return replace(text, origin=f"{len(data):,} texts in memory", special_tokens=special_tokens(roles))
