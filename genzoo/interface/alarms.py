"""Signs that a training has failed, which its losses do not show: said once, if they last."""

from __future__ import annotations

from genzoo.interface.run import Run


class Alarms:
    """Warns once of each problem that lasts.

    Args:
        patience: steps that a sign must last, after as many at the start, which are not counted.
    """

    def __init__(self, run: Run, patience: int) -> None:
        self._run, self._patience = run, patience
        self._bad_since: dict[str, int] = {}  # the step at which each problem that lasts began
        self._warned: set[str] = set()

    def look(self, problem: str, is_bad: bool, advice: str) -> None:
        """Take what a sign of a problem is at this step: "the samples have collapsed". `advice` says by which measure,
        and what to try."""
        step = self._run.step + 1
        if not is_bad or step <= self._patience:
            self._bad_since.pop(problem, None)
            return
        since = self._bad_since.setdefault(problem, step)
        if step - since >= self._patience and problem not in self._warned:
            self._warned.add(problem)
            self._run.warn(f"{problem}, since step {since}: {advice}")
