"""What a worker says while it works: a line a training, and how far it is."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

import genzoo
from genzoo_sweep.sweep import VALIDATION, Sweep

EVERY = 10.0  # seconds between lines of one training


class Lines:
    """Lines on standard error."""

    def __init__(self, sweep: Sweep, trials: int) -> None:
        self._sweep, self._trials = sweep, trials
        self._last = 0.0

    def __enter__(self) -> Lines:
        self._say(f"sweep {self._sweep.path.name}: {len(self._sweep.trials())} trials are there")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if isinstance(error, (genzoo.Interrupted, KeyboardInterrupt)):
            self._say("stopped; the same command goes on where it was left")

    def genzoo_run_started(self, run: Any) -> None:
        options = {**run.folder.record["options"], **run.folder.record["training"]} if hasattr(run, "folder") else {}
        varied = {each.option: options[each.option] for each in self._sweep.dimensions if each.option in options}
        values = "  ".join(f"{name} {value}" for name, value in varied.items())
        self._say(f"{run.name}: {run.model.spec.name}  {values}  to step {run.steps_total:,}")
        self._last = time.monotonic()

    def genzoo_run_logged(self, run: Any, step: int, values: dict[str, float]) -> None:
        scores = "  ".join(
            f"{measure.name} {values[VALIDATION + measure.name]:.4g}"
            for measure in self._sweep.measures
            if VALIDATION + measure.name in values
        )
        if scores or time.monotonic() - self._last > EVERY:
            self._last = time.monotonic()
            self._say(f"{run.name}: step {step:,}/{run.steps_total:,}  {scores}".rstrip())

    def _say(self, line: str) -> None:
        print(genzoo.printable(line), file=sys.stderr, flush=True)
