"""Runs side by side, if they were measured the same way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from genzoo.evaluation.evaluate import Evaluation, HeldOut, Sampling, kept_evaluation
from genzoo.interface.dataset import Progress, silent
from genzoo.interface.errors import UsageError
from genzoo.runs.find import find_run
from genzoo.runs.folder import RunFolder


def compare(
    runs: Sequence[str | Path | RunFolder],
    n: int | None = None,
    *,
    seed: int = 0,
    features: str = "auto",
    batch_size: int = 64,
    device: str = "auto",
    data_dir: str | None = None,
    runs_dir: str | None = None,
    progress: Progress = silent,
) -> list[Evaluation]:
    """Evaluations of several runs, each made now unless the run keeps one of the same protocol, weights and sampling.

    Args:
        runs: each a run as `evaluate` takes it, or the file of a result (`result.json`).

    Raises:
        UsageError: they are of different data, which is said before anything is drawn, or their protocols differ; the
            message says in what.
    """
    sources = [_source(run, runs_dir) for run in runs]
    _check_same([(_name(source), _data(source)) for source in sources])
    results: list[Evaluation] = []
    held: HeldOut | None = None
    for source in sources:
        if isinstance(source, Evaluation):
            result = source
        else:
            options: object = source.spec()[0].sample_options()
            held = held or HeldOut(source, n, seed, features, data_dir, progress)
            kept = kept_evaluation(source, held.protocol, options)
            result = kept or held.evaluation_of(source, Sampling(options, batch_size, device), progress)
        results.append(result)
        _check_same([(result.run, result.protocol) for result in results])
    return results


def _source(run: str | Path | RunFolder, runs_dir: str | None) -> Evaluation | RunFolder:
    if not isinstance(run, RunFolder) and Path(run).suffix == ".json" and Path(run).is_file():
        return Evaluation.read(Path(run))
    return find_run(run, runs_dir)


def _name(source: Evaluation | RunFolder) -> str:
    return source.run if isinstance(source, Evaluation) else source.name


def _data(source: Evaluation | RunFolder) -> Mapping[str, object]:
    """What is known of the data before anything is measured."""
    if isinstance(source, Evaluation):
        return {key: source.protocol.get(key) for key in ("modality", "data", "fingerprint", "validation")}
    data = source.data_spec
    known = {"modality": data.modality, "data": data.name, "fingerprint": data.fingerprint}
    return known | {"validation": source.training.validation}


def _check_same(protocols: Sequence[tuple[str, Mapping[str, object]]]) -> None:
    """Raises `UsageError` if the protocols of results, or what is known of them, differ."""
    first_name, first = protocols[0]
    for name, other in protocols[1:]:
        keys = sorted(first.keys() | other.keys())
        differs = [key for key in keys if first.get(key) != other.get(key)]
        if differs:
            differences = "; ".join(f"{key} {first.get(key)!r} and {other.get(key)!r}" for key in differs)
            raise UsageError(
                f"{first_name} and {name} do not compare, as they were measured differently: {differences}"
            )
