"""What a terminal shows while something runs: a bar, or plain lines where there is none. Both only watch."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

from genzoo.interface.parsing import printable, say
from genzoo.interface.specs import VALIDATION
from genzoo.runs.curves import is_measured

if TYPE_CHECKING:
    from genzoo.interface.run import Run

PLAIN_EVERY = 5.0  # seconds between plain lines
NOT_BEFORE = 1.0  # seconds that reading or sampling may take without a word
BARS = ((100, 20), (60, 10), (0, 0))  # how long the bar is, from which width of the terminal on
PER_SECOND = "_per_second"
UNIT = re.compile(r"(.*) \((.*)\)")  # of an activity, such as "reading (images)"


class Display(Protocol):
    """What shows how far something is. It may watch a training besides, by the methods of a watcher."""

    def data(self, activity: str, done: int, total: int) -> None: ...

    def close(self) -> None: ...


def name_and_unit(activity: str) -> tuple[str, str]:
    """What is done, and what is counted, of an activity such as "reading (images)"."""
    match = UNIT.fullmatch(activity)
    return (match[1], match[2]) if match else (activity, "")


def losses(values: dict[str, float]) -> str:
    """The logged values as text."""
    return "  ".join(f"{name} {value:.4g}" for name, value in values.items() if is_measured(name))


def speed(values: dict[str, float]) -> str:
    """How fast a training goes, with its unit; empty without mini-batches."""
    rates = {name: value for name, value in values.items() if name.endswith(PER_SECOND) and value}
    return "  ".join(f"{value:,.0f} {name.replace(PER_SECOND, '/s')}" for name, value in rates.items())


def needed(run: Run) -> str:
    """The memory that a training takes, where its model counts it."""
    return "" if run.memory is None else f"about {run.memory / 1e9:,.2f} GB of memory, besides torch's own"


def bar() -> Display:
    """A bar with the step, the speed, time left and losses."""
    from rich.console import Console, RenderableType
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
    from rich.table import Column

    class RunProgress(Progress):
        run: Run | None = None

        def get_renderables(self) -> Iterable[RenderableType]:
            """Called by the drawing thread: the run need not say at each step how far it is."""
            if self.run is not None and self.tasks:
                self.update(self.task_ids[0], completed=self.run.step)
            return super().get_renderables()

    class Bar:
        def __init__(self) -> None:
            self._console = Console(stderr=True)
            self._bar_width = next(bar for width, bar in BARS if self._console.width >= width)
            self._progress = RunProgress(
                TextColumn("{task.description}", markup=False), *([BarColumn(self._bar_width)] * bool(self._bar_width)),
                MofNCompleteColumn(), TimeRemainingColumn(compact=True),
                TextColumn("{task.fields[note]}", markup=False, table_column=Column(ratio=1, no_wrap=True)),
                console=self._console, refresh_per_second=5, expand=True,
            )  # fmt: skip
            self._reading: TaskID | None = None
            self._since = time.monotonic()

        def _title(self, name: str, total: int) -> str:
            """A name, cut where how far it is and the time left would else not stand beside it."""
            room = max(8, self._console.width - self._bar_width - len(f"{total}/{total}") - len("0:00:00") - 4)
            return name if len(name) <= room else f"{name[: room - 1]}…"

        def data(self, activity: str, done: int, total: int) -> None:
            """Data are being read, or samples drawn."""
            if time.monotonic() < self._since + NOT_BEFORE:
                return
            if self._reading is None:
                self._reading = self._progress.add_task(activity, total=total, note="")
                self._progress.start()
            name, unit = name_and_unit(activity)
            title = self._title(name, total)
            self._progress.update(self._reading, description=title, note=unit, completed=done, total=total)

        def genzoo_run_started(self, run: Run) -> None:
            for line in (run.dataset.summary(), needed(run)):
                if line:
                    self._console.print(printable(line), markup=False, highlight=False)
            for task in self._progress.task_ids:  # of the reading, and of the run before in a group
                self._progress.remove_task(task)
            self._reading = None
            title, total = self._title(run.name, run.steps_total), run.steps_total
            self._task = self._progress.add_task(title, total=total, completed=run.step, note="starting")
            self._progress.run = run
            self._progress.start()

        def genzoo_run_logged(self, values: dict[str, float]) -> None:
            shown = {name: value for name, value in values.items() if not name.startswith(VALIDATION)}
            self._progress.update(self._task, note=f"{speed(values)}  {losses(shown)}")

        def genzoo_run_ended(self) -> None:
            self.close()

        def close(self) -> None:
            """Leave the terminal as it was."""
            self._progress.stop()

    return Bar()


class PlainLines:
    """A line at the start and every few seconds, for logs and pipes."""

    def __init__(self) -> None:
        self._next, self._last = time.monotonic() + NOT_BEFORE, ""
        self._activity, self._began, self._first = "", 0.0, 0

    def data(self, activity: str, done: int, total: int) -> None:
        """Data are being read, or samples drawn."""
        now = time.monotonic()
        if activity != self._activity:
            self._activity, self._began, self._first = activity, now, done
        name, unit = name_and_unit(activity)
        parts = [f"{name}: {done:,} of {total:,} {unit}".rstrip()]
        if done > self._first and done < total:
            left = (now - self._began) / (done - self._first) * (total - done)
            parts.append(f"{left:,.0f} s left")
        self._say("  ".join(parts))

    def genzoo_run_started(self, run: Run) -> None:
        if summary := run.dataset.summary():
            self._say(summary, always=True)
        if need := needed(run):
            self._say(need, always=True)
        first = f"from step {run.step:,} " if run.step else ""
        self._say(f"{run.name}: {first}to step {run.steps_total:,} on {run.device}", always=True)

    def genzoo_run_logged(self, run: Run, step: int, values: dict[str, float]) -> None:
        left = (run.steps_total - step) * run.seconds / step
        parts = [f"step {step:,}/{run.steps_total:,}", speed(values), f"{left:,.0f} s left", losses(values)]
        self._say("  ".join(part for part in parts if part), always=step == run.steps_total)

    def close(self) -> None:
        """Nothing to put back."""

    def _say(self, text: str, *, always: bool = False) -> None:
        now = time.monotonic()
        if (always or now >= self._next) and text != self._last:
            self._next, self._last = now + PLAIN_EVERY, text
            say(text)
