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
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from genzoo.interface.errors import Skip, UsageError, one_line
from genzoo.testing.case import Case
from genzoo.testing.checks import CHECKS, Check

if TYPE_CHECKING:
    import pytest

__all__ = ["CHECKS", "Check", "Outcome", "Skip", "parametrize_with_checks", "run_checks"]


@dataclass(frozen=True)
class Outcome:
    """What became of a check.

    Attributes:
        status: "passed", "failed", "skipped", "xfailed" (failed, as was expected) or "xpassed" (passed, though it was
            expected to fail; that counts as failed).
        reason: in one line; empty where it passed.
        seconds: that it took.
    """

    check: str
    status: str
    reason: str
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether all is as it should be."""
        return self.status in ("passed", "skipped", "xfailed")


def run_checks(
    model: str,
    *,
    options: Mapping[str, object] | None = None,
    expected_failures: Mapping[str, str] | None = None,
    only: tuple[str, ...] = (),
) -> Iterator[Outcome]:
    """Check a model, one outcome after another.

    Args:
        model: its name, or that of its plugin.
        options: of trainings, where the defaults would take too long.
        expected_failures: names of checks that fail, with the reason.
        only: names of checks to run; none: all.

    Raises:
        UsageError: there is no such model or check.
    """
    expected = dict(expected_failures or {})
    known = {check.name for check in CHECKS}
    if wrong := [name for name in (*expected, *only) if name not in known]:
        raise UsageError(f"there is no check {wrong[0]!r}; they are {', '.join(sorted(known))}")
    case = Case(model, options)
    for check in CHECKS:
        if only and check.name not in only:
            continue
        start = time.perf_counter()
        status, reason = _outcome(check, case)
        if check.name in expected and status in ("passed", "failed"):
            status, reason = ("xfailed" if status == "failed" else "xpassed"), expected[check.name]
        yield Outcome(check.name, status, reason, round(time.perf_counter() - start, 3))


def _outcome(check: Check, case: Case) -> tuple[str, str]:
    try:
        _run(check, case)
    except Skip as skip:
        return "skipped", str(skip)
    except Exception as error:
        return "failed", str(error).strip() if isinstance(error, AssertionError) and str(error) else one_line(error)
    return "passed", ""


def _run(check: Check, case: Case) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a few steps on made-up data
        check.function(case)


def parametrize_with_checks(
    *models: str,
    options: Mapping[str, object] | None = None,
    expected_failures: Mapping[str, str] | None = None,
) -> pytest.MarkDecorator:
    """A pytest decorator: the test is called once for each check of each model, with `check`, a function to call.

    The arguments are those of `run_checks`. A check that was expected to fail and passes fails the test.
    """
    import pytest

    expected = dict(expected_failures or {})
    cases = []
    for model in models:
        case = _Lazy(model, options)
        for check in CHECKS:
            marks = [pytest.mark.xfail(reason=expected[check.name], strict=True)] if check.name in expected else []
            cases.append(pytest.param(partial(_in_pytest, check, case), id=f"{model}-{check.name}", marks=marks))
    return pytest.mark.parametrize("check", cases)


class _Lazy:
    """A case that is made when the first check of it runs: collecting tests makes nothing."""

    def __init__(self, model: str, options: Mapping[str, object] | None) -> None:
        self._arguments = model, options
        self._case: Case | None = None

    def get(self) -> Case:
        self._case = self._case or Case(*self._arguments)
        return self._case


def _in_pytest(check: Check, lazy: _Lazy) -> None:
    import pytest

    try:
        _run(check, lazy.get())
    except Skip as skip:
        pytest.skip(str(skip))
