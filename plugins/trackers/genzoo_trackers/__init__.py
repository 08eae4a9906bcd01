"""Experiment trackers for genzoo, those of Accelerate, by the hooks that watch a training. Imports nothing heavy until
one begins."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import genzoo

if TYPE_CHECKING:
    from pathlib import Path

    from genzoo import Run
    from genzoo_trackers.tracking import Tracking

CHOICE = "GENZOO_TRACKERS"  # names with commas between; without it nothing is tracked
_tracked: dict[Path, Tracking] = {}  # trainings that go on, by the run's folder


@genzoo.hookimpl
def genzoo_run_started(run: Run) -> None:
    """Begin a run of each tracker that is asked for."""
    names = [name.strip() for name in os.environ.get(CHOICE, "").split(",") if name.strip()]
    if names:
        from genzoo_trackers.tracking import Tracking

        _tracked[run.path] = Tracking(run, names)


@genzoo.hookimpl
def genzoo_run_logged(run: Run, step: int, values: dict[str, float]) -> None:
    """Pass on the values, and the samples that were drawn since the last time."""
    if tracking := _tracked.get(run.path):
        tracking.samples()
        tracking.log(step, values)


@genzoo.hookimpl
def genzoo_run_ended(run: Run, status: str) -> None:
    """Pass on what is left, and end them."""
    if tracking := _tracked.pop(run.path, None):
        tracking.end(status)
