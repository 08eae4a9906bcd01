"""Image files, looked at before they are read: which there are, their sizes, what is bad. Imports no torch, so that
what cannot be read is said at once."""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import psutil
from PIL import Image, UnidentifiedImageError

from genzoo.image import ImageTrainOptions
from genzoo.interface import folders
from genzoo.interface.errors import GenzooError, UsageError, one_line
from genzoo.interface.specs import TrainOptions

Array = npt.NDArray[np.generic]  # of an .npz
SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
MOST_PIXELS = 2**26  # a larger picture is taken for a decompression bomb
GREY = ("1", "L", "I", "I;16", "I;16B", "F", "LA")
FILES, BYTES = 4096, 2**24  # that are looked at before torch is imported; what is behind them, when the data are read


def check(paths: tuple[Path, ...], options: TrainOptions) -> None:
    """Look at what `--data` names: at the first files of a folder, and at an `.npz` that is not large. Raises
    `GenzooError` for what cannot be read."""
    assert isinstance(options, ImageTrainOptions), "the modality's own options are given"
    for path in paths:
        if path.is_dir():
            _check_folder(path, options)
        elif path.stat().st_size <= BYTES:
            for name, array in arrays_in(path).items():
                if name.endswith("images"):
                    pixels(array, path)


def _check_folder(folder: Path, options: ImageTrainOptions) -> None:
    paths, size = image_files(folder), 0
    first: list[Path] = []
    for path in paths[:FILES]:
        size += path.stat().st_size
        if first and size > BYTES:
            break
        first.append(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of what is refused or mended when it is read
        headers, bad = folders.read_files(first, _whole, "looking at image files", lambda *_: None, why=why_unreadable)
    if headers:
        shape_of(headers, folder, options)
    folders.refuse_bad_files(bad, len(first), folder, "image", skip=options.skip_bad_files)


def _whole(path: Path) -> tuple[tuple[int, int], str]:
    """The header of a picture that can be read to its end."""
    size_and_mode = header(path)
    with Image.open(path) as file:
        file.load()
    return size_and_mode


def image_files(folder: Path) -> list[Path]:
    """The files of images in a folder, at any depth. Raises `UsageError` if there is none."""
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    if not paths:
        raise UsageError(f"--data {folder} holds no image file; looked for {' '.join(sorted(SUFFIXES))}")
    return paths


def why_unreadable(error: Exception, path: Path) -> str:
    """What it means that a file cannot be read, in a few words."""
    if isinstance(error, UnidentifiedImageError):
        return "empty" if path.stat().st_size == 0 else "not an image"
    if isinstance(error, Image.DecompressionBombError):
        return "too large"
    return "truncated" if "truncated" in str(error).lower() else one_line(error)


def header(path: Path) -> tuple[tuple[int, int], str]:
    """The width and height of the picture in a file, and Pillow's word for its mode."""
    with Image.open(path) as file:
        if file.width * file.height > MOST_PIXELS:
            raise Image.DecompressionBombError
        turned = file.getexif().get(0x0112, 1) >= 5  # the EXIF orientation swaps the sides
        return (file.size[::-1] if turned else file.size), file.mode


def shape_of(
    headers: dict[Path, tuple[tuple[int, int], str]], folder: Path, options: ImageTrainOptions
) -> tuple[int, int, int]:
    """The channels, height and width that the pictures of a folder are read with. Raises `UsageError` where sizes
    differ."""
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


def arrays_in(path: Path) -> dict[str, Array]:
    """What is in an `.npz`. Raises `GenzooError` if it is none, or has no images."""
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
        raise GenzooError(f"{path} has no array 'images'; it holds {', '.join(arrays) or 'nothing'}")
    return arrays


def pixels(array: Array, source: object) -> npt.NDArray[np.uint8]:
    """Images of any layout that is allowed as (N, C, H, W). Raises `GenzooError` for others."""
    if array.ndim == 3:
        array = array[:, None]
    elif array.ndim == 4 and array.shape[-1] in (1, 3) and array.shape[1] not in (1, 3):
        array = array.transpose(0, 3, 1, 2)
    if array.ndim != 4 or array.shape[1] not in (1, 3):
        raise GenzooError(
            f"{source}: images have shape {array.shape}; allowed is (N, H, W), (N, H, W, C) or (N, C, H, W)"
        )
    if 0 in array.shape:
        raise GenzooError(f"{source}: images have shape {array.shape}; none of these may be 0")
    if array.dtype.kind == "f":
        if not (np.isfinite(array).all() and array.min() >= 0 and array.max() <= 1):
            raise GenzooError(f"{source}: images are floats outside [0, 1]")
        array = np.rint(array * 255).astype(np.uint8)
    if array.dtype != np.uint8:
        raise GenzooError(f"{source}: images are {array.dtype}; allowed is uint8, or floats in [0, 1]")
    return np.ascontiguousarray(array)
