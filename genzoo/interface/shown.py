"""How things show themselves: short in a terminal, as a table or a picture in a notebook. What is shown there is
escaped and whole: no script, nothing from elsewhere. Imports nothing heavy."""

from __future__ import annotations

import base64
import html
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from genzoo.interface.parsing import printable

T = TypeVar("T")
Points = Sequence[tuple[float, float]]
WIDTH, HEIGHT, EDGE = 220, 90, 4  # of a curve, in pixels
MOST_POINTS = 300  # of a curve
COLORS = ("#1f77b4", "#ff7f0e")


class Shown:
    """What shows itself by a title and some facts."""

    def _title(self) -> str:
        raise NotImplementedError

    def _facts(self) -> Mapping[str, object]:
        return {}

    def __repr__(self) -> str:
        return f"<{printable(self._title())}>"

    def _repr_html_(self) -> str:
        return f"<p><b>{escaped(self._title())}</b></p>" + facts_as_html(self._facts())


class Listing(list[T]):
    """A list that shows itself as a table.

    Args:
        items: what is in it.
        rows_of: gives the rows of an item: values by the name of a column.
    """

    def __init__(self, items: Iterable[T], rows_of: Callable[[T], Sequence[Mapping[str, Any]]]) -> None:
        super().__init__(items)
        self._rows_of = rows_of

    def to_rows(self) -> list[dict[str, Any]]:
        """Values by the name of a column, as `pandas.DataFrame` takes them."""
        return [dict(row) for item in self for row in self._rows_of(item)]

    def __repr__(self) -> str:
        return "\n".join(map(repr, self)) or "[]"

    def _repr_html_(self) -> str:
        rows = self.to_rows()
        return rows_as_html(
            list(dict.fromkeys(name for row in rows for name in row)), [list(row.values()) for row in rows]
        )


def escaped(value: object) -> str:
    """A value as HTML shows it and does nothing else, without control characters."""
    text = "" if value is None else f"{value:,.4g}" if isinstance(value, float) else str(value)
    plain = "".join(c if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cs") else "\ufffd" for c in text)
    return html.escape(plain)


def rows_as_html(heading: Sequence[object], rows: Sequence[Sequence[object]]) -> str:
    """A table with a heading."""
    head = "".join(f"<th>{escaped(cell)}</th>" for cell in heading)
    body = "".join("<tr>" + "".join(f"<td>{escaped(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def facts_as_html(facts: Mapping[str, object]) -> str:
    """A table with a line a fact, without those that are nothing."""
    lines = "".join(
        f'<tr><th style="text-align:left">{escaped(name)}</th><td style="text-align:left">{escaped(value)}</td></tr>'
        for name, value in facts.items()
        if value not in (None, "", (), [], {})
    )
    return f"<table><tbody>{lines}</tbody></table>" if lines else ""


def picture_as_html(png: bytes, text: str) -> str:
    """A picture, the content of a PNG, with a text for those who do not see it."""
    source = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    style = "max-width:100%;min-width:16rem;max-height:24rem;object-fit:contain;image-rendering:pixelated"
    return f'<img alt="{escaped(text)}" title="{escaped(text)}" style="{style}" src="{source}">'


def player_as_html(content: bytes, media: str) -> str:
    """What plays a file, by an element of the kind that its media type ("audio/wav") begins with."""
    kind = escaped(media.partition("/")[0])
    return f'<p><{kind} controls src="data:{escaped(media)};base64,{base64.b64encode(content).decode()}"></{kind}></p>'


def text_as_html(text: str) -> str:
    """A text as it is."""
    return f'<pre style="white-space:pre-wrap;max-height:24rem;overflow:auto">{escaped(text)}</pre>'


def curve_as_html(title: str, parts: Mapping[str, Points]) -> str:
    """Curves in one small plot: points (x, y) by the name of a curve, and the last value of each as text."""
    shown = {name: _thinned(points) for name, points in parts.items() if points}
    every = [point for points in shown.values() for point in points]
    if not every:
        return ""
    (left, right), (low, high) = ((min(values), max(values)) for values in zip(*every, strict=True))
    lines = []
    for color, points in zip(COLORS, shown.values(), strict=False):
        places = " ".join(
            f"{_place(x, left, right, WIDTH):.1f},{HEIGHT - _place(y, low, high, HEIGHT):.1f}" for x, y in points
        )
        lines.append(f'<polyline fill="none" stroke="{color}" stroke-width="1.5" points="{places}"/>')
    last = ", ".join(
        f"{name} {points[-1][1]:.4g}" if name else f"{points[-1][1]:.4g}" for name, points in shown.items()
    )
    caption = f"{escaped(title)}: {escaped(last)}"
    svg = f'<svg width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="{caption}">{"".join(lines)}</svg>'
    figure = '<figure style="display:inline-block;margin:0 1rem 0 0">'
    return f"{figure}{svg}<figcaption><small>{caption}</small></figcaption></figure>"


def _thinned(points: Points) -> Points:
    """At most so many points, evenly among all, the last among them."""
    every = -(-len(points) // MOST_POINTS)
    return points[::-every][::-1]


def _place(value: float, least: float, most: float, size: int) -> float:
    share = (value - least) / (most - least) if most > least else 0.5
    return EDGE + share * (size - 2 * EDGE)
