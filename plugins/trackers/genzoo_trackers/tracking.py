"""One training as Accelerate's trackers are told of it: options, logged values, samples, and how it ended."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from accelerate.tracking import LOGGER_TYPE_TO_CLASS
from PIL import Image

import genzoo
from genzoo import GenzooError, Run, UsageError

PROJECT = "genzoo"  # unless the tracker's own variable says another
PROJECT_VARIABLES = {"wandb": "WANDB_PROJECT", "comet_ml": "COMET_PROJECT_NAME"}  # MLflow reads its own itself
FOLDER = "trackers"  # in the run's: what Weights & Biases writes, and which run of each tracker it is, for a resume
IDS = "ids.json"
ENDS = {"finished": "FINISHED", "interrupted": "KILLED", "failed": "FAILED"}  # as MLflow has them


class Tracking:
    """The trackers of one training.

    Raises `UsageError` for a name that Accelerate does not know, or whose library is not installed.
    """

    def __init__(self, run: Run, names: Sequence[str]) -> None:
        for name in names:
            if name not in LOGGER_TYPE_TO_CLASS:
                raise UsageError(f"GENZOO_TRACKERS has {name!r}; allowed is {', '.join(sorted(LOGGER_TYPE_TO_CLASS))}")
            if importlib.util.find_spec(name) is None:
                raise UsageError(f"GENZOO_TRACKERS has {name!r}, which is not installed; pip install {name}")
        self._folder = genzoo.find_run(run.path)
        self._modality = genzoo.modality_of(run.data.modality)
        self._shown = {step for step, _ in self._folder.training_samples()} if run.step else set()
        ids = _read_ids(run.path / FOLDER / IDS) if run.step else {}
        (run.path / FOLDER).mkdir(exist_ok=True)
        self._trackers = [_started(name, run, ids.get(name)) for name in names]
        genzoo.write_file(run.path / FOLDER / IDS, json.dumps({**ids, **self._ids()}, indent=2).encode())
        if not run.step:
            for tracker in self._trackers:
                tracker.store_init_configuration(_configuration(self._folder.record))

    def _ids(self) -> dict[str, str]:
        """Which run of each tracker this is, for those that go on with one."""
        ids = {"mlflow": lambda tracker: tracker.info.run_id, "wandb": lambda tracker: tracker.id}
        return {t.name: ids[t.name](t.tracker) for t in self._trackers if t.name in ids}

    def log(self, step: int, values: dict[str, float]) -> None:
        """Pass on the values that were logged at a step."""
        for tracker in self._trackers:
            tracker.log({name: value for name, value in values.items() if name != "step"}, step=step)

    def samples(self) -> None:
        """Pass on what was drawn since the last time: as a file, or as it is previewed where that is a picture."""
        for step, path in self._folder.training_samples():
            if step not in self._shown:
                self._shown.add(step)
                for tracker in self._trackers:
                    self._pass_on(tracker, step, path)

    def _pass_on(self, tracker: Any, step: int, path: Path) -> None:
        if hasattr(tracker, "log_artifact"):
            tracker.log_artifact(str(path), "samples")
            return
        preview = self._modality.preview(path)
        if hasattr(tracker, "log_images") and not isinstance(preview, str):
            picture = Image.fromarray(preview.expand(3, -1, -1).permute(1, 2, 0).numpy())
            tracker.log_images({"samples": picture if tracker.name == "aim" else [picture]}, step=step)

    def end(self, status: str) -> None:
        """Pass on what is left, and say how the training ended."""
        self.samples()
        for tracker in self._trackers:
            if tracker.name == "mlflow":
                import mlflow

                mlflow.end_run(ENDS[status])
            elif tracker.name == "wandb":
                tracker.tracker.finish(exit_code=int(status != "finished"))
            else:
                tracker.finish()


def _started(name: str, run: Run, run_id: str | None) -> Any:
    """A tracker of Accelerate's, begun, or gone on with."""
    kind = LOGGER_TYPE_TO_CLASS[name]
    project = os.environ.get(PROJECT_VARIABLES.get(name, ""), PROJECT)
    if name == "mlflow":
        tracker = kind(project, run_name=run.name, run_id=run_id)
    elif name == "wandb":
        tracker = kind(project, name=run.name, id=run_id, resume="allow", dir=str(run.path / FOLDER))
    elif name == "aim":
        tracker = kind(run.name, os.environ.get("AIM_REPO", "."), experiment=project)
    elif kind.requires_logging_directory:
        tracker = kind(run.name, str(run.path / FOLDER))
    else:
        tracker = kind(project)
    tracker.start()
    return tracker


def _read_ids(path: Path) -> dict[str, str]:
    try:
        ids: dict[str, str] = genzoo.parse_json(path.read_text("utf-8"))
    except (OSError, ValueError, GenzooError):
        return {}
    return ids


def _configuration(record: genzoo.Json) -> dict[str, str | float]:
    """What a run is, in one layer of names: the model's options, those of the training, and its data."""
    data = record["data_spec"]
    values = {"model": record["model"], "data_name": data["name"], "data_fingerprint": data["fingerprint"]}
    values |= record["training"] | record["options"]
    return {k: v if isinstance(v, (str, int, float)) else json.dumps(v) for k, v in values.items()}
