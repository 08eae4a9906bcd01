"""Expectation and maximisation in turn, over all training images at once; no neural network and no optimiser."""

import math

import torch

from genzoo import Generator

MOST = 5000  # training images that are looked at


class Mixture(Generator):
    """p(x) = sum over k of w_k N(x; m_k, diag v_k)."""

    likelihood_kind = "exact"
    pixel_values = None  # a density

    def __init__(self, config, data):
        super().__init__(config, data)
        pixels, count = math.prod(data.shape), config.components
        self.register_buffer("weights", torch.full((count,), 1 / count))
        self.register_buffer("means", torch.rand(count, pixels))
        self.register_buffer("variances", torch.full((count, pixels), 0.1))

    def joint(self, x):
        """log w_k N(x; m_k, diag v_k) of images (N, D): (N, K)."""
        squares = x.square() @ (1 / self.variances).T - 2 * x @ (self.means / self.variances).T
        squares = squares + (self.means.square() / self.variances).sum(1)
        return self.weights.log() - 0.5 * (squares + (2 * math.pi * self.variances).log().sum(1))

    @torch.no_grad()
    def fit(self, run):
        images = torch.cat([batch.images for batch in run.training_examples(MOST)]).flatten(1)  # (N, D)
        for _ in run.steps():
            joint = self.joint(images)
            run.log(nll=-joint.logsumexp(1).mean())
            shares = joint.softmax(1)  # of each component in each image, (N, K)
            total = shares.sum(0).clamp_min(1e-6)
            self.weights.copy_(total / total.sum())
            self.means.copy_(shares.T @ images / total[:, None])
            spread = shares.T @ images.square() / total[:, None] - self.means.square()
            self.variances.copy_(spread.clamp_min(self.config.floor))

    def log_likelihood(self, images):
        return self.joint(images.flatten(1)).logsumexp(1)

    def sample(self, count, *, options, rng):
        component = torch.searchsorted(self.weights.cumsum(0), rng.uniform()).clamp_max(len(self.weights) - 1)
        noise = rng.normal(self.means.shape[1]) * self.variances[component].sqrt()
        return (self.means[component] + noise).clamp(0, 1).view(count, *self.data.shape)
