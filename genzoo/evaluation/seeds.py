"""Runs that differ in the seed alone as one result: the mean and standard deviation of each measure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import replace

from genzoo.evaluation.result import Evaluation, Measured


def pooled(results: Sequence[Evaluation], name: str, seeds: Sequence[int]) -> Evaluation:
    """One result of several, of runs with these seeds. Each measure is the mean over those that have it, and its
    `uncertainty` their standard deviation (with n - 1)."""
    first = results[0]
    measures: dict[tuple[str, str], list[Measured]] = {}
    for result in results:
        for measure in result.measures:
            measures.setdefault((measure.name, measure.of), []).append(measure)
    costs = ("training_seconds", "sampling_seconds")
    return Evaluation(
        run=name, model=first.model, protocol=first.protocol, heading=first.heading, columns=first.columns,
        legend=first.legend, measures=tuple(_mean(several) for several in measures.values()),
        left_out={key: reason for result in results for key, reason in result.left_out.items()},
        facts={
            **{key: statistics.fmean(result.facts[key] for result in results) for key in costs},
            "parameters": first.facts["parameters"], "seeds": list(seeds), "runs": [result.run for result in results],
        },
        of_seeds=tuple(results),
    )  # fmt: skip


def _mean(several: Sequence[Measured]) -> Measured:
    if len(several) == 1:
        return several[0]
    values = [measure.value for measure in several]
    return replace(several[0], value=statistics.fmean(values), uncertainty=statistics.stdev(values), count=len(several))
