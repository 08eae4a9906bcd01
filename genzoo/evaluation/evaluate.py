"""The story of one evaluation: from a run to a table of measures, beside what real data and trivial models score."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from genzoo.evaluation.request import request_for
from genzoo.evaluation.result import Evaluation, Measured
from genzoo.evaluation.time_left import MEASURES, REFERENCES, REHEARSED, UNTRAINED, TimeLeft, measures_of, sampling_of
from genzoo.interface.dataset import Progress, silent
from genzoo.interface.errors import GenzooError, UsageError, one_line
from genzoo.interface.files import write_json
from genzoo.interface.generator import Generator, ability
from genzoo.interface.measures import Estimate, EvaluationRequest, NotMeasurable, Reference, Subject
from genzoo.interface.options import build, to_json
from genzoo.interface.specs import DataSpec, MetricSpec, TrainOptions, load_target
from genzoo.registry.data import open_data
from genzoo.registry.installed import Plugin
from genzoo.registry.plugins import modality_of, registry
from genzoo.runs.data import load_data
from genzoo.runs.find import check_takes_results, find_run
from genzoo.runs.folder import RunFolder
from genzoo.runs.progress import Watched
from genzoo.sampling.draw import draw, labels_of_samples
from genzoo.sampling.model import load

FEW = 2  # test examples that a model is looked at with for how long it takes
PROTOCOL = 3  # of what is measured and how; results of two do not compare


def evaluate(
    run: str | Path | RunFolder,
    n: int | None = None,
    *,
    seed: int = 0,
    features: str = "auto",
    batch_size: int = 64,
    weights: str = "best",
    device: str = "auto",
    data: object = None,
    data_dir: str | None = None,
    runs_dir: str | None = None,
    progress: Progress | bool | None = None,
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
        data, data_dir: where the data are now, if not where they were, and the run remembers it; or the data
            themselves, which are needed again where they were given in memory.
        progress: as for `train`: of each part, and of the whole in seconds as soon as that is known.
        options: the model's own sampling options.

    Raises:
        UsageError: no such run, option or features, or more samples than there are data to measure beside them.
        GenzooError: the data are gone or changed, the run is damaged, or its folder cannot be written.
    """
    folder = find_run(run, runs_dir)
    check_takes_results(folder)
    spec = folder.spec()[0]
    sampling = Sampling(build(spec.sample_options, options, f"sampling {spec.name}"), batch_size, device, weights)
    with Watched(progress) as watched:
        held = HeldOut({folder: sampling}, n, seed, features, TimeLeft(watched.data), data, data_dir)
        return with_measures_of_run(held.evaluation_of(folder), folder)


@dataclass(frozen=True)
class Sampling:
    """How a run is sampled: the model's own options, and what is the same for all."""

    options: object
    batch_size: int
    device: str
    weights: str = "best"


class HeldOut:
    """The data that runs are held against, one for all runs of a protocol.

    Args:
        runs: those that will be measured, and how each is sampled.
        n, seed, features, data, data_dir: as for `evaluate`.
        time_left: which is told of it.
        reuse: take the results that runs keep for this protocol, their weights and sampling as they are now.
        reading: how the data are read where they need not be those of the runs; None: they must be.
    """

    def __init__(
        self,
        runs: Mapping[RunFolder, Sampling],
        n: int | None,
        seed: int,
        features: str,
        time_left: TimeLeft,
        data: object = None,
        data_dir: str | None = None,
        *,
        reuse: bool = False,
        reading: TrainOptions | None = None,
    ) -> None:
        if n is not None and n < 1:
            raise UsageError(f"n is {n}; allowed is 1 or more")
        self.seed, self.time_left, self._runs = seed, time_left, dict(runs)
        time_left.to_come = [REFERENCES, *(kind for run in runs for kind in (sampling_of(run), measures_of(run)))]
        folder = next(iter(runs))
        with time_left.part("data") as progress:
            if reading is None:
                dataset, spec = load_data(folder, data, data_dir, progress)
            else:
                dataset, spec = open_data(folder.modality, reading, folder.kept(), progress, data)
            training, self.data, self.modality = reading or folder.training, spec, spec.modality

            def reference(asked: EvaluationRequest) -> Reference[Any]:
                return modality_of(spec.modality).reference(dataset, spec, asked, progress)

            self._kept: dict[RunFolder, Evaluation] = {}

            def rehearse(count: int | None = None) -> None:
                self._rehearse(reference, replace(request, features=UNTRAINED), count)

            request = request_for(spec.modality, n, seed, features, data_dir or training.data_dir, rehearse, progress)
            self.reference = reference(request)
            self.protocol = {
                "version": PROTOCOL, "modality": spec.modality, "data": spec.name, "fingerprint": spec.fingerprint,
                "validation": training.validation, "samples": self.reference.count, "seed": seed,
                **self.reference.protocol,
            }  # fmt: skip
            if reuse:
                self._kept = self._kept_results()
            rehearse(self.reference.count)
        self._scores: dict[str, dict[str, float]] = {}

    def _kept_results(self) -> dict[RunFolder, Evaluation]:
        """The results that need not be made anew."""
        results = {run: kept_evaluation(run, self.protocol, sampling.options) for run, sampling in self._runs.items()}
        kept = {run: result for run, result in results.items() if result is not None}
        for run in kept:
            self.time_left.skip(sampling_of(run), measures_of(run))
        if len(kept) == len(self._runs):
            self.time_left.skip(REFERENCES)
        return kept

    def _rehearse(
        self, reference: Callable[[EvaluationRequest], Reference[Any]], untrained: EvaluationRequest, count: int | None
    ) -> None:
        """See how long it will take, where somebody watches: before features are trained, or, with the `count` of
        samples, where that is large."""
        time_left, runs = self.time_left, [run for run in self._runs if run not in self._kept]
        if not time_left.is_watched or not runs:
            return
        known = [spec.name for _, spec in registry().features.of_modality(self.modality)]
        small = None if count is None else self.reference
        if UNTRAINED in known and time_left.expected(MEASURES) is None and (count is None or count > 2 * REHEARSED):
            count = count or reference(untrained).count
            small = reference(replace(untrained, count=min(count, REHEARSED)))
            time_left.rehearse_measures(small, count, measured)
        if count is not None and small is not None:
            batch_size = self._runs[runs[0]].batch_size
            time_left.rehearse_runs(runs, count, batch_size, partial(self._seconds_of, small))

    def _seconds_of(self, reference: Reference[Any], folder: RunFolder, count: int) -> tuple[float, float]:
        """How long so many samples of a run take; and the measures that need something of the model, by a few test
        examples."""
        sampling = self._runs[folder]
        model = load(folder, device=sampling.device, weights=sampling.weights)
        start = time.perf_counter()
        samples = draw(model, count, seed=self.seed, options=sampling.options, batch_size=sampling.batch_size)
        seconds = time.perf_counter() - start
        labels = labels_of_samples(count, model.data) if model.conditional else None
        part = reference.subject(samples, labels, model).against_first(FEW)
        if part is None:
            return seconds, 0.0
        start = time.perf_counter()
        measured(part[0], model, silent, by_model_alone=True)
        return seconds, (time.perf_counter() - start) * part[1]

    def result_of(self, folder: RunFolder, name: str) -> Evaluation:
        """The result that a run keeps, or a new one."""
        return self._kept.get(folder) or self.evaluation_of(folder, name)

    def evaluation_of(self, folder: RunFolder, name: str = "") -> Evaluation:
        """Sample a run, measure it and keep the result in it; see `evaluate`. The progress display calls it `name`."""
        check_takes_results(folder)
        return self._keep(folder, *self.measure(folder, name))

    def measure(self, folder: RunFolder, name: str = "") -> tuple[Evaluation, Subject]:
        """Sample a run and measure it: the result, and what was measured."""
        reference, count, sampling, part = self.reference, self.reference.count, self._runs[folder], self.time_left.part
        with part(sampling_of(folder), name) as progress:
            model = load(folder, device=sampling.device, weights=sampling.weights)
            start = time.perf_counter()
            samples = draw(
                model, count, seed=self.seed, options=sampling.options, batch_size=sampling.batch_size,
                progress=progress,
            )  # fmt: skip
            seconds = time.perf_counter() - start
        labels = labels_of_samples(count, model.data) if model.conditional else None
        subject = reference.subject(samples, labels, model)
        scores = self._reference_scores()
        with part(measures_of(folder), name) as progress:
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
        return result, subject

    def _reference_scores(self) -> dict[str, dict[str, float]]:
        """What real data and the baselines score, by column and measure; worked out once."""
        if not self._scores:
            with self.time_left.part(REFERENCES) as progress:
                for column, subject in self.reference.others().items():
                    start = time.perf_counter()
                    estimates = measured(subject, None, partial(_of, progress, self.reference.columns[column]))[0]
                    self._scores[column] = {spec.name: estimate.value for spec, estimate in estimates}
                    self.time_left.seconds[MEASURES] = time.perf_counter() - start
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


def _of(progress: Progress, subject: str, activity: str, done: int, total: int) -> None:
    progress(f"{subject}: {activity}", done, total)


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


def _has(model: Generator | None, needs: Sequence[str]) -> bool:
    return model is not None and all(ability(model, need) for need in needs)


def measured(
    subject: Subject, model: Generator | None, progress: Progress, *, by_model_alone: bool = False
) -> tuple[list[tuple[MetricSpec, Estimate]], dict[str, str]]:
    """Every measure that applies, or only those that need something of the model, and why those have no value that have
    none."""
    wanted = [
        (plugin, spec)
        for plugin, spec in registry().metrics.of_modality(subject.data.modality)
        if spec.modality and (spec.needs or not by_model_alone) and (not spec.needs or _has(model, spec.needs))
    ]
    return _estimates(wanted, subject, subject.data, progress)


def with_measures_of_run(result: Evaluation, folder: RunFolder) -> Evaluation:
    """A result with what is measured of the run itself, as that is now."""
    data = folder.data_spec
    wanted = [entry for entry in registry().metrics.of_modality(data.modality) if not entry[1].modality]
    estimates, left_out = _estimates(wanted, folder, data, silent)
    measures = [_with_references(spec, estimate, {}) for spec, estimate in estimates]
    return replace(result, measures=(*result.measures, *measures), left_out={**result.left_out, **left_out})


def _estimates(
    wanted: Sequence[tuple[Plugin, MetricSpec]], subject: Subject | RunFolder, data: DataSpec, progress: Progress
) -> tuple[list[tuple[MetricSpec, Estimate]], dict[str, str]]:
    """What each measure gives, and why those have no value that have none."""
    estimates: list[tuple[MetricSpec, Estimate]] = []
    left_out: dict[str, str] = {}
    for number, (plugin, spec) in enumerate(wanted):
        progress("measuring (measures)", number, len(wanted))
        try:
            if spec.applies is not None and not spec.applies(data):
                continue
            estimate = load_target(spec.target, f"measure {spec.name!r} of {plugin.distribution}")(subject)
            if estimate is None and not spec.modality:
                continue
            if not math.isfinite(estimate.value):
                raise NotMeasurable("its value is not finite")
            estimates.append((spec, estimate))
        except GenzooError as error:
            left_out[spec.name] = str(error)
        except Exception as error:  # of a plugin's measure: the others are none the worse
            left_out[spec.name] = f"failed: {one_line(error)}"
    progress("measuring (measures)", len(wanted), len(wanted))
    return estimates, left_out
