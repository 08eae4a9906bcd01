"""The measures of images that genzoo has, from what is measured to a number with its uncertainty."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from genzoo.image.data import to_unit
from genzoo.image.features import Features
from genzoo.interface import distances, sets
from genzoo.interface.generator import Generator, ability, log_likelihood
from genzoo.interface.measures import Estimate, NotMeasurable, mean
from genzoo.interface.randomness import derive_seed, seeded

NEIGHBOURS = 5  # of precision, recall, density and coverage
DRAWS = 50  # for the uncertainty of what is no mean
PAIRS = 2000  # of samples whose similarity is taken
RARE = 0.01
SURE = 0.9


@dataclass(eq=False)
class ImageSet(sets.ExampleSet):
    """Images to measure, uint8 (N, C, H, W), and what is made of them at need."""

    images: Tensor
    extractor: Features

    @cached_property
    def pixels(self) -> Tensor:
        """As rows (N, C * H * W), float32 in [0, 1]."""
        return to_unit(self.images).flatten(1)

    @cached_property
    def features(self) -> Tensor:
        """As the extractor has them, (N, D), float64."""
        return self.extractor.of(self.images)

    def first(self, count: int) -> ImageSet:
        return ImageSet(self.images[:count], self.extractor)

    def __len__(self) -> int:
        return len(self.images)


@dataclass(eq=False, kw_only=True)
class ImageSubject(sets.SetSubject[ImageSet]):
    """What a measure of images sees: samples, and what they are held against."""

    def resampled(self, rows: Tensor, purpose: str) -> list[Tensor]:
        """`DRAWS` draws of as many rows with replacement (the bootstrap)."""
        rng = self.rng(purpose)
        return [rows[torch.from_numpy(rng.integers(0, len(rows), len(rows)))] for _ in range(DRAWS)]

    def of_one_size(self) -> tuple[Tensor, Tensor]:
        """The features of as many test images as samples, (M, D) each. Raises `NotMeasurable` for too few."""
        count = min(len(self.samples), len(self.test))
        if count <= NEIGHBOURS:
            raise NotMeasurable(f"it takes more than {NEIGHBOURS} samples and test images; there are {count}")
        return self.test.features[:count], self.samples.features[:count]


# Two distributions in the space of features


def frechet_distance(subject: ImageSubject) -> Estimate:
    test, samples = subject.test.features, subject.samples.features
    count, width = min(len(test), len(samples)), test.shape[1]
    if count <= width:
        raise NotMeasurable(f"it takes more than {width} samples and test images; there are {count}")
    value = distances.frechet_distance(samples, test)
    if width > 256:  # of a bootstrap in Inception's 2,048 dimensions a minute is spent on each draw
        return Estimate(value)
    draws = zip(subject.resampled(samples, "samples"), subject.resampled(test, "test"), strict=True)
    return Estimate(value, float(np.std([distances.frechet_distance(*pair) for pair in draws], ddof=1)))


def kernel_distance(subject: ImageSubject) -> Estimate:
    test, samples = subject.of_one_size()
    size, rng = min(1000, len(test)), subject.rng("kernel")

    def drawn(count: int) -> list[float]:
        return [
            distances.kernel_distance(*(rows[_some(rng, len(rows), size)] for rows in (samples, test)))
            for _ in range(count)
        ]

    if size < len(test):
        draws = drawn(DRAWS)
        return Estimate(float(np.mean(draws)), float(np.std(draws, ddof=1) / math.sqrt(len(test) / size)))
    size = max(2, size // 2)  # half as many scatter more
    return Estimate(distances.kernel_distance(samples, test), float(np.std(drawn(20), ddof=1) / math.sqrt(2)))


def _some(rng: np.random.Generator, count: int, size: int) -> Tensor:
    return torch.from_numpy(rng.choice(count, size, replace=False))


def precision(subject: ImageSubject) -> Estimate:
    return mean(distances.precision(*subject.of_one_size(), NEIGHBOURS))


def recall(subject: ImageSubject) -> Estimate:
    return mean(distances.recall(*subject.of_one_size(), NEIGHBOURS))


def density(subject: ImageSubject) -> Estimate:
    return mean(distances.density(*subject.of_one_size(), NEIGHBOURS))


def coverage(subject: ImageSubject) -> Estimate:
    return mean(distances.coverage(*subject.of_one_size(), NEIGHBOURS))


def two_sample_accuracy(subject: ImageSubject) -> Estimate:
    return mean(distances.told_apart(*subject.of_one_size()))


# Classes

label_accuracy, mean_confidence = sets.label_agreement, sets.mean_confidence


def class_distance(subject: ImageSubject) -> Estimate:
    """The total variation distance of the shares of classes that the classifier finds."""
    count = len(subject.data.classes)
    wanted = distances.shares(subject.test.probabilities.argmax(1), count)
    drawn = subject.resampled(subject.samples.probabilities.argmax(1), "classes")
    spread = [float((distances.shares(classes, count) - wanted).abs().sum() / 2) for classes in drawn]
    return Estimate(float((subject.once(sets.class_shares) - wanted).abs().sum() / 2), float(np.std(spread, ddof=1)))


def confident(subject: ImageSubject) -> Estimate:
    return mean((subject.samples.probabilities.max(1).values > SURE).double())


# Samples among themselves, and the training images


def duplicates(subject: ImageSubject) -> Estimate:
    count = min(len(subject.samples), len(subject.train))
    if count < 100:
        raise NotMeasurable(f"it takes 100 samples and training images or more; there are {count}")
    usual = distances.nearest_of_its_own(subject.train.pixels[:count]).quantile(RARE)
    return mean((distances.nearest_of_its_own(subject.samples.pixels[:count]) < usual).double())


def pair_ssim(subject: ImageSubject) -> Estimate:
    if len(subject.samples) < 2:
        raise NotMeasurable("it takes two samples")
    count, rng = len(subject.samples), subject.rng("pairs")
    one = rng.integers(0, count, PAIRS)
    other = (one + rng.integers(1, count, PAIRS)) % count
    images = to_unit(subject.samples.images)
    return mean(ssim(images[torch.from_numpy(one)], images[torch.from_numpy(other)]))


def ssim(images: Tensor, others: Tensor) -> Tensor:
    """The structural similarity (Wang et al. 2004) of each pair of images (N, C, H, W) in [0, 1]: (N,). The window is a
    Gaussian of 11 pixels, and images are reflected at their edges."""
    if min(images.shape[2:]) < 11:
        raise NotMeasurable(f"it takes images of 11 pixels a side; these have {min(images.shape[2:])}")
    parts = zip(torch.split(images, 500), torch.split(others, 500), strict=True)
    return torch.cat([_ssim(*part) for part in parts])


def _ssim(x: Tensor, y: Tensor) -> Tensor:  # as torchmetrics has it, which imports transformers and torchvision
    window = torch.exp(-torch.arange(-5.0, 6.0).square() / (2 * 1.5**2))
    window = torch.outer(window, window)[None, None] / window.sum() ** 2  # (1, 1, 11, 11)

    def around(images: Tensor) -> Tensor:
        """The mean around each pixel."""
        pixels = functional.pad(images, (5, 5, 5, 5), mode="reflect")
        return functional.conv2d(pixels.flatten(0, 1)[:, None], window).view_as(images)

    mu_x, mu_y = around(x), around(y)
    variances = (around(x * x) - mu_x * mu_x).clamp_min(0) + (around(y * y) - mu_y * mu_y).clamp_min(0)
    covariance = around(x * y) - mu_x * mu_y
    c1, c2 = 0.01**2, 0.03**2
    similarity = (2 * mu_x * mu_y + c1) * (2 * covariance + c2) / ((mu_x**2 + mu_y**2 + c1) * (variances + c2))
    return similarity.flatten(1).mean(1)


def neighbours(subject: ImageSubject) -> tuple[Tensor, Tensor, Tensor]:
    """Of each sample: the distance to the nearest training image and which it is; and that distance within a part of
    the training images as large as the test set, the mean over all such parts. Each (N,)."""
    size, columns = min(len(subject.test), len(subject.train)), []
    whole = len(subject.train) // size * size
    for _, part in distances.distances(subject.samples.pixels, subject.train.pixels, subject.train_index):
        first = part.min(1)
        in_parts = part[:, :whole].reshape(len(part), -1, size).min(2).values.mean(1)
        columns.append((first.values, first.indices, in_parts))
    distance, index, distance_in_parts = (torch.cat(column) for column in zip(*columns, strict=True))
    return distance, index, distance_in_parts


def train_test_ratio(subject: ImageSubject) -> Estimate:
    """The mean distance to the nearest of M training images by that to the nearest of M test images."""
    train = subject.once(neighbours)[2].double()
    test = distances.nearest(subject.samples.pixels, subject.test.pixels)[0].double()
    rows = torch.stack([train, test], 1)
    draws = [float(r[:, 0].mean() / r[:, 1].mean()) for r in subject.resampled(rows, "ratio")]
    return Estimate(float(train.mean() / test.mean()), float(np.std(draws, ddof=1)))


def copies(subject: ImageSubject) -> Estimate:
    usual = subject.once(_usual_distance, of_data=True)
    return mean((subject.once(neighbours)[0] < usual).double())


def _usual_distance(subject: ImageSubject) -> Tensor:
    """What an image of the data that no model saw is nearer to a training image than in 1% of cases at most, by the
    validation images."""
    if len(subject.validation) < 100:
        raise NotMeasurable(f"it takes 100 validation images; there are {len(subject.validation)}")
    return distances.conformal_quantile(distances.nearest(subject.validation.pixels, subject.train.pixels)[0], RARE)


# What only some models can


def _in_parts(subject: ImageSubject, count: int, function: Callable[..., Tensor], size: int, purpose: str) -> Tensor:
    """What `function(images, start, labels)` makes of the first `count` test images, with labels where the model is
    conditional, on the CPU; what it draws from global random numbers is by the seed."""
    model = _model(subject)
    images, labels, results = to_unit(subject.test.images[:count]), subject.test_labels, []
    with torch.no_grad(), seeded(derive_seed(subject.seed, "evaluation", purpose), model.device):
        for start in range(0, len(images), size):
            part = slice(start, start + size)
            of_part = labels[part].to(model.device) if model.conditional and labels is not None else None
            results.append(function(images[part].to(model.device), start, of_part).float().cpu())
    return torch.cat(results)


def _model(subject: ImageSubject) -> Generator:
    assert subject.model is not None, "a measure that needs something of the model is given one"
    return subject.model


def reconstructions(subject: ImageSubject) -> Tensor:
    """Test images as the model gives them back."""
    method = ability(_model(subject), "reconstruct")

    def reconstruct(images: Tensor, start: int, labels: Tensor | None) -> Tensor:
        return cast(Tensor, method(images) if labels is None else method(images, labels=labels))

    return _in_parts(subject, sets.MOST_BY_MODEL, reconstruct, 250, "reconstruct").clamp(0, 1)


def reconstruction_mse(subject: ImageSubject) -> Estimate:
    """The baseline is the mean training image."""
    copies = subject.once(reconstructions)
    images = to_unit(subject.test.images[: len(copies)])
    trivial = (images.flatten(1) - subject.train.pixels.mean(0)).square().mean().item()
    return mean((images - copies).square().flatten(1).mean(1), baseline=trivial)


def reconstruction_ssim(subject: ImageSubject) -> Estimate:
    copies = subject.once(reconstructions)
    images = to_unit(subject.test.images[: len(copies)])
    trivial = subject.train.pixels.mean(0).view(1, *images.shape[1:]).expand_as(images)
    return mean(ssim(images, copies), baseline=ssim(images, trivial).mean().item())


def likelihoods(subject: ImageSubject) -> Tensor:
    """Nats of each of the first test images, (N,)."""
    model, seed = _model(subject), derive_seed(subject.seed, "log_likelihood")

    def nats(images: Tensor, start: int, labels: Tensor | None) -> Tensor:
        return log_likelihood(model, images, seed=seed, start=start, labels=labels)

    return _in_parts(subject, sets.MOST_BY_MODEL, nats, 100, "log_likelihood")


def nll(subject: ImageSubject) -> Estimate:
    """The baseline is a model of independent pixels, each with the shares of its values in the training images."""
    model: Any = subject.model  # which has the method, as the measure needs it
    nats, values = subject.once(likelihoods), getattr(model, "pixel_values", None)
    likelihood_of = {None: "a density", 2: "binarised images", 256: "8-bit images"}[values]
    likelihood_of += " given their class" if model.conditional else ""
    likelihood_of += ", a bound" if model.likelihood_kind == "lower bound" else ""
    trivial = None if values is None else independent_pixels(subject, values, len(nats))
    return mean(-nats, baseline=trivial, of=likelihood_of)


def independent_pixels(subject: ImageSubject, values: int, count: int) -> float:
    """The mean nats of `count` test images under independent pixels of 2 or 256 values, each value counted once more
    than it is seen. Of binarised images in expectation."""
    train, test = subject.train.images.flatten(1), subject.test.images[:count].flatten(1)
    if values == 2:
        share = (subject.train.pixels.double().sum(0) + 1) / (len(train) + 2)
        on = subject.test.pixels[:count].double()
        return float(-(on * share.log() + (1 - on) * (1 - share).log()).sum(1).mean())
    nats = 0.0
    for train_part, test_part in zip(torch.split(train.T, 64), torch.split(test.T, 64), strict=True):  # of 64 pixels
        offset = torch.arange(len(train_part))[:, None] * values
        counts = (train_part + offset).flatten().bincount(minlength=len(train_part) * values).double()
        nats -= float(((counts + 1) / (len(train) + values)).log()[test_part + offset].sum())
    return nats / count


def bits_per_dim(subject: ImageSubject) -> Estimate:
    whole = nll(subject)
    if whole.of.startswith("a density"):
        raise NotMeasurable("the model gives a density, which has no bits")
    scale = 1 / (math.log(2) * math.prod(subject.data.shape))
    error, trivial = (None if x is None else x * scale for x in (whole.uncertainty, whole.baseline))
    return Estimate(whole.value * scale, error, trivial, whole.of)
