"""Adversarial losses of both networks, and penalties that keep the discriminator smooth.

Scores are the discriminator's logits of real against fake, (B, 1)."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


def discriminator_loss(kind: str, real_scores: Tensor, fake_scores: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """The discriminator's loss, mean over the batch, from its scores of real and of fake images, (B, 1) each."""
    target = 1 - label_smoothing  # the label of real images
    match kind:
        case "non-saturating" | "minimax":  # -log D(x) - log(1 - D(G(z))), with D = sigmoid of the score
            real_loss = target * F.softplus(-real_scores) + label_smoothing * F.softplus(real_scores)
            return (real_loss + F.softplus(fake_scores)).mean()
        case "least-squares":
            return 0.5 * ((real_scores - target).square() + fake_scores.square()).mean()
        case "hinge":
            return (F.relu(1 - real_scores) + F.relu(1 + fake_scores)).mean()
        case _:  # Wasserstein
            return (fake_scores - real_scores).mean()


def generator_loss(kind: str, fake_scores: Tensor) -> Tensor:
    """The generator's loss, mean over the batch, from the discriminator's scores of its images, (B, 1)."""
    match kind:
        case "non-saturating":  # -log D(G(z))
            return F.softplus(-fake_scores).mean()
        case "minimax":  # log(1 - D(G(z)))
            return -F.softplus(fake_scores).mean()
        case "least-squares":
            return 0.5 * (fake_scores - 1).square().mean()
        case _:  # hinge, Wasserstein
            return -fake_scores.mean()


def squared_gradient_norms(scores: Tensor, images: Tensor) -> Tensor:
    """The squared norm of each score's gradient with respect to its image, (B,); differentiable."""
    (gradients,) = torch.autograd.grad(scores.sum(), images, create_graph=True)
    return gradients.flatten(1).square().sum(1)  # (B, C, H, W) -> (B,)


def gradient_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor) -> Tensor:
    """`E[(|grad D(x)| - 1)^2]` at random points between real and fake images (Gulrajani et al. 2017)."""
    epsilon = torch.rand(len(real), *[1] * (real.ndim - 1), device=real.device)  # (B, 1, 1, 1)
    interpolates = (epsilon * real + (1 - epsilon) * fake).requires_grad_()  # (B, C, H, W)
    norms = (squared_gradient_norms(critic(interpolates), interpolates) + 1e-12).sqrt()  # (B,)
    return (norms - 1).square().mean()


def r1_penalty(discriminator: Callable[[Tensor], Tensor], real: Tensor) -> Tensor:
    """`E[|grad D(x)|^2] / 2` at real images (Mescheder et al. 2018)."""
    real = real.detach().requires_grad_()
    return 0.5 * squared_gradient_norms(discriminator(real), real).mean()


def accuracies(kind: str, real_scores: Tensor, fake_scores: Tensor) -> tuple[Tensor, Tensor]:
    """The shares of real and of fake images that the discriminator takes for what they are.

    A score is taken for real above 0; with least squares above 0.5, halfway between the labels; with Wasserstein, where
    scores have no zero, above the middle of the two means."""
    threshold: Tensor | float
    match kind:
        case "least-squares":
            threshold = 0.5
        case "wasserstein-gp":
            threshold = 0.5 * (real_scores.mean() + fake_scores.mean())
        case _:
            threshold = 0.0
    return (real_scores > threshold).float().mean(), (fake_scores < threshold).float().mean()
