"""What a person sees while something runs: a bar on a terminal, plain lines in a log, the run itself in a notebook."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from genzoo.runs.terminal import Display, PlainLines, bar

if TYPE_CHECKING:
    from genzoo.interface.dataset import Progress


class Watched:
    """The progress display of what takes long, closed whatever happens; silent on all but the first process.

    Args:
        progress: True: there is one; None: in a notebook alone; False: there is none; or what is called in its place.

    Attributes:
        watchers: what watches a training.
        data: a `Progress`, of data that are read, and samples that are drawn.
    """

    def __init__(self, progress: Progress | bool | None = True) -> None:
        self.watchers: list[Display] = []
        if not callable(progress) and progress is not False and os.environ.get("RANK", "0") == "0":
            display = notebook() or (progress and (bar() if sys.stderr.isatty() else PlainLines()))
            self.watchers = [display] if display else []
        if not callable(progress) and not self.watchers:
            from genzoo.interface.dataset import silent

            progress = silent
        self.data: Progress = progress if callable(progress) else self.watchers[0].data

    def __enter__(self) -> Watched:
        return self

    def __exit__(self, *_: object) -> None:
        for watcher in self.watchers:
            watcher.close()


def notebook() -> Display | None:
    """What shows progress in the notebook that runs this; None elsewhere. IPython is not imported for it."""
    if (ipython := sys.modules.get("IPython")) is None or getattr(ipython.get_ipython(), "kernel", None) is None:
        return None
    from genzoo.runs.notebook import Notebook

    return Notebook()
