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
  run.lock          held by the process that trains the run
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from genzoo.interface.errors import GenzooError, UsageError
from genzoo.interface.files import write_file, write_json
from genzoo.interface.options import build
from genzoo.interface.provenance import sidecar
from genzoo.interface.specs import DataSpec, GeneratorSpec, Json, ModalitySpec, TrainOptions
from genzoo.interface.version import __version__
from genzoo.registry.installed import Plugin
from genzoo.registry.plugins import registry, spec_of

FORMAT = 2
RUN, RESULT = "run.json", "result.json"
MANIFEST, STATE, TENSORS = "manifest.json", "state.json", "state.safetensors"  # of a checkpoint, model/ and best/
RESERVED = (
    RUN, "metrics.jsonl", "run.lock", "show.png", "checkpoints", "model", "best", "samples", "evaluations",
    "tensorboard",
)  # fmt: skip
KEYS = (
    "model", "plugin", "options", "training", "data_spec", "kept", "status", "step", "steps_total", "seconds",
    "started",
)  # fmt: skip


class RunFolder:
    """One training on disk.

    Attributes:
        path: the folder.
        record: what `run.json` says.

    Raises `GenzooError` if the folder holds no readable `run.json` of a format this genzoo knows.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.record: Json = self._read()

    def _read(self) -> Json:
        try:
            record = json.loads((self.path / RUN).read_text("utf-8"))
        except OSError as error:
            raise GenzooError(f"{self.path} is not a run: cannot read its run.json ({error.strerror})") from None
        except ValueError:
            raise GenzooError(f"{self.path}: run.json is damaged") from None
        if not isinstance(record, dict) or record.get("format") != FORMAT:
            older = isinstance(record, dict) and record.get("format") == 1
            advice = "it is of an earlier genzoo: train it anew" if older else "upgrade genzoo"
            raise GenzooError(f"{self.path}: run.json is of a format that this genzoo does not know; {advice}")
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
    def modality(self) -> ModalitySpec:
        """The kind of data. Raises `UsageError` if it is not installed."""
        return registry().modalities.get(self.data_spec.modality)[1]

    @property
    def training(self) -> TrainOptions:
        """The options that every training of this modality has, as this one had them."""
        return build(self.modality.train_options, self.record["training"], "run.json")

    @property
    def conditional(self) -> bool:
        """Whether the model was trained with labels, and takes them to sample."""
        return bool(self.record["options"].get("conditional", False))

    def spec(self) -> tuple[GeneratorSpec, Plugin]:
        """The model as its plugin registers it now. Raises `UsageError` if it does not."""
        return spec_of(self.model, self.record["plugin"], f"run {self.name!r}")

    def class_number(self, label: str | int) -> int:
        """The position of a class by its name. Raises `UsageError` where the run has no such class, or none at all."""
        return self.data_spec.class_number(label, self.conditional, f"run {self.name!r}")

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
        return self.path / "model"

    @property
    def best_folder(self) -> Path:
        return self.path / "best"

    @property
    def samples_folder(self) -> Path:
        return self.path / "samples"

    @property
    def overview_file(self) -> Path:
        return self.path / "show.png"

    def evaluation_file(self, key: str) -> Path:
        """Where the result of an evaluation goes; beside it is what illustrates it."""
        return self.path / "evaluations" / key / RESULT

    def evaluations(self) -> list[Path]:
        """The results of evaluations, newest first."""
        results = (self.path / "evaluations").glob(f"*/{RESULT}")
        return sorted(results, key=lambda path: path.stat().st_mtime_ns, reverse=True)

    def best(self) -> Json | None:
        """What `best/` says of itself: `step`, `score_name`, `score` and more; None if the run keeps none."""
        return _manifest(self.best_folder)

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
        return sorted((self.path / "checkpoints").glob("step-[0-9]*"), reverse=True)

    def metrics(self) -> list[Json]:
        """The logged lines, oldest first: `step`, `seconds`, how much of the data a second where there are
        mini-batches, and the model's own values."""
        try:
            lines = self.metrics_file.read_text("utf-8").splitlines()
        except FileNotFoundError:
            return []
        return [parsed for line in lines if (parsed := _parse(line)) is not None]

    def cut_metrics(self, step: int) -> None:
        """Leave out what was logged after `step`, and a last line that was not written whole."""
        lines = [line for line in self.metrics() if line["step"] <= step]
        aside = self.metrics_file.with_suffix(".tmp")
        aside.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8", newline="\n")
        os.replace(aside, self.metrics_file)

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
        """Change `run.json`."""
        self.record.update(values)
        write_json(self.path / RUN, self.record)

    def remove_leftovers(self) -> None:
        """Remove what a process that was killed had begun to write aside."""
        for folder in (self.path, self.path / "checkpoints", self.samples_folder):
            for path in folder.glob(".*.[0-9]*"):
                shutil.rmtree(path) if path.is_dir() else path.unlink()

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

    def __repr__(self) -> str:
        return f"RunFolder({str(self.path)!r})"


def create(path: Path, record: Mapping[str, object], kept: Mapping[str, bytes]) -> RunFolder:
    """A new run's folder, with files that it is to keep of its data. Raises `UsageError` if it exists, `GenzooError` if
    it cannot be written."""
    check_free(path)
    for name in kept:
        if name in RESERVED or not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name):
            raise GenzooError(f"the data ask a run to keep {name!r}; allowed is a file's name that no run has itself")
    try:
        path.mkdir(parents=True)
        for part in ("checkpoints", "samples"):
            (path / part).mkdir()
        for name, content in kept.items():
            write_file(path / name, content)
        hashes = {name: hashlib.sha256(content).hexdigest() for name, content in kept.items()}
        write_json(path / RUN, {"format": FORMAT, **record, "kept": hashes})
    except OSError as error:
        raise unwritable(path.parent, error) from None
    return RunFolder(path)


def is_run(path: Path) -> bool:
    """Whether there is a run at a path, readable or not."""
    return (path / RUN).is_file()


def check_free(path: Path) -> None:
    """Raises `UsageError` if there is something at a new run's `path`."""
    if path.exists():
        raise UsageError(
            f"run {path.name!r} exists in {path.parent}; `genzoo resume {path.name}` goes on with it, or choose another"
            " --name"
        )


def unwritable(folder: Path, error: OSError) -> GenzooError:
    """The error for a runs folder that cannot be written."""
    return GenzooError(f"cannot write in the runs folder {folder} ({error.strerror}); choose another with --runs-dir")


def _manifest(folder: Path) -> Json | None:
    try:
        manifest: Json = json.loads((folder / MANIFEST).read_text("utf-8"))
        return manifest
    except (OSError, ValueError):
        return None


def _parse(line: str) -> Json | None:
    try:
        parsed = json.loads(line)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) and "step" in parsed else None
