"""Searches over options and models for genzoo, by Optuna: a command, and `Sweep` for programs. Imports no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import genzoo
from genzoo import CommandSpec

if TYPE_CHECKING:
    from genzoo_sweep.sweep import Plan as Plan
    from genzoo_sweep.sweep import Sweep as Sweep

__all__ = ["Plan", "Sweep", "genzoo_commands"]


def __getattr__(name: str) -> object:
    if name not in ("Plan", "Sweep"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from genzoo_sweep import sweep

    return getattr(sweep, name)


@genzoo.hookimpl
def genzoo_commands() -> list[CommandSpec]:
    """The command `genzoo sweep`."""
    return [
        CommandSpec(
            name="sweep",
            summary="Search over the options of models, and over models: many trainings, one table.",
            target="genzoo_sweep.commands:sweep",
        )
    ]
