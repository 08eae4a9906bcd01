"""Groups: runs that differ in the seed alone. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from genzoo.interface.errors import UsageError
from genzoo.interface.specs import Json
from genzoo.runs.find import check_is_run, find_run, runs_of_group
from genzoo.runs.folder import RunFolder

NOT_COMPARED = ("seed", "name", "runs_dir", "data_dir")  # of the training options


@dataclass(frozen=True)
class Group:
    """What each run of a group says of it: its name, and the seeds that it is to have."""

    name: str
    seeds: tuple[int, ...]

    def run_name(self, seed: int) -> str:
        """The name of the run of a seed."""
        return f"{self.name}-seed{seed}"


def seeds_of(runs: Sequence[RunFolder]) -> tuple[int, ...]:
    """The seeds that the group of these runs is to have, as any of them says."""
    return tuple(sorted({seed for run in runs for seed in run.record["group"]["seeds"]}))


def all_but_seed(run: RunFolder) -> Json:
    """What runs share that differ in the seed alone."""
    record = run.record
    training = {name: value for name, value in record["training"].items() if name not in NOT_COMPARED}
    return {
        "model": (record["plugin"], run.model), "options": record["options"], "training": training,
        "fingerprint": record["data_spec"]["fingerprint"], "kept": record["kept"],
    }  # fmt: skip


def columns_of(
    runs: Sequence[str | Path | RunFolder], runs_dir: str | None = None, *, seeds: bool = False
) -> list[list[RunFolder | Path]]:
    """What is to be compared, by column: a run, the file of a result, or all runs of a group. With `seeds` runs that
    differ in the seed alone are one column, and a run of a group stands for all of it. Raises `UsageError`."""
    if isinstance(runs, str) or not isinstance(runs, Sequence) or not runs:
        kind = "an empty one" if isinstance(runs, Sequence) and not runs else f"a {type(runs).__name__}"
        raise UsageError(f"a list of runs is needed, each by its name or folder; this is {kind}")
    columns: list[list[RunFolder | Path]] = []
    for each in runs:
        column = _column(each, runs_dir, seeds)
        same = [other for other in columns if seeds and _differ_in_seed_alone(other[0], column[0])]
        if same:
            paths = {run.path for run in same[0] if isinstance(run, RunFolder)}
            same[0].extend(run for run in column if isinstance(run, RunFolder) and run.path not in paths)
        else:
            columns.append(column)
    return columns


def _column(run: str | Path | RunFolder, runs_dir: str | None, seeds: bool) -> list[RunFolder | Path]:
    check_is_run(run)
    if not isinstance(run, RunFolder) and Path(run).suffix == ".json" and Path(run).is_file():
        return [Path(run)]
    group = runs_of_group(str(run), runs_dir)
    if not group:
        folder = find_run(run, runs_dir)
        if not seeds or folder.group is None:
            return [folder]
        group = runs_of_group(folder.group, str(folder.path.parent))
    unfinished = [run.name for run in group if run.status != "finished"]
    if unfinished or len(group) < len(seeds_of(group)):
        name, count = group[0].group, len(seeds_of(group))
        raise UsageError(
            f"{len(group) - len(unfinished)} of the {count} runs of group {name!r} are finished; go on with: genzoo"
            f" resume {name}"
        )
    return [*group]


def _differ_in_seed_alone(one: RunFolder | Path, other: RunFolder | Path) -> bool:
    if not isinstance(one, RunFolder) or not isinstance(other, RunFolder):
        return False
    return all_but_seed(one) == all_but_seed(other)
