"""The generative adversarial network (Goodfellow et al. 2014, arXiv:1406.2661), to be read from top to bottom.

A generator G makes images of noise z ~ N(0, I); a discriminator D scores how real an image is. D learns to tell real
images from fake ones, G to make D take its images for real:

    min_G max_D  E_x[log D(x)] + E_z[log(1 - D(G(z)))]

With labels y, G sees (z, y) and D scores the pair (x, y). With latent categories c, G sees (z, c), and both learn to
predict c from G(z, c), which raises a lower bound on their mutual information (InfoGAN, Chen et al. 2016,
arXiv:1606.03657).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

import genzoo
from genzoo import DataSpec, Generator, RandomStreams, Run, kernels
from genzoo_gan import AdversarialOptions, GANOptions, losses
from genzoo_gan.augment import augment
from genzoo_gan.health import Health, spread

DIVERSITY_SAMPLES = 64
CATEGORY_SCALE = 3.0  # of the one-hot category, so that it weighs against the many numbers of z


def generator_network(config: GANOptions, inputs: int, shape: tuple[int, ...]) -> nn.Sequential:
    """(B, inputs) -> (B, C, H, W) in [-1, 1] with tanh, in [0, 1] with sigmoid."""
    layers: list[nn.Module] = []
    widths = (inputs, *config.generator_sizes)
    for fan_in, fan_out in pairwise(widths):
        layers += [kernels.Linear(fan_in, fan_out), nn.LeakyReLU(0.2)]
    activation = nn.Tanh() if config.generator_output == "tanh" else nn.Sigmoid()
    return nn.Sequential(*layers, kernels.Linear(widths[-1], math.prod(shape)), activation, nn.Unflatten(1, shape))


def discriminator_features(config: GANOptions, shape: tuple[int, ...]) -> tuple[nn.Sequential, int]:
    """(B, C, H, W) -> (B, width), and the width."""
    layers: list[nn.Module] = [nn.Flatten()]
    widths = (math.prod(shape), *config.discriminator_sizes)
    for fan_in, fan_out in pairwise(widths):
        layers += [kernels.Linear(fan_in, fan_out), nn.LeakyReLU(0.2)]
        layers += [kernels.Dropout(config.discriminator_dropout)] if config.discriminator_dropout else []
    return nn.Sequential(*layers), widths[-1]


class Discriminator(nn.Module):
    """Images (B, C, H, W) -> logits (B, 1 + categories): the score of how real an image is, then one for each latent
    category. Both are linear in the images' features. With `classes`, the inner product of the features and an
    embedding of the label is added to the score (the projection discriminator, Miyato & Koyama 2018,
    arXiv:1802.05637)."""

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
        logits: Tensor = self.head(features)  # (B, 1 + categories)
        if self.classes is not None:
            projection = (self.classes(labels) * features).sum(1, keepdim=True)  # (B, 1)
            logits = torch.cat([logits[:, :1] + projection, logits[:, 1:]], 1)
        return logits


class Player:
    """One of the two networks in training, with its optimiser.

    Attributes:
        compiled: the network as the run prepared it, compiled where `--compile` asks for it.
        learning_rate: at the start.
    """

    def __init__(self, run: Run, network: nn.Module, learning_rate: float, betas: tuple[float, float]) -> None:
        optimizer = torch.optim.Adam(network.parameters(), learning_rate, betas, fused=True)
        self.optimizer: torch.optim.Adam
        prepared, self.optimizer = run.prepare(network, optimizer)
        self.compiled = run.compile(prepared)
        self.learning_rate = learning_rate

    def scale_learning_rate(self, factor: float) -> None:
        """Set the learning rate to a multiple of that at the start."""
        self.optimizer.param_groups[0]["lr"] = self.learning_rate * factor

    def update(self, run: Run, loss: Tensor) -> None:
        """Descend one step along the gradient of the loss."""
        self.optimizer.zero_grad()
        run.backward(loss)
        self.optimizer.step()


class GAN(Generator):
    """A GAN of dense layers, sized from the data; its options are `GANOptions`.

    A variant overrides what its paper changes: `networks`, the losses and penalties, or a whole step.
    """

    best_by = ("validation/frechet_distance", "lower")
    training_only: ClassVar[tuple[str, ...]] = ("discriminator",)

    def __init__(self, config: AdversarialOptions, data: DataSpec) -> None:
        super().__init__(config, data)
        self.classes = len(data.classes) if self.conditional else 0
        self.inputs = config.latent_dim + config.latent_categories + self.classes
        self.generator, features, width = self.networks(self.inputs, data.shape)
        self.predicted_categories = config.latent_categories if config.category_loss else 0
        self.discriminator = Discriminator(
            features, width, self.predicted_categories, self.classes, config.spectral_norm
        )

    def networks(self, inputs: int, shape: tuple[int, ...]) -> tuple[nn.Module, nn.Sequential, int]:
        """The generator, (B, inputs) -> (B, C, H, W), the discriminator's features, (B, C, H, W) -> (B, width), and
        the width."""
        return generator_network(self.config, inputs, shape), *discriminator_features(self.config, shape)

    def latents(self, z: Tensor, category: Tensor, labels: Tensor | None) -> Tensor:
        """The generator's input, (B, inputs): noise z (B, latent_dim), then category and label, (B,) each, as one-hot
        vectors. A category lets the generator make images of different kinds without a continuum between them."""
        parts = [z]
        if categories := self.config.latent_categories:
            parts.append(CATEGORY_SCALE * F.one_hot(category, categories).to(z.dtype))
        if labels is not None and self.classes:
            parts.append(F.one_hot(labels, self.classes).to(z.dtype))
        return torch.cat(parts, 1) if len(parts) > 1 else z

    def normalize(self, images: Tensor) -> Tensor:
        """Images in [0, 1] in the range of the generator's output."""
        return images * 2 - 1 if self.config.generator_output == "tanh" else images

    def denormalize(self, images: Tensor) -> Tensor:
        """The inverse of `normalize`."""
        return images * 0.5 + 0.5 if self.config.generator_output == "tanh" else images

    # Training

    def fit(self, run: Run) -> None:
        generator, discriminator = self.players(run)
        average = genzoo.EMA(self.generator, self.config.ema_decay) if self.config.ema_decay else None
        if average is not None:
            run.track(average=average)
        health = Health(run)
        for batch in run.batches():
            for player in (generator, discriminator):
                player.scale_learning_rate(self.learning_rate_factor(run.step, run.steps_total))
            real, labels = self.normalize(batch.images), self.labels_of(batch)  # (B, C, H, W), (B,)
            z, category = self.draw_noise(len(real), run.device)  # (B, latent_dim), (B,)
            generator_turn = (run.step + 1) % self.config.discriminator_steps == 0
            with torch.set_grad_enabled(generator_turn):  # one forward pass serves both updates
                fake = generator.compiled(self.latents(z, category, labels))  # (B, C, H, W)
            loss, real_scores, fake_scores = self.discriminator_step(
                run, discriminator, real, fake.detach(), category, labels
            )
            if generator_turn:
                run.log(generator_loss=self.generator_step(run, generator, discriminator, fake, category, labels))
                if average is not None:
                    average.update()
            real_accuracy, fake_accuracy = losses.accuracies(self.config.loss, real_scores, fake_scores)
            run.log(discriminator_loss=loss, real_accuracy=real_accuracy, fake_accuracy=fake_accuracy)
            if (run.step + 1) % run.options.log_every == 0:
                diversity = self.diversity(run, batch.images)
                run.log(diversity=diversity)
                health.look(real_accuracy.item(), fake_accuracy.item(), diversity)

    def discriminator_step(
        self, run: Run, discriminator: Player, real: Tensor, fake: Tensor, category: Tensor, labels: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One update of D, from as many real as fake images, (B, C, H, W) each. Returns its adversarial loss and its
        scores of the real and of the fake images, (B, 1) each."""
        images = augment(torch.cat([real, fake]), self.config.augment)  # (2B, C, H, W)
        logits = discriminator.compiled(images, None if labels is None else labels.repeat(2))  # (2B, 1 + categories)
        real_logits, fake_logits = logits.chunk(2)
        real_scores, fake_scores = real_logits[:, :1], fake_logits[:, :1]  # (B, 1)
        loss = total = self.discriminator_loss(real_scores, fake_scores)
        if self.predicted_categories:
            total = total + self.mutual_information_loss(fake_logits[:, 1:], category)
        real, fake = images.chunk(2)  # as D saw them
        for penalty in self.discriminator_penalties(run, real, fake, labels):
            total = total + penalty
        discriminator.update(run, total)
        return loss, real_scores.detach(), fake_scores.detach()

    def generator_step(
        self,
        run: Run,
        generator: Player,
        discriminator: Player,
        fake: Tensor,
        category: Tensor,
        labels: Tensor | None,
    ) -> Tensor:
        """One update of G, through its fake images (B, C, H, W) and through D, whose weights take no gradient. Returns
        its adversarial loss."""
        self.discriminator.requires_grad_(False)
        logits = discriminator.compiled(augment(fake, self.config.augment), labels)  # (B, 1 + categories)
        loss = total = self.generator_loss(logits[:, :1])
        if self.predicted_categories:
            total = total + self.mutual_information_loss(logits[:, 1:], category)
        generator.update(run, total)
        self.discriminator.requires_grad_(True)
        return loss

    def discriminator_loss(self, real_scores: Tensor, fake_scores: Tensor) -> Tensor:
        """D's adversarial loss, from scores (B, 1)."""
        return losses.discriminator_loss(self.config.loss, real_scores, fake_scores, self.config.label_smoothing)

    def generator_loss(self, fake_scores: Tensor) -> Tensor:
        """G's adversarial loss, from scores (B, 1)."""
        return losses.generator_loss(self.config.loss, fake_scores)

    def mutual_information_loss(self, category_logits: Tensor, category: Tensor) -> Tensor:
        """-lambda L_I(G, Q) of InfoGAN, up to the constant H(c): the weighted cross-entropy of the category, (B,), that
        an image was made of, given its logits (B, categories). Both networks lower it."""
        loss: Tensor = self.config.category_loss * F.cross_entropy(category_logits, category)
        return loss

    def discriminator_penalties(self, run: Run, real: Tensor, fake: Tensor, labels: Tensor | None) -> Iterator[Tensor]:
        """The weighted penalties on D's gradients at images (B, C, H, W) that are due at this step."""

        def scores(images: Tensor) -> Tensor:  # not compiled, and in float32: it is differentiated twice
            logits: Tensor = self.discriminator(images, labels)
            return logits[:, :1]

        config = self.config
        if config.loss == "wasserstein-gp":
            yield config.gradient_penalty * losses.gradient_penalty(scores, real, fake)
        if config.r1 and run.step % config.r1_every == 0:
            yield config.r1 * config.r1_every * losses.r1_penalty(scores, real)

    def players(self, run: Run) -> tuple[Player, Player]:
        """The generator and the discriminator, ready for training."""
        config = self.config
        betas = config.beta1, config.beta2
        generator = Player(run, self.generator, config.learning_rate, betas)
        rate = config.discriminator_learning_rate or config.learning_rate
        return generator, Player(run, self.discriminator, rate, betas)

    def draw_noise(self, count: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """z ~ N(0, I), (count, latent_dim), and uniform categories, (count,)."""
        z = torch.randn(count, self.config.latent_dim, device=device)
        return z, torch.randint(self.config.latent_categories or 1, (count,), device=device)

    def learning_rate_factor(self, step: int, total: int) -> float:
        """The learning rate at a step, as a share of that at the start."""
        if self.config.learning_rate_schedule == "constant":
            return 1.0
        return 0.5 * (1 + math.cos(math.pi * step / total))

    def diversity(self, run: Run, real: Tensor) -> float:
        """The spread of samples from fixed noise over that of as many real images, (B, C, H, W): 1 where the samples
        are as diverse as the data."""
        count = DIVERSITY_SAMPLES
        labels = torch.arange(count, device=run.device) % self.classes if self.classes else None
        with run.as_sampled():
            images = self.sample(count, options=None, rng=RandomStreams(0, count, device=run.device), labels=labels)
            return float(spread(images) / spread(real[:count]).clamp_min(1e-12))

    # Sampling

    def sample(self, count: int, *, options: object, rng: RandomStreams, labels: Tensor | None = None) -> Tensor:
        return self.decode(self.draw_latents(count, rng=rng), labels)  # (count, C, H, W)

    def draw_latents(self, count: int, *, rng: RandomStreams, labels: Tensor | None = None) -> Tensor:
        z, u = rng.normal(self.config.latent_dim), rng.uniform()  # (count, latent_dim), (count,)
        category = (u * self.config.latent_categories).long()  # uniform, (count,)
        return self.latents(z, category, None)

    def decode(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        if labels is not None and self.classes:
            latents = torch.cat([latents, F.one_hot(labels, self.classes).to(latents.dtype)], 1)
        return self.denormalize(self.generator(latents))
