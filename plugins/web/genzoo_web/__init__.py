"""A page for genzoo, and what people say of samples. Imports nothing heavy."""

from __future__ import annotations

import genzoo
from genzoo import CommandSpec, MetricSpec


@genzoo.hookimpl
def genzoo_commands() -> list[CommandSpec]:
    """The page, and judging samples with it or on a terminal."""
    return [
        CommandSpec(
            name="serve", summary="Open a page to see, hear, compare and judge", target="genzoo_web.commands:serve"
        ),
        CommandSpec(
            name="rate", summary="Judge pairs of texts on the terminal, blind", target="genzoo_web.rating_commands:rate"
        ),
        CommandSpec(
            name="ratings", summary="What people said of the samples", target="genzoo_web.rating_commands:ratings"
        ),
    ]


@genzoo.hookimpl
def genzoo_metrics() -> list[MetricSpec]:
    """What people said of a run, whatever its data."""
    return [
        MetricSpec(
            name="fooling_rate", unit="share", better="higher", target="genzoo_web.ratings:fooling_rate",
            summary="judgements of people that took its sample for the real one; 0.5: it cannot be told from real data",
        ),
        MetricSpec(
            name="judgements", unit="", better="higher", target="genzoo_web.ratings:judgements",
            summary="how many judgements the fooling rate is of",
        ),
    ]  # fmt: skip
