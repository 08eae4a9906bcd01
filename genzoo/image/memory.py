"""Images that Python has in memory: arrays and tensors, data sets of torch and of Hugging Face."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

import numpy as np
import psutil
from PIL import Image
from torch import Tensor

from genzoo.image.data import ImageData
from genzoo.image.files import PREFIXES, from_arrays
from genzoo.image.sources import GREY, Array
from genzoo.interface.dataset import Part, Progress
from genzoo.interface.errors import UsageError

ALLOWED = (
    "an array or tensor of images, (images, labels), a dictionary of arrays as in an .npz, a torch Dataset, a"
    " datasets.Dataset, or a dictionary of such for 'train', 'validation' and 'test'"
)
NAMES_OF_IMAGES, NAMES_OF_LABELS = ("image", "images", "img"), ("label", "labels")  # of columns
SOURCE = "the data"  # what errors begin with


def image_data(data: object, progress: Progress) -> ImageData:
    """What is in memory as a data set, in parts by the rule of an `.npz`. Raises `UsageError` for what is none, and
    `GenzooError` for images that cannot be taken."""
    if isinstance(data, ImageData):
        return data
    if not (isinstance(data, Mapping) and data and set(data) <= set(get_args(Part))):
        return from_arrays(_arrays(data, progress), SOURCE)
    if "train" not in data:
        raise UsageError(f"{SOURCE} have the parts {', '.join(data)}, and no 'train'")
    parts = {part: _arrays(value, progress) for part, value in data.items()}
    arrays = {
        PREFIXES[part] + name: parts[part][name] for part in parts for name in ("images", "labels") & parts[part].keys()
    }
    return from_arrays(arrays | {name: parts["train"][name] for name in {"classes"} & parts["train"].keys()}, SOURCE)


def _arrays(data: Any, progress: Progress) -> dict[str, Array]:
    """Arrays by the names that they have in an `.npz`."""
    if isinstance(data, Mapping):
        if "images" not in data:
            raise UsageError(f"{SOURCE} are a dictionary without 'images'; allowed is {ALLOWED}")
        return {name: _array(values) for name, values in data.items() if values is not None}
    if isinstance(data, (np.ndarray, Tensor)):
        return {"images": _array(data)}
    if isinstance(data, (tuple, list)) and len(data) == 2 and all(hasattr(part, "shape") for part in data[:1]):
        return {"images": _array(data[0]), "labels": _array(data[1])}
    if hasattr(data, "column_names") and hasattr(data, "features"):
        return _columns(data, progress)
    if hasattr(data, "__len__") and hasattr(data, "__getitem__") and not isinstance(data, (str, bytes)):
        return _items(data, progress)
    raise UsageError(f"a {type(data).__name__} is no data set of images; allowed is {ALLOWED}")


def _array(values: Any) -> Array:
    if isinstance(values, Tensor):
        values = values.detach().cpu()
        values = values.float() if values.is_floating_point() else values
    return np.asarray(values)


def _picture(value: Any, number: int) -> Array:
    """An item's image: a picture of Pillow, an array or a tensor."""
    if isinstance(value, Image.Image):
        return np.asarray(value.convert("L" if value.mode in GREY else "RGB"))
    if not isinstance(value, (np.ndarray, Tensor)):
        raise UsageError(f"item {number} of {SOURCE} has a {type(value).__name__} for an image; allowed is {ALLOWED}")
    return _array(value)


def _stacked(pictures: Sequence[Array]) -> Array:
    shapes = sorted({picture.shape for picture in pictures})
    if len(shapes) > 1:
        raise UsageError(f"the images of {SOURCE} differ in shape: {shapes[0]} and {shapes[-1]}; resize them")
    return np.stack(pictures)


def _read(count: int, take: Any, progress: Progress) -> list[Any]:
    """All items, of which each begins with its image. Raises `UsageError` for none, or more than fit in memory."""
    if not count:
        raise UsageError(f"{SOURCE} hold no image")
    items = []
    for number in range(count):
        image, *rest = take(number)
        items.append((_picture(image, number), *rest))
        if not number and items[0][0].nbytes * count > psutil.virtual_memory().available // 2:
            raise UsageError(
                f"{SOURCE} take more than half of the free memory; write them as files, and give the folder"
            )
        progress("reading (images)", number + 1, count)
    return items


def _items(data: Any, progress: Progress) -> dict[str, Array]:
    """The items of a torch `Dataset`, or of a list of pictures: an image each, or an image and its label."""

    def take(number: int) -> tuple[Any, ...]:
        item = data[number]
        return tuple(item[:2]) if isinstance(item, (tuple, list)) else (item,)

    items = _read(len(data), take, progress)
    arrays = {"images": _stacked([item[0] for item in items])}
    if len(items[0]) == 2:
        arrays["labels"] = np.array([_array(item[1])[()] for item in items])
    names = getattr(data, "classes", None)
    if names is not None and "labels" in arrays and arrays["labels"].dtype.kind in "iu":
        arrays["classes"] = np.array([str(name) for name in names])
    return arrays


def _columns(data: Any, progress: Progress) -> dict[str, Array]:
    """The columns of a `datasets.Dataset` that have images and labels."""
    kinds = {name: type(feature).__name__ for name, feature in (data.features or {}).items()}
    images = [name for name, kind in kinds.items() if kind == "Image"] or [n for n in NAMES_OF_IMAGES if n in kinds]
    if not images:
        raise UsageError(f"{SOURCE} have no column of images; there is {', '.join(data.column_names)}")
    labels = [name for name, kind in kinds.items() if kind == "ClassLabel"] or [
        n for n in NAMES_OF_LABELS if n in kinds
    ]
    wanted = [images[0], *labels[:1]]

    def take(number: int) -> tuple[Any, ...]:
        row = data[number]
        image = row[wanted[0]]
        return (np.asarray(image, np.uint8) if isinstance(image, list) else image, *(row[name] for name in wanted[1:]))

    items = _read(len(data), take, progress)
    arrays = {"images": _stacked([item[0] for item in items])}
    if labels:
        arrays["labels"] = np.array([_array(item[1])[()] for item in items])
        if kinds[labels[0]] == "ClassLabel":
            arrays["classes"] = np.array(data.features[labels[0]].names)
    return arrays
