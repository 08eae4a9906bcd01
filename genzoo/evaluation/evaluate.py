"""The story of one evaluation: from a run to a table of measures, beside what real data and trivial models score."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from genzoo import samples
from genzoo.data.files import Progress, tick
from genzoo.errors import GenzooError, one_line
from genzoo.evaluation import place
from genzoo.evaluation.measures import Estimate, Measurable, NotMeasurable
from genzoo.evaluation.reference import Reference, reference_of
from genzoo.generator import Generator
from genzoo.options import build, to_json
from genzoo.registry import registry
from genzoo.run_folder import RunFolder, find_run, write_json
from genzoo.sampling import load, spec_of
from genzoo.spec import MetricSpec, load_target


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One measure of a run.

    Attributes:
        value: of the samples, or of the model.
        uncertainty: its standard error in the same unit; None if there is none.
        floor: what as many training images score; None where that has no meaning.
        baseline: what a trivial model scores: for images the Gaussian with the pixels' full covariance, for text the
            best n-gram.
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
        path: the file that it is kept in; beside it are `samples.png` and `neighbours.png`, or `samples.txt`.
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
        n: how many samples; None: as many as there are training images, but no more than 10,000; or 32 texts.
        seed: of the samples and of all that is drawn.
        features: of images: "auto" (of a classifier if the data have labels, else random), or a name of `genzoo
            evaluate --help`.
        weights: as for `load`.
        data_dir: where the data are now, if not where they were.
        progress: called with (what, done, total).
        options: the model's own sampling options.

    Raises:
        UsageError: no such run, option or features, or more samples than there are data to measure beside them.
        GenzooError: the data are gone or changed, or the run is damaged.
    """
    folder = find_run(run, runs_dir)
    spec = spec_of(folder)[0]
    own: Any = build(spec.sample_options, options, f"sampling {spec.name}")
    reference = reference_of(folder, n, seed, features, data_dir, progress)
    return hold_against(reference, folder, own, batch_size, device, progress, weights)


def hold_against(
    reference: Reference[Any],
    folder: RunFolder,
    own: Any,
    batch_size: int,
    device: str,
    progress: Progress,
    weights: str = "best",
) -> Evaluation:
    """Sample a run and measure it against a reference; see `evaluate`."""
    model = load(folder, device=device, weights=weights)
    start = time.perf_counter()
    subject = reference.drawn(model, own, batch_size, progress)
    seconds = time.perf_counter() - start
    columns = columns_of(reference, progress)
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
    facts = _facts(folder, weights, own) | {"sampling_seconds": round(seconds, 3)} | reference.facts(subject)
    result = Evaluation(
        run=folder.name, model=folder.model, protocol=reference.protocol, measures=tuple(measures), left_out=left_out,
        facts=facts,
    )  # fmt: skip
    return _keep(folder, result, reference, subject)


def columns_of(reference: Reference[Any], progress: Progress) -> dict[str, dict[str, float]]:
    """What real data and the baselines score, by column and measure; worked out once for a reference."""
    if not reference.columns:
        for key, subject in reference.beside().items():
            found = measured(subject, None, progress)[0]
            reference.columns[key] = {spec.name: estimate.value for spec, estimate in found}
    return reference.columns


def _facts(folder: RunFolder, weights: str, options: Any) -> dict[str, Any]:
    used = folder.weights(weights)
    return {
        "step": used["step"],
        "parameters": folder.record.get("parameters"),
        "training_seconds": folder.record["seconds"],
        "weights_sha256": used["sha256"],
        "sampling": to_json(options),
        "versions": {name: version(name) for name in ("genzoo", "torch", "numpy", "torchmetrics")},
    }


def _keep(folder: RunFolder, result: Evaluation, reference: Reference[Any], subject: Measurable) -> Evaluation:
    """Write the result and what illustrates it into the run."""
    key = json.dumps([result.protocol, result.facts["sampling"], result.facts["weights_sha256"]], sort_keys=True)
    target = folder.evaluation_folder(hashlib.sha256(key.encode()).hexdigest()[:12])
    try:
        target.mkdir(parents=True, exist_ok=True)
        write_json(target / "result.json", result.to_json())
    except OSError as error:
        raise GenzooError(f"cannot write {target}: {error.strerror}") from None
    reference.illustrate(subject, target, samples.marks(folder, seed=result.protocol["seed"]))
    return replace(result, path=target / "result.json")


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
    subject: Measurable, model: Generator | None, progress: Progress
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
