"""What runs are held against: the data, and what real data and trivial models score."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from genzoo import samples
from genzoo.data import data_folder
from genzoo.data.builtin import load_images, load_named_text
from genzoo.data.files import Progress
from genzoo.data.images import Images, to_unit
from genzoo.errors import GenzooError, UsageError
from genzoo.evaluation import images as of
from genzoo.evaluation.features import Features
from genzoo.evaluation.measures import ImageSet, Measurable, NotMeasurable, Subject, class_shares, neighbours
from genzoo.evaluation.text import TextSubject, baseline_texts, passages_like
from genzoo.generator import Generator
from genzoo.randomness import derive_seed, permutation
from genzoo.registry import registry
from genzoo.run_folder import RunFolder
from genzoo.sampling import GRID, draw, draw_texts, grid_size, labels_of_samples
from genzoo.spec import ImageTrainOptions, TextTrainOptions, load_target

S = TypeVar("S", bound=Measurable)
PROTOCOL = 1  # of what is measured and how; results of two do not compare
MOST = 10_000  # samples and test images, if no number is given
TRAINING_NUMBERS = 150_000_000  # pixels of the training images that neighbours are looked for among, at most
SHOWN = 8  # samples whose nearest training images are shown
TEXTS = 32  # samples of text, if no number is given
LENGTH = 500  # characters of the passages that trivial scores are of, if no samples were drawn yet
CHARACTERS = 8_000_000  # of the training text, the last, and of the held-out text, the first, at most


@dataclass(eq=False)
class Reference(ABC, Generic[S]):
    """The data that runs are held against, one for all runs of a protocol.

    Attributes:
        protocol: all that two results must share to be compared.
        columns: what real data and the baselines score, once it was worked out.
    """

    protocol: dict[str, Any]
    columns: dict[str, dict[str, float]] = field(default_factory=dict, init=False)

    @abstractmethod
    def drawn(self, model: Generator, options: Any, batch_size: int, progress: Progress) -> S:
        """Samples of a model, held against the data."""

    @abstractmethod
    def beside(self) -> dict[str, S]:
        """Real data ("floor") and the baselines, held against the data."""

    @abstractmethod
    def facts(self, subject: S) -> dict[str, Any]:
        """What is said of samples besides the measures."""

    @abstractmethod
    def illustrate(self, subject: S, folder: Path, marks: dict[str, Any]) -> None:
        """Write samples beside a result."""


def reference_of(
    folder: RunFolder, n: int | None, seed: int, features: str, data_dir: str | None, progress: Progress
) -> Reference[Any]:
    """What a run is held against."""
    if n is not None and n < 1:
        raise UsageError(f"n is {n}; allowed is 1 or more")
    options = folder.training if data_dir is None else replace(folder.training, data_dir=data_dir)
    if isinstance(options, TextTrainOptions):
        if features != "auto":
            raise UsageError(f"--features is for images, and run {folder.name!r} is of text")
        return _text_reference(folder, options, n or TEXTS, seed, progress)
    assert isinstance(options, ImageTrainOptions), "data are images or text"
    return _image_reference(folder, options, n, seed, features, progress)


def _check_same(folder: RunFolder, fingerprint: str, data: str) -> None:
    if fingerprint != folder.data_spec.fingerprint:
        raise GenzooError(f"data {data!r} are no longer those that run {folder.name!r} was trained on")


# Images


@dataclass(eq=False)
class ImageReference(Reference[Subject]):
    """Images; `floor` holds training images against test images."""

    floor: Subject

    def drawn(self, model: Generator, options: Any, batch_size: int, progress: Progress) -> Subject:
        count, seed = self.protocol["samples"], self.protocol["seed"]
        images = draw(model, count, seed=seed, options=options, batch_size=batch_size, progress=progress)
        labels = labels_of_samples(count, self.floor.data) if model.conditional else None
        return self.against(samples.to_bytes(images), model=model, labels=labels)

    def against(self, images: Tensor, **more: Any) -> Subject:
        """The same data, held against other images, uint8 (N, C, H, W)."""
        return replace(self.floor, samples=ImageSet(images, self.floor.test.extractor), own=None, **more)

    def beside(self) -> dict[str, Subject]:
        real, rng = self.floor.samples.images, self.floor.rng("baselines")
        gaussian = of.gaussian(self.floor.train.images[:MOST], len(real), rng)
        noisy = of.with_noise(real, rng)
        return {"floor": self.floor, "baseline": self.against(gaussian), "noise": self.against(noisy)}

    def facts(self, subject: Subject) -> dict[str, Any]:
        try:
            found = subject.once(class_shares).tolist()
        except NotMeasurable:
            return {}
        return {"class_shares": dict(zip(subject.data.classes, (round(share, 6) for share in found), strict=True))}

    def illustrate(self, subject: Subject, folder: Path, marks: dict[str, Any]) -> None:
        """A grid of samples, and samples beside what is nearest to them among the training images."""
        drawn = to_unit(subject.samples.images)
        classes = subject.labels[: grid_size(subject.data)] if subject.labels is not None else None
        shown = drawn[: GRID if classes is None else len(classes)]
        samples.write_grid(shown, folder / "samples.png", marks, labels=classes)
        closest = subject.once(neighbours)[1][:SHOWN]
        pair = torch.cat([drawn[:SHOWN], to_unit(subject.train.images[closest])])
        samples.write_grid(
            pair, folder / "neighbours.png", marks | {"operation": "neighbours"}, columns=min(SHOWN, len(drawn))
        )


def _image_reference(
    folder: RunFolder, options: ImageTrainOptions, n: int | None, seed: int, features: str, progress: Progress
) -> ImageReference:
    dataset, data = load_images(options, registry(), progress)
    _check_same(folder, data.fingerprint, options.data)
    if n is not None and n > data.train_count:
        raise UsageError(
            f"n is {n}; allowed is {data.train_count} or fewer, as many as there are training images, which are"
            " measured in the same number"
        )
    count, test_count = n or min(MOST, data.train_count), min(MOST, data.test_count)
    if features == "auto":
        features = "classifier" if data.classes else "random"
    plugin, spec = registry().features.get(features)
    make = load_target(spec.target, f"features {features!r} of {plugin.distribution}")
    extractor: Features = make(dataset, data, data_folder(options.data_dir) / "features", progress)
    protocol = {
        "version": PROTOCOL,
        "data": data.name,
        "fingerprint": data.fingerprint,
        "samples": count,
        "test_images": test_count,
        "seed": seed,
        "features": extractor.name,
        "features_sha256": extractor.sha256,
        "features_accuracy": extractor.accuracy,
    }
    chosen = permutation(derive_seed(seed, "evaluation", "test"), 0, data.test_count)[:test_count]
    test = ImageSet(_taken(dataset.test_images, chosen), extractor)
    test_labels = None if dataset.test_labels is None else dataset.test_labels[chosen]
    most = min(data.train_count, max(count, TRAINING_NUMBERS // math.prod(data.shape)))
    chosen = permutation(derive_seed(seed, "evaluation", "train"), 0, data.train_count)[:most]
    train = ImageSet(_taken(dataset.train_images, chosen), extractor)
    real = ImageSet(train.images[:count], extractor)
    floor = Subject(
        data=data, samples=real, train=train, test=test, seed=seed, own=torch.arange(count), test_labels=test_labels
    )
    return ImageReference(protocol, floor)


def _taken(images: Tensor | Images, which: Tensor) -> Tensor:
    return images[which].cpu() if isinstance(images, Tensor) else torch.stack([images[int(i)] for i in which])


# Text


@dataclass(eq=False)
class TextReference(Reference[TextSubject]):
    """A text; `empty` holds it against no samples."""

    empty: TextSubject
    lengths: list[int] = field(default_factory=list, init=False)  # of the samples, in characters

    def drawn(self, model: Generator, options: Any, batch_size: int, progress: Progress) -> TextSubject:
        count, seed = self.protocol["samples"], self.protocol["seed"]
        texts = draw_texts(model, count, seed=seed, options=options, batch_size=batch_size, progress=progress)
        self.lengths = self.lengths or [len(text) for text in texts]
        return replace(self.empty, samples=texts, model=model)

    def beside(self) -> dict[str, TextSubject]:
        lengths = self.lengths or [LENGTH] * self.protocol["samples"]
        real = passages_like(self.empty.test, lengths, self.empty.rng("real"))
        trivial = baseline_texts(self.empty, lengths)
        return {"floor": replace(self.empty, samples=real), "baseline": replace(self.empty, samples=trivial)}

    def facts(self, subject: TextSubject) -> dict[str, Any]:
        return {"tokenizer": subject.model.tokenizer.name if subject.model else None}

    def illustrate(self, subject: TextSubject, folder: Path, marks: dict[str, Any]) -> None:
        samples.write_texts(subject.samples[:SHOWN], folder / "samples.txt", marks)


def _text_reference(
    folder: RunFolder, options: TextTrainOptions, count: int, seed: int, progress: Progress
) -> TextReference:
    name, text = load_named_text(options, registry(), progress)
    _check_same(folder, text.fingerprint, options.data)
    train = "".join(text.part(train=True))[-CHARACTERS:]
    test = "".join(text.part(train=False))[:CHARACTERS]
    protocol = {
        "version": PROTOCOL,
        "modality": "text",
        "data": name,
        "fingerprint": text.fingerprint,
        "samples": count,
        "training_characters": len(train),
        "test_characters": len(test),
        "seed": seed,
    }
    characters = "".join(sorted(set(train) | set(test)))
    data = folder.data_spec
    return TextReference(
        protocol, TextSubject(data=data, seed=seed, samples=[], train=train, test=test, characters=characters)
    )
