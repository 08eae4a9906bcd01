"""TensorBoard for genzoo, by the hooks that watch a training. Imports nothing heavy until one begins."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import genzoo

if TYPE_CHECKING:
    from genzoo import Run

_boards: dict[Path, Board] = {}  # of trainings that go on, by the folder of the run


class Board:
    """What is written of one training."""

    def __init__(self, run: Run) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._run = run
        self._shown = {path.name for path in run.folder.samples()} if run.step else set()
        self._writer: Any = SummaryWriter(str(run.folder.path / "tensorboard"), purge_step=run.step + 1)
        record = run.folder.record
        for name in ("options", "training", "data_spec"):
            lines = (f"    {key}: {json.dumps(value)}" for key, value in record[name].items())
            self._writer.add_text(name, "\n".join(lines), run.step)

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """The logged values."""
        for name, value in values.items():
            if name != "step":
                self._writer.add_scalar(name, value, step)

    def samples(self) -> None:
        """What was drawn since the last time."""
        for path in self._run.folder.samples():
            if not path.name.startswith("step-") or path.name in self._shown:
                continue
            self._shown.add(path.name)
            step = int(path.stem.removeprefix("step-"))
            if path.suffix == ".txt":
                text = "\n".join(f"    {line}" for line in path.read_text("utf-8").splitlines())
                self._writer.add_text("samples", text, step)
            else:
                self._writer.add_image("samples", _picture(path), step, dataformats="HWC")

    def flush(self) -> None:
        """Put what was written on the disk."""
        self._writer.flush()

    def close(self) -> None:
        self.samples()
        self._writer.close()


def _picture(path: Path) -> Any:
    import numpy as np
    from PIL import Image

    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


@genzoo.hookimpl
def genzoo_run_started(run: Run) -> None:
    """Open a board."""
    _boards[run.folder.path] = Board(run)


@genzoo.hookimpl
def genzoo_run_logged(run: Run, step: int, values: dict[str, float]) -> None:
    """Write the values."""
    if board := _boards.get(run.folder.path):
        board.scalars(step, values)
        board.samples()


@genzoo.hookimpl
def genzoo_run_saved(run: Run) -> None:
    """What a checkpoint stands for is on the disk too."""
    if board := _boards.get(run.folder.path):
        board.flush()


@genzoo.hookimpl
def genzoo_run_ended(run: Run) -> None:
    """Write what is left, and close."""
    if board := _boards.pop(run.folder.path, None):
        board.close()
