"""The generative adversarial network (Goodfellow et al. 2014, arXiv:1406.2661), to be read from top to bottom.

A generator G makes images of noise z ~ N(0, I); a discriminator D scores how real an image is. D learns to tell the two
apart, G to be taken for real:

    min_G max_D  E_x[log D(x)] + E_z[log(1 - D(G(z)))]
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

import genzoo
from genzoo import DataSpec, Generator, RandomStreams, Run
from genzoo_gan import GANOptions
from genzoo_gan.health import Health, spread
from genzoo_gan.losses import discriminator_loss, generator_loss, gradient_penalty, r1_penalty

FIXED = 64  # samples that diversity is measured on


def generator_network(config: GANOptions, shape: tuple[int, ...]) -> nn.Sequential:
    """(B, latent_dim) -> (B, C, H, W) in [-1, 1] with tanh, in [0, 1] with sigmoid."""
    layers: list[nn.Module] = []
    for before, after in pairwise((config.latent_dim, *config.generator_sizes)):
        layers += [genzoo.Linear(before, after), nn.LeakyReLU(0.2)]
    last = nn.Tanh() if config.generator_output == "tanh" else nn.Sigmoid()
    width = (config.latent_dim, *config.generator_sizes)[-1]
    return nn.Sequential(*layers, genzoo.Linear(width, math.prod(shape)), last, nn.Unflatten(1, shape))


def discriminator_network(config: GANOptions, shape: tuple[int, ...]) -> nn.Sequential:
    """(B, C, H, W) -> scores (B, 1)."""
    layers: list[nn.Module] = [nn.Flatten()]
    sizes = (math.prod(shape), *config.discriminator_sizes)
    for before, after in pairwise(sizes):
        layers += [genzoo.Linear(before, after), nn.LeakyReLU(0.2)]
        layers += [nn.Dropout(config.discriminator_dropout)] if config.discriminator_dropout else []
    layers.append(genzoo.Linear(sizes[-1], 1))
    if config.spectral_norm:
        layers = [spectral_norm(layer) if isinstance(layer, nn.Linear) else layer for layer in layers]
    return nn.Sequential(*layers)


class GAN(Generator):
    """A GAN of dense layers, sized from the data. See `GANOptions` for what can be chosen."""

    training_only: ClassVar[tuple[str, ...]] = ("discriminator",)
    config: GANOptions

    def __init__(self, config: GANOptions, data: DataSpec) -> None:
        super().__init__(config, data)
        self.generator = generator_network(config, data.shape)
        self.discriminator = discriminator_network(config, data.shape)

    def fit(self, run: Run) -> None:
        config = self.config
        betas = (config.beta1, config.beta2)
        rate = config.discriminator_learning_rate or config.learning_rate
        generator_adam = torch.optim.Adam(self.generator.parameters(), config.learning_rate, betas, fused=True)
        discriminator_adam = torch.optim.Adam(self.discriminator.parameters(), rate, betas, fused=True)
        generator, discriminator, generator_adam, discriminator_adam = run.prepare(
            self.generator, self.discriminator, generator_adam, discriminator_adam
        )
        average = genzoo.EMA(self.generator, config.ema_decay) if config.ema_decay else None
        if average is not None:
            run.track(average=average)
        health, threshold = Health(run), 0.5 if config.loss == "least-squares" else 0.0
        for batch in run.batches():
            real = batch.images * 2 - 1 if config.generator_output == "tanh" else batch.images
            both = (run.step + 1) % config.discriminator_steps == 0  # whether the generator has its turn too
            z = torch.randn(len(real), config.latent_dim, device=run.device)
            with torch.set_grad_enabled(both):
                fake = generator(z)  # one forward pass for both updates

            # The discriminator's update
            real_scores, fake_scores = discriminator(real), discriminator(fake.detach())
            loss = discriminator_loss(config.loss, real_scores, fake_scores, config.label_smoothing)
            penalised = loss
            if config.loss == "wasserstein-gp":
                penalised = loss + config.gradient_penalty * gradient_penalty(discriminator, real, fake.detach())
            if config.r1 and run.step % config.r1_every == 0:
                penalised = penalised + config.r1 * config.r1_every * r1_penalty(discriminator, real)
            discriminator_adam.zero_grad()
            run.backward(penalised)
            discriminator_adam.step()

            # The generator's update, in which the discriminator's weights take no gradient
            if both:
                self.discriminator.requires_grad_(False)
                generator_adam.zero_grad()
                score = generator_loss(config.loss, discriminator(fake))
                run.backward(score)
                generator_adam.step()
                self.discriminator.requires_grad_(True)
                if average is not None:
                    average.update()
                run.log(generator_loss=score)

            if config.loss == "wasserstein-gp":  # a critic's scores have no zero: halfway between the means
                threshold = 0.5 * (real_scores.detach().mean() + fake_scores.detach().mean())
            right = (real_scores > threshold).float().mean(), (fake_scores < threshold).float().mean()
            run.log(discriminator_loss=loss, real_accuracy=right[0], fake_accuracy=right[1])
            if (run.step + 1) % run.options.log_every == 0:
                diversity = self.diversity(run, batch.images)
                run.log(diversity=diversity)
                health.look(right[0].item(), right[1].item(), diversity)

    def diversity(self, run: Run, real: Tensor) -> float:
        """The spread of samples from fixed noise over that of as many real images: 1 is as diverse as they are."""
        with run.as_sampled():
            images = self.sample(FIXED, options=None, rng=RandomStreams(0, FIXED, device=run.device))
            return float(spread(images) / spread(real[:FIXED]).clamp_min(1e-12))

    def sample(self, count: int, *, options: Any, rng: RandomStreams) -> Tensor:
        images: Tensor = self.generator(rng.normal(self.config.latent_dim))
        return images * 0.5 + 0.5 if self.config.generator_output == "tanh" else images
