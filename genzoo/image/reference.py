"""What runs on images are held against: test images, and what real data and trivial models score beside them."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genzoo.image.data import ImageData, to_bytes, to_unit
from genzoo.image.features import Features
from genzoo.image.measures import ImageSet, ImageSubject, neighbours
from genzoo.image.write import write_grid
from genzoo.interface import sets
from genzoo.interface.errors import GenzooWarning, UsageError
from genzoo.interface.generator import Generator
from genzoo.interface.measures import EvaluationRequest
from genzoo.interface.randomness import derive_seed, permutation
from genzoo.interface.specs import DataSpec, ModalitySpec

MOST = 10_000  # samples and test images, if no number is given
TRAINING_NUMBERS = 150_000_000  # pixels of the training images that neighbours are looked for among, at most
ENOUGH = 50  # test images of which a share says something
DOUBTFUL = 0.75  # a classifier that is right less often says little of what it measures
NEIGHBOURS_SHOWN = 8  # samples whose nearest training images are shown


class ImageReference(sets.SetReference[ImageSubject]):
    """Images; `floor` holds training images against test images."""

    columns = {"floor": "real data", "baseline": "Gaussian", "noise": "noisy data"}  # noqa: RUF012
    legend = (
        "what as many training images score (real data), a Gaussian fitted to their pixels, and training images with"
        " noise"
    )

    def subject(self, samples: Tensor, labels: Tensor | None, model: Generator) -> ImageSubject:
        return self.against(to_bytes(samples), model=model, labels=labels)

    def against(self, images: Tensor, **more: Any) -> ImageSubject:
        """The same data, held against other images, uint8 (N, C, H, W)."""
        return replace(self.floor, samples=ImageSet(images, self.floor.test.extractor), train_index=None, **more)

    def others(self) -> dict[str, ImageSubject]:
        real, rng = self.floor.samples.images, self.floor.rng("baselines")
        correlated = gaussian(self.floor.train.images[:MOST], len(real), rng)
        noisy = with_noise(real, rng)
        return {"floor": self.floor, "baseline": self.against(correlated), "noise": self.against(noisy)}

    def illustrate(self, subject: ImageSubject, folder: Path, facts: Mapping[str, object]) -> None:
        """A grid of as many samples as are drawn by default, and samples beside what is nearest to them among the
        training images."""
        samples, labels = to_unit(subject.samples.images), subject.labels
        count = self.spec.default_count(subject.data, labels is not None)
        shown = None if labels is None else labels[:count]
        write_grid(samples[:count], folder / "samples.png", facts, labels=shown)
        nearest = subject.once(neighbours)[1][:NEIGHBOURS_SHOWN]
        pairs = torch.cat([samples[:NEIGHBOURS_SHOWN], to_unit(subject.train.images[nearest])])
        columns = min(NEIGHBOURS_SHOWN, len(samples))
        write_grid(pairs, folder / "neighbours.png", {**facts, "operation": "neighbours"}, columns=columns)


def image_reference(
    dataset: ImageData, data: DataSpec, request: EvaluationRequest, spec: ModalitySpec
) -> ImageReference:
    """The data of a protocol, and the features that they are measured in."""
    if request.count is not None and request.count > data.train_count:
        raise UsageError(
            f"n is {request.count}; allowed is {data.train_count} or fewer, as many as there are training images, which"
            " are measured in the same number"
        )
    count, test_count = request.count or min(MOST, data.train_count), min(MOST, data.test_count)
    name = request.features
    if name == "auto":
        name = "classifier" if data.classes else "random"
    features: Features = request.load_features(name, dataset, data)
    if features.accuracy is not None and features.accuracy < DOUBTFUL and data.test_count >= ENOUGH:
        warnings.warn(
            f"the classifier of the evaluation is right in {features.accuracy:.1%} of the test images alone, so what is"
            " measured in its features is doubtful; --features random does not lean on the labels",
            GenzooWarning,
            stacklevel=2,
        )
    test_index = permutation(derive_seed(request.seed, "evaluation", "test"), 0, data.test_count)[:test_count]
    test, test_labels = dataset.pixels("test", test_index).cpu(), dataset.part("test")[1]
    most = min(data.train_count, max(count, TRAINING_NUMBERS // math.prod(data.shape)))
    train_index = permutation(derive_seed(request.seed, "evaluation", "train"), 0, data.train_count)[:most]
    train = dataset.pixels("train", train_index).cpu()
    validation = dataset.pixels("validation", torch.arange(min(MOST, data.validation_count))).cpu()
    floor = ImageSubject(
        data=data, seed=request.seed, samples=ImageSet(train[:count], features), train=ImageSet(train, features),
        validation=ImageSet(validation, features), test=ImageSet(test, features), train_index=torch.arange(count),
        test_labels=None if test_labels is None else test_labels[test_index],
    )  # fmt: skip
    protocol = {
        "training_images": data.train_count,
        "test_images": test_count,
        "features": features.name,
        "features_sha256": features.sha256,
        "features_accuracy": features.accuracy,
    }
    right = "" if features.accuracy is None else f", {features.accuracy:.1%} of test images right"
    heading = (
        f"{count:,} samples of seed {request.seed} against {test_count:,} test images of {data.name}; features"
        f" {features.name} ({features.sha256[:12]}{right})"
    )
    return ImageReference(floor, protocol, heading, spec)


def gaussian(images: Tensor, count: int, rng: np.random.Generator) -> Tensor:
    """Draws from the Gaussian with the mean and the full covariance of the pixels of `images`, uint8 (N, C, H, W), as
    images alike: the trivial model that every other is held against."""
    pixels = images.flatten(1).float()
    mean = pixels.mean(0)
    # Weighing centred images by standard normal numbers gives their covariance, and needs no root of it.
    weights = torch.from_numpy(rng.standard_normal((count, len(pixels)), dtype=np.float32)) / (len(pixels) - 1) ** 0.5
    drawn: Tensor = mean + weights @ (pixels - mean)
    return drawn.round().clamp(0, 255).to(torch.uint8).view(count, *images.shape[1:])


def with_noise(images: Tensor, rng: np.random.Generator, deviation: float = 0.1) -> Tensor:
    """Images, uint8, with Gaussian noise of a standard deviation in units of the whole range."""
    noise = torch.from_numpy(rng.standard_normal(images.shape, dtype=np.float32)) * (255 * deviation)
    noisy: Tensor = (noise + images).round().clamp(0, 255).to(torch.uint8)
    return noisy
