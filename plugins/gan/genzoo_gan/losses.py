"""The two sides' losses, and the penalties that keep the discriminator smooth. Scores are logits, shape (B, 1)."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


def discriminator_loss(kind: str, real: Tensor, fake: Tensor, smoothing: float = 0.0) -> Tensor:
    """What the discriminator lowers, given its scores of real and fake images; the mean over the batch."""
    target = 1 - smoothing
    match kind:
        case "non-saturating" | "minimax":  # -log D(x) - log(1 - D(G(z))), with D = sigmoid of the score
            return (target * F.softplus(-real) + smoothing * F.softplus(real) + F.softplus(fake)).mean()
        case "least-squares":
            return 0.5 * ((real - target).square() + fake.square()).mean()
        case "hinge":
            return (F.relu(1 - real) + F.relu(1 + fake)).mean()
        case _:  # Wasserstein
            return (fake - real).mean()


def generator_loss(kind: str, fake: Tensor) -> Tensor:
    """What the generator lowers, given the discriminator's scores of its images; the mean over the batch."""
    match kind:
        case "non-saturating":  # -log D(G(z))
            return F.softplus(-fake).mean()
        case "minimax":  # log(1 - D(G(z)))
            return -F.softplus(fake).mean()
        case "least-squares":
            return 0.5 * (fake - 1).square().mean()
        case _:  # hinge, Wasserstein
            return -fake.mean()


def gradient_norms(scores: Tensor, images: Tensor) -> Tensor:
    """The squared length of each score's gradient with respect to its image, shape (B,), differentiable."""
    (gradient,) = torch.autograd.grad(scores.sum(), images, create_graph=True)
    return gradient.flatten(1).square().sum(1)


def gradient_penalty(discriminator: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor) -> Tensor:
    """`E[(|grad D(x)| - 1)^2]` at points between real and fake images (Gulrajani et al. 2017)."""
    share = torch.rand(len(real), *[1] * (real.ndim - 1), device=real.device)
    between = (share * real + (1 - share) * fake).requires_grad_()
    return ((gradient_norms(discriminator(between), between) + 1e-12).sqrt() - 1).square().mean()


def r1_penalty(discriminator: Callable[[Tensor], Tensor], real: Tensor) -> Tensor:
    """`E[|grad D(x)|^2] / 2` at real images (Mescheder et al. 2018)."""
    real = real.detach().requires_grad_()
    return 0.5 * gradient_norms(discriminator(real), real).mean()
