"""Images into files: grids, a file each, arrays, each with its provenance."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genzoo.image.data import to_bytes
from genzoo.interface import provenance
from genzoo.interface.files import write_file
from genzoo.interface.parsing import parse_json
from genzoo.interface.pictures import write_picture

GAP = 2  # pixels between the pictures of a grid
MOST_ROWS = 64  # of a grid with a row a class


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
    facts: Mapping[str, object],
    *,
    columns: int | None = None,
    labels: Tensor | None = None,
    visible_label: bool = False,
) -> None:
    """Write images (N, C, H, W) in [0, 1] as one picture; the suffix of `path` says png or jpeg. With `labels` (N,) of
    several classes each has a row."""
    if labels is not None and 1 < len(set(labels.tolist())) <= MOST_ROWS:
        images, columns = in_rows(images, labels)
    write_picture(grid(images, columns), path, facts, visible_label=visible_label)


def write_rows(rows: Sequence[Tensor], path: Path, facts: Mapping[str, object]) -> None:
    """Write rows of images, each (N, C, H, W) in [0, 1], as one picture, shorter rows filled up with black."""
    columns = max(len(row) for row in rows)
    write_grid(filled_up(list(rows), columns), path, facts, columns=columns)


def write_separate(
    images: Tensor, folder: Path, facts: Mapping[str, object], suffix: str, *, visible_label: bool = False
) -> None:
    """Write each image as `00000.png` and so on in `folder`."""
    for number, picture in enumerate(to_bytes(images)):
        path = folder / f"{number:05d}{suffix}"
        write_picture(picture, path, {**facts, "sample": number}, visible_label=visible_label)


def write_arrays(images: Tensor, path: Path, facts: Mapping[str, object], *, labels: Tensor | None = None) -> None:
    """Write images as `.npz`: `images` uint8 (N, H, W, C), `labels` (N,) if given, and `provenance` as JSON text."""
    buffer = io.BytesIO()
    text = json.dumps(provenance.labels(facts), ensure_ascii=False)
    arrays: dict[str, Any] = {} if labels is None else {"labels": labels.numpy()}
    pictures = to_bytes(images).permute(0, 2, 3, 1).numpy()
    np.savez_compressed(buffer, images=pictures, provenance=np.array(text), **arrays)
    write_file(path, buffer.getvalue())


def read_arrays(path: Path) -> tuple[Tensor, dict[str, object]]:
    """The images of such a file, uint8 (N, C, H, W), and its provenance."""
    with np.load(path, allow_pickle=False) as archive:
        labels = parse_json(str(archive["provenance"])) if "provenance" in archive.files else {}
        return torch.from_numpy(archive["images"]).permute(0, 3, 1, 2), labels
