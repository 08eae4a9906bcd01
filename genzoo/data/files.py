"""Folders of images and `.npz` files as data sets. Each file is decoded once before a training starts, so that a bad
one is known then and not an hour later."""

from __future__ import annotations

import hashlib
import os
import warnings
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from genzoo.data.images import ImageData, to_unit
from genzoo.errors import GenzooError, UsageError, one_line
from genzoo.spec import ImageTrainOptions

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
HELD_OUT = ("test", "val", "valid", "validation")
MOST_PIXELS = 2**26  # a larger picture is taken for a decompression bomb
GREY = ("1", "L", "I", "I;16", "I;16B", "F", "LA")
Progress = Callable[[str, int, int], None]


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
    image = _attempt(lambda file: read_image(file, (channels, height, width)), where)
    if isinstance(image, str):
        raise UsageError(f"{path} cannot be read as a picture: {image}")
    return to_unit(image)


def load_folder(folder: Path, options: ImageTrainOptions, progress: Progress) -> ImageData:
    """A folder of images: class subfolders become labels, `train` and `test` subfolders the two parts; without the
    latter every tenth image of a class is held out. Raises `GenzooError` naming files that cannot be read."""
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    if not paths:
        raise UsageError(f"--data {folder} holds no image file; looked for {' '.join(sorted(SUFFIXES))}")
    headers, bad = _read_all(paths, _header, "looking at image files", progress)
    if not headers:
        raise GenzooError(f"none of the {len(paths)} image files in {folder} can be read: {_named(bad, folder)}")
    shape = _shape(headers, folder, options)
    good = [path for path in paths if path in headers]
    size = len(good) * shape[0] * shape[1] * shape[2]
    keep = options.data_loading == "memory" or (
        options.data_loading == "auto" and size < psutil.virtual_memory().available // 2
    )
    digest = hashlib.sha256(repr(shape).encode())
    pictures: dict[Path, Any] = {}
    for start in range(0, len(good), 4096):  # in parts, so that what is not kept is let go
        part = good[start : start + 4096]
        read, worse = _read_all(
            part, lambda path: read_image(path, shape), "reading images", progress, start, len(good)
        )
        bad.update(worse)
        for path in part:
            if path in read:
                digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
                digest.update(memoryview(read[path].numpy()))
        pictures.update(read if keep else dict.fromkeys(read))
    _refuse(bad, len(paths), folder, options.skip_bad_files)
    train, test, classes = _split(list(pictures), folder)
    skipped = tuple(sorted(path.relative_to(folder).as_posix() for path in bad))

    def images(part: dict[Path, int]) -> Tensor | ImageFiles:
        return torch.stack([pictures[p] for p in part]) if keep else ImageFiles(tuple(part), shape)

    def labels(part: dict[Path, int]) -> Tensor | None:
        return torch.tensor(list(part.values())) if classes else None

    return ImageData(
        train_images=images(train), train_labels=labels(train), test_images=images(test), test_labels=labels(test),
        classes=classes, skipped=skipped, fingerprint=digest.hexdigest(),
    )  # fmt: skip


def _read_all(
    paths: list[Path],
    read: Callable[[Path], Any],
    what: str,
    progress: Progress,
    done: int = 0,
    total: int = 0,
) -> tuple[dict[Path, Any], dict[Path, str]]:
    """What `read` gives for each path, and why it failed for the others."""
    good: dict[Path, Any] = {}
    bad: dict[Path, str] = {}
    with warnings.catch_warnings(), ThreadPoolExecutor(os.cpu_count()) as pool:
        warnings.simplefilter("ignore")  # Pillow warns of what is refused or mended here
        for path, result in zip(paths, pool.map(lambda p: _attempt(read, p), paths), strict=True):
            (bad if isinstance(result, str) else good)[path] = result
            done += 1
            if done % 64 == 0 or done == (total or len(paths)):
                progress(what, done, total or len(paths))
    return good, bad


def _attempt(read: Callable[[Path], Any], path: Path) -> Any:
    try:
        return read(path)
    except UnidentifiedImageError:
        return "empty" if path.stat().st_size == 0 else "not an image"
    except Image.DecompressionBombError:
        return "too large"
    except Exception as error:  # a decoder meets a broken file in its own way
        return "truncated" if "truncated" in str(error).lower() else one_line(error)


def _header(path: Path) -> tuple[tuple[int, int], str]:
    with Image.open(path) as file:
        if file.width * file.height > MOST_PIXELS:
            raise Image.DecompressionBombError
        turned = file.getexif().get(0x0112, 1) >= 5  # the EXIF orientation swaps the sides
        return (file.size[::-1] if turned else file.size), file.mode


def _refuse(bad: dict[Path, str], count: int, folder: Path, skip: bool) -> None:
    if bad and not skip:
        raise GenzooError(
            f"{len(bad)} of {count} image files in {folder} cannot be read: {_named(bad, folder)};"
            " mend or remove them, or give --skip-bad-files"
        )


def _named(bad: dict[Path, str], folder: Path) -> str:
    first = [f"{path.relative_to(folder)} ({why})" for path, why in sorted(bad.items())[:10]]
    return ", ".join(first) + (f" and {len(bad) - 10} more" if len(bad) > 10 else "")


def _shape(
    headers: dict[Path, tuple[tuple[int, int], str]], folder: Path, options: ImageTrainOptions
) -> tuple[int, int, int]:
    sizes, modes = {size for size, _ in headers.values()}, {mode for _, mode in headers.values()}
    channels = options.channels or (1 if modes <= set(GREY) else 3)
    if options.image_size:
        return channels, options.image_size, options.image_size
    if len(sizes) > 1:
        least, most = min(sizes), max(sizes)
        raise UsageError(
            f"the images in {folder} have {len(sizes)} sizes, from {least[0]}x{least[1]} to {most[0]}x{most[1]};"
            " give --image-size"
        )
    width, height = sizes.pop()
    return channels, height, width


def _split(paths: list[Path], folder: Path) -> tuple[dict[Path, int], dict[Path, int], tuple[str, ...]]:
    """Training and test files with their labels, and the names of the classes."""
    top = {path.relative_to(folder).parts[0] for path in paths}
    held_out = next((name for name in HELD_OUT if top == {"train", name}), None)
    depth = 1 if held_out else 0

    def label(path: Path) -> str:
        parts = path.relative_to(folder).parts
        return parts[depth] if len(parts) > depth + 1 else ""

    names = sorted({label(path) for path in paths})
    number = {name: i for i, name in enumerate(names)}
    parts: tuple[dict[Path, int], dict[Path, int]] = ({}, {})
    seen = dict.fromkeys(names, 0)
    for path in paths:
        name = label(path)
        seen[name] += 1
        test = path.relative_to(folder).parts[0] == held_out if held_out else seen[name] % 10 == 0
        parts[test][path] = number[name]
    if not parts[1] and len(parts[0]) > 1:  # fewer than ten of each class
        last = list(parts[0])[-1]
        parts[1][last] = parts[0].pop(last)
    if not parts[0] or not parts[1]:
        raise GenzooError(f"--data {folder} holds {len(paths)} image; training and test need one each at least")
    return parts[0], parts[1], () if "" in names else tuple(names)


def load_npz(path: Path, options: ImageTrainOptions) -> ImageData:
    """An `.npz` with `images` ((N, H, W), (N, H, W, C) or (N, C, H, W); uint8, or floats in [0, 1]), perhaps `labels`
    (N,), perhaps `test_images` and `test_labels`; without the latter every tenth image is held out."""
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > psutil.virtual_memory().available // 2:
            raise GenzooError(f"{path} unpacks to {size:,} bytes, more than half of the free memory")
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
        raise GenzooError(f"{path} cannot be read as .npz: {one_line(error)}") from None
    if "images" not in arrays:
        held = ", ".join(arrays) or "nothing"
        raise GenzooError(f"{path} has no array 'images'; it holds {held}")
    images = _pixels(arrays["images"], path)
    values = arrays.get("labels")
    classes, labels = _labels(values, arrays.get("test_labels"))
    if values is not None and len(values) != len(images):
        raise GenzooError(f"{path} has {len(images)} images and {len(values)} labels")
    if "test_images" in arrays:
        test = _pixels(arrays["test_images"], path)
        return ImageData(
            train_images=images,
            test_images=test,
            train_labels=labels[0],
            test_labels=labels[1],
            classes=classes,
        )
    if len(images) < 2:
        raise GenzooError(f"{path} holds {len(images)} image; training and test need one each at least")
    mask = torch.arange(len(images)) % 10 == min(9, len(images) - 1)
    own = (None, None) if labels[0] is None else (labels[0][~mask], labels[0][mask])
    return ImageData(
        train_images=images[~mask],
        test_images=images[mask],
        train_labels=own[0],
        test_labels=own[1],
        classes=classes,
    )


def _pixels(array: np.ndarray[Any, Any], path: Path) -> Tensor:
    if array.ndim == 3:
        array = array[:, None]
    elif array.ndim == 4 and array.shape[-1] in (1, 3) and array.shape[1] not in (1, 3):
        array = array.transpose(0, 3, 1, 2)
    if array.ndim != 4 or array.shape[1] not in (1, 3):
        raise GenzooError(
            f"{path}: images have shape {array.shape}; allowed is (N, H, W), (N, H, W, C) or (N, C, H, W)"
        )
    if array.dtype.kind == "f":
        if not (np.isfinite(array).all() and array.min() >= 0 and array.max() <= 1):
            raise GenzooError(f"{path}: images are floats outside [0, 1]")
        array = np.rint(array * 255).astype(np.uint8)
    if array.dtype != np.uint8:
        raise GenzooError(f"{path}: images are {array.dtype}; allowed is uint8, or floats in [0, 1]")
    return torch.from_numpy(np.ascontiguousarray(array))


def _labels(
    train: np.ndarray[Any, Any] | None, test: np.ndarray[Any, Any] | None
) -> tuple[tuple[str, ...], tuple[Tensor | None, Tensor | None]]:
    if train is None:
        return (), (None, None)
    names, numbers = np.unique(np.concatenate([train] if test is None else [train, test]), return_inverse=True)
    every = torch.from_numpy(numbers.astype(np.int64))
    return tuple(map(str, names)), (every[: len(train)], None if test is None else every[len(train) :])


def tick(_what: str, _done: int, _total: int) -> None:
    """A `Progress` that shows nothing."""
