"""Images as genzoo knows them: what each promise of a modality is for pictures."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from genzoo.image import PICTURES, ImageTrainOptions, ImageWriteOptions
from genzoo.image import write as writing
from genzoo.image.data import ImageData, to_unit
from genzoo.image.features import quick_distance
from genzoo.image.figure import PRINTED, read_printed
from genzoo.image.files import load_folder, load_image, load_npz
from genzoo.image.memory import image_data
from genzoo.image.reference import ImageReference, image_reference
from genzoo.image.survey import survey_folder, survey_npz
from genzoo.interface.dataset import Dataset, Progress
from genzoo.interface.errors import GenzooError
from genzoo.interface.generator import Generator
from genzoo.interface.measures import EvaluationRequest
from genzoo.interface.modality import DataSurvey, Modality, SampleSpace
from genzoo.interface.pictures import read_labels, read_picture
from genzoo.interface.specs import DataSpec, TrainOptions, WriteOptions

QUICK = 500  # samples in a score while training
DISTANCE = "frechet_distance"


class ImageModality(Modality[Tensor]):
    """Images: a sample is a float32 tensor (C, H, W) in [0, 1], several are (N, C, H, W)."""

    # Data

    def open(
        self, paths: tuple[Path, ...], options: TrainOptions, kept: Mapping[str, bytes], progress: Progress
    ) -> ImageData:
        assert isinstance(options, ImageTrainOptions), "the modality's own options are given"
        (path,) = paths
        data = load_npz(path) if path.suffix.lower() == ".npz" else load_folder(path, options, progress)
        return data.with_validation(options.validation)

    def survey(self, paths: tuple[Path, ...], progress: Progress) -> DataSurvey:
        (path,) = paths
        return survey_npz(path) if path.suffix.lower() == ".npz" else survey_folder(path, progress)

    def take(self, data: object, options: TrainOptions, kept: Mapping[str, bytes], progress: Progress) -> ImageData:
        return image_data(data, progress).with_validation(options.validation)

    # Samples

    def check(self, samples: object, count: int, data: DataSpec, *, strict: bool = False) -> Tensor:
        promised = f"promised are floats of shape {(count, *data.shape)} in [0, 1]"
        if not isinstance(samples, Tensor):
            raise GenzooError(f"the model gave a {type(samples).__name__} for {count} samples; {promised}")
        if tuple(samples.shape) != (count, *data.shape):
            raise GenzooError(f"the model gave shape {tuple(samples.shape)} for {count} samples; {promised}")
        if not bool(torch.isfinite(samples).all()):
            raise GenzooError(f"the model gave numbers that are not finite; {promised}")
        if strict and not samples.is_floating_point():
            raise GenzooError(f"the model gave {samples.dtype}; {promised}")
        if strict and count and not 0 <= samples.min().item() <= samples.max().item() <= 1:
            low, high = samples.min().item(), samples.max().item()
            raise GenzooError(f"the model gave numbers in [{low:.3g}, {high:.3g}]; {promised}")
        return samples.float().clamp(0, 1).cpu()

    def data_of(self, samples: object) -> DataSpec | None:
        if not isinstance(samples, Tensor) or samples.ndim < 4 or samples.shape[-3] not in (1, 3):
            return None
        return DataSpec(
            name="", modality="image", shape=tuple(samples.shape[-3:]), train_count=0, validation_count=0,
            test_count=0, fingerprint="",
        )  # fmt: skip

    def join(self, parts: Sequence[Tensor], data: DataSpec) -> Tensor:
        return torch.cat(list(parts)) if parts else torch.empty(0, *data.shape)

    def write(
        self, samples: Tensor, path: Path, facts: Mapping[str, object], options: WriteOptions,
        data: DataSpec, labels: Tensor | None = None,
    ) -> None:  # fmt: skip
        assert isinstance(options, ImageWriteOptions), "the modality's own options are given"
        visible = options.visible_label
        names = None if labels is None else [data.classes[number] for number in labels.tolist()]
        if options.separate:
            suffix = f".{options.format or 'png'}"
            writing.write_separate(samples, path, facts, suffix, names=names, visible_label=visible)
            return
        if names is not None:
            facts = {**facts, "classes": [name for name in data.classes if name in names]}
        if path.suffix.lower() == ".npz":
            writing.write_arrays(samples, path, facts, labels=labels, classes=data.classes)
        elif path.suffix.lower() == ".gif":
            writing.write_animation(samples, path, facts, scale=options.scale)
        else:
            writing.write_grid(samples, path, facts, options, labels=labels, classes=data.classes)

    def write_rows(self, rows: Sequence[Tensor], path: Path, facts: Mapping[str, object], data: DataSpec) -> None:
        if path.suffix.lower() not in (".npz", ".gif"):
            writing.write_rows(rows, path, facts)
        else:
            super().write_rows(rows, path, facts, data)

    def preview(self, path: Path) -> Tensor | str:
        if path.suffix.lower() in (*PICTURES, ".gif"):
            return read_picture(path)
        if path.suffix.lower() in PRINTED:
            return f"{path.name}: a grid for print"
        return writing.grid(to_unit(writing.read_arrays(path)[0]))

    def read(self, path: Path, data: DataSpec) -> Tensor:
        return load_image(path, data.shape)[None]

    def provenance(self, path: Path) -> dict[str, object]:
        if path.suffix.lower() in PICTURES:
            return read_labels(path)
        if path.suffix.lower() == ".gif":
            return writing.read_animation(path)
        return read_printed(path) if path.suffix.lower() in PRINTED else writing.read_arrays(path)[1]

    # Scores and measures

    def score(
        self, model: Generator, dataset: Dataset, data: DataSpec, draw: Callable[[int], Tensor]
    ) -> dict[str, float]:
        """As `Modality.score`; for a model that is best by it, also the Fréchet distance of 500 samples from validation
        images in an untrained network's features."""
        assert isinstance(dataset, ImageData), "the modality's own data are given"
        scores = super().score(model, dataset, data, draw)
        if model.best_by and model.best_by[0].endswith(DISTANCE):
            dataset.distance = dataset.distance or quick_distance(dataset, data)
            scores[DISTANCE] = dataset.distance(draw(QUICK))
        return scores

    def reference(
        self, dataset: Dataset, data: DataSpec, request: EvaluationRequest, progress: Progress
    ) -> ImageReference:
        assert isinstance(dataset, ImageData), "the modality's own data are given"
        return image_reference(dataset, data, request, self.spec)

    # Conformance

    def example(self, folder: Path) -> dict[str, object]:
        """Bright blobs on noise at four heights, 28x28 grey, with labels."""
        rng = np.random.default_rng(0)
        labels = np.arange(64) % 4
        places = np.linspace(-1, 1, 28)
        blobs = np.exp(-4 * ((places[:, None] - (labels[:, None, None] - 1.5) / 3) ** 2 + places**2))
        images = (200 * blobs + rng.integers(0, 50, blobs.shape)).astype(np.uint8)
        path = folder / "images.npz"
        np.savez(path, images=images[:48], labels=labels[:48], test_images=images[48:], test_labels=labels[48:])
        return {"data": str(path)}

    def sample_spaces(self, folder: Path) -> list[SampleSpace]:
        """Four black or white pixels; one and two pixels of 256 values; one and two on a grid, for densities."""
        spaces = [_space(folder, (2, 2), torch.arange(2.0), values=2)]
        for size, points in (((1, 1), 4096), ((1, 2), 256)):
            spaces.append(_space(folder, size, torch.arange(256) / 255, values=256))
            spaces.append(_space(folder, size, (torch.arange(points) + 0.5) / points, values=None))
        return spaces


def _space(folder: Path, size: tuple[int, int], levels: Tensor, *, values: int | None) -> SampleSpace:
    """Images of a size whose pixels have these levels, for models with so many pixel values; None: for densities, of
    which the levels are the middles of as many equal parts of [0, 1]."""
    count = math.prod(size)
    rng = np.random.default_rng(0)
    dark = rng.random((1000, 1, 1)) < 0.7  # two clusters, so that there is something to learn of scales and places
    images = 255 * rng.beta(np.where(dark, 4, 20), np.where(dark, 12, 5), (1000, *size))
    if values == 2:
        images = np.where(images > 100, 255.0, 0.0)
    path = folder / f"{size[0]}x{size[1]}-{values}.npz"
    np.savez(path, images=images[:800].astype(np.uint8), test_images=images[800:].astype(np.uint8))

    def product(of_pixel: Tensor) -> Tensor:
        return torch.cartesian_prod(*[of_pixel] * count).view(-1, 1, *size)

    return SampleSpace(
        options={"data": str(path)},
        examples=lambda data: product(levels),
        volume=None if values else len(levels) ** -count,
        wider=None if values else lambda data: product(torch.cat([levels + shift for shift in (-1, 0, 1)])),
        applies=lambda model: getattr(model, "pixel_values", None) == values,
    )
