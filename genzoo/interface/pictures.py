"""Pictures in files: PNG and JPEG that say inside that they were generated."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin
from torch import Tensor

from genzoo.interface import provenance
from genzoo.interface.files import write_file
from genzoo.interface.parsing import parse_json
from genzoo.interface.specs import Json

LABEL = "AI-generated"
FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}  # by suffix


def write_picture(
    picture: Tensor, path: Path, facts: provenance.Facts, *, visible_label: bool = False, dpi: int | None = None
) -> Path:
    """Write one picture, uint8 (C, H, W) with 1 or 3 channels, as it is; the suffix of `path` says PNG or JPEG.

    Args:
        facts: what `RunFolder.provenance` gives; written into the file.
        visible_label: write "AI-generated" below the picture.
        dpi: dots an inch, for the size in print.

    Raises `GenzooError` if it cannot be written.
    """
    image = _image(picture)
    if visible_label:
        image = _with_label(image)
    buffer, size = io.BytesIO(), {} if dpi is None else {"dpi": (dpi, dpi)}
    if FORMATS[path.suffix.lower()] == "PNG":
        _save_png(image, buffer, facts, **size)
    else:
        image.save(buffer, "JPEG", quality=95, xmp=provenance.xmp(facts), **size)
    return write_file(path, buffer.getvalue())


def write_plain(picture: Tensor, path: Path) -> Path:
    """Write a picture of real data, uint8 (C, H, W), as PNG without a word of being generated. Raises `GenzooError`."""
    return write_file(path, as_png(picture, None))


def as_png(picture: Tensor, facts: provenance.Facts | None) -> bytes:
    """One picture, uint8 (C, H, W), as the content of a file; without `facts` it does not say that it was generated."""
    buffer = io.BytesIO()
    if facts is None:
        _image(picture).save(buffer, "PNG")
    else:
        _save_png(_image(picture), buffer, facts)
    return buffer.getvalue()


def write_animation(
    pictures: Sequence[Tensor], path: Path, facts: provenance.Facts, *, milliseconds: int, captions: Sequence[str] = ()
) -> Path:
    """Write pictures of one size, uint8 (C, H, W) with 1 or 3 channels, as a GIF that begins again when it ends; its
    comment has the provenance. Each is shown for so many milliseconds, with a line below where there are `captions`.
    Raises `GenzooError` if it cannot be written."""
    frames = [_image(picture) for picture in pictures]
    if captions:
        frames = [_with_line(frame, text) for frame, text in zip(frames, captions, strict=True)]
    buffer, text = io.BytesIO(), json.dumps(provenance.labels(facts))
    frames[0].save(
        buffer, "GIF", save_all=True, append_images=frames[1:], duration=milliseconds, loop=0, comment=text.encode()
    )
    return write_file(path, buffer.getvalue())


def tiled(pictures: Tensor, columns: int, *, gap: int, background: int = 0) -> Tensor:
    """One picture (C, H', W') of many of a size, uint8 (N, C, H, W): so many in a row, with `gap` pixels between and
    around them, of a grey in [0, 255]."""
    count, channels, height, width = pictures.shape
    lines = -(-count // columns)
    size = lines * (height + gap) + gap, columns * (width + gap) + gap
    whole = torch.full((channels, *size), background, dtype=torch.uint8)
    for number, picture in enumerate(pictures):
        line, column = divmod(number, columns)
        top, left = gap + line * (height + gap), gap + column * (width + gap)
        whole[:, top : top + height, left : left + width] = picture
    return whole


def read_picture(path: Path) -> Tensor:
    """The picture in a file that `write_picture` wrote, uint8 (C, H, W) with 1 or 3 channels."""
    with Image.open(path) as image:
        array = np.array(image if image.mode == "L" else image.convert("RGB"))
    return torch.from_numpy(array[None] if array.ndim == 2 else array.transpose(2, 0, 1).copy())


def read_labels(path: Path) -> Json:
    """What a picture's file says of itself: the keys of `provenance.labels` that it has. Raises what Pillow does."""
    with Image.open(path) as picture:
        picture.load()  # text chunks may stand behind the pixels
        info = dict(picture.info)
    packet = info.get("xmp") or info.get(provenance.XMP_CHUNK) or b""
    labels = provenance.read_xmp(packet if isinstance(packet, bytes) else packet.encode())
    for chunk, key in (("AIGC", "aigc"), ("genzoo", "genzoo")):
        if isinstance(info.get(chunk), str):
            labels[key] = parse_json(info[chunk])
    return labels


def _image(picture: Tensor) -> Image.Image:
    array = picture.permute(1, 2, 0).numpy()
    return Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array)


def _save_png(image: Image.Image, buffer: io.BytesIO, facts: provenance.Facts, **size: tuple[int, int]) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_itxt(provenance.XMP_CHUNK, provenance.xmp(facts).decode())
    info.add_text("AIGC", json.dumps(provenance.aigc(facts)))
    info.add_text("genzoo", json.dumps(facts))
    image.save(buffer, "PNG", pnginfo=info, **size)


def _with_label(image: Image.Image) -> Image.Image:
    """The picture with a strip below it that says what it is; the picture itself stays whole."""
    font = ImageFont.load_default(_line_height(image))
    return _with_line(image, LABEL if font.getlength(LABEL) + 4 <= image.width else "AI")


def _line_height(image: Image.Image) -> int:
    return max(10, min(image.size) // 16)


def _with_line(image: Image.Image, text: str) -> Image.Image:
    """The picture with a strip below it that says a text."""
    size = _line_height(image)
    whole = Image.new(image.mode, (image.width, image.height + size + 6), 0)
    whole.paste(image, (0, 0))
    fill = 255 if image.mode == "L" else (255, 255, 255)
    font = ImageFont.load_default(size)
    ImageDraw.Draw(whole).text((image.width // 2, image.height + 2), text, fill=fill, font=font, anchor="ma")
    return whole
