"""Playing a file by what the system has for it. Imports nothing heavy."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from genzoo import GenzooError

PLAYERS = (  # commands that play a file and end with it
    ("afplay",), ("pw-play",), ("paplay",), ("aplay", "-q"), ("play", "-q"),
    ("ffplay", "-nodisp", "-autoexit", "-loglevel", "error"),
)  # fmt: skip


def player() -> tuple[str, ...] | None:
    """The command that plays a file; None where there is none, and on Windows, which plays by itself."""
    for command, *arguments in PLAYERS:
        if place := shutil.which(command):
            return place, *arguments
    return None


def play(path: Path) -> None:
    """Play a file to its end. Raises `GenzooError` if that cannot be."""
    if sys.platform == "win32":
        import winsound

        winsound.PlaySound(str(path), winsound.SND_FILENAME)
        return
    command = player()
    if command is None or subprocess.run([*command, str(path)], capture_output=True).returncode:
        raise GenzooError(f"{path} is written, and cannot be played here")
