"""The built-in text."""

from __future__ import annotations

from pathlib import Path

from genzoo.text.data import TextData


def load_python_docs(data_dir: Path) -> TextData:
    """Python's language reference as the standard library ships it for `help()`; its sections in alphabetical order."""
    from pydoc_data.topics import topics

    return TextData.of("\n\n".join(topics[name].strip() for name in sorted(topics)) + "\n")
