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
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import psutil
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from genzoo.image import ImageTrainOptions
from genzoo.image.data import ImageData, to_unit
from genzoo.interface.dataset import Progress
from genzoo.interface.errors import GenzooError, UsageError, one_line

T = TypeVar("T")
Array = npt.NDArray[np.generic]  # of an .npz
SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
VALIDATION = ("val", "valid", "validation")
MOST_PIXELS = 2**26  # a larger picture is taken for a decompression bomb
PREFIXES = {"train": "", "validation": "validation_", "test": "test_"}  # of the arrays of an .npz
GREY = ("1", "L", "I", "I;16", "I;16B", "F", "LA")


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
    """A folder of images: class subfolders become labels, `train`, `validation` and `test` subfolders the parts;
    without the latter every tenth image of a class is for test. Raises `GenzooError` naming files that cannot be
    read."""
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
    readable: list[Path] = []
    pictures: dict[Path, Tensor] = {}
    for start in range(0, len(good), 4096):  # in parts, so that what is not kept is let go
        part = good[start : start + 4096]
        read, worse = _read_all(
            part, lambda path: read_image(path, shape), "reading (images)", progress, start, len(good)
        )
        bad.update(worse)
        for path in part:
            if path in read:
                digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
                digest.update(read[path].numpy().data)
        readable.extend(read)
        pictures.update(read if keep else {})
    _refuse(bad, len(paths), folder, options.skip_bad_files)
    parts, classes = _split(readable, folder)
    skipped = tuple(sorted(path.relative_to(folder).as_posix() for path in bad))

    def images(part: str) -> Tensor | ImageFiles | None:
        paths = tuple(parts[part])
        if not paths:
            return None
        return torch.stack([pictures[path] for path in paths]) if keep else ImageFiles(paths, shape)

    def labels(part: str) -> Tensor | None:
        return torch.tensor(list(parts[part].values())) if classes and parts[part] else None

    train, test = images("train"), images("test")
    assert train is not None, "a split has training images"
    assert test is not None, "a split has test images"
    return ImageData(
        train_images=train, train_labels=labels("train"), validation_images=images("validation"),
        validation_labels=labels("validation"), test_images=test, test_labels=labels("test"),
        classes=classes, skipped=skipped, fingerprint=digest.hexdigest(),
    )  # fmt: skip


def _read_all(
    paths: list[Path],
    read: Callable[[Path], T],
    activity: str,
    progress: Progress,
    done: int = 0,
    total: int = 0,
) -> tuple[dict[Path, T], dict[Path, str]]:
    """What `read` gives for each path, and why it failed for the others."""
    good: dict[Path, T] = {}
    bad: dict[Path, str] = {}
    with warnings.catch_warnings(), ThreadPoolExecutor(os.cpu_count()) as pool:
        warnings.simplefilter("ignore")  # Pillow warns of what is refused or mended here
        for path, result in zip(paths, pool.map(lambda p: _attempt(read, p), paths), strict=True):
            if isinstance(result, str):
                bad[path] = result
            else:
                good[path] = result
            done += 1
            if done % 64 == 0 or done == (total or len(paths)):
                progress(activity, done, total or len(paths))
    return good, bad


def _attempt(read: Callable[[Path], T], path: Path) -> T | str:
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


Split = dict[str, dict[Path, int]]


def _split(paths: list[Path], folder: Path) -> tuple[Split, tuple[str, ...]]:
    """The files of each part with their labels, and the names of the classes."""
    top = {path.relative_to(folder).parts[0] for path in paths}
    part_of = _parts_by_folder(top)
    depth = 1 if part_of else 0

    def label(path: Path) -> str:
        below = path.relative_to(folder).parts
        return below[depth] if len(below) > depth + 1 else ""

    names = sorted({label(path) for path in paths})
    number = {name: i for i, name in enumerate(names)}
    parts: Split = {"train": {}, "validation": {}, "test": {}}
    seen = dict.fromkeys(names, 0)
    for path in paths:
        name = label(path)
        seen[name] += 1
        tenth = "test" if seen[name] % 10 == 0 else "train"
        parts[part_of[path.relative_to(folder).parts[0]] if part_of else tenth][path] = number[name]
    train, test = parts["train"], parts["test"]
    if not test and len(train) > 1:  # fewer than ten of each class
        last = list(train)[-1]
        test[last] = train.pop(last)
    if not train or not test:
        raise GenzooError(f"--data {folder} holds {len(paths)} image; training and test need one each at least")
    return parts, () if "" in names else tuple(names)


def _parts_by_folder(top: set[str]) -> dict[str, str]:
    """The part that each folder at the top is, if they are `train` and others; none if they are classes. Of two, the
    other is for test, whatever its name."""
    others = top - {"train"}
    if "train" not in top or not others or not others <= {"test", *VALIDATION}:
        return {}
    if len(others) == 1:
        return {"train": "train", others.pop(): "test"}
    if "test" in others and len(others) == 2:
        return {"train": "train", **{name: "test" if name == "test" else "validation" for name in others}}
    return {}


def load_npz(path: Path) -> ImageData:
    """An `.npz` with `images` ((N, H, W), (N, H, W, C) or (N, C, H, W); uint8, or floats in [0, 1]), perhaps `labels`
    (N,), perhaps `test_images` and `test_labels`, and `validation_images` and `validation_labels`; without test images
    every tenth is for test."""
    arrays = _arrays(path)
    if "images" not in arrays:
        raise GenzooError(f"{path} has no array 'images'; it holds {', '.join(arrays) or 'nothing'}")
    prefixes = {part: prefix for part, prefix in PREFIXES.items() if f"{prefix}images" in arrays}
    images = {part: _pixels(arrays[f"{prefix}images"], path) for part, prefix in prefixes.items()}
    classes, labels = _labels({part: arrays.get(f"{prefix}labels") for part, prefix in prefixes.items()}, path)
    for part, values in labels.items():
        if values is not None and len(values) != len(images[part]):
            raise GenzooError(f"{path} has {len(images[part])} images and {len(values)} labels")
    if "test" not in images:
        count = len(images["train"])
        if count < 2:
            raise GenzooError(f"{path} holds {count} image; training and test need one each at least")
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


def _arrays(path: Path) -> dict[str, Array]:
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > psutil.virtual_memory().available // 2:
            raise GenzooError(f"{path} unpacks to {size:,} bytes, more than half of the free memory")
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
        raise GenzooError(f"{path} cannot be read as .npz: {one_line(error)}") from None


def _pixels(array: Array, path: Path) -> Tensor:
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


def _labels(parts: dict[str, Array | None], path: Path) -> tuple[tuple[str, ...], dict[str, Tensor | None]]:
    """The names of the classes of all parts, and the labels of each as positions among them."""
    known = {part: values for part, values in parts.items() if values is not None}
    if not known:
        return (), dict.fromkeys(parts)
    if missing := [part for part in parts if part not in known]:
        raise GenzooError(f"{path} has labels of {', '.join(known)} images and none of {', '.join(missing)} images")
    names, numbers = np.unique(np.concatenate(list(known.values())), return_inverse=True)
    every, labels, start = torch.from_numpy(numbers.astype(np.int64)), {}, 0
    for part, values in known.items():
        labels[part] = every[start : start + len(values)]
        start += len(values)
    return tuple(map(str, names)), {**dict.fromkeys(parts), **labels}
