"""How far two sets of examples are apart: functions of their features, or of themselves, as rows (N, D), float64.

Distances are Euclidean. Pairs are gone through in parts, so that memory stays small.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

PART = 1000  # rows at a time


def distances(rows: Tensor, others: Tensor, itself: Tensor | None = None) -> Iterator[tuple[slice, Tensor]]:
    """Distances from `rows` (N, D) to `others` (M, D) in parts: which rows, and (part, M). `itself` (N,) says which of
    the others each row is itself: that distance is infinite."""
    squares = others.square().sum(1)
    for start in range(0, len(rows), PART):
        part = rows[start : start + PART]
        squared = torch.addmm(squares, part, others.T, alpha=-2).add_(part.square().sum(1)[:, None]).clamp_min_(0)
        if itself is not None:
            squared[torch.arange(len(part)), itself[start : start + PART]] = torch.inf
        yield slice(start, start + len(part)), squared.sqrt_()


def nearest(rows: Tensor, others: Tensor, itself: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The distance from each row to the nearest of the others, (N,), and which it is, (N,)."""
    minima = [part.min(1) for _, part in distances(rows, others, itself)]
    return torch.cat([part.values for part in minima]), torch.cat([part.indices for part in minima])


def nearest_of_its_own(rows: Tensor) -> Tensor:
    """The distance from each row to the nearest other of the same set, (N,)."""
    return nearest(rows, rows, torch.arange(len(rows)))[0]


def conformal_quantile(values: Tensor, share: float) -> Tensor:
    """What one more value of the same kind is below with a probability of at most `share`, however they are
    distributed: of N values, (N,), the k-th smallest with k = floor(share (N + 1)) (split conformal prediction; Vovk et
    al. 2005). Raises `ValueError` for fewer values than 1 / share - 1, which cannot say."""
    k = math.floor(share * (len(values) + 1) + 1e-9)  # 0.29 * 100 is less than 29
    if k == 0:
        raise ValueError(f"{len(values)} values do not say what a share of {share:g} is below")
    return values.kthvalue(k).values


def radii(rows: Tensor, k: int) -> Tensor:
    """The distance from each row to its k-th nearest neighbour in the same set, (N,)."""
    itself = torch.arange(len(rows))
    return torch.cat([part.kthvalue(k, dim=1).values for _, part in distances(rows, rows, itself)])


def near(rows: Tensor, centres: Tensor, radius: Tensor) -> Tensor:
    """How many balls around `centres` (M, D), of `radius` (M,), hold each row: (N,)."""
    return torch.cat([(part < radius).sum(1) for _, part in distances(rows, centres)])


def precision(real: Tensor, fake: Tensor, k: int = 5) -> Tensor:
    """Whether each of `fake` lies nearer to a real one than its k-th real neighbour
    (Kynkaanniemi et al. 2019), (N,)."""
    return (near(fake, real, radii(real, k)) > 0).double()


def recall(real: Tensor, fake: Tensor, k: int = 5) -> Tensor:
    """Whether each of `real` lies nearer to a fake one than its k-th fake neighbour
    (Kynkaanniemi et al. 2019), (M,)."""
    return precision(fake, real, k)


def density(real: Tensor, fake: Tensor, k: int = 5) -> Tensor:
    """How many real balls hold each of `fake`, by k, which is 1 on average for real ones (Naeem et al. 2020): (N,)."""
    return near(fake, real, radii(real, k)).double() / k


def coverage(real: Tensor, fake: Tensor, k: int = 5) -> Tensor:
    """Whether any of `fake` lies in the ball of each of `real` (Naeem et al. 2020): (M,)."""
    return (nearest(real, fake)[0] < radii(real, k)).double()


def told_apart(real: Tensor, fake: Tensor) -> Tensor:
    """Whether the nearest other example of both sets together is of its own set, for each: (N + M,). Its mean is
    the accuracy of the one-nearest-neighbour test of two samples, 0.5 for one distribution (Lopez-Paz & Oquab 2017)."""
    sides = [nearest_of_its_own(a) < nearest(a, b)[0] for a, b in ((real, fake), (fake, real))]
    return torch.cat(sides).double()


def frechet_distance(one: Tensor, other: Tensor) -> float:
    """``|m_1 - m_2|^2 + tr(C_1 + C_2 - 2 (C_1 C_2)^(1/2))`` of the Gaussians that are fitted to two sets (Heusel et al.
    2017)."""
    (m1, c1), (m2, c2) = moments(one), moments(other)
    return frechet_distance_of_moments(m1, c1, m2, c2)


def moments(rows: Tensor) -> tuple[Tensor, Tensor]:
    """The mean (D,) and the unbiased covariance (D, D)."""
    centred = rows - rows.mean(0)
    return rows.mean(0), centred.T @ centred / max(1, len(rows) - 1)


def frechet_distance_of_moments(m1: Tensor, c1: Tensor, m2: Tensor, c2: Tensor) -> float:
    """As `frechet_distance`, of two means (D,) and covariances (D, D)."""
    # The trace of (C_1 C_2)^(1/2) is that of the root of C_1^(1/2) C_2 C_1^(1/2), which is symmetric.
    values, vectors = torch.linalg.eigh(c1)
    root = (vectors * values.clamp_min(0).sqrt()) @ vectors.T
    cross = torch.linalg.eigvalsh(root @ c2 @ root).clamp_min(0).sqrt().sum()
    return float((m1 - m2).square().sum() + c1.trace() + c2.trace() - 2 * cross)


def kernel_distance(one: Tensor, other: Tensor) -> float:
    """The unbiased squared maximum mean discrepancy with the kernel (x.y / D + 1)^3 (Binkowski et al. 2018)."""
    sums = []
    for rows, others in ((one, one), (other, other), (one, other)):
        kernel = (rows @ others.T / rows.shape[1] + 1) ** 3
        same = rows is others
        sums.append((kernel.sum() - kernel.diagonal().sum() * same) / (len(rows) * (len(others) - same)))
    return float(sums[0] + sums[1] - 2 * sums[2])


def shares(classes: Tensor, count: int) -> Tensor:
    """The share of each of `count` classes among (N,)."""
    return classes.bincount(minlength=count).double() / len(classes)
