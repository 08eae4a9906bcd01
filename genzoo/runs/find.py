"""Where runs are kept, and one among many. Imports nothing heavy."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from genzoo.interface.errors import GenzooError, GenzooWarning, UsageError, unknown
from genzoo.interface.options import to_json
from genzoo.interface.shown import Listing
from genzoo.interface.specs import Json, TrainOptions, check_file_name, in_words
from genzoo.registry.data import IN_MEMORY, is_in_memory, place_of, with_whole_paths
from genzoo.runs.folder import RUN, RunFolder, is_run, read_record, unwritable, was_run
from genzoo.runs.manage import FACTS, LISTED, check_idle, listed


def runs_folder(runs_dir: str | None) -> Path:
    """Where runs are kept: `runs_dir`, else GENZOO_RUNS_DIR, else `runs` here."""
    return Path(runs_dir or os.environ.get("GENZOO_RUNS_DIR") or "runs").expanduser()


def check_writable(folder: Path) -> None:
    """Make `folder` and try to write in it. Raises `GenzooError` saying why that cannot be."""
    try:
        _try_to_write(folder)
    except OSError as error:
        raise unwritable(folder, error) from None


def check_takes_results(run: RunFolder) -> None:
    """Try to write where a run keeps results of evaluations. Raises `GenzooError` saying why that cannot be."""
    folder = run.evaluation_file("").parent
    try:
        _try_to_write(folder)
    except OSError as error:
        raise GenzooError(
            f"cannot write in {folder} ({error.strerror}), where the result is kept; copy the run to where you can"
        ) from None


def check_takes_file(path: Path) -> Path:
    """A file's path, as it is. Raises `GenzooError` if the nearest folder that there is on the way to it cannot be
    written in, so that nothing is computed for it in vain."""
    folder = next(parent for parent in path.absolute().parents if os.path.lexists(parent))
    try:
        _try_to_write(folder)
    except OSError as error:
        raise GenzooError(f"cannot write in {folder} ({error.strerror}); say with --out where you can") from None
    return path


def _try_to_write(folder: Path) -> None:
    import tempfile  # which brings random numbers along

    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        pass


def new_name(model: str, data: str, folder: Path) -> str:
    """A name that no run or group in `folder` has: model, data and the time."""
    stem = f"{model.replace('/', '-')}-{data}-{datetime.now():%Y%m%d-%H%M%S}"
    stem = "".join(c if c.isalnum() or c in "._-" else "-" for c in stem)
    name, count = stem, 2
    while (folder / name).exists() or any(folder.glob(f"{name}-seed*")):
        name, count = f"{stem}-{count}", count + 1
    return name


def list_runs(runs_dir: str | None = None, *, sort: str | None = None, where: str = "") -> Listing[RunFolder]:
    """The runs in a folder, newest first; they show themselves as a table. What cannot be read is left out.

    Args:
        sort: what to go by instead, such as `seed` or a measure, the lowest first; `-` before it: the highest first.
        where: which runs, by conditions with spaces between that all hold, such as `model=gan seed<3`.

    Both take the names of `genzoo runs --columns`. Raises `UsageError` for others.
    """
    runs = runs_and_broken(runs_dir)[0]
    wanted = [run for run, _ in listed(runs, sort=sort, where=where)] if sort or where else runs
    return Listing(wanted, lambda run: [{name: FACTS[name](run) for name in LISTED}])


def runs_and_broken(runs_dir: str | None = None) -> tuple[list[RunFolder], dict[Path, str]]:
    """The runs in a folder, newest first, and of those that cannot be read why, by their folders."""
    runs, broken = [], {}
    for path in sorted(runs_folder(runs_dir).glob("[!.]*")):
        try:
            if was_run(path):
                runs.append(RunFolder(path))
        except GenzooError as error:
            broken[path] = str(error)
        except OSError as error:  # of somebody else
            broken[path] = f"{path}: {error.strerror}"
    return sorted(runs, key=lambda run: str(run.record["started"]), reverse=True), broken


def runs_in(folder: Path) -> list[Path]:
    """The folders of runs in a folder, at any depth, but hidden ones."""
    places = {file.parent.relative_to(folder) for file in folder.rglob(RUN)}
    return [folder / place for place in sorted(places) if not any(part.startswith(".") for part in place.parts)]


def runs_of_group(name: str, runs_dir: str | None = None) -> list[RunFolder]:
    """The runs of a group in the folder of runs, by seed; none if there is no such group."""
    return _of_group(name, list_runs(runs_dir))


def _of_group(name: str, runs: Sequence[RunFolder]) -> list[RunFolder]:
    return sorted((run for run in runs if run.group == name), key=lambda run: run.record["training"]["seed"])


def find_runs(run: str | Path | RunFolder, runs_dir: str | None = None, *, any_status: bool = False) -> list[RunFolder]:
    """The runs of a group, or the one that `find_run` finds. Raises `UsageError`."""
    return runs_of_group(str(run), runs_dir) or [find_run(run, runs_dir, any_status=any_status)]


def find_run(
    run: str | Path | RunFolder, runs_dir: str | None = None, *, to_resume: bool = False, any_status: bool = False
) -> RunFolder:
    """The run at a folder, of a name in the runs folder, or the newest finished one of a model.

    With `to_resume` a model's name stands for its newest run that is not finished, with `any_status` for its newest.
    Raises `UsageError`.
    """
    if isinstance(run, RunFolder):
        return run
    check_is_run(run)
    text, folder = str(run), runs_folder(runs_dir)
    for path in (Path(text).expanduser(), folder / text):
        if is_run(path):
            return _opened(path)
    runs = list_runs(runs_dir)
    if group := _of_group(text, runs):
        names = ", ".join(run.name for run in group)
        raise UsageError(f"{text!r} is a group of {len(group)} runs; give one of them: {names}")
    of_model = [r for r in runs if text in (r.model, f"{r.record.get('plugin')}/{r.model}")]
    for candidate in of_model:
        if any_status or (candidate.status == "finished") != to_resume:
            return _opened(candidate.path)
    if of_model and to_resume:
        raise UsageError(
            f"every run of {text!r} in {folder} is finished; name one and give --steps to train it further"
        )
    if of_model:
        raise UsageError(
            f"no run of {text!r} in {folder} is finished; name one, or go on with `genzoo resume {of_model[0].name}`"
        )
    if os.path.isdir(text):  # which takes a text that is too long for a path
        raise UsageError(f"{text} is a folder, but not a run: it has no run.json")
    if not runs:
        raise UsageError(f"there is no run {text!r}, and no other in {folder}; begin with `genzoo train MODEL`")
    error = unknown("run", text, {name for run in runs for name in (run.name, run.model)})
    if "did you mean" in str(error):
        raise error
    raise UsageError(f"there is no run {text!r} in {folder}; `genzoo runs` lists the {len(runs)} there")


def check_is_run(run: object) -> None:
    """Raises `UsageError` for what no verb takes for a run; it names the run that a model is of."""
    if not isinstance(run, (str, Path, RunFolder)):
        path = getattr(run, "run", None)
        of_run = f" of the run {path}; give that" if isinstance(path, Path) else ""
        raise UsageError(f"a run is needed, by its name or folder; this is a {type(run).__name__}{of_run}")


def _opened(path: Path) -> RunFolder:
    """A run; warns where its run.json is no longer what genzoo wrote."""
    folder = RunFolder(path)
    if folder.altered:
        message = f"run {folder.name!r}: run.json does not have its checksum: it was edited, or is damaged"
        warnings.warn(message, GenzooWarning, stacklevel=3)
    return folder


def find_record(run: str | Path | RunFolder, runs_dir: str | None) -> tuple[str, Json]:
    """What a run says of itself, by its name or folder or a model's name, or what a `run.json` says that lies alone,
    and a name for it. Raises `UsageError` or `GenzooError`."""
    check_is_run(run)
    if not isinstance(run, RunFolder) and Path(run).suffix == ".json":
        file = Path(run).expanduser()
        if not is_run(file.parent) or file.name != RUN:
            return str(run), read_record(file)
        run = file.parent
    folder = find_run(run, runs_dir, any_status=True)
    return folder.name, folder.record | {"training": to_json(folder.training)}


def data_place(folder: RunFolder, data: object, data_dir: str | None) -> TrainOptions:
    """The training options of a run, with the place of its data as it is now where it is given; in memory they are
    given anew each time. Raises `UsageError` if there are no data."""
    changes: dict[str, Any] = {"data": None if data is None else place_of(data), "data_dir": data_dir}
    training = replace(folder.training, **{name: value for name, value in changes.items() if value is not None})
    check_given(training, data, f"run {folder.name!r}")
    try:
        return with_whole_paths(training, folder.modality)
    except UsageError as error:
        if data is not None:
            raise
        raise UsageError(
            f"the data of run {folder.name!r} are no longer at {training.data}; give --data where they are now"
        ) from error


def check_given(training: TrainOptions, data: object, owner: str) -> None:
    """Raises `UsageError` if the data of a training are objects that are not here."""
    if training.data == IN_MEMORY and not is_in_memory(data):
        raise UsageError(
            f"the data of {owner} were given in memory, and are not kept; give them again: data=..., or --data with a"
            " file of the same"
        )


def resume_call(name: str, data: str) -> str:
    """What goes on with a run, as a person types it; `data` is the place of its data."""
    return f"genzoo.resume({name!r}, data=...)" if data == IN_MEMORY else f"genzoo resume {name}"


def exact_runs(runs: Sequence[str], runs_dir: str | None) -> list[RunFolder]:
    """Runs as `exact_run` takes them, and those of groups. Raises `UsageError`."""
    named = [[run.name for run in runs_of_group(name, runs_dir)] or [name] for name in runs]
    return [exact_run(name, runs_dir) for name in dict.fromkeys(name for names in named for name in names)]


def exact_run(run: str, runs_dir: str | None) -> RunFolder:
    """The run of exactly that name in the runs folder, for what cannot be undone. Raises `UsageError`."""
    folder, path = runs_folder(runs_dir), Path(run).expanduser()
    path = path if is_run(path) else folder / run
    if not is_run(path):
        runs = list_runs(runs_dir)
        if any(run == candidate.model for candidate in runs):
            raise UsageError(f"{run!r} is a model; name the run, as `genzoo runs` lists it")
        raise unknown("run", run, [candidate.name for candidate in runs])
    exact = RunFolder(path)
    check_idle(exact, folder)
    return exact


def output_path(
    folder: RunFolder, stem: str, out: str | None, suffixes: tuple[str, ...], *, overwrite: bool = False
) -> Path:
    """Where a command's file goes: `out`, which ends in one of `suffixes`, or a new file in the run's samples that is
    named after `stem` and has the first of them. Raises `UsageError` for another ending, and rather than write over
    something; `GenzooError` where it cannot be written."""
    if out is None:
        return check_takes_file(folder.new_sample(stem, suffixes[0]))
    path = Path(out).expanduser()
    check_file_name("--out", out)
    if path.suffix.lower() not in suffixes:
        raise UsageError(f"--out is {out!r}; allowed is a file that ends in {in_words(suffixes)}")
    if path.exists() and not overwrite:
        raise UsageError(f"--out {out} exists; give --overwrite to replace it")
    return check_takes_file(path)
