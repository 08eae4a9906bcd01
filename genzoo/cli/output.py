"""What a person is shown: JSON, texts, lines, and nothing that a terminal would obey."""

from __future__ import annotations

import codecs
import io
import sys

import click

from genzoo.interface.parsing import printable

PLAIN = {"↓": "v", "↑": "^"}  # what tables have, where an encoding does not; as wide as they are


def escape_the_unknown() -> None:
    """From here on, what the encoding of a standard stream does not have is written as a backslash escape, and arrows
    as letters."""
    codecs.register_error("genzoo", _plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # there may be none
            stream.reconfigure(errors="genzoo")


def _plain(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError), "a stream that is written to"
    unknown = error.object[error.start : error.end]
    return "".join(PLAIN.get(c) or c.encode("ascii", "backslashreplace").decode() for c in unknown), error.end


def show(text: object = "", *, newline: bool = True) -> None:
    """A line on standard output, or several. The command prints by this and by the functions around it alone."""
    click.echo(printable(str(text), "\n"), nl=newline)


def print_text(text: str, *, newline: bool = True) -> None:
    """A generated text on standard output; on a terminal without what it would obey."""
    click.echo(printable(text, "\n\t") if sys.stdout.isatty() else text, nl=newline)


def print_json(content: object) -> None:
    """JSON on standard output: in ASCII where that is not UTF-8, so that nothing is lost."""
    import json

    is_unicode = sys.stdout.encoding.lower().replace("-", "") == "utf8"
    text = json.dumps(content, indent=2, ensure_ascii=not is_unicode)
    click.echo("".join(c if c == "\n" or c.isprintable() else json.dumps(c)[1:-1] for c in text))
