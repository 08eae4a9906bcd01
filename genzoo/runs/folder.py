"""The folder of a run: the only file that knows the names in it. Imports nothing heavy.

runs/vae-mnist-5k-20261121-221000/
  run.json          what was trained and how: model, options, data, seed, device, versions, status
  tokenizer.json    what the data need kept, here of a text: how it is cut into tokens
  metrics.jsonl     one object a logged step
  checkpoints/      step-00002000/: all that is needed to go on
  model/            what sampling needs, and nothing else
  best/             the same at the step with the best score, if the model chose one; it is what samples
  samples/          what was drawn while training, and what was sampled later
  evaluations/      results of `genzoo evaluate`, each with its pictures
  tensorboard/      what genzoo-tensorboard wrote, where it is installed
  trackers/         the same of genzoo-trackers
  run.lock          held by the process that trains the run
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import cast

from genzoo.interface.errors import GenzooError, UsageError
from genzoo.interface.files import whole_folder, write_file, write_json, write_synced
from genzoo.interface.options import build, to_json
from genzoo.interface.parsing import parse_json
from genzoo.interface.provenance import sidecar
from genzoo.interface.specs import DataSpec, GeneratorSpec, Json, ModalitySpec, TrainOptions, load_target
from genzoo.interface.version import __version__
from genzoo.registry.installed import Plugin
from genzoo.registry.plugins import registry, spec_of

FORMAT = 2
RUN, RESULT = "run.json", "result.json"
MANIFEST, STATE, TENSORS = "manifest.json", "state.json", "state.safetensors"  # of a checkpoint, model/ and best/
RESERVED = (
    RUN, "metrics.jsonl", "run.lock", "show.png", "show.gif", "checkpoints", "model", "best", "samples", "evaluations",
    "tensorboard", "trackers",
)  # fmt: skip
KEYS: dict[str, type | tuple[type, ...]] = {
    "model": str, "plugin": str, "options": dict, "training": dict, "data_spec": dict, "kept": dict, "status": str,
    "step": int, "steps_total": int, "seconds": (int, float), "started": str, "environment": dict,
}  # fmt: skip
LONGEST, ROOM = 259, 80  # characters of a path on Windows; those that a file in a run has behind the run's own
SEAL = "sha256"  # of all else that a file of JSON says
UNDECIDING = (  # options of a training that do not decide what its model becomes; the data have a fingerprint
    "name", "runs_dir", "data", "data_dir", "steps", "epochs", "device", "threads", "keep", "save_every",
    "sample_every", "log_every",
)  # fmt: skip


class RunFolder:
    """One training on disk.

    Attributes:
        path: the folder.
        record: what `run.json` says.
        altered: whether that is no longer what genzoo wrote, by its checksum.

    Raises `GenzooError` if the folder holds no readable `run.json` of a format this genzoo knows.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.record: Json = _read(self.path / RUN)
        self.altered = not unsealed(self.record)

    @property
    def name(self) -> str:
        """The run's name, which is its folder's."""
        return self.path.resolve().name

    @property
    def model(self) -> str:
        """The model's name, as `genzoo list` shows it."""
        return str(self.record["model"])

    @property
    def group(self) -> str | None:
        """The name of the group of runs that it belongs to, which differ in the seed alone; None: of no group."""
        return (self.record.get("group") or {}).get("name")

    @property
    def step(self) -> int:
        """Steps trained, as last recorded."""
        return int(self.record["step"])

    @property
    def progress(self) -> int:
        """Steps trained, also since the last checkpoint while a process trains the run."""
        if self.status != "running":
            return self.step
        return max(self.step, *(int(line["step"]) for line in self.metrics()[-1:]), 0)

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
    def modality(self) -> ModalitySpec:
        """The kind of data. Raises `UsageError` if it is not installed."""
        return registry().modalities.get(self.data_spec.modality)[1]

    @property
    def training(self) -> TrainOptions:
        """The options that every training of this modality has, as this one had them. Where the data are no longer at
        the place that they name, and lie from the run's folder as they did, that is the place."""
        kind = self.modality.train_options
        values = {**kind.of_earlier_runs, **self.record["training"]}
        for name, steps in self.record.get("from_here", {}).items():
            moved = [(self.path / step).resolve() for step in steps]
            if not all(Path(place).exists() for place in _places(values[name])) and all(p.exists() for p in moved):
                values[name] = ",".join(map(str, moved))
        return build(kind, values, "run.json")

    @property
    def conditional(self) -> bool:
        """Whether the model was trained with labels, and takes them to sample."""
        return bool(self.record["options"].get("conditional", False))

    def spec(self) -> tuple[GeneratorSpec, Plugin]:
        """The model as its plugin registers it now; of one that no distribution gave (`genzoo.register`), it is warned
        of where its source is another now. Raises `UsageError` if none does."""
        return spec_of(self.model, self.record["plugin"], f"run {self.name!r}", self.record.get("source"))

    def class_number(self, label: str | int) -> int:
        """The position of a class by its name. Raises `UsageError` where the run has no such class, or none at all."""
        return self.data_spec.class_number(label, self.conditional, f"run {self.name!r}")

    def class_numbers(self, label: str | int | Sequence[str | int]) -> list[int]:
        """The positions of classes by their names: one, several with commas between or in a list, or `all`. Raises
        `UsageError` as `class_number` does."""
        return self.data_spec.class_numbers(label, self.conditional, f"run {self.name!r}")

    def provenance(self, seed: int, **more: object) -> dict[str, object]:
        """The facts that every file drawn from this run carries; `more` may say the step, the operation, the options of
        the request."""
        return {
            "generator": "genzoo", "version": __version__, "model": self.model, "run": self.name, "seed": seed, **more,
        }  # fmt: skip

    # What is in the folder

    @property
    def metrics_file(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def model_folder(self) -> Path:
        return whole_folder(self.path / "model")

    @property
    def best_folder(self) -> Path:
        return whole_folder(self.path / "best")

    @property
    def samples_folder(self) -> Path:
        return self.path / "samples"

    @property
    def overview_file(self) -> Path:
        return self.path / "show.png"

    @property
    def animation_file(self) -> Path:
        return self.path / "show.gif"

    def evaluation_file(self, key: str) -> Path:
        """Where the result of an evaluation goes; beside it is what illustrates it."""
        return self.path / "evaluations" / key / RESULT

    def evaluations(self) -> list[Path]:
        """The results of evaluations, newest first."""
        results = (self.path / "evaluations").glob(f"*/{RESULT}")
        return sorted(results, key=lambda path: path.stat().st_mtime_ns, reverse=True)

    def best(self) -> Json | None:
        """What `best/` says of itself: `step`, `score_name`, `score` and more; None if the run keeps none, or a damaged
        one."""
        manifest = _manifest(self.best_folder)
        return manifest if manifest and {"score_name", "score"} <= manifest.keys() else None

    def weights(self, weights: str = "best") -> Json:
        """The `step` and the `sha256` of the weights that are sampled: the best, if the run keeps them, or the last."""
        manifest = (self.best() if weights == "best" else None) or _manifest(self.model_folder)
        if manifest is None:
            return {}
        return {"step": manifest["step"], "sha256": manifest["files"][TENSORS]["sha256"]}

    def checkpoint_folder(self, step: int) -> Path:
        return self.path / "checkpoints" / f"step-{step:08d}"

    def checkpoints(self) -> list[Path]:
        """The checkpoints, newest first."""
        written = {whole_folder(path.with_suffix("")) for path in (self.path / "checkpoints").glob("step-[0-9]*")}
        return sorted(written, reverse=True)

    def edits(self) -> dict[str, tuple[object, object]]:
        """The options that decide what the model becomes and are not those that the newest checkpoint was trained with,
        by name: as they were, and as `run.json` has them now."""
        manifest = next(filter(None, map(_manifest, self.checkpoints())), {})
        if not isinstance(manifest.get("training"), dict) or not isinstance(manifest.get("options"), dict):
            return {}  # of an earlier genzoo
        before, now = manifest["training"] | manifest["options"], self.record["training"] | self.record["options"]
        names = [name for name in {**before, **now} if name not in UNDECIDING]
        return {name: (before.get(name), now.get(name)) for name in names if before.get(name) != now.get(name)}

    def metrics(self) -> list[Json]:
        """The logged lines, oldest first: `step`, `seconds`, how much of the data a second where there are
        mini-batches, and the model's own values."""
        try:
            lines = self.metrics_file.read_text("utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return []
        return [parsed for line in lines if (parsed := _parse(line)) is not None]

    def reached(self, step: int, **values: object) -> None:
        """Say how far the training is."""
        if resumes := self.record.get("resumes"):
            resumes[-1]["to_step"] = step
        self.update(step=step, **values)

    def cut_metrics(self, step: int) -> None:
        """Leave out what was logged after `step`, and lines that are damaged or were not written whole."""
        lines = [json.dumps(line) + "\n" for line in self.metrics() if line["step"] <= step]
        write_synced(self.metrics_file, "".join(lines).encode())

    def samples(self) -> list[Path]:
        """The files in `samples/`, oldest first, without those that only say where others are from."""
        files = [path for path in self.samples_folder.glob("[!.]*") if path.is_file()]
        sidecars = {sidecar(path) for path in files}
        drawn = [path for path in files if path not in sidecars]
        return sorted(drawn, key=lambda path: (path.stat().st_mtime_ns, path.name))

    def training_sample(self, step: int, suffix: str) -> Path:
        """Where what is drawn while training goes."""
        return self.samples_folder / f"step-{step:08d}{suffix}"

    def training_samples(self) -> list[tuple[int, Path]]:
        """What was drawn while training, by step."""
        drawn = [path for path in self.samples() if path.name.startswith("step-")]
        return sorted((int(path.stem.removeprefix("step-")), path) for path in drawn)

    def new_sample(self, stem: str, suffix: str) -> Path:
        """A path in `samples/` where there is nothing: `sample-001.png` and so on."""
        number = 1
        while (path := self.samples_folder / f"{stem}-{number:03d}{suffix}").exists():
            number += 1
        return path

    def kept(self) -> dict[str, bytes]:
        """The files that the run keeps of its data, by name. Raises `GenzooError` if one is not as it was."""
        contents = {}
        for name, sha256 in self.record["kept"].items():
            try:
                contents[name] = (self.path / name).read_bytes()
            except OSError as error:
                raise GenzooError(f"run {self.name!r}: cannot read its {name}: {error.strerror}") from None
            if hashlib.sha256(contents[name]).hexdigest() != sha256:
                raise GenzooError(f"run {self.name!r} is damaged: its {name} is not the one that it began with")
        return contents

    def update(self, **values: object) -> None:
        """Change `run.json`. Raises `OSError` with its name if it cannot be written."""
        self.record.update(values)
        write_json(self.path / RUN, sealed(self.record))

    def remember(self, training: TrainOptions) -> None:
        """Keep the options of a training as they are now, and where its data are, for the next time."""
        options = to_json(training)
        self.update(training=options, from_here=_from_here(self.path, options))

    def remove_leftovers(self) -> None:
        """Remove what a process that was killed had begun to write aside, or had not yet removed."""
        folders = (self.path, self.path / "checkpoints", self.samples_folder)
        aside = [path for folder in folders for path in folder.glob(".*.[0-9]*")]
        replaced = [self.path / "model.old", self.path / "best.old", *(self.path / "checkpoints").glob("step-*.old")]
        for path in (*aside, *(path for path in replaced if path.with_suffix("").is_dir())):
            path.unlink() if path.is_file() else shutil.rmtree(path, ignore_errors=True)

    # Who trains it

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

    def to_rows(self) -> list[Json]:
        """The logged lines as `pandas.DataFrame` takes them: `metrics`."""
        return self.metrics()

    def __repr__(self) -> str:
        steps = f"{self.progress:,} of {self.record['steps_total']:,} steps"
        return f"<run {self.name}: {self.model} on {self.record['data_spec']['name']}, {self.status}, {steps}>"

    def _repr_html_(self) -> str:
        html: str = load_target("genzoo.runs.card:card", "a run")(self)  # which is made of what is here
        return html


def create(path: Path, record: Mapping[str, object], kept: Mapping[str, bytes]) -> RunFolder:
    """A new run's folder, with files that it is to keep of its data. Raises `UsageError` if it exists, `GenzooError` if
    it cannot be written."""
    check_free(path)
    check_length(path)
    for name in kept:
        if name in RESERVED or not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name):
            raise GenzooError(f"the data ask a run to keep {name!r}; allowed is a file's name that no run has itself")
    try:
        path.mkdir(parents=True)
    except FileExistsError:  # another process has just made it
        check_free(path)
        raise
    except OSError as error:
        raise unwritable(path.parent, error) from None
    try:
        for part in ("checkpoints", "samples"):
            (path / part).mkdir()
        for name, content in kept.items():
            write_file(path / name, content)
        hashes = {name: hashlib.sha256(content).hexdigest() for name, content in kept.items()}
        from_here = _from_here(path, cast(Json, record["training"]))
        write_json(path / RUN, sealed({"format": FORMAT, **record, "kept": hashes, "from_here": from_here}))
    except (OSError, GenzooError) as error:
        shutil.rmtree(path, ignore_errors=True)  # no run began
        if isinstance(error, GenzooError):
            raise
        raise GenzooError(f"cannot write {error.filename}: {error.strerror}; no run was begun") from None
    return RunFolder(path)


def read_record(file: Path) -> Json:
    """What a `run.json` says that lies alone. Raises `GenzooError` if it cannot be read, or genzoo did not write it."""
    record = _read(file)
    if not unsealed(record):
        raise GenzooError(f"{file} does not have its checksum: it was edited, or is damaged")
    return record


def _read(file: Path) -> Json:
    """What a `run.json` says, its checksum too. Raises `GenzooError` if it cannot be read, or is of another format."""
    where = f"{file.parent}: {file.name}"
    try:
        record = parse_json(file.read_bytes())
    except OSError as error:
        raise GenzooError(f"{file.parent} is not a run: cannot read its {file.name} ({error.strerror})") from None
    except ValueError:
        raise GenzooError(f"{where} is damaged") from None
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        older = isinstance(record, dict) and record.get("format") == 1
        advice = "it is of an earlier genzoo: train it anew" if older else "upgrade genzoo"
        raise GenzooError(f"{where} is of a format that this genzoo does not know; {advice}")
    if missing := [key for key in KEYS if key not in record]:
        raise GenzooError(f"{where} is damaged: it does not say the {missing[0]}")
    if wrong := [key for key, kind in KEYS.items() if not isinstance(record[key], kind)]:
        raise GenzooError(f"{where} is damaged: its {wrong[0]} cannot be {record[wrong[0]]!r}")
    if not isinstance(record["training"].get("seed"), int):
        raise GenzooError(f"{where} is damaged: it does not say the seed")
    try:
        _check_data(DataSpec.from_json(record["data_spec"]))
    except (TypeError, ValueError):
        raise GenzooError(f"{where} is damaged: it does not say what its data are like") from None
    return record


def _check_data(data: DataSpec) -> None:
    texts, counts = (data.name, data.modality, data.fingerprint), (data.train_count, data.test_count, *data.shape)
    if not all(isinstance(text, str) for text in texts) or not all(isinstance(count, int) for count in counts):
        raise TypeError


def is_run(path: Path) -> bool:
    """Whether there is a run at a path, readable or not."""
    try:
        return (path / RUN).is_file()
    except OSError:  # no path at all: too long for one
        return False


def was_run(path: Path) -> bool:
    """Whether there is a run at a path, or what is left of one."""
    return is_run(path) or (path / "checkpoints").is_dir()


def check_free(path: Path) -> None:
    """Raises `UsageError` if there is something at a new run's `path`."""
    if path.exists() and not is_run(path):
        raise UsageError(
            f"{path} exists and has no run.json: if no training begins there just now, remove it; or choose another"
            " --name"
        )
    if path.exists():
        raise UsageError(
            f"run {path.name!r} exists in {path.parent}; `genzoo resume {path.name}` goes on with it, or choose another"
            " --name"
        )


def check_length(path: Path) -> None:
    """Raises `UsageError` if files in a new run's `path` would have paths that are too long here: Windows takes 259
    characters, but where it is set to take more."""
    longest = path.absolute() / ("_" * ROOM)
    if len(str(longest)) <= LONGEST:
        return
    try:
        path.mkdir(parents=True)
        longest.touch()
        longest.unlink()
        path.rmdir()
    except OSError as error:
        with suppress(OSError):
            path.rmdir()
        length = len(str(path.absolute()))
        raise UsageError(
            f"the run's folder {path} has {length} characters, which leaves too few for the files in it"
            f" ({error.strerror}; Windows takes {LONGEST}); give a shorter --name or --runs-dir"
        ) from None


def unwritable(folder: Path, error: OSError) -> GenzooError:
    """The error for a runs folder that cannot be written."""
    return GenzooError(f"cannot write in the runs folder {folder} ({error.strerror}); choose another with --runs-dir")


def sealed(record: Mapping[str, object]) -> Json:
    """A record with its checksum, which does not depend on how the JSON is laid out."""
    plain = json.loads(json.dumps(record))  # as it will be read
    return {**plain, SEAL: _checksum(plain)}


def unsealed(record: Json) -> bool:
    """Take the checksum off a record, and say whether it is right; one of an earlier genzoo has none."""
    checksum = record.pop(SEAL, None)
    return checksum is None or checksum == _checksum(record)


def _checksum(record: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def _manifest(folder: Path) -> Json | None:
    try:
        manifest = parse_json((folder / MANIFEST).read_bytes())
        if isinstance(manifest, dict) and unsealed(manifest) and isinstance(manifest["files"][TENSORS][SEAL], str):
            return manifest if isinstance(manifest.get("step"), int) else None
    except (OSError, ValueError, LookupError, TypeError):
        pass
    return None


def _places(text: str) -> list[str]:
    """The paths that an option has, with commas between where there are several."""
    return [text] if Path(text).exists() else text.split(",")


def _from_here(folder: Path, training: Json) -> dict[str, list[str]]:
    """By option, the way from a run's folder to its data, where they lie at a path."""
    ways = {}
    for name in ("data", "data_dir"):
        places = _places(training.get(name) or "")
        if all(os.path.isabs(place) for place in places):
            with suppress(ValueError):  # on Windows there is no way to another drive
                ways[name] = [Path(os.path.relpath(place, folder.resolve())).as_posix() for place in places]
    return ways


def is_whole(folder: Path) -> bool:
    """Whether a checkpoint's files have the SHA-256 of its manifest."""
    files = (_manifest(folder) or {}).get("files") or {}
    try:
        return bool(files) and all(sha256_of(folder / name) == facts[SEAL] for name, facts in files.items())
    except OSError:
        return False


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file. Raises `OSError`."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _parse(line: str) -> Json | None:
    """A logged line; None for one that is none."""
    try:
        parsed = parse_json(line)
    except ValueError:
        return None
    is_line = isinstance(parsed, dict) and isinstance(parsed.get("step"), int)
    return parsed if is_line and all(isinstance(value, (int, float)) for value in parsed.values()) else None
