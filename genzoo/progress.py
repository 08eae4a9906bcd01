"""What a person sees while something runs: a bar on a terminal, plain lines elsewhere. Both only watch."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from genzoo.logbook import OWN, RATES

if TYPE_CHECKING:
    from genzoo.run import Run

PLAIN_EVERY = 5.0  # seconds between plain lines
NOT_BEFORE = 1.0  # seconds that reading or sampling may take without a word


def watcher() -> Bar | PlainLines:
    """The one for this standard error."""
    return Bar() if sys.stderr.isatty() else PlainLines()


def losses(values: dict[str, float]) -> str:
    """The logged values as text."""
    return "  ".join(f"{name} {value:.4g}" for name, value in values.items() if name not in OWN)


def rate_of(values: dict[str, float]) -> tuple[float, str]:
    """How fast a training goes, and in which unit."""
    name = next(name for name in RATES if name in values)
    return values[name], name.replace("_per_second", "/s")


class _RunProgress(Progress):
    run: Run | None = None

    def get_renderables(self) -> Iterable[RenderableType]:
        """Called by the drawing thread: the run need not say at each step how far it is."""
        if self.run is not None and self.tasks:
            self.update(self.task_ids[-1], completed=self.run.step)
        return super().get_renderables()


class Bar:
    """A bar with the step, samples/s, time left and losses."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._progress = _RunProgress(
            TextColumn("{task.description}"), BarColumn(20), MofNCompleteColumn(), TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[note]}", markup=False), console=self._console, refresh_per_second=5,
        )  # fmt: skip
        self._reading: Any = None
        self._since = time.monotonic()

    def data(self, what: str, done: int, total: int) -> None:
        """Data are being read, or samples drawn."""
        if time.monotonic() < self._since + NOT_BEFORE:
            return
        if self._reading is None:
            self._reading = self._progress.add_task(what, total=total, note="")
            self._progress.start()
        self._progress.update(self._reading, description=what, completed=done, total=total)

    def genzoo_run_started(self, run: Run) -> None:
        if self._reading is not None:
            self._progress.remove_task(self._reading)
        model = run.folder.model
        self._task = self._progress.add_task(model, total=run.steps_total, completed=run.step, note="starting")
        self._progress.run = run
        self._progress.start()

    def genzoo_run_logged(self, values: dict[str, float]) -> None:
        own = {name: value for name, value in values.items() if not name.startswith("test/")}
        rate, unit = rate_of(values)
        note = f"{rate:,.0f} {unit}  {losses(own)}"
        self._progress.update(self._task, note=note[: max(20, self._console.width - 50)])  # on one line

    def genzoo_run_ended(self) -> None:
        self.close()

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._progress.stop()


class PlainLines:
    """A line at the start and every few seconds, for logs and pipes."""

    def __init__(self) -> None:
        self._next = time.monotonic() + NOT_BEFORE

    def data(self, what: str, done: int, total: int) -> None:
        """Data are being read, or samples drawn."""
        self._say(f"{what}: {done:,} of {total:,}")

    def genzoo_run_started(self, run: Run) -> None:
        self._next = 0.0
        first = f"from step {run.step:,} " if run.step else ""
        self._say(f"{run.name}: {first}to step {run.steps_total:,} on {run.device}")

    def genzoo_run_logged(self, run: Run, step: int, values: dict[str, float]) -> None:
        rate, unit = rate_of(values)
        left = (run.steps_total - step) * run.seconds / step
        note = f"{rate:,.0f} {unit}  {left:,.0f} s left" if rate else ""
        self._say(f"step {step:,}/{run.steps_total:,}  {note}  {losses(values)}", always=step == run.steps_total)

    def close(self) -> None:
        """Nothing to put back."""

    def _say(self, text: str, *, always: bool = False) -> None:
        now = time.monotonic()
        if always or now >= self._next:
            self._next = now + PLAIN_EVERY
            print(text, file=sys.stderr, flush=True)
