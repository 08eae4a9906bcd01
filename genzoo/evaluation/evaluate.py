"""The story of one evaluation: from a run to a table of measures, beside what real data and trivial models score."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genzoo import samples
from genzoo.data import data_folder
from genzoo.data.builtin import load as load_data
from genzoo.data.files import Progress, tick
from genzoo.data.images import Images, to_unit
from genzoo.errors import GenzooError, UsageError, one_line
from genzoo.evaluation import images as of
from genzoo.evaluation import place
from genzoo.evaluation.features import Features
from genzoo.evaluation.measures import Estimate, ImageSet, NotMeasurable, Subject, class_shares, neighbours
from genzoo.generator import Generator
from genzoo.options import build, to_json
from genzoo.randomness import derive_seed, permutation
from genzoo.registry import registry
from genzoo.run_folder import RunFolder, find_run, write_json
from genzoo.sampling import GRID, draw, grid_size, labels_of_samples, load, spec_of
from genzoo.spec import MetricSpec, TrainOptions, load_target

PROTOCOL = 1  # of what is measured and how; results of two do not compare
MOST = 10_000  # samples and test images, if no number is given
TRAINING_NUMBERS = 150_000_000  # pixels of the training images that neighbours are looked for among, at most
SHOWN = 8  # samples whose nearest training images are shown


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One measure of a run.

    Attributes:
        value: of the samples, or of the model.
        uncertainty: its standard error in the same unit; None if there is none.
        floor: what as many training images score; None where that has no meaning.
        baseline: what a trivial model scores: for samples the Gaussian with the pixels' full covariance.
        noise: what training images with noise score.
        of: of what it is, where models can differ in it. Two that differ do not compare.
    """

    name: str
    value: float
    unit: str
    better: str
    uncertainty: float | None = None
    floor: float | None = None
    baseline: float | None = None
    noise: float | None = None
    of: str = ""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What `evaluate` found, as JSON has it.

    Attributes:
        run, model: their names.
        protocol: all that two results must share to be compared.
        measures: in the order of the table.
        left_out: by measure, why it has no value.
        facts: of the run and the sampling: step, parameters, seconds, options, shares of the classes, versions.
        path: the file that it is kept in; beside it are `samples.png` and `neighbours.png`.
    """

    run: str
    model: str
    protocol: Mapping[str, Any]
    measures: tuple[Measured, ...]
    left_out: Mapping[str, str]
    facts: Mapping[str, Any]
    path: Path | None = None

    def to_json(self) -> dict[str, Any]:
        """As JSON has it."""
        values = {key: getattr(self, key) for key in ("run", "model", "protocol", "left_out", "facts")}
        return values | {"measures": [asdict(measure) for measure in self.measures]}

    @classmethod
    def read(cls, path: Path) -> Evaluation:
        """The inverse, from a file. Raises `GenzooError` if it holds none."""
        try:
            values = json.loads(path.read_text("utf-8"))
            measures = tuple(Measured(**measure) for measure in values.pop("measures"))
            return cls(measures=measures, path=path, **values)
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise GenzooError(f"{path} is not the result of an evaluation: {one_line(error)}") from None


@dataclass(frozen=True, eq=False)
class Reference:
    """The data that runs are held against, one for all runs of a protocol; `floor` measures real data."""

    protocol: dict[str, Any]
    floor: Subject
    _columns: dict[str, dict[str, float]] = field(default_factory=dict)

    def columns(self, progress: Progress) -> dict[str, dict[str, float]]:
        """What real data and the two baselines score, by column and measure; worked out at the first call."""
        if not self._columns:
            real, rng = self.floor.samples.images, self.floor.rng("baselines")
            baselines = {
                "baseline": of.gaussian(self.floor.train.images[:MOST], len(real), rng),
                "noise": of.with_noise(real, rng),
            }
            subjects = {"floor": self.floor} | {key: self.against(images) for key, images in baselines.items()}
            for key, subject in subjects.items():
                found = measured(subject, None, progress)[0]
                self._columns[key] = {spec.name: estimate.value for spec, estimate in found}
        return self._columns

    def against(self, images: Tensor, **more: Any) -> Subject:
        """The same data, held against other images, uint8 (N, C, H, W)."""
        return replace(self.floor, samples=ImageSet(images, self.floor.test.extractor), own=None, **more)


def evaluate(
    run: str | Path | RunFolder,
    n: int | None = None,
    *,
    seed: int = 0,
    features: str = "auto",
    batch_size: int = 64,
    weights: str = "best",
    device: str = "auto",
    data_dir: str | None = None,
    runs_dir: str | None = None,
    progress: Progress = tick,
    **options: Any,
) -> Evaluation:
    """Measure a run against the held-out data of its own data set, and keep the result in the run.

    Args:
        run: a run's folder or name, or a model's name for its newest finished run.
        n: how many samples; None: as many as there are training images, but no more than 10,000.
        seed: of the samples and of all that is drawn.
        features: "auto" (of a classifier if the data have labels, else random), or a name of `genzoo evaluate --help`.
        weights: as for `load`.
        data_dir: where the data are now, if not where they were.
        progress: called with (what, done, total).
        options: the model's own sampling options.

    Raises:
        UsageError: no such run, option or features, or more samples than training images.
        GenzooError: the data are gone or changed, or the run is damaged.
    """
    folder = find_run(run, runs_dir)
    spec = spec_of(folder)[0]
    own: Any = build(spec.sample_options, options, f"sampling {spec.name}")
    reference = reference_of(folder, n, seed, features, data_dir, progress)
    return hold_against(reference, folder, own, batch_size, device, progress, weights)


def hold_against(
    reference: Reference,
    folder: RunFolder,
    own: Any,
    batch_size: int,
    device: str,
    progress: Progress,
    weights: str = "best",
) -> Evaluation:
    """Sample a run and measure it against a reference; see `evaluate`."""
    model = load(folder, device=device, weights=weights)
    count, seed = reference.protocol["samples"], reference.protocol["seed"]
    start = time.perf_counter()
    drawn = samples.to_bytes(draw(model, count, seed=seed, options=own, batch_size=batch_size, progress=progress))
    seconds = time.perf_counter() - start
    labels = labels_of_samples(count, folder.data_spec) if model.conditional else None
    subject = reference.against(drawn, model=model, labels=labels)
    columns = reference.columns(progress)
    estimates, left_out = measured(subject, model, progress)
    measures = []
    for spec, found in estimates:
        beside = {key: column.get(spec.name) for key, column in columns.items()}
        beside["baseline"] = found.baseline if found.baseline is not None else beside["baseline"]
        measures.append(
            Measured(
                name=spec.name, value=found.value, unit=spec.unit, better=spec.better, uncertainty=found.uncertainty,
                of=found.of, **beside,
            )
        )  # fmt: skip
    facts = _facts(folder, weights, own, subject) | {"sampling_seconds": round(seconds, 3)}
    result = Evaluation(
        run=folder.name, model=folder.model, protocol=reference.protocol, measures=tuple(measures), left_out=left_out,
        facts=facts,
    )  # fmt: skip
    return _keep(folder, result, subject)


def _facts(folder: RunFolder, weights: str, options: Any, subject: Subject) -> dict[str, Any]:
    used = folder.weights(weights)
    facts: dict[str, Any] = {
        "step": used["step"],
        "parameters": folder.record.get("parameters"),
        "training_seconds": folder.record["seconds"],
        "weights_sha256": used["sha256"],
        "sampling": to_json(options),
        "versions": {name: version(name) for name in ("genzoo", "torch", "numpy", "torchmetrics")},
    }
    try:
        found = subject.once(class_shares).tolist()
        facts["class_shares"] = dict(zip(subject.data.classes, (round(share, 6) for share in found), strict=True))
    except NotMeasurable:
        pass
    return facts


def kept(folder: RunFolder, protocol: Mapping[str, Any], options: Any) -> Evaluation | None:
    """The result that a run keeps for a protocol, its weights and sampling options as they are now, if there is one."""
    sha256, sampling = folder.weights().get("sha256"), to_json(options)
    for path in folder.evaluations():
        try:
            found = Evaluation.read(path)
        except GenzooError:
            continue
        same = found.facts["weights_sha256"] == sha256 and found.facts["sampling"] == sampling
        if same and found.protocol == protocol:
            return found
    return None


def measured(
    subject: Subject, model: Generator | None, progress: Progress
) -> tuple[list[tuple[MetricSpec, Estimate]], dict[str, str]]:
    """Every measure that applies, and why those have no value that have none."""
    found, left_out = [], {}
    every = [(plugin, spec) for _, plugin, spec in registry().metrics if spec.modality == subject.data.modality]
    every.sort(key=lambda item: place(item[1].name))
    wanted = [
        (plugin, spec)
        for plugin, spec in every
        if (not spec.needs or model is not None) and all(getattr(model, need, None) for need in spec.needs)
    ]
    for number, (plugin, spec) in enumerate(wanted):
        progress("measuring", number, len(wanted))
        try:
            estimate = load_target(spec.target, f"measure {spec.name!r} of {plugin.distribution}")(subject)
            if not math.isfinite(estimate.value):
                raise NotMeasurable("its value is not finite")
            found.append((spec, estimate))
        except GenzooError as error:
            left_out[spec.name] = str(error)
        except Exception as error:  # of a plugin's measure: the others are none the worse
            left_out[spec.name] = f"failed: {one_line(error)}"
    progress("measuring", len(wanted), len(wanted))
    return found, left_out


def reference_of(
    folder: RunFolder, n: int | None, seed: int, features: str, data_dir: str | None, progress: Progress
) -> Reference:
    """What a run is held against: its data, and what they and the trivial models score."""
    options = build(TrainOptions, folder.record["training"], "run.json")
    options = options if data_dir is None else replace(options, data_dir=data_dir)
    if folder.data_spec.modality != "image":
        raise UsageError(f"run {folder.name!r} is of {folder.data_spec.modality}; images can be evaluated")
    if n is not None and n < 1:
        raise UsageError(f"n is {n}; allowed is 1 or more")
    dataset, data = load_data(options, registry(), progress)
    if data.fingerprint != folder.data_spec.fingerprint:
        raise GenzooError(f"data {options.data!r} are no longer those that run {folder.name!r} was trained on")
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
    floor = Subject(data, real, train, test, seed, own=torch.arange(count), test_labels=test_labels)
    return Reference(protocol, floor)


def _keep(folder: RunFolder, result: Evaluation, subject: Subject) -> Evaluation:
    """Write the result and its two pictures into the run: a grid of samples, and samples beside what is nearest to them
    among the training images."""
    key = json.dumps([result.protocol, result.facts["sampling"], result.facts["weights_sha256"]], sort_keys=True)
    target = folder.evaluation_folder(hashlib.sha256(key.encode()).hexdigest()[:12])
    seed = result.protocol["seed"]
    marks = samples.marks(folder, seed=seed)
    try:
        target.mkdir(parents=True, exist_ok=True)
        write_json(target / "result.json", result.to_json())
    except OSError as error:
        raise GenzooError(f"cannot write {target}: {error.strerror}") from None
    drawn = to_unit(subject.samples.images)
    classes = subject.labels[: grid_size(subject.data)] if subject.labels is not None else None
    shown = drawn[: GRID if classes is None else len(classes)]
    samples.write_grid(shown, target / "samples.png", marks, labels=classes)
    closest = subject.once(neighbours)[1][:SHOWN]
    pair = torch.cat([drawn[:SHOWN], to_unit(subject.train.images[closest])])
    samples.write_grid(
        pair, target / "neighbours.png", marks | {"operation": "neighbours"}, columns=min(SHOWN, len(drawn))
    )
    return replace(result, path=target / "result.json")


def _taken(images: Tensor | Images, which: Tensor) -> Tensor:
    return images[which].cpu() if isinstance(images, Tensor) else torch.stack([images[int(i)] for i in which])
