"""A contest: runs that others handed in, sampled and measured anew on data that only the one who measures holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from genzoo.evaluation.evaluate import HeldOut, Sampling
from genzoo.evaluation.report import number
from genzoo.evaluation.result import Evaluation
from genzoo.evaluation.time_left import TimeLeft
from genzoo.interface.dataset import Progress
from genzoo.interface.errors import GenzooError, UsageError, unknown
from genzoo.interface.options import build, options_of
from genzoo.interface.specs import TrainOptions
from genzoo.registry.data import IN_MEMORY, is_in_memory, place_of, with_whole_paths
from genzoo.registry.plugins import modality_of, registry
from genzoo.runs.find import runs_in
from genzoo.runs.folder import RunFolder
from genzoo.sampling.draw import draw
from genzoo.sampling.model import load


@dataclass(frozen=True)
class Leaderboard:
    """What was handed in, the best first.

    Attributes:
        ranked: the results, by the first of the measures.
        left_out: why others have none, by the name of the run.
        measures: the names of the columns, of which the first decides.
    """

    ranked: Sequence[Evaluation]
    left_out: dict[str, str]
    measures: Sequence[str]

    def rows(self) -> list[tuple[str, ...]]:
        """A heading, a line a run, and what real data and trivial models score."""
        better = {m.name: m.better for result in self.ranked for m in result.measures}
        heads = [f"{name} {'↓' if better.get(name) == 'lower' else '↑'}" for name in self.measures]
        lines = [("RANK", "RUN", "MODEL", "PARAMETERS", *(head.upper() for head in heads))]
        for rank, result in enumerate(self.ranked, 1):
            values = {m.name: _cell(m.value, m.uncertainty) for m in result.measures}
            cells = [values.get(name, "") for name in self.measures]
            lines.append((str(rank), result.run, result.model, f"{result.facts['parameters']:,}", *cells))
        for column, title in (self.ranked[0].columns if self.ranked else {}).items():
            scores = {m.name: m.references.get(column) for m in self.ranked[0].measures}
            cells = ["" if (value := scores.get(name)) is None else number(value) for name in self.measures]
            lines.append(("", title, "", "", *cells))
        return lines


def _cell(value: float, uncertainty: float | None) -> str:
    return number(value) + ("" if uncertainty is None else f" ± {number(uncertainty, 2)}")


def leaderboard(
    folder: str | Path, data: object, *, n: int | None = None, seed: int = 0, features: str = "auto",
    measures: Sequence[str] = (), batch_size: int = 64, device: str = "auto", data_dir: str | None = None,
    progress: Progress,
) -> Leaderboard:  # fmt: skip
    """Measure the runs in a folder, at any depth, on data of one's own. Nothing that a run says it scored is read, and
    nothing is written into it; its weights are drawn from with the plugins that are installed here.

    Args:
        data: a name or a path as `--data` takes it, or data in memory; what the runs were trained on is not looked for.
        measures: the columns, of which the first decides; none: the modality's first three.

    Raises:
        UsageError: there is no run, or no such data; and where none of the runs can be measured.
    """
    entries = list(_entries(Path(folder).expanduser()))
    opened = [run for _, run in entries if isinstance(run, RunFolder)]
    left_out = {name: run for name, run in entries if isinstance(run, str)}
    if not opened:
        raise UsageError(f"{folder} has no run that can be read" + "".join(f"; {why}" for why in left_out.values()))
    known = [spec.name for _, spec in registry().metrics.of_modality(opened[0].data_spec.modality)]
    if strange := [name for name in measures if name not in known]:
        raise unknown("measure", strange[0], known)
    samplings = {run: Sampling(run.spec()[0].sample_options(), batch_size, device) for run in opened}
    reading = _reading(opened[0], data, data_dir)
    held = HeldOut(samplings, n, seed, features, TimeLeft(progress), data, data_dir, reading=reading)
    results: list[Evaluation] = []
    hashes: dict[str, str] = {}
    for position, (name, run) in enumerate(entries, 1):
        if isinstance(run, str):
            continue
        try:
            result = _measured(run, held, samplings[run], f"run {position} of {len(entries)}")
        except GenzooError as error:
            left_out[name] = str(error)
            continue
        sha256 = str(result.facts["weights_sha256"])
        if sha256 in hashes:
            left_out[name] = f"the weights are those of {hashes[sha256]}"
            continue
        hashes[sha256] = name
        results.append(replace(result, run=name))
    if not results:
        raise UsageError("; ".join(f"{name}: {why}" for name, why in left_out.items()))
    measured = list(dict.fromkeys(m.name for result in results for m in result.measures))
    columns = list(measures) or measured[:3]
    return Leaderboard(sorted(results, key=lambda result: _rank(result, columns[0])), left_out, columns)


def _entries(folder: Path) -> Iterator[tuple[str, RunFolder | str]]:
    """The runs in a folder by their way from there, or why one cannot be read."""
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder; give one with the runs that were handed in")
    for path in runs_in(folder):
        name = path.relative_to(folder).as_posix()
        try:
            run = RunFolder(path)
            run.spec()
            yield name, run
        except GenzooError as error:
            yield name, str(error)


def _reading(first: RunFolder, data: object, data_dir: str | None) -> TrainOptions:
    """How the data of the one who measures are read: as the first run's are, and cut into parts as by default."""
    kind = first.modality.train_options
    of_data = options_of(kind).keys() - options_of(TrainOptions).keys()
    how = {name: value for name, value in first.record["training"].items() if name in of_data}
    asked = build(kind, {**how, "data": place_of(data), "data_dir": data_dir}, "the leaderboard")
    if asked.data == IN_MEMORY and not is_in_memory(data):
        raise UsageError("the data to measure on are needed; give --data")
    return with_whole_paths(asked, first.modality)


def _measured(run: RunFolder, held: HeldOut, sampling: Sampling, name: str) -> Evaluation:
    """A run's result. Raises `GenzooError`."""
    if run.data_spec.modality != held.data.modality:
        raise UsageError(f"it is of {run.data_spec.modality} data, and not of {held.data.modality}")
    model = load(run, device=sampling.device)
    first = draw(model, 1, seed=held.seed, options=sampling.options)
    modality_of(held.data.modality).check(first, 1, held.data)  # which raises for pictures of another size
    result = held.measure(run, name)[0]
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return replace(result, facts={**result.facts, "parameters": parameters})


def _rank(result: Evaluation, measure: str) -> float:
    """Lower is better; runs without the measure are last."""
    values = [m.value if m.better == "lower" else -m.value for m in result.measures if m.name == measure]
    return values[0] if values else float("inf")
