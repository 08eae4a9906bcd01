"""The runs that the page may touch, and their models, each loaded once and let go when nobody needs it."""

from __future__ import annotations

import gc
import importlib
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import genzoo
from genzoo import Generator, GenzooError, RunFolder, UsageError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
MOST_MODELS = 2
IDLE = 600.0  # seconds after which a model is let go


class Runs:
    """The runs in a folder. No link in it leads anywhere, and no name out of it."""

    def __init__(self, runs_dir: str | None) -> None:
        self.folder = genzoo.runs_folder(runs_dir).resolve()

    def names(self, *, sampled: bool = False) -> list[str]:
        """The names of the runs, newest first; with `sampled` of those that have weights to sample from."""
        runs = [run for run in genzoo.list_runs(str(self.folder)) if self._is_inside(run.path)]
        return [run.name for run in runs if not sampled or run.weights()]

    def get(self, name: object) -> RunFolder:
        """The run of exactly that name. Raises `UsageError` for anything else."""
        if not isinstance(name, str) or not NAME.fullmatch(name) or not self._is_inside(self.folder / name):
            raise UsageError("there is no run of that name here")
        try:
            return genzoo.RunFolder(self.folder / name)
        except OSError:
            raise UsageError("there is no run of that name here") from None

    def _is_inside(self, path: Path) -> bool:
        """Whether a run lies in the folder itself, with no link in it or on the way."""
        try:
            if path.is_symlink() or path.resolve().parent != self.folder or not path.is_dir():
                return False
            return not any(each.is_symlink() for each in path.rglob("*"))
        except (OSError, ValueError, RuntimeError):
            return False


class Models:
    """Models by run and weights. The one that was not needed for longest makes room; all go when nobody needed any for
    `IDLE` seconds."""

    def __init__(self, device: str) -> None:
        self._device, self._lock = device, threading.Lock()
        self._models: OrderedDict[tuple[Path, str], Generator] = OrderedDict()
        self._used = time.monotonic()
        self._timer: threading.Timer | None = None

    def get(self, run: RunFolder) -> Generator:
        """The model of a run. Raises `GenzooError` if it cannot be loaded."""
        key = (run.path.resolve(), str(run.weights().get("sha256", "")))
        with self._lock:
            if key not in self._models:
                while len(self._models) >= MOST_MODELS:
                    self._models.popitem(last=False)
                _give_back()
                self._models[key] = genzoo.load(run, device=self._device)
            self._models.move_to_end(key)
            self._used = time.monotonic()
            self._watch()
            return self._models[key]

    def __len__(self) -> int:
        return len(self._models)

    def let_go(self) -> None:
        """Forget all models."""
        with self._lock:
            self._models.clear()
        _give_back()

    def _watch(self) -> None:
        if self._timer is None:
            self._timer = threading.Timer(IDLE, self._let_go_if_idle)
            self._timer.daemon = True
            self._timer.start()

    def _let_go_if_idle(self) -> None:
        with self._lock:
            self._timer = None
            idle = time.monotonic() - self._used >= IDLE
            if not idle:
                self._watch()
        if idle:
            self.let_go()


def _give_back() -> None:
    """Memory of models that were forgotten, to the system."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def abilities(run: RunFolder) -> type[Generator]:
    """The class of a run's model, which has the methods that say what it can do. Raises `GenzooError`."""
    spec = run.spec()[0]
    if isinstance(spec.target, type):
        return spec.target
    module, _, name = spec.target.partition(":")
    try:
        kind: type[Generator] = getattr(importlib.import_module(module), name)
    except Exception as error:
        raise GenzooError(f"model {spec.name!r} cannot be loaded: {genzoo.one_line(error)}") from error
    return kind


class Deadline:
    """Ends what takes longer than so many seconds, where it says how far it is.

    Args:
        show: is told how far it is besides.
    """

    def __init__(self, seconds: float, show: Callable[[str, int, int], None] | None = None) -> None:
        self._seconds, self._end, self._show = seconds, time.monotonic() + seconds, show

    def check(self) -> None:
        """Raises `UsageError` when the time is up."""
        if time.monotonic() > self._end:
            raise UsageError(f"stopped after {self._seconds:.0f} s; ask for less, or start with a larger --seconds")

    def __call__(self, activity: str, done: int, total: int) -> None:
        self.check()
        if self._show is not None:
            self._show(activity, done, total)
