"""The conformance suite: what every model of genzoo promises, checked. For authors of plugins.

In a test file of the plugin:

    from genzoo.testing import parametrize_with_checks

    @parametrize_with_checks("mymodel")
    def test_it_behaves(check):
        check()

and on the command line `genzoo check mymodel`.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from genzoo.interface.errors import GenzooError, Skip, UsageError, one_line, traceback_of, unknown
from genzoo.interface.parsing import printable
from genzoo.testing.case import Broken, Case
from genzoo.testing.checks import CHECKS, Check

if TYPE_CHECKING:
    import pytest

__all__ = ["CHECKS", "Case", "Check", "Outcome", "Skip", "parametrize_with_checks", "run_checks"]


@dataclass(frozen=True)
class Outcome:
    """What became of a check.

    Attributes:
        status: "passed", "failed", "skipped", "not run" (what it needs is what another check found to fail), "xfailed"
            (failed, as was expected) or "xpassed" (passed, though it was expected to fail; that counts as failed).
        promise: what is checked, in a sentence.
        reason: in one line; where it passed what was seen, if that says something.
        where: the line of the plugin at which an error was raised, `model.py:31`; empty where there is none.
        traceback: of that error.
        seconds: that it took.
        cause: the check that fails, for one that is not run.
    """

    check: str
    status: str
    promise: str
    reason: str
    seconds: float
    where: str = ""
    traceback: str = ""
    cause: str = ""

    def __str__(self) -> str:
        where = f" ({self.where})" if self.where else ""
        return printable(f"{self.status:8} {self.check}" + (f": {self.reason}{where}" if self.reason else ""))

    @property
    def ok(self) -> bool:
        """Whether all is as it should be."""
        return self.status in ("passed", "skipped", "xfailed", "not run")


def run_checks(
    model: str,
    *,
    options: Mapping[str, object] | None = None,
    preset: str | None = None,
    expected_failures: Mapping[str, str] | None = None,
    only: tuple[str, ...] = (),
) -> Iterator[Outcome]:
    """Check a model, one outcome after another. A cause is told once: where the plugin does not load, or no training
    ends, the check of that fails, and those that need it are not run.

    Args:
        model: its name, or that of its plugin.
        options: of trainings, where the defaults would take too long.
        preset: of trainings, in place of `tiny`.
        expected_failures: names of checks that fail, with the reason.
        only: names of checks to run; none: all. What these need and cannot have is told too.

    Raises:
        UsageError: there is no such model, preset or check.
    """
    expected, known = dict(expected_failures or {}), {check.name: check for check in CHECKS}
    if wrong := [name for name in (*expected, *only) if name not in known]:
        raise unknown("check", wrong[0], known)
    case = Case(model, options, preset)
    causes: set[str] = set()  # that were told
    for check in CHECKS:
        if only and check.name not in only:
            continue
        outcome = _outcome(check, case, expected)
        if outcome.cause and outcome.cause not in {*causes, *only}:
            causes.add(outcome.cause)
            yield _outcome(known[outcome.cause], case, expected)
        causes.add(check.name)
        yield outcome


def _outcome(check: Check, case: Case, expected: Mapping[str, str]) -> Outcome:
    start, status, reason = time.perf_counter(), "passed", ""
    where = traceback = broken = ""
    try:
        reason = _run(check, case) or ""
    except Skip as skip:
        status, reason = "skipped", str(skip)
    except Exception as error:
        cause = error.error if isinstance(error, Broken) and error.check == check.name else error
        if isinstance(cause, Broken):
            status, reason, broken = "not run", str(cause), cause.check
        else:
            status, reason = "failed", _reason(cause, case)
            raised = cause.__cause__ if isinstance(cause, GenzooError) and cause.__cause__ else cause
            where, traceback = _place(raised, case), traceback_of(raised)
    if check.name in expected and status in ("passed", "failed"):
        status, reason = ("xfailed" if status == "failed" else "xpassed"), expected[check.name]
    seconds = round(time.perf_counter() - start, 3)
    return Outcome(check.name, status, check.promise, reason, seconds, where, traceback, broken)


def _reason(error: Exception, case: Case) -> str:
    """In one line; what genzoo says itself stands as it is."""
    if error is case.plugin.error:
        return case.plugin.problems[-1]
    if isinstance(error, (AssertionError, GenzooError)) and str(error):
        return " ".join(str(error).split())
    return one_line(error)


def _place(error: BaseException, case: Case) -> str:
    """The innermost line of the plugin's own files that an error passed through."""
    import importlib.util

    spec = importlib.util.find_spec(case.target.partition(".")[0]) if case.target else None
    if spec is None or spec.origin is None:
        return ""
    package = Path(spec.origin).parent if spec.submodule_search_locations else Path(spec.origin)
    root, places, frame = package.parent, [], error.__traceback__
    while frame:
        path = Path(frame.tb_frame.f_code.co_filename)
        if path.is_relative_to(package) or (path.parent == root and path.name.startswith(package.stem)):
            places.append(f"{path.relative_to(root).as_posix()}:{frame.tb_lineno}")
        frame = frame.tb_next
    return places[-1] if places else ""


def _run(check: Check, case: Case) -> str | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a few steps on made-up data
        return check.function(case)


def parametrize_with_checks(
    *models: str,
    options: Mapping[str, object] | None = None,
    preset: str | None = None,
    expected_failures: Mapping[str, str] | None = None,
) -> pytest.MarkDecorator:
    """A pytest decorator: the test is called once for each check of each model, with `check`, a function to call.

    The arguments are those of `run_checks`. A check that was expected to fail and passes fails the test. One that needs
    what another found to fail is skipped, as not run.
    """
    import pytest

    expected = dict(expected_failures or {})
    cases = []
    for model in models:
        case = _Lazy(model, options, preset)
        for check in CHECKS:
            marks = [pytest.mark.xfail(reason=expected[check.name], strict=True)] if check.name in expected else []
            cases.append(pytest.param(partial(_in_pytest, check, case), id=f"{model}-{check.name}", marks=marks))
    return pytest.mark.parametrize("check", cases)


@dataclass
class _Lazy:
    """A case that is made when the first check of it runs: collecting tests makes nothing. It remembers which causes
    were told: a process tells each once."""

    model: str
    options: Mapping[str, object] | None
    preset: str | None
    reported: set[str] = field(default_factory=set)
    case: Case | None = None

    def get(self) -> Case:
        try:
            self.case = self.case or Case(self.model, self.options, self.preset)
        except UsageError as error:
            raise Broken("the model", error) from error
        return self.case


def _in_pytest(check: Check, lazy: _Lazy) -> None:
    import pytest

    try:
        _run(check, lazy.get())
    except Skip as skip:
        pytest.skip(str(skip))
    except Broken as broken:
        if broken.check != check.name and broken.check in lazy.reported:
            pytest.skip(f"not run: {broken}")
        lazy.reported.add(broken.check)
        raise broken.error from None
