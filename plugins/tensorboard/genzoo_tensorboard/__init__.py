"""TensorBoard for genzoo, by the hooks that watch a training. Imports nothing heavy until one begins."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import genzoo

if TYPE_CHECKING:
    from pathlib import Path

    from genzoo import Run

_boards: dict[Path, Board] = {}  # of trainings that go on, by the run's folder


class Board:
    """What is written of one training: a file of TensorBoard's events, as its `SummaryWriter` has them. That writes in
    a thread, which a full disk would end with a traceback of its own; here the hook that could not write says so.

    Attributes:
        path: of the file.
    """

    def __init__(self, run: Run) -> None:
        import json

        from tensorboard.compat.proto import event_pb2  # type: ignore[import-untyped]
        from tensorboard.summary.writer.record_writer import RecordWriter  # type: ignore[import-untyped]
        from torch.utils.tensorboard import summary

        folder = run.path / "tensorboard"
        folder.mkdir(exist_ok=True)
        self.path = folder / f"events.out.tfevents.{time.time():.6f}.{os.getpid()}"
        self._records: Any = RecordWriter(open(self.path, "xb"))  # noqa: SIM115  (until the training ends)
        self._summary: Any = summary
        self._event: Any = event_pb2.Event
        self._folder = genzoo.find_run(run.path)
        self._modality = genzoo.modality_of(run.data.modality)
        self._shown = {step for step, _ in self._folder.training_samples()} if run.step else set()
        self._add(0, file_version="brain.Event:2")
        self._add(
            run.step + 1, session_log=event_pb2.SessionLog(status=event_pb2.SessionLog.START)
        )  # what is of later steps is void
        record = self._folder.record
        for name in ("options", "training", "data_spec"):
            self._add_text(name, (f"{key}: {json.dumps(value)}" for key, value in record[name].items()), run.step)

    def _add(self, step: int, **event: object) -> None:
        self._records.write(self._event(wall_time=time.time(), step=step, **event).SerializeToString())

    def _add_text(self, name: str, lines: Iterable[str], step: int) -> None:
        self._add(step, summary=self._summary.text(name, "\n".join(f"    {line}" for line in lines)))

    def write(self, step: int, values: dict[str, float]) -> None:
        """The values of a step, and what was drawn since the last time."""
        for name, value in values.items():
            if name != "step":
                self._add(step, summary=self._summary.scalar(name, value))
        for drawn_at, path in self._folder.training_samples():
            if drawn_at in self._shown:
                continue
            self._shown.add(drawn_at)
            preview = self._modality.preview(path)
            if isinstance(preview, str):
                self._add_text("samples", preview.splitlines(), drawn_at)
            else:
                self._add(drawn_at, summary=self._summary.image("samples", preview.numpy(), dataformats="CHW"))
        self._records.flush()

    def close(self) -> None:
        """Write no more."""
        self._records.close()


def _write(run: Run, step: int = 0, values: dict[str, float] | None = None) -> None:
    """Write on the board of a training, if it has one. A board that cannot be written is given up, with an `OSError`
    that names its file."""
    board = _boards.get(run.path)
    if board is None:
        return
    try:
        board.write(step, values or {})
    except OSError as error:
        del _boards[run.path]
        with suppress(OSError):
            board.close()
        raise OSError(error.errno, error.strerror, error.filename or str(board.path)) from None


@genzoo.hookimpl
def genzoo_run_started(run: Run) -> None:
    """Open a board."""
    _boards[run.path] = Board(run)


@genzoo.hookimpl
def genzoo_run_logged(run: Run, step: int, values: dict[str, float]) -> None:
    """Write the values."""
    _write(run, step, values)


@genzoo.hookimpl
def genzoo_run_saved(run: Run) -> None:
    """What a checkpoint stands for is written too."""
    _write(run)


@genzoo.hookimpl
def genzoo_run_ended(run: Run) -> None:
    """Write what is left, and close."""
    _write(run)
    if board := _boards.pop(run.path, None):
        board.close()
