"""Folders of images and `.npz` files as data sets. Each file is decoded once before a training starts, so that a bad
one is known then and not an hour later."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from PIL import Image, ImageOps
from torch import Tensor

from genzoo.image import ImageTrainOptions
from genzoo.image.data import ImageData, to_unit
from genzoo.image.sources import Array, arrays_in, header, image_files, pixels, shape_of, why_unreadable
from genzoo.interface import folders
from genzoo.interface.dataset import Part, Progress
from genzoo.interface.errors import GenzooError, UsageError

PREFIXES = {"train": "", "validation": "validation_", "test": "test_"}  # of the arrays of an .npz


@dataclass(frozen=True)
class ImageFiles:
    """Image files of one shape, read when asked for. Each item is a uint8 tensor (C, H, W)."""

    paths: tuple[Path, ...]
    shape: tuple[int, int, int]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Tensor:
        return read_image(self.paths[index], self.shape)


def read_image(path: Path, shape: tuple[int, int, int]) -> Tensor:
    """The picture in a file as uint8 (C, H, W); scaled to cover the size and cropped to it where it differs."""
    channels, height, width = shape
    with Image.open(path) as file:
        picture = ImageOps.exif_transpose(file)
        if picture.mode.startswith("I"):  # 16 bits a pixel
            picture = Image.fromarray((np.asarray(picture).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))
        if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
            picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture.convert("RGBA"))
        picture = picture.convert("L" if channels == 1 else "RGB")
        if picture.size != (width, height):
            picture = ImageOps.fit(picture, (width, height), Image.Resampling.LANCZOS)
        array = np.array(picture).reshape(height, width, channels)
    return torch.from_numpy(array).permute(2, 0, 1).contiguous()


def load_image(path: str | Path, shape: tuple[int, ...]) -> Tensor:
    """The picture in a file as an image (C, H, W) in [0, 1]; scaled to cover the size and cropped to it where it
    differs. Raises `UsageError` for a file that cannot be read."""
    where = Path(path).expanduser()
    if not where.is_file():
        raise UsageError(f"{path} is not a file")
    channels, height, width = shape
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of what is refused or mended here
            image = read_image(where, (channels, height, width))
    except Exception as error:  # a decoder meets a broken file in its own way
        raise UsageError(f"{path} cannot be read as a picture: {why_unreadable(error, where)}") from None
    return to_unit(image)


def load_folder(folder: Path, options: ImageTrainOptions, progress: Progress) -> ImageData:
    """A folder of images: class subfolders become labels, `train`, `validation` and `test` subfolders the parts;
    without the latter every tenth image of a class is for test. Raises `GenzooError` naming files that cannot be
    read."""
    paths = image_files(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of what is refused or mended here
        headers, bad = folders.read_files(paths, header, "looking at image files", progress, why=why_unreadable)
        if not headers:
            named = folders.named_files(bad, folder)
            raise GenzooError(f"none of the {len(paths)} image files in {folder} can be read: {named}")
        shape = shape_of(headers, folder, options)
        size = len(headers) * shape[0] * shape[1] * shape[2]
        keep = options.data_loading == "memory" or (
            options.data_loading == "auto" and size < psutil.virtual_memory().available // 2
        )
        read = folders.read_examples(
            list(headers), folder, lambda path: read_image(path, shape), "reading (images)", progress,
            why=why_unreadable, keep=keep, first=repr(shape),
        )  # fmt: skip
    bad |= read.bad
    folders.refuse_bad_files(bad, len(paths), folder, "image", skip=options.skip_bad_files)
    parts, classes = folders.split_folder(read.readable, folder, "image")
    skipped = tuple(sorted(path.relative_to(folder).as_posix() for path in bad))

    def images(part: Part) -> Tensor | ImageFiles | None:
        paths = tuple(parts[part])
        if not paths:
            return None
        return torch.stack([read.examples[path] for path in paths]) if keep else ImageFiles(paths, shape)

    def labels(part: Part) -> Tensor | None:
        return torch.tensor(list(parts[part].values())) if classes and parts[part] else None

    train, test = images("train"), images("test")
    assert train is not None, "a split has training images"
    assert test is not None, "a split has test images"
    return ImageData(
        train_images=train, train_labels=labels("train"), validation_images=images("validation"),
        validation_labels=labels("validation"), test_images=test, test_labels=labels("test"),
        classes=classes, skipped=skipped, fingerprint=read.fingerprint,
    )  # fmt: skip


def load_npz(path: Path) -> ImageData:
    """The arrays in an `.npz`; see `from_arrays`."""
    return from_arrays(arrays_in(path), path)


def from_arrays(arrays: Mapping[str, Array], source: object) -> ImageData:
    """Arrays by name: `images` ((N, H, W), (N, H, W, C) or (N, C, H, W); uint8, or floats in [0, 1]), perhaps `labels`
    (N,), perhaps `test_images` and `test_labels`, and `validation_images` and `validation_labels`; without test images
    every tenth is for test. With `classes`, the names of these, labels are positions in it. Errors begin with the
    `source`."""
    prefixes = {part: prefix for part, prefix in PREFIXES.items() if f"{prefix}images" in arrays}
    images = {part: torch.from_numpy(pixels(arrays[f"{prefix}images"], source)) for part, prefix in prefixes.items()}
    numbers = {part: arrays.get(f"{prefix}labels") for part, prefix in prefixes.items()}
    classes, labels = _labels(numbers, arrays.get("classes"), source)
    for part, values in labels.items():
        if values is not None and len(values) != len(images[part]):
            raise GenzooError(f"{source} has {len(images[part])} images and {len(values)} labels")
    if "test" not in images:
        count = len(images["train"])
        if count < 2:
            raise GenzooError(f"{source} holds {count} image; training and test need one each at least")
        mask = torch.arange(count) % 10 == min(9, count - 1)
        every = labels["train"]
        images |= {"train": images["train"][~mask], "test": images["train"][mask]}
        labels |= {"train": None if every is None else every[~mask], "test": None if every is None else every[mask]}
    return ImageData(
        train_images=images["train"],
        train_labels=labels["train"],
        validation_images=images.get("validation"),
        validation_labels=labels.get("validation"),
        test_images=images["test"],
        test_labels=labels["test"],
        classes=classes,
    )


def _labels(
    parts: dict[str, Array | None], classes: Array | None, source: object
) -> tuple[tuple[str, ...], dict[str, Tensor | None]]:
    """The names of the classes of all parts, and the labels of each as positions among them. `classes` are the names
    where the labels are such positions already."""
    known = {part: values for part, values in parts.items() if values is not None}
    if not known:
        return (), dict.fromkeys(parts)
    for values in known.values():
        if values.ndim != 1:
            raise GenzooError(f"{source}: labels have shape {values.shape}; allowed is (N,), one for each image")
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise GenzooError(
                f"{source}: labels are not all numbers; allowed is a finite number or a text for each image"
            )
    if missing := [part for part in parts if part not in known]:
        raise GenzooError(f"{source} has labels of {', '.join(known)} images and none of {', '.join(missing)} images")
    if classes is not None:
        parts = {part: None if values is None else _named(values, classes, source) for part, values in parts.items()}
        known = {part: values for part, values in parts.items() if values is not None}
    names, numbers = np.unique(np.concatenate(list(known.values())), return_inverse=True)
    every, labels, start = torch.from_numpy(numbers.astype(np.int64)), {}, 0
    for part, values in known.items():
        labels[part] = every[start : start + len(values)]
        start += len(values)
    return tuple(map(str, names)), {**dict.fromkeys(parts), **labels}


def _named(labels: Any, classes: Array, source: object) -> Array:
    """The names of labels that are positions in `classes`."""
    inside = classes.ndim == 1 and labels.dtype.kind in "iu" and ((labels >= 0) & (labels < len(classes))).all()
    if not inside:
        raise GenzooError(f"{source}: with `classes`, labels are whole numbers from 0 to {len(classes) - 1}")
    names: Array = classes.astype(str)[labels]
    return names
