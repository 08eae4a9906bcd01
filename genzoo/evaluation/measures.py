"""The measures of images that genzoo has, from what is measured to a number with its uncertainty."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from genzoo.data.images import to_unit
from genzoo.errors import GenzooError
from genzoo.evaluation import images as of
from genzoo.evaluation.features import Features
from genzoo.generator import Generator
from genzoo.randomness import derive_seed, random_state, restore_random_state, seed_everything
from genzoo.spec import DataSpec

T = TypeVar("T")
NEIGHBOURS = 5  # of precision, recall, density and coverage
DRAWS = 50  # for the uncertainty of what is no mean
PAIRS = 2000  # of samples whose similarity is taken
LIKELIHOODS = 1000  # test images at most whose likelihood is taken
RECONSTRUCTED = 1000
RARE = 0.01
SURE = 0.9


class NotMeasurable(GenzooError):
    """A measure has no value here; the message says why."""


class Estimate(NamedTuple):
    """What a measure found. `uncertainty` is a standard error in the same unit. `of` says of what, where two models can
    differ in it. A measure that needs something of the model may bring its own `baseline`."""

    value: float
    uncertainty: float | None = None
    baseline: float | None = None
    of: str = ""


def mean(values: Tensor, **more: Any) -> Estimate:
    """The mean of one value an example, (N,), with its standard error."""
    error = values.double().std().item() / math.sqrt(len(values)) if len(values) > 1 else None
    return Estimate(values.double().mean().item(), error, **more)


@dataclass(eq=False)
class ImageSet:
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

    @cached_property
    def probabilities(self) -> Tensor:
        """What the classifier gives each class, (N, K). Raises `NotMeasurable` if there is none."""
        found = self.extractor.probabilities(self.features)
        if found is None:
            raise NotMeasurable(f"the features {self.extractor.name} know no classes")
        return found

    def __len__(self) -> int:
        return len(self.images)


@dataclass(eq=False, kw_only=True)
class Measurable:
    """What measures of every modality see.

    Attributes:
        data: what the data are like.
        seed: of the protocol; `rng` makes random numbers of it.
        model: what made the samples; None for real data and baselines.
    """

    data: DataSpec
    seed: int
    model: Generator | None = None
    of_data: dict[Any, Any] = field(default_factory=dict)  # what is worked out of the data alone, once for all subjects
    _of_samples: dict[Any, Any] = field(default_factory=dict, init=False)

    def once(self, function: Callable[[Any], T], *, of_data: bool = False) -> T:
        """`function(self)`, worked out once for all measures of this subject; or once for all subjects, if it asks for
        nothing but `train` and `test`."""
        place = self.of_data if of_data else self._of_samples
        if function not in place:
            place[function] = function(self)
        found: T = place[function]
        return found

    def rng(self, purpose: str) -> np.random.Generator:
        """Random numbers of this protocol for a purpose."""
        return np.random.default_rng(derive_seed(self.seed, "evaluation", purpose))


@dataclass(eq=False, kw_only=True)
class Subject(Measurable):
    """What a measure of images sees: samples, and what they are held against.

    Attributes:
        data: what the data are like.
        seed: of the protocol; `rng` makes random numbers of it.
        model: what made the samples; None for real data and baselines.
        samples: what is measured.
        train, test: the data, up to as many as the protocol takes.
        own: where `samples` are themselves training images, which of them, int64 (N,).
        labels, test_labels: the class each sample was asked to be of, and that of each test image; or None.
    """

    samples: ImageSet
    train: ImageSet
    test: ImageSet
    own: Tensor | None = None
    labels: Tensor | None = None
    test_labels: Tensor | None = None

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


def frechet_distance(subject: Subject) -> Estimate:
    test, samples = subject.test.features, subject.samples.features
    count, width = min(len(test), len(samples)), test.shape[1]
    if count <= width:
        raise NotMeasurable(f"it takes more than {width} samples and test images; there are {count}")
    value = of.frechet_distance(samples, test)
    if width > 256:  # of a bootstrap in Inception's 2,048 dimensions a minute is spent on each draw
        return Estimate(value)
    draws = zip(subject.resampled(samples, "samples"), subject.resampled(test, "test"), strict=True)
    return Estimate(value, float(np.std([of.frechet_distance(*pair) for pair in draws], ddof=1)))


def kernel_distance(subject: Subject) -> Estimate:
    test, samples = subject.of_one_size()
    size, rng = min(1000, len(test)), subject.rng("kernel")

    def drawn(count: int) -> list[float]:
        return [
            of.kernel_distance(*(rows[_some(rng, len(rows), size)] for rows in (samples, test))) for _ in range(count)
        ]

    if size < len(test):
        draws = drawn(DRAWS)
        return Estimate(float(np.mean(draws)), float(np.std(draws, ddof=1) / math.sqrt(len(test) / size)))
    size = max(2, size // 2)  # half as many scatter more
    return Estimate(of.kernel_distance(samples, test), float(np.std(drawn(20), ddof=1) / math.sqrt(2)))


def _some(rng: np.random.Generator, count: int, size: int) -> Tensor:
    return torch.from_numpy(rng.choice(count, size, replace=False))


def precision(subject: Subject) -> Estimate:
    return mean(of.precision(*subject.of_one_size(), NEIGHBOURS))


def recall(subject: Subject) -> Estimate:
    return mean(of.recall(*subject.of_one_size(), NEIGHBOURS))


def density(subject: Subject) -> Estimate:
    return mean(of.density(*subject.of_one_size(), NEIGHBOURS))


def coverage(subject: Subject) -> Estimate:
    return mean(of.coverage(*subject.of_one_size(), NEIGHBOURS))


def two_sample_accuracy(subject: Subject) -> Estimate:
    return mean(of.told_apart(*subject.of_one_size()))


# Classes


def class_shares(subject: Subject) -> Tensor:
    """The share of each class among the samples, (K,)."""
    return of.shares(subject.samples.probabilities.argmax(1), len(subject.data.classes))


def class_distance(subject: Subject) -> Estimate:
    """The total variation distance of the shares of classes that the classifier finds."""
    count = len(subject.data.classes)
    wanted = of.shares(subject.test.probabilities.argmax(1), count)
    drawn = subject.resampled(subject.samples.probabilities.argmax(1), "classes")
    spread = [float((of.shares(classes, count) - wanted).abs().sum() / 2) for classes in drawn]
    return Estimate(float((subject.once(class_shares) - wanted).abs().sum() / 2), float(np.std(spread, ddof=1)))


def mean_confidence(subject: Subject) -> Estimate:
    return mean(subject.samples.probabilities.max(1).values)


def confident(subject: Subject) -> Estimate:
    return mean((subject.samples.probabilities.max(1).values > SURE).double())


def label_accuracy(subject: Subject) -> Estimate:
    assert subject.labels is not None, "a conditional model's samples have labels"
    return mean((subject.samples.probabilities.argmax(1) == subject.labels).double())


# Samples among themselves, and the training images


def duplicates(subject: Subject) -> Estimate:
    count = min(len(subject.samples), len(subject.train))
    if count < 100:
        raise NotMeasurable(f"it takes 100 samples and training images or more; there are {count}")
    usual = of.nearest_of_its_own(subject.train.pixels[:count]).quantile(RARE)
    return mean((of.nearest_of_its_own(subject.samples.pixels[:count]) < usual).double())


def pair_ssim(subject: Subject) -> Estimate:
    if len(subject.samples) < 2:
        raise NotMeasurable("it takes two samples")
    count, rng = len(subject.samples), subject.rng("pairs")
    one = rng.integers(0, count, PAIRS)
    other = (one + rng.integers(1, count, PAIRS)) % count
    images = to_unit(subject.samples.images)
    return mean(ssim(images[torch.from_numpy(one)], images[torch.from_numpy(other)]))


def ssim(images: Tensor, others: Tensor) -> Tensor:
    """The structural similarity (Wang et al. 2004) of each pair of images (N, C, H, W) in [0, 1]: (N,)."""
    from torchmetrics.functional.image import structural_similarity_index_measure

    if min(images.shape[2:]) < 11:
        raise NotMeasurable(f"it takes images of 11 pixels a side; these have {min(images.shape[2:])}")
    parts = zip(torch.split(images, 500), torch.split(others, 500), strict=True)
    found = [structural_similarity_index_measure(*part, data_range=1.0, reduction="none") for part in parts]
    return torch.cat([torch.as_tensor(part).view(-1) for part in found])


def neighbours(subject: Subject) -> tuple[Tensor, Tensor, Tensor]:
    """Of each sample: the distance to the nearest training image and which it is; and that distance within a part of
    the training images as large as the test set, the mean over all such parts. Each (N,)."""
    size, found = min(len(subject.test), len(subject.train)), []
    whole = len(subject.train) // size * size
    for _, part in of.distances(subject.samples.pixels, subject.train.pixels, subject.own):
        first = part.min(1)
        found.append((first.values, first.indices, part[:, :whole].reshape(len(part), -1, size).min(2).values.mean(1)))
    a, b, c = (torch.cat(column) for column in zip(*found, strict=True))
    return a, b, c


def train_test_ratio(subject: Subject) -> Estimate:
    """The mean distance to the nearest of M training images by that to the nearest of M test images."""
    train = subject.once(neighbours)[2].double()
    test = of.nearest(subject.samples.pixels, subject.test.pixels)[0].double()
    rows = torch.stack([train, test], 1)
    draws = [float(r[:, 0].mean() / r[:, 1].mean()) for r in subject.resampled(rows, "ratio")]
    return Estimate(float(train.mean() / test.mean()), float(np.std(draws, ddof=1)))


def copies(subject: Subject) -> Estimate:
    usual = subject.once(_usual_distance, of_data=True)
    return mean((subject.once(neighbours)[0] < usual).double())


def _usual_distance(subject: Subject) -> Tensor:
    """What only 1% of test images are nearer to a training image than."""
    if len(subject.test) < 100:
        raise NotMeasurable(f"it takes 100 test images; there are {len(subject.test)}")
    return of.nearest(subject.test.pixels, subject.train.pixels)[0].quantile(RARE)


# What only some models can


def _given(subject: Subject, part: slice) -> dict[str, Tensor]:
    assert subject.model is not None
    if not subject.model.conditional or subject.test_labels is None:
        return {}
    return {"labels": subject.test_labels[part].to(subject.model.device)}


def _in_parts(subject: Subject, count: int, method: str, size: int) -> Tensor:
    """What a method of the model makes of the first `count` test images, on the CPU; random numbers by the seed."""
    assert subject.model is not None
    images, found = to_unit(subject.test.images[:count]), []
    before = random_state(subject.model.device)
    try:
        with torch.no_grad():
            seed_everything(derive_seed(subject.seed, "evaluation", method))
            for start in range(0, len(images), size):
                part = slice(start, start + size)
                given = images[part].to(subject.model.device)
                found.append(getattr(subject.model, method)(given, **_given(subject, part)).float().cpu())
    finally:
        restore_random_state(before, subject.model.device)
    return torch.cat(found)


def reconstructions(subject: Subject) -> Tensor:
    """Test images as the model gives them back."""
    return _in_parts(subject, RECONSTRUCTED, "reconstruct", 250).clamp(0, 1)


def reconstruction_mse(subject: Subject) -> Estimate:
    """The baseline is the mean training image."""
    copies = subject.once(reconstructions)
    images = to_unit(subject.test.images[: len(copies)])
    trivial = (images.flatten(1) - subject.train.pixels.mean(0)).square().mean().item()
    return mean((images - copies).square().flatten(1).mean(1), baseline=trivial)


def reconstruction_ssim(subject: Subject) -> Estimate:
    copies = subject.once(reconstructions)
    images = to_unit(subject.test.images[: len(copies)])
    trivial = subject.train.pixels.mean(0).view(1, *images.shape[1:]).expand_as(images)
    return mean(ssim(images, copies), baseline=ssim(images, trivial).mean().item())


def likelihoods(subject: Subject) -> Tensor:
    """Nats of each of the first test images, (N,)."""
    return _in_parts(subject, LIKELIHOODS, "log_likelihood", 100)


def nll(subject: Subject) -> Estimate:
    """The baseline is a model of independent pixels, each with the shares of its values in the training images."""
    model: Any = subject.model  # which has the method, as the measure needs it
    found, values = subject.once(likelihoods), model.pixel_values
    what = {None: "a density", 2: "binarised images", 256: "8-bit images"}[values]
    what += " given their class" if model.conditional else ""
    what += ", a bound" if model.likelihood_kind == "lower bound" else ""
    trivial = None if values is None else independent_pixels(subject, values, len(found))
    return mean(-found, baseline=trivial, of=what)


def independent_pixels(subject: Subject, values: int, count: int) -> float:
    """The mean nats of `count` test images under independent pixels of 2 or 256 values, each value counted once more
    than it is seen. Of binarised images in expectation."""
    train, test = subject.train.images.flatten(1), subject.test.images[:count].flatten(1)
    if values == 2:
        share = (subject.train.pixels.double().sum(0) + 1) / (len(train) + 2)
        on = subject.test.pixels[:count].double()
        return float(-(on * share.log() + (1 - on) * (1 - share).log()).sum(1).mean())
    nats = 0.0
    for own, held in zip(torch.split(train.T, 64), torch.split(test.T, 64), strict=True):  # 64 pixels at a time
        place = torch.arange(len(own))[:, None] * values
        seen = (own + place).flatten().bincount(minlength=len(own) * values).double()
        nats -= float(((seen + 1) / (len(train) + values)).log()[held + place].sum())
    return nats / count


def bits_per_dim(subject: Subject) -> Estimate:
    whole = nll(subject)
    if whole.of.startswith("a density"):
        raise NotMeasurable("the model gives a density, which has no bits")
    scale = 1 / (math.log(2) * math.prod(subject.data.shape))
    error, trivial = (None if x is None else x * scale for x in (whole.uncertainty, whole.baseline))
    return Estimate(whole.value * scale, error, trivial, whole.of)
