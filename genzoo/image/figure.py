"""Grids for print: PDF and SVG, whose pixels are as they are in the grid, with names beside rows, and the same as a
picture. What a file is made from is in its XMP metadata."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genzoo.interface import provenance
from genzoo.interface.errors import UsageError
from genzoo.interface.files import write_file

PRINTED = (".pdf", ".svg")
DPI = 150  # where none is asked for
LABEL, STRIP = "AI-generated", 10  # below a picture, in a strip of so many points
MARGIN = 4  # points between a name and its row
PACKET = re.compile(rb"<\?xpacket begin.*?<\?xpacket end=\"w\"\?>", re.DOTALL)


def with_names(picture: Tensor, names: Sequence[tuple[str, float]], dpi: int) -> Tensor:
    """A picture, uint8 (C, H, W), with names at its left, each at the height of a place in [0, 1] from the top."""
    canvas = _figure(picture, names, dpi).canvas
    canvas.draw()
    return torch.from_numpy(_array(canvas)).permute(2, 0, 1).contiguous()


def _array(canvas: Any) -> Any:
    import numpy as np

    return np.asarray(canvas.buffer_rgba())[:, :, :3].copy()


def write_printed(
    picture: Tensor,
    path: Path,
    facts: Mapping[str, object],
    *,
    names: Sequence[tuple[str, float]] = (),
    dpi: int = DPI,
    visible_label: bool = False,
) -> None:
    """Write a picture, uint8 (C, H, W), as PDF or SVG of its size at `dpi` dots an inch, with names as `with_names` has
    them, and "AI-generated" below it where that is to be seen."""
    import matplotlib

    suffix, buffer = path.suffix.lower(), io.BytesIO()
    dates = {"CreationDate": None} if suffix == ".pdf" else {"Date": None}  # the same bytes each time
    with matplotlib.rc_context({"pdf.fonttype": 42, "svg.fonttype": "path", "svg.hashsalt": "genzoo"}):
        _figure(picture, names, dpi, STRIP if visible_label else 0).savefig(
            buffer, format=suffix[1:], dpi=dpi, metadata=dates
        )
    packet = provenance.xmp(facts)
    marked = _pdf_with(buffer.getvalue(), packet) if suffix == ".pdf" else _svg_with(buffer.getvalue(), packet)
    write_file(path, marked)


def read_printed(path: Path) -> dict[str, object]:
    """The labels of such a file."""
    match = PACKET.search(path.read_bytes())
    return provenance.read_xmp(match[0]) if match else {}


def _figure(picture: Tensor, names: Sequence[tuple[str, float]], dpi: int, strip: int = 0) -> Any:
    """The picture at its size, with names at its left, and a strip of so many points below for the label."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.textpath import TextPath

    array = picture.expand(3, -1, -1).permute(1, 2, 0).numpy()
    height, width = array.shape[:2]
    points = max(5.0, min(9.0, height / max(len(names), 1) * 72 / dpi * 0.6))
    lengths = [TextPath((0, 0), _plain(name), size=points).get_extents().width for name, _ in names]
    margin = round((max(lengths) + 2 * MARGIN) * dpi / 72) if lengths else 0
    below = round(strip * dpi / 72)
    whole = height + below
    figure = Figure(figsize=((width + margin) / dpi, whole / dpi), dpi=dpi)
    FigureCanvasAgg(figure)
    figure.figimage(array, xo=margin, yo=below, origin="upper")
    if below:
        figure.text(0.5, below / 2 / whole, LABEL, ha="center", va="center", fontsize=strip * 0.7)
    right = (margin - MARGIN * dpi / 72) / (width + margin)
    for name, place in names:
        figure.text(
            right, 1 - place * height / whole, _plain(name), ha="right", va="center", fontsize=points, parse_math=False
        )
    return figure


def _plain(name: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in name)


def _svg_with(svg: bytes, packet: bytes) -> bytes:
    return svg.replace(b"<metadata>", b"<metadata>" + packet, 1)


def _pdf_with(pdf: bytes, packet: bytes) -> bytes:
    """A PDF with its XMP metadata behind, as an incremental update (ISO 32000-1, 7.5.6)."""
    trailer = re.search(rb"trailer\s*<<(.*?)>>\s*startxref\s*(\d+)\s*%%EOF\s*$", pdf, re.DOTALL)
    if trailer is None:
        raise UsageError("this version of matplotlib writes a PDF that genzoo cannot mark as generated; use .svg")
    size, root = (int(re.search(rb"/%s (\d+)" % key, trailer[1])[1]) for key in (b"Size", b"Root"))  # type: ignore[index]
    catalog = re.search(rb"\b%d 0 obj\s*<<(.*?)>>\s*endobj" % root, pdf, re.DOTALL)
    assert catalog is not None, "a PDF has a catalogue"
    stream = b"%d 0 obj\n<< /Type /Metadata /Subtype /XML /Length %d >>\nstream\n%s\nendstream\nendobj\n" % (
        size, len(packet), packet
    )  # fmt: skip
    changed = b"%d 0 obj\n<<%s /Metadata %d 0 R >>\nendobj\n" % (root, catalog[1], size)
    whole = pdf.rstrip() + b"\n"
    places = {size: len(whole), root: len(whole) + len(stream)}
    start = len(whole) + len(stream) + len(changed)
    entries = b"".join(b"%d 1\n%010d 00000 n \n" % place for place in sorted(places.items()))
    info = re.sub(rb"/Size \d+", b"/Size %d" % (size + 1), trailer[1])
    return (
        whole + stream + changed + b"xref\n" + entries
        + b"trailer\n<<%s /Prev %s >>\nstartxref\n%d\n%%%%EOF\n" % (info, trailer[2], start)
    )  # fmt: skip
