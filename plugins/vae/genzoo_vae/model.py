"""The variational autoencoder (Kingma & Welling 2014, arXiv:1312.6114), to be read from top to bottom.

A latent vector z has the prior p(z) = N(0, I). The decoder gives the likelihood of an image, p(x|z); the encoder the
approximate posterior of its latent vector, q(z|x) = N(mu(x), diag(sigma(x)^2)). Both maximise the evidence lower bound

    log p(x) >= E_q[log p(x|z)] - KL(q(z|x) || p(z)).

With labels y (Sohn et al. 2015) both networks are conditioned on them: q(z|x, y) and p(x|z, y) bound log p(x|y).
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import genzoo
from genzoo import DataSpec, Generator, ImageBatch, RandomStreams, Run, kernels
from genzoo_vae import VAEOptions, VAESampleOptions, mixture
from genzoo_vae.health import Health, active_units, check_likelihood, is_nearly_binary

CHUNK = 2**24  # pixels that importance sampling decodes at a time


def gaussian_kl(mu: Tensor, log_var: Tensor) -> Tensor:
    """KL(N(mu, exp(log_var)) || N(0, 1)) in nats, elementwise (Kingma & Welling 2014, appendix B)."""
    return 0.5 * (mu.square() + log_var.exp() - 1 - log_var)


def dense(sizes: list[int]) -> nn.Sequential:
    """Linear layers with ReLU between them."""
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(sizes):
        layers += [kernels.Linear(fan_in, fan_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def mlp_networks(config: VAEOptions, shape: tuple[int, ...], classes: int) -> tuple[nn.Module, nn.Module]:
    """Encoder (B, C, H, W) -> (B, 2 * latent_dim) and decoder (B, latent_dim) -> (B, C, H, W), fully connected. With
    classes the encoder takes one more channel, and the decoder a one-hot vector after z."""
    pixels, hidden = math.prod(shape), list(config.hidden_sizes)
    inputs = pixels + math.prod(shape[1:]) if classes else pixels
    encoder = nn.Sequential(nn.Flatten(), *dense([inputs, *hidden, 2 * config.latent_dim]))
    decoder = nn.Sequential(*dense([config.latent_dim + classes, *hidden[::-1], pixels]), nn.Unflatten(1, shape))
    return encoder, decoder


def conv_networks(
    config: VAEOptions, shape: tuple[int, ...], classes: int, *, shades: bool = False
) -> tuple[nn.Module, nn.Module]:
    """The same with 3x3 convolutions that halve the size (rounded up) and transposed ones that restore it. These leave
    a grid in `shades`, what is neither black nor white, so that there pixels are repeated and convolved instead (Odena
    et al. 2016)."""
    image_channels, height, width = shape
    channels, sizes = [image_channels + bool(classes), *config.conv_channels], [(height, width)]
    down: list[nn.Module] = []
    for in_channels, out_channels in pairwise(channels):
        down += [nn.Conv2d(in_channels, out_channels, 3, stride=2, padding=1), nn.BatchNorm2d(out_channels), nn.ReLU()]
        sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))
    features = (channels[-1], *sizes[-1])  # the shape between convolutions and dense layers
    hidden = list(config.hidden_sizes)
    encoder = nn.Sequential(*down, nn.Flatten(), *dense([math.prod(features), *hidden, 2 * config.latent_dim]))
    channels[0] = image_channels
    up: list[nn.Module] = []
    for i in range(len(channels) - 1, 0, -1):
        output_padding = (1 - sizes[i - 1][0] % 2, 1 - sizes[i - 1][1] % 2)  # to 2n, or to 2n - 1
        up += [nn.ReLU()]
        if shades:
            up += [nn.Upsample(sizes[i - 1]), nn.Conv2d(channels[i], channels[i - 1], 3, padding=1)]
        else:
            up += [nn.ConvTranspose2d(channels[i], channels[i - 1], 3, 2, 1, output_padding=output_padding)]
        up += [nn.BatchNorm2d(channels[i - 1])] if i > 1 else []
    inputs = config.latent_dim + classes
    decoder = nn.Sequential(*dense([inputs, *hidden[::-1], math.prod(features)]), nn.Unflatten(1, features), *up)
    return encoder, decoder


class VAE(Generator):
    """A variational autoencoder sized from the data; its options are `VAEOptions`."""

    likelihood_kind: ClassVar[Literal["exact", "lower bound"]] = "lower bound"
    config: VAEOptions
    mixture_weights: Tensor
    mixture_means: Tensor
    mixture_cholesky: Tensor

    def __init__(self, config: VAEOptions, data: DataSpec) -> None:
        super().__init__(config, data)
        self.classes = len(data.classes) if self.conditional else 0
        by_data = "bernoulli" if is_nearly_binary(data) else "gaussian"
        self.likelihood: str = by_data if config.likelihood == "auto" else config.likelihood
        if config.architecture == "mlp":
            self.encoder, self.decoder = mlp_networks(config, data.shape, self.classes)
        else:
            shades = self.likelihood == "gaussian"
            self.encoder, self.decoder = conv_networks(config, data.shape, self.classes, shades=shades)
        if self.classes:
            self.label_image = nn.Embedding(self.classes, math.prod(data.shape[1:]))  # one more channel
        self.log_scale = nn.Parameter(torch.tensor(-2.0), requires_grad=self.likelihood == "gaussian")
        if config.prior == "mixture":  # N(0, I) until it is fitted
            mixtures, dim = max(1, self.classes), config.latent_dim  # one mixture for each class
            components = max(1, config.prior_components // mixtures)
            self.register_buffer("mixture_weights", torch.full((mixtures, components), 1 / components))
            self.register_buffer("mixture_means", torch.zeros(mixtures, components, dim))
            self.register_buffer("mixture_cholesky", torch.eye(dim).repeat(mixtures, components, 1, 1))

    @property
    def pixel_values(self) -> int | None:
        return 2 if self.likelihood == "bernoulli" else None

    # The two distributions

    def posterior(self, images: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """q(z|x) of images (B, C, H, W): mean and log variance, each (B, latent_dim)."""
        if labels is not None:
            label_channel = self.label_image(labels).view(-1, 1, *images.shape[2:])  # (B, 1, H, W)
            images = torch.cat([images, label_channel], 1)  # (B, C + 1, H, W)
        mu, log_var = self.encoder(images).float().chunk(2, dim=1)  # sums need float32 in every precision
        bound = self.config.max_log_variance
        return mu, log_var.clamp(-bound, bound)

    def decoder_output(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """The decoder's output (B, C, H, W) for z (B, latent_dim): logits."""
        if labels is not None:
            z = torch.cat([z, F.one_hot(labels, self.classes).to(z.dtype)], 1)  # (B, latent_dim + classes)
        output: Tensor = self.decoder(z)
        return output

    def mean_image(self, output: Tensor) -> Tensor:
        """The mean of p(x|z), in [0, 1], from the decoder's output (B, C, H, W). It goes through the logistic function
        whatever the likelihood, so that what is black or white in the data can be so exactly."""
        return output.sigmoid()

    def reconstruction_loss(self, images: Tensor, output: Tensor) -> Tensor:
        """-log p(x|z) in nats of each image, shape (B,), from the decoder's output (B, C, H, W).

        With `mse` it is the Gaussian whose variance makes MSE + beta * KL the bound: sigma^2 = beta * pixels / 2.
        """
        output = output.float()
        if self.likelihood == "bernoulli":
            return F.binary_cross_entropy_with_logits(output, images, reduction="none").flatten(1).sum(1)
        pixels = math.prod(self.data.shape)
        if self.likelihood == "mse":
            log_variance = output.new_tensor(self.config.beta * pixels / 2).log()
        else:
            log_variance = 2 * self.log_scale
        error = (images - self.mean_image(output)).square().flatten(1).sum(1)  # (B,)
        return 0.5 * (error * (-log_variance).exp() + pixels * (log_variance + math.log(2 * math.pi)))

    def binarized(self, images: Tensor, uniform: Tensor | None = None) -> Tensor:
        """For the Bernoulli likelihood, pixels drawn as 0 or 1 with their value as probability; by uniform numbers in
        [0, 1) of the same shape where these are given."""
        if self.likelihood != "bernoulli":
            return images
        return ((torch.rand_like(images) if uniform is None else uniform) < images).to(images.dtype)

    # Training

    def forward(self, images: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """-log p(x|z) of each image at one draw of z from q(z|x), (B,), and the KL of each latent dimension,
        (B, latent_dim); nats."""
        images = self.binarized(images)
        mu, log_var = self.posterior(images, labels)
        z = self.reparameterized(mu, log_var)
        return self.reconstruction_loss(images, self.decoder_output(z, labels)), gaussian_kl(mu, log_var)

    def reparameterized(self, mu: Tensor, log_var: Tensor) -> Tensor:
        """A draw from N(mu, exp(log_var)), (B, latent_dim), through which gradients pass."""
        return mu + (0.5 * log_var).exp() * torch.randn_like(mu)

    def objective(self, reconstruction: Tensor, kl: Tensor, kl_weight: float) -> tuple[Tensor, Tensor, Tensor]:
        """The loss, in nats an image or as MSE + kl_weight * KL (mean over pixels, sum over latent dimensions), and its
        two parts in nats an image: distortion, -log p(x|z), and rate, the KL."""
        config, distortion, rate = self.config, reconstruction.mean(), kl.sum(1).mean()
        divergence = kl.mean(0).clamp_min(config.free_bits).sum() if config.free_bits else rate
        if self.likelihood != "mse":
            return distortion + kl_weight * divergence, distortion, rate
        pixels = math.prod(self.data.shape)
        constant = pixels / 2 * math.log(math.pi * config.beta * pixels)
        return (distortion - constant) * config.beta + kl_weight * divergence, distortion, rate

    def fit(self, run: Run) -> None:
        config = self.config
        optimizer = torch.optim.Adam(self.parameters(), lr=config.learning_rate, fused=True)
        model, optimizer = run.prepare(self, optimizer)
        model = run.compile(model)
        average = genzoo.EMA(self, config.ema_decay) if config.ema_decay else None
        if average is not None:
            run.track(ema=average)
        check_likelihood(self.likelihood, run)
        health = Health(run, config.latent_dim, self.likelihood)
        for batch in run.batches():
            factor = self.learning_rate_factor(run.step, run.steps_total)
            optimizer.param_groups[0]["lr"] = config.learning_rate * factor
            reconstruction, kl = model(batch.images, self.labels_of(batch))  # (B,), (B, latent_dim)
            loss, distortion, rate = self.objective(reconstruction, kl, self.kl_weight(run.step))
            optimizer.zero_grad()
            run.backward(loss)
            optimizer.step()
            if average is not None:
                average.update()
            run.log(loss=loss, reconstruction=distortion, kl=rate)
            if (run.step + 1) % run.options.log_every == 0:
                with run.as_sampled():
                    mu, _ = self.posterior(self.binarized(batch.images), self.labels_of(batch))  # (B, latent_dim)
                active = active_units(mu)
                run.log(active_units=active)
                health.look(rate.item(), int(active))
        if config.prior == "mixture":
            with run.as_sampled():
                self.fit_mixture(run)

    def learning_rate_factor(self, step: int, total: int) -> float:
        """The learning rate at a step, as a share of that at the start."""
        if self.config.learning_rate_schedule == "constant":
            return 1.0
        return 0.5 * (1 + math.cos(math.pi * (step / total)))

    def kl_weight(self, step: int) -> float:
        """The weight of the KL at a step: beta, after the warm-up."""
        warmup = self.config.kl_warmup_steps
        return (min(1.0, (step + 1) / warmup) if warmup else 1.0) * self.config.beta

    def fit_mixture(self, run: Run) -> None:
        """Fit the mixture to draws from q(z|x) of up to 20,000 training images; one for each class if conditional."""
        latents, classes = [], []
        for batch in run.training_examples(20_000):
            labels = self.labels_of(batch)
            mu, log_var = self.posterior(self.binarized(batch.examples), labels)
            latents.append(self.reparameterized(mu, log_var))
            classes.append(mu.new_zeros(len(mu)) if labels is None else labels)
        all_latents, all_classes = torch.cat(latents), torch.cat(classes)  # (N, latent_dim), (N,)
        mixtures, components = self.mixture_weights.shape
        for i in range(mixtures):
            try:
                fitted = mixture.fit(all_latents[all_classes == i], components, run.options.seed, run)
            except ValueError as error:
                of_class = f" of class {self.data.classes[i]}" if self.classes else ""
                run.warn(f"the mixture prior{of_class} cannot be fitted, so samples come from N(0, I): {error}")
                continue
            self.mixture_weights[i].zero_()[: len(fitted.weights)] = fitted.weights.float()
            self.mixture_means[i, : len(fitted.weights)] = fitted.means.float()
            self.mixture_cholesky[i, : len(fitted.weights)] = fitted.cholesky.float()

    # Sampling

    def sample(
        self, count: int, *, options: VAESampleOptions, rng: RandomStreams, labels: Tensor | None = None
    ) -> Tensor:
        z = self.draw_latents(count, rng=rng, labels=labels, temperature=options.temperature)
        return self.decode(z, labels)  # (count, C, H, W)

    def draw_latents(
        self, count: int, *, rng: RandomStreams, labels: Tensor | None = None, temperature: float = 1.0
    ) -> Tensor:
        z = rng.normal(self.config.latent_dim) * temperature  # (count, latent_dim)
        return self.from_mixture(z, rng.uniform(1), labels) if self.config.prior == "mixture" else z

    def from_mixture(self, noise: Tensor, u: Tensor, labels: Tensor | None) -> Tensor:
        """Draws from the mixture, or from that of each label, (B, latent_dim): standard normal noise (B, latent_dim)
        moved to the components that uniform u (B, 1) picks by their weights."""
        mixture = torch.zeros(len(noise), dtype=torch.int64, device=noise.device) if labels is None else labels  # (B,)
        cumulative = self.mixture_weights.cumsum(1)[mixture]  # (B, components)
        component = torch.searchsorted(cumulative, u)[:, 0].clamp_max(cumulative.shape[1] - 1)  # (B,)
        scaled = (self.mixture_cholesky[mixture, component] @ noise[:, :, None])[:, :, 0]  # (B, latent_dim)
        return self.mixture_means[mixture, component] + scaled

    # Latent space and scores

    def encode(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.posterior(images, labels)[0]

    def decode(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.mean_image(self.decoder_output(latents, labels))

    def reconstruct(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.decode(self.encode(images, labels), labels)

    def evaluate(self, batch: ImageBatch) -> dict[str, Tensor]:
        reconstruction, kl = self(batch.images, self.labels_of(batch))
        return {"bound": -(reconstruction + kl.sum(1)), "kl": kl.sum(1)}

    @torch.no_grad()
    def log_likelihood(
        self, images: Tensor, labels: Tensor | None = None, *, num_samples: int = 1000, rng: RandomStreams | None = None
    ) -> Tensor:
        """log p(x), or log p(x|y), in nats by importance sampling with draws from q(z|x) (Burda et al. 2016, eq. 8).

        A lower bound in expectation, which grows with `num_samples` to the exact value. With the Bernoulli
        likelihood pixels are binarised first, which leaves images of 0 and 1 as they are. Without `rng` the draws are
        those of seed 0.
        """
        rng = rng or RandomStreams(0, len(images), device=images.device)
        images = self.binarized(images, rng.uniform(*self.data.shape))
        mu, log_var = self.posterior(images, labels)  # (B, latent_dim)
        chunk = max(1, CHUNK // max(1, images.numel()))
        log_sum = mu.new_full((len(images),), -torch.inf)  # of the importance weights, (B,)
        for start in range(0, num_samples, chunk):
            k = min(chunk, num_samples - start)
            noise = rng.normal(k, mu.shape[1]).transpose(0, 1)  # (k, B, latent_dim)
            z = mu + (0.5 * log_var).exp() * noise  # (k, B, latent_dim)
            repeated = images.expand(k, *images.shape).flatten(0, 1)  # (k * B, C, H, W)
            repeated_labels = None if labels is None else labels.repeat(k)  # (k * B,)
            output = self.decoder_output(z.flatten(0, 1), repeated_labels)  # (k * B, C, H, W)
            log_px_given_z = -self.reconstruction_loss(repeated, output).view(k, -1)  # (k, B)
            log_pz_over_qz = 0.5 * (noise.square() + log_var - z.square()).sum(2)  # (k, B)
            log_sum = torch.logaddexp(log_sum, (log_px_given_z + log_pz_over_qz).logsumexp(0))
        return log_sum - math.log(num_samples)
