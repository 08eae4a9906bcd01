"""TensorBoard for genzoo, by the hooks that watch a training. Imports nothing heavy until one begins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import genzoo

if TYPE_CHECKING:
    from pathlib import Path

    from genzoo import Run

_boards: dict[Path, Board] = {}  # of trainings that go on, by the run's folder


class Board:
    """What is written of one training."""

    def __init__(self, run: Run) -> None:
        import json

        from torch.utils.tensorboard import SummaryWriter

        self._folder = genzoo.find_run(run.path)
        self._modality = genzoo.modality_of(run.data.modality)
        self._shown = {step for step, _ in self._folder.training_samples()} if run.step else set()
        self._writer: Any = SummaryWriter(str(run.path / "tensorboard"), purge_step=run.step + 1)
        record = self._folder.record
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
        for step, path in self._folder.training_samples():
            if step in self._shown:
                continue
            self._shown.add(step)
            preview = self._modality.preview(path)
            if isinstance(preview, str):
                self._writer.add_text("samples", "\n".join(f"    {line}" for line in preview.splitlines()), step)
            else:
                self._writer.add_image("samples", preview.numpy(), step)

    def flush(self) -> None:
        """Put what was written on the disk."""
        self._writer.flush()

    def close(self) -> None:
        self.samples()
        self._writer.close()


@genzoo.hookimpl
def genzoo_run_started(run: Run) -> None:
    """Open a board."""
    _boards[run.path] = Board(run)


@genzoo.hookimpl
def genzoo_run_logged(run: Run, step: int, values: dict[str, float]) -> None:
    """Write the values."""
    if board := _boards.get(run.path):
        board.scalars(step, values)
        board.samples()


@genzoo.hookimpl
def genzoo_run_saved(run: Run) -> None:
    """What a checkpoint stands for is on the disk too."""
    if board := _boards.get(run.path):
        board.flush()


@genzoo.hookimpl
def genzoo_run_ended(run: Run) -> None:
    """Write what is left, and close."""
    if board := _boards.pop(run.path, None):
        board.close()
