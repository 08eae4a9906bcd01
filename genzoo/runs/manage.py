"""Runs in order: what is said of each in a list, which are listed, and what is done to them. Imports nothing heavy."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from genzoo.interface.errors import GenzooError, UsageError, unknown
from genzoo.interface.files import read_json
from genzoo.interface.specs import Json, check_run_name
from genzoo.registry.plugins import registry
from genzoo.runs.folder import RunFolder, is_whole

REMOVED = ".removed"  # ends the name of a folder that is being removed
LISTED = ("run", "group", "model", "data", "status", "steps", "seconds", "started")  # where no columns are asked for
FACTS: dict[str, Callable[[RunFolder], Any]] = {
    "run": lambda run: run.name,
    "model": lambda run: run.model,
    "data": lambda run: run.record["data_spec"]["name"],
    "status": lambda run: run.status,
    "steps": lambda run: run.progress,
    "total": lambda run: run.record["steps_total"],
    "seconds": lambda run: run.record["seconds"],
    "started": lambda run: str(run.record["started"])[:19].replace("T", " "),
    "seed": lambda run: run.record["training"]["seed"],
    "preset": lambda run: run.record.get("preset"),
    "parameters": lambda run: run.record.get("parameters"),
    "best": lambda run: (run.best() or {}).get("score"),
    "best_step": lambda run: (run.best() or {}).get("step"),
    "size": lambda run: size_of(run.path),
    "parent": lambda run: (run.record.get("parent") or {}).get("run"),
    "like": lambda run: run.record.get("like"),
    "group": lambda run: run.group,
    "resumes": lambda run: len(run.record.get("resumes", [])),
    "note": lambda run: run.record.get("note"),
}
COMPARED: dict[str, Callable[[Any, Any], bool]] = {
    "!=": lambda one, other: one != other,
    ">=": lambda one, other: one >= other,
    "<=": lambda one, other: one <= other,
    "=": lambda one, other: one == other,
    ">": lambda one, other: one > other,
    "<": lambda one, other: one < other,
}


class Facts(Mapping[str, Any]):
    """What is known of a run, by name, looked up when it is asked for: the names of `FACTS`, its options, and what its
    newest evaluation measured, or the newest of a `protocol` as `protocols` has it. An option that is called as a
    measure of the run's kind of data (`precision`) is none of them."""

    def __init__(self, run: RunFolder, protocol: str | None = None) -> None:
        measures = measures_of(run)
        self._run, self._protocol = run, protocol
        self._options = {
            name: value
            for name, value in (run.record["training"] | run.record["options"]).items()
            if name not in measures
        }
        self._scores: dict[str, float] | None = None

    @property
    def scores(self) -> dict[str, float]:
        """The values of the evaluation, by the name of the measure; none where there is no evaluation."""
        if self._scores is None:
            results = [result for result in _results(self._run) if self._protocol in (None, _protocol(result))]
            self._scores = {m["name"]: m["value"] for m in results[0].get("measures", ())} if results else {}
        return self._scores

    def __getitem__(self, name: str) -> Any:
        if name in FACTS:
            return FACTS[name](self._run)
        if name in self._options:
            return self._options[name]
        return self.scores[name]

    def __iter__(self) -> Any:
        return iter(dict.fromkeys([*FACTS, *self._options, *self.scores]))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def measures_of(run: RunFolder) -> set[str]:
    """The names of what can be measured of a run."""
    return {spec.name for _, spec in registry().metrics.of_modality(str(run.record["data_spec"]["modality"]))}


def protocols(run: RunFolder) -> list[str]:
    """How a run was measured, the newest first, as texts that are alike where results compare."""
    return list(dict.fromkeys(_protocol(result) for result in _results(run)))


def _results(run: RunFolder) -> list[Json]:
    return [content for file in run.evaluations() if (content := read_json(file))]


def _protocol(result: Json) -> str:
    return json.dumps(result.get("protocol"), sort_keys=True)


def listed(
    runs: Sequence[RunFolder], *, sort: str | None = None, where: str = "", columns: Iterable[str] = ()
) -> list[tuple[RunFolder, Facts]]:
    """Those of `runs` that are as `where` says, in the order of a fact.

    Args:
        sort: a fact, an option or a measure: the lowest first, or with `-` before it the highest; runs without it last.
        where: conditions such as `model=gan seed<3 frechet_distance<=20`, with spaces between; all must hold.
        columns: further names that have to be known.

    Raises `UsageError` for a name that none of the runs has, or a condition that cannot be read.
    """
    conditions = [_condition(text) for text in where.split()]
    name, descending = (sort or "").removeprefix("-"), (sort or "").startswith("-")
    entries = [(run, Facts(run)) for run in runs]
    for wanted in [*(name for name, _, _ in conditions), *([name] if sort else []), *columns]:
        if entries and not any(wanted in facts or wanted in measures_of(run) for run, facts in entries):
            raise unknown("column", wanted, {name for run, facts in entries for name in (*facts, *measures_of(run))})
    entries = [(run, facts) for run, facts in entries if all(_holds(facts, *condition) for condition in conditions)]
    if sort:
        have = [entry for entry in entries if entry[1].get(name) is not None]
        have.sort(key=lambda entry: _key(entry[1][name]), reverse=descending)
        entries = have + [entry for entry in entries if entry[1].get(name) is None]
    return entries


def _condition(text: str) -> tuple[str, str, str]:
    for sign in COMPARED:
        name, separator, value = text.partition(sign)
        if separator and name and value:
            return name.replace("-", "_"), sign, value
    raise UsageError(f"--where {text!r} is no condition; allowed is such as model=gan, seed<3 or status!=finished")


def _holds(facts: Facts, name: str, sign: str, text: str) -> bool:
    value = facts.get(name)
    if value is None:
        return sign == "!="
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return COMPARED[sign](float(value), float(text))
        except ValueError:
            return False
    shown = str(value).lower() if isinstance(value, bool) else str(value)
    return COMPARED[sign](shown, text)


def _key(value: Any) -> tuple[int, float, str]:
    if isinstance(value, (int, float)):
        return 0, math.inf if math.isnan(value) else float(value), ""
    return 1, 0.0, str(value)


# What is done to them


def check_idle(run: RunFolder, folder: Path) -> None:
    """Raises `UsageError` for a run that is not in the runs folder, or is a link in it, and for one that is being
    trained."""
    if run.path.is_symlink() or run.path.resolve().parent != folder.resolve():
        raise UsageError(f"{run.path} is no run of {folder}; only those are touched, so give --runs-dir")
    if run.is_held():
        raise UsageError(f"run {run.name!r} is being trained (process {run.record.get('process')}); stop it first")


def prunable(run: RunFolder) -> list[Path]:
    """The checkpoints that neither going on nor sampling needs: all but the newest that is whole. Where none is, all
    stay."""
    checkpoints = run.checkpoints()
    newest = next((folder for folder in checkpoints if is_whole(folder)), None)
    return [] if newest is None else [folder for folder in checkpoints if folder != newest]


def prune(run: RunFolder) -> int:
    """Remove all checkpoints but the newest whole one; `best/` and `model/` stay. Returns how many bytes that freed.
    Raises `GenzooError` if the run is being trained."""
    with run.hold():
        folders = prunable(run)
        freed = sum(map(size_of, folders))
        for folder in folders:
            _vanish(folder)
    return freed


def remove(run: RunFolder) -> int:
    """Remove a run, whole, and what a removal that was killed has left beside it. Returns how many bytes that freed.
    Raises `GenzooError` if the run is being trained."""
    with run.hold():
        freed = size_of(run.path)
    _vanish(run.path)
    for leftover in run.path.parent.glob(f".*.[0-9]*{REMOVED}"):
        shutil.rmtree(leftover, ignore_errors=True)
    return freed


def rename(run: RunFolder, name: str) -> RunFolder:
    """Give a run another name, which is its folder's. Raises `UsageError` for one that cannot be or is taken,
    `GenzooError` if the run is being trained."""
    try:
        check_run_name(name, "the name")
    except ValueError as error:
        raise UsageError(str(error)) from None
    if run.group:
        raise UsageError(f"run {run.name!r} is of group {run.group!r}, which finds it by its name; leave it so")
    target = run.path.resolve().with_name(name)
    if target.exists():
        raise UsageError(f"{name!r} exists in {target.parent}; choose another name")
    with run.hold():
        pass
    try:
        os.rename(run.path, target)
    except OSError as error:
        raise GenzooError(f"cannot rename {run.path}: {error.strerror}") from None
    return RunFolder(target)


def note(run: RunFolder, text: str) -> None:
    """Write a note into a run, in place of the one before; an empty one takes it away. Raises `GenzooError` if the run
    is being trained."""
    with run.hold():
        RunFolder(run.path).update(note=text or None)


def _vanish(folder: Path) -> None:
    """Remove a folder so that a kill in the middle leaves none that looks whole: it is renamed before."""
    aside = folder.with_name(f".{folder.name}.{os.getpid()}{REMOVED}")
    try:
        os.rename(folder, aside)
        shutil.rmtree(aside)
    except OSError as error:
        raise GenzooError(f"cannot remove {folder}: {error.strerror}") from None


def size_of(folder: Path) -> int:
    """The bytes of all files in a folder."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() or path.is_symlink())


def in_bytes(size: float) -> str:
    """A size as people read it: 61 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            return f"{size:.0f} {unit}" if size >= 10 or unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    raise AssertionError("unreachable")
