"""Affine couplings between the logits of pixels and normal noise."""

import math

import torch
from torch import nn

from genzoo import Generator, RandomStreams

MARGIN = 0.01  # keeps pixels of 0 and 1 from infinite logits


class Coupling(nn.Module):
    """Every other value is scaled and shifted by what the rest says: y = x exp(s) + t."""

    def __init__(self, size, width, odd):
        super().__init__()
        self.register_buffer("fixed", ((torch.arange(size) + odd) % 2).float())
        self.network = nn.Sequential(nn.Linear(size, width), nn.ReLU(), nn.Linear(width, 2 * size))

    def scale_and_shift(self, x):
        scale, shift = self.network(x * self.fixed).chunk(2, dim=1)
        return scale.tanh() * (1 - self.fixed), shift * (1 - self.fixed)

    def forward(self, x):
        scale, shift = self.scale_and_shift(x)
        return x * scale.exp() + shift, scale.sum(1)  # and log |dy/dx|, (B,)

    def inverse(self, y):
        scale, shift = self.scale_and_shift(y)
        return (y - shift) * (-scale).exp()


class Flow(Generator):
    """Images of 8 bits are made continuous by uniform noise, which makes the likelihood a bound (Theis et al. 2016)."""

    likelihood_kind = "lower bound"
    pixel_values = 256

    def __init__(self, config, data):
        super().__init__(config, data)
        size = math.prod(data.shape)
        self.couplings = nn.ModuleList(Coupling(size, config.width, odd) for odd in range(config.couplings))

    def forward(self, images, noise):
        """log p of images (B, C, H, W) that became continuous by noise in [0, 1), in nats, (B,)."""
        x = ((images * 255 + noise) / 256).flatten(1)  # (B, D) in [0, 1]
        x = MARGIN + (1 - 2 * MARGIN) * x
        z, log_det = x.logit(), (math.log(1 - 2 * MARGIN) - x.log() - (1 - x).log()).sum(1)
        for coupling in self.couplings:
            z, change = coupling(z)
            log_det = log_det + change
        log_normal = -0.5 * (z.square() + math.log(2 * math.pi)).sum(1)
        return log_normal + log_det - x.shape[1] * math.log(256)  # of one of 256 values a pixel

    def fit(self, run):
        optimizer = torch.optim.Adam(self.parameters(), self.config.learning_rate, fused=True)
        model, optimizer = run.prepare(self, optimizer)
        for batch in run.batches():
            loss = -model(batch.images, torch.rand_like(batch.images)).mean()
            optimizer.zero_grad()
            run.backward(loss)
            optimizer.step()
            run.log(loss=loss)

    def log_likelihood(self, images, *, rng=None):
        rng = rng or RandomStreams(0, len(images), device=images.device)
        return self(images, rng.uniform(*self.data.shape))

    def sample(self, count, *, options, rng):
        z = rng.normal(math.prod(self.data.shape))
        for coupling in reversed(self.couplings):
            z = coupling.inverse(z)
        x = (z.sigmoid() - MARGIN) / (1 - 2 * MARGIN)
        return ((x * 256).floor() / 255).clamp(0, 1).view(count, *self.data.shape)
