"""The checks, each a promise in a sentence, in the order in which they run. One fails by raising, with what it saw."""

from __future__ import annotations

from genzoo.testing import of_abilities, of_models, of_plugins, of_runs
from genzoo.testing.check import CHECKS, Check

__all__ = ["CHECKS", "Check"]

_FILES = [module.__name__ for module in (of_plugins, of_models, of_runs, of_abilities)]
CHECKS.sort(key=lambda check: _FILES.index(check.function.__module__))  # whichever file was imported first
