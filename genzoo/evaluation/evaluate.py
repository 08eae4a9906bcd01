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

from genzoo.evaluation.request import request_for
from genzoo.interface.dataset import Progress, silent
from genzoo.interface.errors import GenzooError, UsageError, one_line
from genzoo.interface.files import write_json
from genzoo.interface.generator import Generator, ability
from genzoo.interface.measures import Estimate, NotMeasurable, Reference, Subject
from genzoo.interface.options import build, to_json
from genzoo.interface.parsing import parse_json
from genzoo.interface.specs import Json, MetricSpec, load_target
from genzoo.registry.plugins import modality_of, registry
from genzoo.runs.data import load_data
from genzoo.runs.find import check_takes_results, find_run
from genzoo.runs.folder import RunFolder
from genzoo.sampling.draw import draw, labels_of_samples
from genzoo.sampling.model import load

PROTOCOL = 2  # of what is measured and how; results of two do not compare


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One measure of a run.

    Attributes:
        value: of the samples, or of the model.
        uncertainty: its standard error in the same unit; None if there is none. Of several runs their standard
            deviation.
        references: what real data ("floor") and trivial models score, by the names in `Evaluation.columns`; without
            those of which the measure has no meaning.
        of: of what it is, where models can differ in it. Two that differ do not compare.
        count: of how many runs, which differ in the seed alone, it is the mean.
    """

    name: str
    value: float
    unit: str
    better: str
    uncertainty: float | None = None
    references: Mapping[str, float] = field(default_factory=dict)
    of: str = ""
    count: int = 1


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What `evaluate` gives, as JSON has it.

    Attributes:
        run, model: their names.
        protocol: all that two results must share to be compared.
        heading: in one line, what was measured how.
        columns: titles of what stands beside each value, by the names in `Measured.references`.
        legend: what these are, in words.
        measures: in the order of the table.
        left_out: by measure, why it has no value.
        facts: of the run and the sampling: step, parameters, seconds, options, versions, and what the modality says.
        path: the file that it is kept in; beside it are samples.
        of_seeds: those that it is the mean of, where it is of runs that differ in the seed alone.
    """

    run: str
    model: str
    protocol: Mapping[str, Any]
    heading: str
    columns: Mapping[str, str]
    legend: str
    measures: tuple[Measured, ...]
    left_out: Mapping[str, str]
    facts: Mapping[str, Any]
    path: Path | None = None
    of_seeds: tuple[Evaluation, ...] = ()

    def to_json(self) -> Json:
        """As JSON has it."""
        keys = ("run", "model", "protocol", "heading", "columns", "legend", "left_out", "facts")
        of_seeds = {"of_seeds": [result.to_json() for result in self.of_seeds]} if self.of_seeds else {}
        return {key: getattr(self, key) for key in keys} | {"measures": [asdict(m) for m in self.measures]} | of_seeds

    @classmethod
    def read(cls, path: Path) -> Evaluation:
        """The inverse, from a file. Raises `GenzooError` if it holds none."""
        try:
            values = parse_json(path.read_text("utf-8"))
            measures = tuple(Measured(**measure) for measure in values.pop("measures"))
            return cls(measures=measures, path=path, **values)
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise GenzooError(f"{path} is not the result of an evaluation: {one_line(error)}") from None


def evaluate(
    run: str | Path | RunFolder,
    n: int | None = None,
    *,
    seed: int = 0,
    features: str = "auto",
    batch_size: int = 64,
    weights: str = "best",
    device: str = "auto",
    data: str | None = None,
    data_dir: str | None = None,
    runs_dir: str | None = None,
    progress: Progress = silent,
    **options: object,
) -> Evaluation:
    """Measure a run against the held-out test part of its own data set, and keep the result in the run.

    Args:
        run: a run's folder or name, or a model's name for its newest finished run.
        n: how many samples; None: what the modality finds right (as many as there are training images, but no more than
            10,000; 32 texts).
        seed: of the samples and of all that is drawn.
        features: of images: "auto" (of a classifier if the data have labels, else random), or a name of `genzoo
            evaluate --help`.
        weights: as for `load`.
        data, data_dir: where the data are now, if not where they were; the run remembers it.
        progress: called with (what, done, total).
        options: the model's own sampling options.

    Raises:
        UsageError: no such run, option or features, or more samples than there are data to measure beside them.
        GenzooError: the data are gone or changed, the run is damaged, or its folder cannot be written.
    """
    folder = find_run(run, runs_dir)
    check_takes_results(folder)
    spec = folder.spec()[0]
    sampling = Sampling(build(spec.sample_options, options, f"sampling {spec.name}"), batch_size, device, weights)
    held = HeldOut(folder, n, seed, features, progress, data, data_dir)
    return held.evaluation_of(folder, sampling, progress)


@dataclass(frozen=True)
class Sampling:
    """How a run is sampled: the model's own options, and what is the same for all."""

    options: object
    batch_size: int
    device: str
    weights: str = "best"


class HeldOut:
    """The data that runs are held against, one for all runs of a protocol."""

    def __init__(
        self,
        folder: RunFolder,
        n: int | None,
        seed: int,
        features: str,
        progress: Progress,
        data: str | None = None,
        data_dir: str | None = None,
    ) -> None:
        if n is not None and n < 1:
            raise UsageError(f"n is {n}; allowed is 1 or more")
        dataset, spec = load_data(folder, data, data_dir, progress)
        self.modality = spec.modality
        request = request_for(folder, n, seed, features, data_dir, progress)
        self.seed = seed
        self.reference: Reference[Any] = modality_of(spec.modality).reference(dataset, spec, request, progress)
        self.protocol = {
            "version": PROTOCOL, "modality": spec.modality, "data": spec.name, "fingerprint": spec.fingerprint,
            "validation": folder.training.validation, "samples": self.reference.count, "seed": seed,
            **self.reference.protocol,
        }  # fmt: skip
        self._scores: dict[str, dict[str, float]] = {}

    def evaluation_of(self, folder: RunFolder, sampling: Sampling, progress: Progress) -> Evaluation:
        """Sample a run and measure it; see `evaluate`."""
        reference, count = self.reference, self.reference.count
        model = load(folder, device=sampling.device, weights=sampling.weights)
        start = time.perf_counter()
        samples = draw(
            model, count, seed=self.seed, options=sampling.options, batch_size=sampling.batch_size, progress=progress
        )
        seconds = time.perf_counter() - start
        labels = labels_of_samples(count, model.data) if model.conditional else None
        subject = reference.subject(samples, labels, model)
        scores = self._reference_scores(progress)
        estimates, left_out = measured(subject, model, progress)
        result = Evaluation(
            run=folder.name,
            model=folder.model,
            protocol=self.protocol,
            heading=reference.heading,
            columns=reference.columns,
            legend=reference.legend,
            measures=tuple(_with_references(spec, estimate, scores) for spec, estimate in estimates),
            left_out=left_out,
            facts=_facts(folder, sampling) | {"sampling_seconds": round(seconds, 3)} | reference.facts(subject),
        )
        return self._keep(folder, result, subject)

    def _reference_scores(self, progress: Progress) -> dict[str, dict[str, float]]:
        """What real data and the baselines score, by column and measure; worked out once."""
        if not self._scores:
            for column, subject in self.reference.others().items():
                estimates = measured(subject, None, progress)[0]
                self._scores[column] = {spec.name: estimate.value for spec, estimate in estimates}
        return self._scores

    def _keep(self, folder: RunFolder, result: Evaluation, subject: Subject) -> Evaluation:
        """Write the result and what illustrates it into the run."""
        key = json.dumps([result.protocol, result.facts["sampling"], result.facts["weights_sha256"]], sort_keys=True)
        path = folder.evaluation_file(hashlib.sha256(key.encode()).hexdigest()[:12])
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, result.to_json())
        except OSError as error:
            raise GenzooError(f"cannot write {path.parent}: {error.strerror}") from None
        self.reference.illustrate(subject, path.parent, folder.provenance(self.seed))
        return replace(result, path=path)


def _with_references(spec: MetricSpec, estimate: Estimate, scores: Mapping[str, Mapping[str, float]]) -> Measured:
    """A measure beside what the others score; an estimate's own baseline stands in the first baseline's place."""
    references = {column: values[spec.name] for column, values in scores.items() if spec.name in values}
    baseline = next((column for column in scores if column != "floor"), None)
    if estimate.baseline is not None and baseline is not None:
        references[baseline] = estimate.baseline
    return Measured(
        name=spec.name, value=estimate.value, unit=spec.unit, better=spec.better, uncertainty=estimate.uncertainty,
        references=references, of=estimate.of,
    )  # fmt: skip


def _facts(folder: RunFolder, sampling: Sampling) -> dict[str, object]:
    weights = folder.weights(sampling.weights)
    return {
        "step": weights["step"],
        "parameters": folder.record.get("parameters"),
        "training_seconds": folder.record["seconds"],
        "weights_sha256": weights["sha256"],
        "sampling": to_json(sampling.options),
        "versions": {name: version(name) for name in ("genzoo", "torch", "numpy")},
    }


def kept_evaluation(folder: RunFolder, protocol: Mapping[str, object], options: object) -> Evaluation | None:
    """The result that a run keeps for a protocol, its weights and sampling options as they are now, if there is one."""
    sha256, sampling = folder.weights().get("sha256"), to_json(options)
    for path in folder.evaluations():
        try:
            result = Evaluation.read(path)
        except GenzooError:
            continue
        same = result.facts["weights_sha256"] == sha256 and result.facts["sampling"] == sampling
        if same and result.protocol == protocol:
            return result
    return None


def measured(
    subject: Subject, model: Generator | None, progress: Progress
) -> tuple[list[tuple[MetricSpec, Estimate]], dict[str, str]]:
    """Every measure that applies, and why those have no value that have none."""
    estimates, left_out = [], {}
    wanted = [
        (plugin, spec)
        for plugin, spec in registry().metrics.of_modality(subject.data.modality)
        if not spec.needs or (model is not None and all(ability(model, need) for need in spec.needs))
    ]
    for number, (plugin, spec) in enumerate(wanted):
        progress("measuring (measures)", number, len(wanted))
        try:
            if spec.applies is not None and not spec.applies(subject.data):
                continue
            estimate = load_target(spec.target, f"measure {spec.name!r} of {plugin.distribution}")(subject)
            if not math.isfinite(estimate.value):
                raise NotMeasurable("its value is not finite")
            estimates.append((spec, estimate))
        except GenzooError as error:
            left_out[spec.name] = str(error)
        except Exception as error:  # of a plugin's measure: the others are none the worse
            left_out[spec.name] = f"failed: {one_line(error)}"
    progress("measuring (measures)", len(wanted), len(wanted))
    return estimates, left_out
