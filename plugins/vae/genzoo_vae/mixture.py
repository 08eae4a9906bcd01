"""A Gaussian mixture, fitted by expectation maximisation (Dempster, Laird & Rubin 1977; Bishop 2006, section 9.2.2) in
float64 on the CPU.

With weights w_k, means mu_k and covariances S_k a sweep works out how far each point is each component's,

    r_nk = w_k N(x_n; mu_k, S_k) / sum_j w_j N(x_n; mu_j, S_j),

and then takes w, mu and S from the points so weighted. The likelihood of the points rises with every sweep.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from genzoo import Run

POINTS_EACH = 50  # a component for at least so many, and for two a dimension: more would learn the images by heart
MOST_SWEEPS = 200
IN_A_SWEEP = 5 * 10**9  # multiplications: about two seconds
BUDGET = 10**11  # of a fit: about half a minute
ENOUGH = 1e-3  # nats a point that a sweep must gain
LEAST_VARIANCE = 1e-4  # added to every variance


@dataclass(frozen=True)
class Mixture:
    """Weights (K,), means (K, D) and the Cholesky factors (K, D, D) of the covariances."""

    weights: Tensor
    means: Tensor
    cholesky: Tensor

    def log_joint(self, points: Tensor) -> Tensor:
        """log w_k + log N(x_n; mu_k, S_k) of points (N, D): (N, K), in nats."""
        columns = []
        for weight, mean, factor in zip(self.weights, self.means, self.cholesky, strict=True):
            whitened = torch.linalg.solve_triangular(factor, (points - mean).T, upper=False)  # (D, N)
            constant = weight.log() - factor.diagonal().log().sum() - len(mean) / 2 * math.log(2 * math.pi)
            columns.append(constant - 0.5 * whitened.square().sum(0))
        return torch.stack(columns, 1)


def fit(points: Tensor, components: int, seed: int, run: Run) -> Mixture:
    """A mixture of at most `components` for points (N, D), or for as many of them as there is time for. Raises
    `ValueError` for fewer points than two."""
    if len(points) < 2:
        raise ValueError(f"there are {len(points)} training images, and it takes two")
    generator, dim = torch.Generator().manual_seed(seed), points.shape[1]
    some = torch.randperm(len(points), generator=generator)[: math.isqrt(2 * IN_A_SWEEP // dim)]
    points = points.cpu().double()[some]
    components = max(1, min(components, len(points) // max(POINTS_EACH, 2 * dim)))
    work = components * len(points) * dim**2  # of a sweep, in multiplications
    nearest = torch.cdist(points, spread_out(points, components, generator)).argmin(1)  # (N,)
    mixture = maximised(points, torch.nn.functional.one_hot(nearest, components).double())
    before = -math.inf
    for _ in run.sweeps("fitting the prior (sweeps)", max(10, min(MOST_SWEEPS, BUDGET // work))):
        log_joint = mixture.log_joint(points)  # (N, K)
        score = log_joint.logsumexp(1).mean().item()
        if score - before < ENOUGH:
            break
        before, mixture = score, maximised(points, log_joint.softmax(1))
    return mixture


def spread_out(points: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Some of the points (N, D), (count, D), each drawn by its squared distance from those before (k-means++; Arthur &
    Vassilvitskii 2007)."""
    centres = [points[torch.randint(len(points), (), generator=generator)]]
    distances = (points - centres[0]).square().sum(1)  # (N,)
    while len(centres) < count:
        centres.append(points[torch.multinomial(distances.clamp_min(1e-300), 1, generator=generator)[0]])
        distances = distances.minimum((points - centres[-1]).square().sum(1))
    return torch.stack(centres)


def maximised(points: Tensor, responsibilities: Tensor) -> Mixture:
    """The mixture of the greatest likelihood for points (N, D) that are the components' by responsibilities (N, K)."""
    counts = responsibilities.sum(0) + 1e-12  # (K,)
    means = responsibilities.T @ points / counts[:, None]  # (K, D)
    factors = []
    for mean, share, count in zip(means, responsibilities.T, counts, strict=True):
        centred = points - mean  # (N, D)
        covariance = (centred * share[:, None]).T @ centred / count
        covariance.diagonal().add_(LEAST_VARIANCE)
        factors.append(torch.linalg.cholesky(covariance))
    return Mixture(counts / counts.sum(), means, torch.stack(factors))
