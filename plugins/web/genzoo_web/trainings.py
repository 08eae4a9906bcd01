"""Trainings that the page begins: each a process of its own, `genzoo train`, which saves when it is stopped."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from genzoo import UsageError

PATIENCE = 60.0  # seconds that a training has to save, before it is ended


class Trainings:
    """One training at a time. Others, of the command, are watched and left alone."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._lock = folder, threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._messages: IO[bytes] | None = None
        self.name: str | None = None

    def begin(self, model: str, options: Mapping[str, object]) -> str:
        """Begin a training; returns its run's name. Raises `UsageError` while another goes on."""
        with self._lock:
            if self.goes_on:
                raise UsageError(f"{self.name} is being trained; stop it first, or wait")
            stem = "".join(c if c.isalnum() or c in "._-" else "-" for c in f"{model}-{options.get('data', '')}")
            self.name = f"{stem}-{datetime.now():%Y%m%d-%H%M%S}"
            command = [
                sys.executable,
                "-m",
                "genzoo",
                "train",
                model,
                "--name",
                self.name,
                "--runs-dir",
                str(self._folder),
            ]
            for name, value in options.items():
                command += ["--set", f"{name}={_shown(value)}"]
            self._messages = tempfile.TemporaryFile()  # noqa: SIM115  (read when the process has ended)
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self._messages, **_apart()
            )
            return self.name

    @property
    def goes_on(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def problem(self) -> str:
        """What the last training said when it failed, in a line; empty where it did not."""
        if self._process is None or self._messages is None or self._process.poll() in (None, 0):
            return ""
        self._messages.seek(0)
        lines = self._messages.read()[-10_000:].decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else f"it ended with status {self._process.returncode}"

    def stop(self) -> None:
        """Ask the training to save and stop. Raises `UsageError` where there is none of this page."""
        if not self.goes_on:
            raise UsageError("no training of this page goes on; stop others where they were begun")
        assert self._process is not None, "it goes on"
        if sys.platform == "win32":
            self._process.send_signal(signal.CTRL_BREAK_EVENT)
        else:
            self._process.terminate()

    def end(self) -> None:
        """Stop what goes on, and wait until it has saved."""
        if not self.goes_on:
            return
        self.stop()
        assert self._process is not None, "it went on"
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _apart() -> dict[str, Any]:
    """So that Ctrl-C on the page's terminal does not reach it twice."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def _shown(value: object) -> str:
    """A value as `--set` takes it."""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
