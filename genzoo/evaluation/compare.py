"""Runs side by side, if they were measured the same way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from genzoo.evaluation import report
from genzoo.evaluation.evaluate import HeldOut, Sampling, with_measures_of_run
from genzoo.evaluation.result import Evaluation
from genzoo.evaluation.seeds import pooled
from genzoo.evaluation.time_left import TimeLeft
from genzoo.interface.dataset import Progress
from genzoo.interface.errors import UsageError
from genzoo.interface.shown import Listing
from genzoo.runs.data import remember_place
from genzoo.runs.find import check_takes_results
from genzoo.runs.folder import RunFolder
from genzoo.runs.groups import columns_of
from genzoo.runs.progress import Watched


def compare(
    runs: Sequence[str | Path | RunFolder],
    n: int | None = None,
    *,
    seed: int = 0,
    features: str = "auto",
    batch_size: int = 64,
    device: str = "auto",
    data: object = None,
    data_dir: str | None = None,
    runs_dir: str | None = None,
    seeds: bool = False,
    progress: Progress | bool | None = None,
) -> Comparison:
    """Evaluations of several runs, each made now unless the run keeps one of the same protocol, weights and sampling.

    Args:
        runs: each a run as `evaluate` takes it, the file of a result (`result.json`), or the name of a group
            (`train_seeds`), which is one result: mean and standard deviation over its runs.
        data, data_dir: as for `evaluate`, those of all runs.
        seeds: let runs that differ in the seed alone be one result too, and a run of a group stand for all of it.

    Raises:
        UsageError: they are of different data, which is said before anything is drawn, or their protocols differ; the
            message says in what.
    """
    columns = columns_of(runs, runs_dir, seeds=seeds)
    sources = [_source(run) for column in columns for run in column]
    _check_same([(_name(source), _data(source)) for source in sources])
    for source in sources:
        if isinstance(source, RunFolder) and not source.evaluations():
            check_takes_results(source)
    sampled = {
        source: Sampling(source.spec()[0].sample_options(), batch_size, device)
        for source in sources if isinstance(source, RunFolder)
    }  # fmt: skip
    results: list[Evaluation] = []
    with Watched(progress) as watched:
        time_left = TimeLeft(watched.data)
        held = HeldOut(sampled, n, seed, features, time_left, data, data_dir, reuse=True) if sampled else None
        for number, source in enumerate(sources, start=1):
            if isinstance(source, Evaluation):
                results.append(source)
            else:
                assert held is not None, "there is a run"
                remember_place(source, data, data_dir)
                result = held.result_of(source, f"run {number} of {len(sources)}")
                results.append(with_measures_of_run(result, source))
            _check_same([(result.run, result.protocol) for result in results])
    remaining = iter(results)
    return Comparison([_of_column(column, [next(remaining) for _ in column]) for column in columns])


class Comparison(Listing[Evaluation]):
    """Evaluations of one protocol, which show themselves as one table: a column a run, beside what real data and
    trivial models score."""

    def __init__(self, results: Sequence[Evaluation]) -> None:
        super().__init__(results, Evaluation.to_rows)

    def _repr_html_(self) -> str:
        return report.fragment(self)


def _of_column(column: Sequence[RunFolder | Path], results: Sequence[Evaluation]) -> Evaluation:
    """The result of a run, or of all runs of a column."""
    runs = [run for run in column if isinstance(run, RunFolder)]
    if len(results) == 1:
        return results[0]
    groups = {run.group for run in runs}
    name = groups.pop() if len(groups) == 1 else None
    return pooled(results, name or f"{runs[0].name} and {len(runs) - 1} more", [run.training.seed for run in runs])


def _source(run: RunFolder | Path) -> Evaluation | RunFolder:
    return run if isinstance(run, RunFolder) else Evaluation.read(run)


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
