"""The folder of a run: the only file that knows the names on disk. Imports nothing heavy.

runs/vae-mnist-5k-20261121-221000/
  run.json          what was trained and how: model, options, data, seed, device, versions, status
  tokenizer.json    how a text is cut into tokens, for models of text
  metrics.jsonl     one object a logged step
  checkpoints/      step-00002000/: all that is needed to go on
  model/            what sampling needs, and nothing else
  best/             the same at the step with the best score, if the model chose one; it is what samples
  samples/          grids, or texts, drawn while training, and what was sampled later
  evaluations/      results of `genzoo evaluate`, each with its pictures
  run.lock          held by the process that trains the run
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from genzoo.errors import GenzooError, UsageError, unknown
from genzoo.options import build
from genzoo.spec import TRAIN_OPTIONS, DataSpec, TrainOptions, class_number

FORMAT = 1
FORMAT_OF = {
    ".png": "png",
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".npz": "npz",
    ".txt": "txt",
}  # what samples are written as, by suffix
KEYS = ("model", "plugin", "options", "training", "data_spec", "status", "step", "steps_total", "seconds", "started")


def runs_folder(runs_dir: str | None) -> Path:
    """Where runs are kept: `runs_dir`, else GENZOO_RUNS_DIR, else `runs` here."""
    return Path(runs_dir or os.environ.get("GENZOO_RUNS_DIR") or "runs").expanduser()


class RunFolder:
    """One training on disk.

    Attributes:
        path: the folder.
        record: what `run.json` says.

    Raises `GenzooError` if the folder holds no readable `run.json` of a format this genzoo knows.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.record: dict[str, Any] = self._read()

    def _read(self) -> dict[str, Any]:
        try:
            record = json.loads((self.path / "run.json").read_text("utf-8"))
        except OSError as error:
            raise GenzooError(f"{self.path} is not a run: cannot read its run.json ({error.strerror})") from None
        except ValueError:
            raise GenzooError(f"{self.path}: run.json is damaged") from None
        if not isinstance(record, dict) or record.get("format") != FORMAT:
            raise GenzooError(f"{self.path}: run.json is of a format that this genzoo does not know; upgrade genzoo")
        if missing := [key for key in KEYS if key not in record]:
            raise GenzooError(f"{self.path}: run.json is damaged: it does not say the {missing[0]}")
        return record

    @property
    def name(self) -> str:
        """The run's name, which is its folder's."""
        return self.path.resolve().name

    @property
    def model(self) -> str:
        """The model's name, as `genzoo list` shows it."""
        return str(self.record["model"])

    @property
    def step(self) -> int:
        """Steps trained, as last recorded."""
        return int(self.record["step"])

    @property
    def status(self) -> str:
        """Either "running", "finished", "interrupted", "failed", or "killed": no process holds it though it runs."""
        status = str(self.record["status"])
        return "killed" if status == "running" and not self.is_held() else status

    @property
    def data_spec(self) -> DataSpec:
        """What the data were like."""
        return DataSpec.from_json(self.record["data_spec"])

    @property
    def training(self) -> TrainOptions:
        """The options that every training has, as this one had them."""
        kind: type[TrainOptions] = TRAIN_OPTIONS[self.data_spec.modality]
        return build(kind, self.record["training"], "run.json")

    @property
    def conditional(self) -> bool:
        """Whether the model was trained with labels, and takes them to sample."""
        return bool(self.record["options"].get("conditional", False))

    def class_number(self, label: str | int) -> int:
        """The position of a class by its name. Raises `UsageError` where the run has no such class, or none at all."""
        return class_number(label, self.data_spec, self.conditional, f"run {self.name!r}")

    @property
    def tokenizer_file(self) -> Path:
        return self.path / "tokenizer.json"

    @property
    def metrics_file(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def model_folder(self) -> Path:
        return self.path / "model"

    @property
    def best_folder(self) -> Path:
        return self.path / "best"

    @property
    def samples_folder(self) -> Path:
        return self.path / "samples"

    def evaluation_folder(self, key: str) -> Path:
        return self.path / "evaluations" / key

    def evaluations(self) -> list[Path]:
        """The results of evaluations, newest first."""
        found = (self.path / "evaluations").glob("*/result.json")
        return sorted(found, key=lambda path: path.stat().st_mtime_ns, reverse=True)

    def best(self) -> dict[str, Any] | None:
        """What `best/` says of itself: `step`, `score_name`, `score` and more; None if the run keeps none."""
        return _manifest(self.best_folder)

    def weights(self, weights: str = "best") -> dict[str, Any]:
        """The `step` and the `sha256` of the weights that are sampled: the best, if the run keeps them, or the last."""
        found = (self.best() if weights == "best" else None) or _manifest(self.model_folder)
        return {"step": found["step"], "sha256": found["files"]["state.safetensors"]["sha256"]} if found else {}

    def checkpoint_folder(self, step: int) -> Path:
        return self.path / "checkpoints" / f"step-{step:08d}"

    def checkpoints(self) -> list[Path]:
        """The checkpoints, newest first."""
        return sorted((self.path / "checkpoints").glob("step-[0-9]*"), reverse=True)

    def metrics(self) -> list[dict[str, Any]]:
        """The logged lines, oldest first: `step`, `seconds`, how many samples or tokens a second, and the model's
        own values."""
        try:
            lines = self.metrics_file.read_text("utf-8").splitlines()
        except FileNotFoundError:
            return []
        return [parsed for line in lines if (parsed := _parse(line)) is not None]

    def samples(self) -> list[Path]:
        """The pictures and texts in `samples/`, oldest first."""
        found = [path for path in self.samples_folder.glob("*.*") if path.suffix in FORMAT_OF]
        return sorted(found, key=lambda path: (path.stat().st_mtime_ns, path.name))

    def picture_path(self, what: str, out: str | None = None, *, overwrite: bool = False) -> Path:
        """Where a picture goes: `out` (.png or .jpeg), or a new file in `samples/` named after `what`. Raises
        `UsageError` for another suffix, and rather than write over something."""
        if out is None:
            return self.new_sample(what, ".png")
        path = Path(out).expanduser()
        if FORMAT_OF.get(path.suffix.lower()) not in ("png", "jpeg"):
            raise UsageError(f"--out is {out!r}; allowed is a file that ends in .png or .jpeg")
        if path.exists() and not overwrite:
            raise UsageError(f"--out {out} exists; give --overwrite to replace it")
        return path

    def new_sample(self, what: str, suffix: str) -> Path:
        """A path in `samples/` where there is nothing: `sample-001.png` and so on."""
        number = 1
        while (path := self.samples_folder / f"{what}-{number:03d}{suffix}").exists():
            number += 1
        return path

    def update(self, **values: Any) -> None:
        """Change `run.json`."""
        self.record.update(values)
        write_json(self.path / "run.json", self.record)

    def remove_leftovers(self) -> None:
        """Remove what a process that was killed had begun to write aside."""
        for folder in (self.path, self.path / "checkpoints", self.samples_folder):
            for path in folder.glob(".*.[0-9]*"):
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def is_held(self) -> bool:
        """Whether a process is training this run now."""
        from filelock import FileLock, Timeout

        if not (self.path / "run.lock").exists():
            return False
        try:
            with FileLock(self.path / "run.lock", timeout=0):
                return False
        except Timeout:
            return True
        except OSError:  # a read-only place: nobody trains there
            return False

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Hold the run against other processes. Raises `GenzooError` if one has it."""
        from filelock import FileLock, Timeout

        lock = FileLock(self.path / "run.lock", timeout=0.5)  # another may be looking whether it is held
        try:
            lock.acquire()
        except Timeout:
            pid = self.record.get("process")
            raise GenzooError(
                f"run {self.name!r} is being trained by another process (id {pid}); wait or stop it"
            ) from None
        try:
            yield
        finally:
            lock.release()

    def __repr__(self) -> str:
        return f"RunFolder({str(self.path)!r})"


def create(path: Path, record: dict[str, Any]) -> RunFolder:
    """A new run's folder. Raises `UsageError` if it exists, `GenzooError` if it cannot be written."""
    check_free(path)
    try:
        path.mkdir(parents=True)
    except OSError as error:
        raise _unwritable(path.parent, error) from None
    for part in ("checkpoints", "samples"):
        (path / part).mkdir()
    write_json(path / "run.json", {"format": FORMAT, **record})
    return RunFolder(path)


def check_free(path: Path) -> None:
    """Raises `UsageError` if there is something at a new run's `path`."""
    if path.exists():
        raise UsageError(
            f"run {path.name!r} exists in {path.parent}; `genzoo resume {path.name}` goes on with it, or choose another"
            " --name"
        )


def holds_something(path: Path) -> bool:
    """Whether there is a file at `path`, or a folder that is not empty."""
    return path.exists() and not (path.is_dir() and not any(path.iterdir()))


def check_empty(folder: Path) -> None:
    """Raises `UsageError` if a new folder cannot be put at `folder` without losing something."""
    if holds_something(folder):
        raise UsageError(f"--to {folder} exists and is not an empty folder; choose another")


def check_writable(folder: Path) -> None:
    """Make `folder` and try to write in it. Raises `GenzooError` saying why that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _unwritable(folder, error) from None


def _unwritable(folder: Path, error: OSError) -> GenzooError:
    return GenzooError(f"cannot write in the runs folder {folder} ({error.strerror}); choose another with --runs-dir")


def new_name(model: str, data: str, folder: Path) -> str:
    """A name that no run in `folder` has: model, data and the time."""
    stem = f"{model.replace('/', '-')}-{data}-{datetime.now():%Y%m%d-%H%M%S}"
    stem = "".join(c if c.isalnum() or c in "._-" else "-" for c in stem)
    name, count = stem, 2
    while (folder / name).exists():
        name, count = f"{stem}-{count}", count + 1
    return name


def runs(runs_dir: str | None = None) -> list[RunFolder]:
    """The runs in a folder, newest first. What cannot be read is left out."""
    found = []
    for path in runs_folder(runs_dir).glob("*/run.json"):
        try:
            found.append(RunFolder(path.parent))
        except GenzooError:
            continue
    return sorted(found, key=lambda run: str(run.record.get("started")), reverse=True)


def find_run(
    run: str | Path | RunFolder, runs_dir: str | None = None, *, to_resume: bool = False, any_status: bool = False
) -> RunFolder:
    """The run at a folder, of a name in the runs folder, or the newest finished one of a model.

    With `to_resume` a model's name stands for its newest run that is not finished, with `any_status` for its newest.
    Raises `UsageError`.
    """
    if isinstance(run, RunFolder):
        return run
    text, folder = str(run), runs_folder(runs_dir)
    for path in (Path(text).expanduser(), folder / text):
        if (path / "run.json").is_file():
            return RunFolder(path)
    every = runs(runs_dir)
    own = [r for r in every if text in (r.model, f"{r.record.get('plugin')}/{r.model}")]
    for candidate in own:
        if any_status or (candidate.status == "finished") != to_resume:
            return candidate
    if own and to_resume:
        raise UsageError(
            f"every run of {text!r} in {folder} is finished; name one and give --steps to train it further"
        )
    if own:
        raise UsageError(
            f"no run of {text!r} in {folder} is finished; name one, or go on with `genzoo resume {own[0].name}`"
        )
    if Path(text).is_dir():
        raise UsageError(f"{text} is a folder, but not a run: it has no run.json")
    if not every:
        raise UsageError(f"there is no run {text!r}, and no other in {folder}; begin with `genzoo train MODEL`")
    raise _unknown_run(text, folder, every)


def _unknown_run(text: str, folder: Path, every: list[RunFolder]) -> UsageError:
    names = {run.name for run in every} | {run.model for run in every}
    error = unknown("run", text, names)
    if "did you mean" in str(error):
        return error
    return UsageError(f"there is no run {text!r} in {folder}; `genzoo runs` lists the {len(every)} there")


def write_json(path: Path, content: Any) -> None:
    """Write JSON aside, sync it, and put it in place."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    with open(aside, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=2, ensure_ascii=False)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(aside, path)


def write_folder(folder: Path, fill: Callable[[Path], None]) -> None:
    """Put a folder in place whole: `fill` writes it aside, all is synced, and it takes the place of what was there."""
    aside = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        fill(aside)
        for path in (*aside.iterdir(), aside):
            _sync(path)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    before = folder.with_name(f"{folder.name}.old")
    if folder.exists():
        shutil.rmtree(before, ignore_errors=True)
        os.rename(folder, before)
    os.rename(aside, folder)
    _sync(folder.parent)
    shutil.rmtree(before, ignore_errors=True)


def _sync(path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except PermissionError:  # Windows opens no folder
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def cut_metrics(run: RunFolder, step: int) -> None:
    """Leave out what was logged after `step`, and a last line that was not written whole."""
    kept = [line for line in run.metrics() if line["step"] <= step]
    aside = run.metrics_file.with_suffix(".tmp")
    aside.write_text("".join(json.dumps(line) + "\n" for line in kept), "utf-8")
    os.replace(aside, run.metrics_file)


def _manifest(folder: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads((folder / "manifest.json").read_text("utf-8"))
        return found
    except (OSError, ValueError):
        return None


def _parse(line: str) -> dict[str, Any] | None:
    try:
        parsed = json.loads(line)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) and "step" in parsed else None
