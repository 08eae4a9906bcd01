"""The generative adversarial network (Goodfellow et al. 2014, arXiv:1406.2661), to be read from top to bottom.

A generator G makes images of noise z ~ N(0, I); a discriminator D scores how real an image is. D learns to tell the two
apart, G to be taken for real:

    min_G max_D  E_x[log D(x)] + E_z[log(1 - D(G(z)))]

With labels y, G sees (z, y) and D scores the pair (x, y). With categories c, G sees (z, c), and both learn to let c be
told from x: the bound on the mutual information of Chen et al. 2016 (arXiv:1606.03657).
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

import genzoo
from genzoo import DataSpec, Generator, RandomStreams, Run, kernels
from genzoo_gan import AdversarialOptions, GANOptions
from genzoo_gan.augment import augment
from genzoo_gan.health import Health, spread
from genzoo_gan.losses import discriminator_loss, generator_loss, gradient_penalty, r1_penalty

FIXED = 64  # samples that diversity is measured on
CATEGORY_SCALE = 3.0  # so that a category weighs against the many numbers of z


def generator_network(config: GANOptions, inputs: int, shape: tuple[int, ...]) -> nn.Sequential:
    """(B, inputs) -> (B, C, H, W) in [-1, 1] with tanh, in [0, 1] with sigmoid."""
    layers: list[nn.Module] = []
    sizes = (inputs, *config.generator_sizes)
    for before, after in pairwise(sizes):
        layers += [kernels.Linear(before, after), nn.LeakyReLU(0.2)]
    last = nn.Tanh() if config.generator_output == "tanh" else nn.Sigmoid()
    return nn.Sequential(*layers, kernels.Linear(sizes[-1], math.prod(shape)), last, nn.Unflatten(1, shape))


def discriminator_features(config: GANOptions, shape: tuple[int, ...]) -> tuple[nn.Sequential, int]:
    """(B, C, H, W) -> (B, width), and the width."""
    layers: list[nn.Module] = [nn.Flatten()]
    sizes = (math.prod(shape), *config.discriminator_sizes)
    for before, after in pairwise(sizes):
        layers += [kernels.Linear(before, after), nn.LeakyReLU(0.2)]
        layers += [kernels.Dropout(config.discriminator_dropout)] if config.discriminator_dropout else []
    return nn.Sequential(*layers), sizes[-1]


class Discriminator(nn.Module):
    """What can be said of images, (B, 1 + categories): a score of how real each is, and behind it a logit for each
    category. Both are linear in the images' features. With `classes` the features' product with a vector of the image's
    class is added to the score (the projection discriminator, Miyato & Koyama 2018, arXiv:1802.05637)."""

    def __init__(self, features: nn.Sequential, width: int, categories: int, classes: int, spectral: bool) -> None:
        super().__init__()
        self.features, self.head = features, kernels.Linear(width, 1 + categories)
        self.classes = nn.Embedding(classes, width) if classes else None
        if self.classes is not None:
            nn.init.normal_(self.classes.weight, std=width**-0.5)
        if spectral:
            for module in list(self.modules()):
                if isinstance(module, (nn.Linear, nn.Conv2d, nn.Embedding)):
                    spectral_norm(module)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        features: Tensor = self.features(images)  # (B, width)
        said: Tensor = self.head(features)
        if self.classes is not None:
            product = (self.classes(labels) * features).sum(1, keepdim=True)
            said = torch.cat([said[:, :1] + product, said[:, 1:]], 1)
        return said


class GAN(Generator):
    """A GAN of dense layers, sized from the data. See `GANOptions` for what can be chosen.

    A model of other layers overrides `networks`, and shares all else.
    """

    best_by = ("validation/frechet_distance", "lower")
    training_only: ClassVar[tuple[str, ...]] = ("discriminator",)
    config: Any

    def __init__(self, config: AdversarialOptions, data: DataSpec) -> None:
        super().__init__(config, data)
        self.classes = len(data.classes) if self.conditional else 0
        self.inputs = config.latent_dim + config.latent_categories + self.classes
        self.generator, features, width = self.networks(self.inputs, data.shape)
        told = config.latent_categories if config.category_loss else 0
        self.discriminator = Discriminator(features, width, told, self.classes, config.spectral_norm)

    def networks(self, inputs: int, shape: tuple[int, ...]) -> tuple[nn.Module, nn.Sequential, int]:
        """The generator, (B, inputs) -> (B, C, H, W), and the discriminator's features, (B, C, H, W) -> (B, width)."""
        return generator_network(self.config, inputs, shape), *discriminator_features(self.config, shape)

    def latents(self, z: Tensor, category: Tensor, labels: Tensor | None) -> Tensor:
        """What the generator takes, (B, inputs): noise z (B, latent_dim), and behind it as one-hot vectors the category
        and the label of each, both (B,). A category lets it make pictures of different kinds without all that lies
        between them."""
        parts = [z]
        if count := self.config.latent_categories:
            parts.append(CATEGORY_SCALE * F.one_hot(category, count).to(z.dtype))
        if labels is not None and self.classes:
            parts.append(F.one_hot(labels, self.classes).to(z.dtype))
        return torch.cat(parts, 1) if len(parts) > 1 else z

    def fit(self, run: Run) -> None:
        config = self.config
        betas = (config.beta1, config.beta2)
        rates = config.learning_rate, config.discriminator_learning_rate or config.learning_rate
        generator_adam = torch.optim.Adam(self.generator.parameters(), rates[0], betas, fused=True)
        discriminator_adam = torch.optim.Adam(self.discriminator.parameters(), rates[1], betas, fused=True)
        generator, discriminator, generator_adam, discriminator_adam = run.prepare(
            self.generator, self.discriminator, generator_adam, discriminator_adam
        )
        generate, judge = run.compile(generator), run.compile(discriminator)
        average = genzoo.EMA(self.generator, config.ema_decay) if config.ema_decay else None
        if average is not None:
            run.track(average=average)
        telling = bool(config.latent_categories and config.category_loss)
        health, threshold = Health(run), 0.5 if config.loss == "least-squares" else 0.0
        for batch in run.batches():
            if config.learning_rate_schedule == "cosine":
                share = 0.5 * (1 + math.cos(math.pi * run.step / run.steps_total))
                for adam, rate in zip((generator_adam, discriminator_adam), rates, strict=True):
                    adam.param_groups[0]["lr"] = rate * share
            labels = self.labels_of(batch)
            real = batch.images * 2 - 1 if config.generator_output == "tanh" else batch.images
            both = (run.step + 1) % config.discriminator_steps == 0  # whether the generator has its turn too
            z = torch.randn(len(real), config.latent_dim, device=run.device)
            category = torch.randint(config.latent_categories or 1, (len(real),), device=run.device)
            latents = self.latents(z, category, labels)
            with torch.set_grad_enabled(both):
                fake = generate(latents)  # one forward pass for both updates

            # The discriminator's update
            images = augment(torch.cat([real, fake.detach()]), config.augment)  # (2B, C, H, W)
            of_real, said = judge(images, None if labels is None else labels.repeat(2)).chunk(2)
            real_scores, fake_scores = of_real[:, :1], said[:, :1]
            loss = discriminator_loss(config.loss, real_scores, fake_scores, config.label_smoothing)
            penalised = loss + config.category_loss * F.cross_entropy(said[:, 1:], category) if telling else loss
            if config.loss == "wasserstein-gp":
                penalty = gradient_penalty(lambda x: discriminator(x, labels)[:, :1], *images.chunk(2))  # noqa: B023
                penalised = penalised + config.gradient_penalty * penalty
            if config.r1 and run.step % config.r1_every == 0:
                penalty = r1_penalty(lambda x: discriminator(x, labels)[:, :1], images[: len(real)])  # noqa: B023
                penalised = penalised + config.r1 * config.r1_every * penalty
            discriminator_adam.zero_grad()
            run.backward(penalised)
            discriminator_adam.step()

            # The generator's update, in which the discriminator's weights take no gradient
            if both:
                self.discriminator.requires_grad_(False)
                generator_adam.zero_grad()
                said = judge(augment(fake, config.augment), labels)
                own = generator_loss(config.loss, said[:, :1])
                run.backward(own + config.category_loss * F.cross_entropy(said[:, 1:], category) if telling else own)
                generator_adam.step()
                self.discriminator.requires_grad_(True)
                if average is not None:
                    average.update()
                run.log(generator_loss=own)

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
        labels = torch.arange(FIXED, device=run.device) % self.classes if self.classes else None
        with run.as_sampled():
            images = self.sample(FIXED, options=None, rng=RandomStreams(0, FIXED, device=run.device), labels=labels)
            return float(spread(images) / spread(real[:FIXED]).clamp_min(1e-12))

    def sample(self, count: int, *, options: Any, rng: RandomStreams, labels: Tensor | None = None) -> Tensor:
        z, u = rng.normal(self.config.latent_dim), rng.uniform()
        category = (u * self.config.latent_categories).long()
        images: Tensor = self.generator(self.latents(z, category, labels))
        return images * 0.5 + 0.5 if self.config.generator_output == "tanh" else images
