"""What judgements say: strengths by Bradley and Terry, shares with their intervals, agreement."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

NORMAL = 1.959964  # of a 95% interval
PRIOR = 3.0  # standard deviation of the strengths before anything is judged, in log-odds


@dataclass(frozen=True)
class Share:
    """A share of `count`, with its 95% interval (Wilson 1927)."""

    value: float
    low: float
    high: float
    count: int


def share(successes: float, count: int) -> Share:
    """Of `count` judgements so many, of which some may be halves. Raises `ValueError` where there are none."""
    if count == 0:
        raise ValueError("a share of no judgements")
    value, square = successes / count, NORMAL**2
    middle = (value + square / (2 * count)) / (1 + square / count)
    half = NORMAL * math.sqrt(value * (1 - value) / count + square / (4 * count**2)) / (1 + square / count)
    return Share(value, max(0.0, middle - half), min(1.0, middle + half), count)


@dataclass(frozen=True)
class Strength:
    """How strong one is, in log-odds against the reference, with its 95% interval."""

    name: str
    value: float
    low: float
    high: float


def bradley_terry(wins: Mapping[tuple[str, str], float], reference: str) -> list[Strength]:
    """Strengths by the model of Bradley and Terry (1952): one is chosen over the other with the odds exp(a - b).

    The strengths have a normal prior that is wide, so that one who always wins has a finite one too; intervals are from
    the curvature at the maximum.

    Args:
        wins: by (winner, loser), how often; where nobody could say, half for each.
        reference: whose strength is 0; an empty name: the mean of all.

    Returns them from the strongest on.
    """
    names = sorted({name for pair in wins for name in pair})
    place = {name: number for number, name in enumerate(names)}
    table = np.zeros((len(names), len(names)))
    for (winner, loser), count in wins.items():
        table[place[winner], place[loser]] += count
    strengths, covariance = _fit(table)
    against = np.eye(len(names))[place[reference]] if reference in place else np.full(len(names), 1 / len(names))
    result = []
    for number, name in enumerate(names):
        contrast = np.eye(len(names))[number] - against
        value, error = float(contrast @ strengths), math.sqrt(max(0.0, float(contrast @ covariance @ contrast)))
        result.append(Strength(name, value, value - NORMAL * error, value + NORMAL * error))
    return sorted(result, key=lambda strength: -strength.value)


def _fit(wins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Newton's method, to the maximum of a concave function: the strengths (N,) and their covariance (N, N)."""
    strengths, games = np.zeros(len(wins)), wins + wins.T
    for _ in range(100):
        chances = 1 / (1 + np.exp(strengths[None] - strengths[:, None]))  # (N, N): that i is chosen over j
        gradient = (wins - games * chances).sum(1) - strengths / PRIOR**2
        weights = games * chances * (1 - chances)
        hessian = np.diag(weights.sum(1) + 1 / PRIOR**2) - weights
        step = np.linalg.solve(hessian, gradient)
        strengths = strengths + step / max(1.0, float(np.abs(step).max()))
        if np.abs(step).max() < 1e-10:
            break
    return strengths, np.linalg.inv(hessian)


@dataclass(frozen=True)
class Agreement:
    """How far people say the same of the same pair.

    Attributes:
        share: of all two answers of two people to one pair, those that are alike.
        alpha: the same beyond chance, by Krippendorff for answers without an order: 1 is full agreement, 0 that of
            chance; None where all answers are alike.
        pairs: how many pairs two people or more judged.
    """

    share: float
    alpha: float | None
    pairs: int


def agreement(answers: Iterable[Sequence[str]]) -> Agreement | None:
    """Of the answers that each pair got; None where no pair got two."""
    several = [Counter(of_pair) for of_pair in answers if len(of_pair) > 1]
    if not several:
        return None
    alike = both = observed = 0.0
    for counts in several:
        size = sum(counts.values())
        same = sum(count * (count - 1) for count in counts.values())
        alike, both = alike + same, both + size * (size - 1)
        observed += (size * (size - 1) - same) / (size - 1)
    totals: Counter[str] = sum(several, Counter())
    values = sum(totals.values())
    expected = (values**2 - sum(count**2 for count in totals.values())) / (values - 1)
    return Agreement(alike / both, 1 - observed / expected if expected else None, len(several))
