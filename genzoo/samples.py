"""Writing what was generated: pictures, grids, arrays and texts, each with its provenance."""

from __future__ import annotations

import hashlib
import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin
from torch import Tensor

from genzoo import provenance
from genzoo.errors import GenzooError
from genzoo.run_folder import FORMAT_OF, RunFolder

LABEL = "AI-generated"
BETWEEN = "\n\n---\n\n"  # two texts
GAP = 2  # pixels between the pictures of a grid
MOST_ROWS = 64  # of a grid with a row a class


def marks(run: RunFolder, seed: int, **more: Any) -> dict[str, Any]:
    """The facts that every file of a request carries."""
    return provenance.facts(run.model, run.name, seed, **more)


def to_bytes(images: Tensor) -> Tensor:
    """Images in [0, 1] as uint8, rounded to the nearest of 256 values."""
    return images.clamp(0, 1).mul(255).round().to(torch.uint8).cpu()


def grid(images: Tensor, columns: int | None = None) -> Tensor:
    """One picture (C, H', W') uint8 of many (N, C, H, W) in [0, 1], square unless `columns` is given."""
    pictures = to_bytes(images)
    count, channels, height, width = pictures.shape
    columns = min(columns or int(np.ceil(np.sqrt(max(count, 1)))), max(count, 1))
    lines = -(-count // columns)
    whole = torch.zeros(channels, lines * (height + GAP) + GAP, columns * (width + GAP) + GAP, dtype=torch.uint8)
    for number, picture in enumerate(pictures):
        line, column = divmod(number, columns)
        top, left = GAP + line * (height + GAP), GAP + column * (width + GAP)
        whole[:, top : top + height, left : left + width] = picture
    return whole


def in_rows(images: Tensor, labels: Tensor) -> tuple[Tensor, int]:
    """Images (N, C, H, W) put into a row a class, in the order of classes, and the number of columns."""
    rows = [images[labels == number] for number in sorted(set(labels.tolist()))]
    columns = max(len(row) for row in rows)
    return filled_up(rows, columns), columns


def filled_up(rows: list[Tensor], columns: int) -> Tensor:
    """Rows of images (N, C, H, W), each filled up to `columns` with black ones."""
    return torch.cat([torch.cat([row, row.new_zeros(columns - len(row), *row.shape[1:])]) for row in rows])


def write_grid(
    images: Tensor,
    path: Path,
    own: dict[str, Any],
    *,
    columns: int | None = None,
    labels: Tensor | None = None,
    visible_label: bool = False,
) -> Path:
    """Write images (N, C, H, W) in [0, 1] as one picture; the suffix of `path` says png or jpeg. With `labels` (N,) of
    several classes each has a row."""
    if labels is not None and 1 < len(set(labels.tolist())) <= MOST_ROWS:
        images, columns = in_rows(images, labels)
    return write_picture(grid(images, columns), path, own, visible_label=visible_label)


def write_separate(
    images: Tensor, folder: Path, own: dict[str, Any], kind: str, *, visible_label: bool = False
) -> Path:
    """Write each image as `00000.png` and so on in `folder`."""
    for number, picture in enumerate(to_bytes(images)):
        path = folder / f"{number:05d}.{kind}"
        write_picture(picture, path, {**own, "sample": number}, visible_label=visible_label)
    return folder


def write_arrays(images: Tensor, path: Path, own: dict[str, Any], *, labels: Tensor | None = None) -> Path:
    """Write images as `.npz`: `images` uint8 (N, H, W, C), `labels` (N,) if given, and `provenance` as JSON text."""
    buffer = io.BytesIO()
    text = json.dumps(provenance.labels(own), ensure_ascii=False)
    arrays: dict[str, Any] = {} if labels is None else {"labels": labels.numpy()}
    pictures = to_bytes(images).permute(0, 2, 3, 1).numpy()
    np.savez_compressed(buffer, images=pictures, provenance=np.array(text), **arrays)
    return _put(path, buffer)


def write_texts(texts: list[str], path: Path, own: dict[str, Any]) -> Path:
    """Write texts, `BETWEEN` two of them, as UTF-8, and their provenance as JSON in a file beside it that has the same
    name with `.json` behind."""
    content = BETWEEN.join(texts).encode()
    facts = own | {"samples": len(texts), "sha256": hashlib.sha256(content).hexdigest()}
    labels = json.dumps(provenance.labels(facts), indent=2, ensure_ascii=False) + "\n"
    _put(provenance.beside(path), io.BytesIO(labels.encode()))
    return _put(path, io.BytesIO(content))


def write_picture(picture: Tensor, path: Path, own: dict[str, Any], *, visible_label: bool = False) -> Path:
    """Write one picture, uint8 (C, H, W), as it is; the suffix of `path` says png or jpeg."""
    image = _image(picture)
    if visible_label:
        image = _with_label(image)
    buffer = io.BytesIO()
    if FORMAT_OF[path.suffix.lower()] == "png":
        _save_png(image, buffer, own)
    else:
        image.save(buffer, "JPEG", quality=95, xmp=provenance.xmp(own))
    return _put(path, buffer)


def as_png(picture: Tensor, own: dict[str, Any]) -> bytes:
    """One picture, uint8 (C, H, W), as the content of a file."""
    buffer = io.BytesIO()
    _save_png(_image(picture), buffer, own)
    return buffer.getvalue()


def _image(picture: Tensor) -> Image.Image:
    array = picture.permute(1, 2, 0).numpy()
    return Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array)


def _save_png(image: Image.Image, buffer: io.BytesIO, own: dict[str, Any]) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_itxt(provenance.XMP_CHUNK, provenance.xmp(own).decode())
    info.add_text("AIGC", json.dumps(provenance.aigc(own)))
    info.add_text("genzoo", json.dumps(own))
    image.save(buffer, "PNG", pnginfo=info)


def _with_label(image: Image.Image) -> Image.Image:
    """The picture with a strip below it that says what it is; the picture itself stays whole."""
    size = max(10, min(image.size) // 16)
    font = ImageFont.load_default(size)
    text = LABEL if font.getlength(LABEL) + 4 <= image.width else "AI"
    whole = Image.new(image.mode, (image.width, image.height + size + 6), 0)
    whole.paste(image, (0, 0))
    fill = 255 if image.mode == "L" else (255, 255, 255)
    ImageDraw.Draw(whole).text((image.width // 2, image.height + 2), text, fill=fill, font=font, anchor="ma")
    return whole


def _put(path: Path, content: io.BytesIO) -> Path:
    """Write aside and put in place."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.write_bytes(content.getvalue())
        os.replace(aside, path)
    except OSError as error:
        raise GenzooError(f"cannot write {path}: {error.strerror}") from None
    return path
