"""Active units and mutual information of a VAE's latent space, for `genzoo evaluate`."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from genzoo import Estimate, ImageSubject
from genzoo_vae import health
from genzoo_vae.model import VAE

MAX_IMAGES = 1000  # of the test set


def posterior(subject: ImageSubject) -> tuple[Tensor, Tensor]:
    """Mean and log variance of q(z|x) of the first test images, float64 (N, latent_dim) each, on the CPU."""
    model = subject.model
    assert isinstance(model, VAE), "measures that need a posterior are taken of VAEs only"
    images = subject.test.pixels[:MAX_IMAGES].view(-1, *subject.data.shape).to(model.device)
    labels = subject.test_labels if model.conditional else None
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(subject.seed)
        mu, log_var = model.posterior(
            model.binarized(images), None if labels is None else labels[:MAX_IMAGES].to(model.device)
        )
    return mu.cpu().double(), log_var.cpu().double()


def active_units(subject: ImageSubject) -> Estimate:
    """Latent dimensions whose posterior mean varies over the data by more than 0.01 (Burda et al. 2016)."""
    return Estimate(float(health.active_units(subject.once(posterior)[0])))


def mutual_information(subject: ImageSubject) -> Estimate:
    """I(x; z) of images and draws from their posteriors in nats, between 0 and the logarithm of their number (Hoffman &
    Johnson 2016): E log q(z|x) - E log q(z), with q(z) the mean of all the posteriors."""
    mu, log_var = subject.once(posterior)
    noise = torch.from_numpy(subject.rng("mutual information").standard_normal(tuple(mu.shape)))
    z = mu + (0.5 * log_var).exp() * noise  # (N, latent_dim)
    log_q = torch.stack(
        [-0.5 * ((z_i - mu).square() / log_var.exp() + log_var + math.log(2 * math.pi)).sum(1) for z_i in z]
    )  # (N, N): log q(z_i | x_j)
    nats = log_q.diagonal() - (log_q.logsumexp(1) - math.log(len(z)))  # (N,)
    return Estimate(nats.mean().item(), nats.std().item() / math.sqrt(len(z)))
