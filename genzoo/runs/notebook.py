"""What a notebook shows while something runs: one output that changes in its place. It only watches."""

from __future__ import annotations

import sys
import time
from importlib import import_module
from typing import TYPE_CHECKING, Any

from genzoo.interface.errors import GenzooError
from genzoo.interface.shown import escaped
from genzoo.runs.card import card, next_calls
from genzoo.runs.folder import RunFolder
from genzoo.runs.terminal import name_and_unit, speed

if TYPE_CHECKING:
    from genzoo.interface.run import Run

EVERY = 0.5  # seconds between two changes
NOT_BEFORE = 1.0  # seconds that reading or sampling may take without a word


class Notebook:
    """The display of one call. Each has an output of its own, so that several go side by side."""

    def __init__(self) -> None:
        assert "IPython" in sys.modules, "there is a notebook"
        self._display = import_module("IPython.display").display
        self._handle: Any = None
        self._began = self._changed = time.monotonic()
        self._trained = False

    def data(self, activity: str, done: int, total: int) -> None:
        """Data are being read, or samples drawn."""
        now = time.monotonic()
        if now < self._began + NOT_BEFORE or now < self._changed + EVERY or self._trained:
            return
        name, unit = name_and_unit(activity)
        text = f"{name}: {done:,} of {total:,} {unit}".rstrip()
        self._show(f'<progress value="{done}" max="{total}"></progress> {escaped(text)}', text)

    def genzoo_run_started(self, run: Run) -> None:
        self._trained = True
        self._show(card(RunFolder(run.path), step=run.step, note=f"starting on {run.device}"), run.name)

    def genzoo_run_logged(self, run: Run, step: int, values: dict[str, float]) -> None:
        if time.monotonic() < self._changed + EVERY:
            return
        left = (run.steps_total - step) * run.seconds / step
        note = "  ".join(part for part in (speed(values), f"{left:,.0f} s left") if part)
        self._show(card(RunFolder(run.path), step=step, note=note), f"{run.name}: step {step:,} of {run.steps_total:,}")

    def genzoo_run_ended(self, run: Run, status: str, error: BaseException | None) -> None:
        folder = RunFolder(run.path)
        text = str(error) if isinstance(error, GenzooError) else ""
        plain = f"{run.name}: {status} after step {run.step:,}"
        self._show(card(folder, note=text), "; ".join([plain, *next_calls(folder, status)]))
        self._handle, self._trained = None, False  # the next training of a group has an output of its own
        self._began = time.monotonic()

    def close(self) -> None:
        """Take away what said how far the reading was."""
        if self._handle is not None and not self._trained:
            self._show("", "")

    def _show(self, html: str, text: str) -> None:
        content, self._changed = {"text/html": html, "text/plain": text}, time.monotonic()
        if self._handle is None:
            self._handle = self._display(content, raw=True, display_id=True)
        else:
            self._handle.update(content, raw=True)
