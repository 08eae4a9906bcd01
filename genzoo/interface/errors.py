"""What can go wrong, in words: what was given, what is allowed, what to do."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


class GenzooError(Exception):
    """Something failed for a reason a person can act on. The command line prints it as one line.

    `exit_status` is what the `genzoo` command ends with: 1 for a failure.
    """

    exit_status = 1

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows, as the command line does: one line, below the traceback of what a plugin raised."""
        cause = self.__cause__ if not isinstance(self.__cause__, GenzooError) else None
        return [*traceback_of(cause).splitlines(), f"{type(self).__name__}: {self}"]


class UsageError(GenzooError):
    """What was asked for cannot be done as it was asked: a wrong name, a value out of bounds. Exit status 2."""

    exit_status = 2


class Diverged(GenzooError):
    """A loss or a weight is no longer a finite number; `step` says where it was first seen (1-based)."""

    def __init__(self, message: str, step: int) -> None:
        super().__init__(message)
        self.step = step


class Interrupted(GenzooError):
    """A training was asked to stop and has saved its state. Exit status 130 for Ctrl-C, 143 for SIGTERM."""

    def __init__(self, message: str, exit_status: int) -> None:
        super().__init__(message)
        self.exit_status = exit_status


class GenzooWarning(UserWarning):
    """Something a person should know that does not stop the work."""


class Skip(Exception):
    """A check of `genzoo check` that has no meaning here; the message says why."""


def unknown(kind: str, name: str, allowed: Iterable[str]) -> UsageError:
    """The error for a `name` that is none of `allowed`, with the nearest match or the choices."""
    choices = sorted(allowed)
    if close := nearest(name, choices):
        return UsageError(f"unknown {kind} {name!r}; did you mean {close!r}?")
    if not choices:
        return UsageError(f"unknown {kind} {name!r}; there is none yet")
    return UsageError(f"unknown {kind} {name!r}; there is {', '.join(choices)}")


def nearest(name: str, choices: Iterable[str]) -> str | None:
    """The one of `choices` that a misspelt `name` is likely to mean: whatever its case, or the initials of its words
    (`lr` is `learning_rate`); None if none is near."""
    from difflib import get_close_matches

    plain = {choice.lower(): choice for choice in choices}
    initials = {"".join(part[:1] for part in re.split(r"[-_]", choice.lstrip("-"))): choice for choice in plain}
    if (by_initials := initials.get(name.lower().lstrip("-"))) is not None:
        return plain[by_initials]
    close = get_close_matches(name.lower(), plain, n=1, cutoff=0.5)
    return plain[close[0]] if close else None


def some_of(names: Sequence[str], most: int = 10) -> str:
    """The first of some names, and how many more there are: `a, b and 3 more`."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def one_line(error: BaseException) -> str:
    """`ValueError: the first line of the message`, for errors that are not ours."""
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0]}" if text else type(error).__name__


def traceback_of(error: BaseException | None) -> str:
    """The traceback of an error as Python prints it, from the first frame on that is not genzoo's, pluggy's or the
    import system's; empty where there is none."""
    import importlib
    import traceback
    from pathlib import Path

    import pluggy

    packages = tuple(str(Path(file).parent) for file in (Path(__file__).parent, pluggy.__file__, importlib.__file__))
    if error is None:
        return ""
    frames = error.__traceback__
    while frames and frames.tb_frame.f_code.co_filename.startswith((*packages, "<frozen importlib")):
        frames = frames.tb_next
    return "".join(traceback.format_exception(type(error), error, frames, chain=False)) if frames else ""
