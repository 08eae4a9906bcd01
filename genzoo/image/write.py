"""Images into files: grids, a file each, arrays, each with its provenance."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from genzoo.image import ImageWriteOptions
from genzoo.image.data import to_bytes
from genzoo.image.figure import DPI, PRINTED, with_names, write_printed
from genzoo.interface import provenance
from genzoo.interface.files import class_folders, write_file
from genzoo.interface.parsing import parse_json
from genzoo.interface.pictures import tiled, write_picture
from genzoo.interface.pictures import write_animation as write_gif

MILLISECONDS = 40  # of a frame
GAP = 2  # pixels between the pictures of a grid
PLAIN = ImageWriteOptions()
MOST_ROWS = 64  # of a grid with a row a class


def grid(images: Tensor, columns: int | None = None) -> Tensor:
    """One picture (C, H', W') uint8 of many (N, C, H, W) in [0, 1], square unless `columns` is given."""
    pictures = to_bytes(images)
    count = max(len(pictures), 1)
    return tiled(pictures, min(columns or int(np.ceil(np.sqrt(count))), count), gap=GAP)


def in_rows(images: Tensor, labels: Tensor, columns: int | None = None) -> tuple[Tensor, int, list[tuple[int, float]]]:
    """Images (N, C, H, W) put into a row a class, in the order of classes, or several of `columns`; the number of
    columns; and of each class its number and the height of the middle of its rows, in [0, 1] from the top."""
    rows = {number: images[labels == number] for number in sorted(set(labels.tolist()))}
    columns = columns or max(map(len, rows.values()))
    lines = [-(-len(row) // columns) for row in rows.values()]
    blocks = [filled_up([row], lines_of_row * columns) for row, lines_of_row in zip(rows.values(), lines, strict=True)]
    starts = [sum(lines[:number]) for number in range(len(lines))]
    middles = [(start + count / 2) / sum(lines) for start, count in zip(starts, lines, strict=True)]
    return torch.cat(blocks), columns, list(zip(rows, middles, strict=True))


def filled_up(rows: list[Tensor], columns: int) -> Tensor:
    """Rows of images (N, C, H, W), each filled up to `columns` with black ones."""
    return torch.cat([torch.cat([row, row.new_zeros(columns - len(row), *row.shape[1:])]) for row in rows])


def write_grid(
    images: Tensor,
    path: Path,
    facts: Mapping[str, object],
    options: ImageWriteOptions = PLAIN,
    *,
    columns: int | None = None,
    labels: Tensor | None = None,
    classes: Sequence[str] = (),
) -> None:
    """Write images (N, C, H, W) in [0, 1] as one picture; the suffix of `path` says which format. With `labels` (N,) of
    several classes each has a row, and the names of these stand beside where the options ask for them."""
    columns, names = options.columns or columns, []
    if labels is not None and 1 < len(set(labels.tolist())) <= MOST_ROWS:
        images, columns, middles = in_rows(images, labels, options.columns)
        names = [(classes[number], middle) for number, middle in middles] if options.class_names else []
    picture = grid(images, columns).repeat_interleave(options.scale, 1).repeat_interleave(options.scale, 2)
    if path.suffix.lower() in PRINTED:
        write_printed(picture, path, facts, names=names, dpi=options.dpi or DPI, visible_label=options.visible_label)
        return
    if names:
        picture = with_names(picture, names, options.dpi or DPI)
    write_picture(picture, path, facts, visible_label=options.visible_label, dpi=options.dpi)


def write_rows(rows: Sequence[Tensor], path: Path, facts: Mapping[str, object]) -> None:
    """Write rows of images, each (N, C, H, W) in [0, 1], as one picture, shorter rows filled up with black."""
    columns = max(len(row) for row in rows)
    write_grid(filled_up(list(rows), columns), path, facts, columns=columns)


def write_animation(images: Tensor, path: Path, facts: Mapping[str, object], *, scale: int = 1) -> None:
    """Write images (N, C, H, W) in [0, 1] as a GIF that begins again when it ends, `MILLISECONDS` each; its comment has
    the provenance."""
    large = to_bytes(images).repeat_interleave(scale, 2).repeat_interleave(scale, 3)
    write_gif(list(large), path, facts, milliseconds=MILLISECONDS)


def read_animation(path: Path) -> dict[str, object]:
    """The provenance of such a file; empty for another."""
    with Image.open(path) as picture:
        comment = picture.info.get("comment", b"")
    try:
        labels = parse_json(comment)
    except ValueError:
        return {}
    return labels if isinstance(labels, dict) else {}


def write_separate(
    images: Tensor,
    folder: Path,
    facts: Mapping[str, object],
    suffix: str,
    *,
    names: Sequence[str] | None = None,
    visible_label: bool = False,
) -> None:
    """Write each image as `00000.png` and so on in `folder`, or in a folder a class in it, by the `names` of theirs."""
    folders = {} if names is None else class_folders(names)
    for number, picture in enumerate(to_bytes(images)):
        of_class = {} if names is None else {"class": names[number]}
        path = (folder if names is None else folder / folders[names[number]]) / f"{number:05d}{suffix}"
        write_picture(picture, path, {**facts, **of_class, "sample": number}, visible_label=visible_label)


def write_arrays(
    images: Tensor,
    path: Path,
    facts: Mapping[str, object],
    *,
    labels: Tensor | None = None,
    classes: Sequence[str] = (),
) -> None:
    """Write images as `.npz`: `images` uint8 (N, H, W, C), `labels` (N,) if given and the names of the `classes` that
    they are positions in, and `provenance` as JSON text, which the archive has as its comment too."""
    buffer = io.BytesIO()
    text = json.dumps(provenance.labels(facts), ensure_ascii=False)
    arrays: dict[str, Any] = {} if labels is None else {"labels": labels.numpy(), "classes": np.array(classes)}
    pictures = to_bytes(images).permute(0, 2, 3, 1).numpy()
    np.savez_compressed(buffer, images=pictures, provenance=np.array(text), **arrays)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.comment = json.dumps(provenance.labels(facts)).encode()
    write_file(path, buffer.getvalue())


def read_arrays(path: Path) -> tuple[Tensor, dict[str, object]]:
    """The images of such a file, uint8 (N, C, H, W), and its provenance."""
    with np.load(path, allow_pickle=False) as archive:
        labels = parse_json(str(archive["provenance"])) if "provenance" in archive.files else {}
        return torch.from_numpy(archive["images"]).permute(0, 3, 1, 2), labels
