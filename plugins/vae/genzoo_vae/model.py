"""The variational autoencoder (Kingma & Welling 2014, arXiv:1312.6114), to be read from top to bottom.

A latent vector z has the prior p(z) = N(0, I). The decoder says how likely an image is given z, p(x|z); the encoder
guesses which z an image came from, q(z|x) = N(mu(x), diag(sigma(x)^2)). Both learn by raising the lower bound

    log p(x) >= E_q[log p(x|z)] - KL(q(z|x) || p(z)).

With labels y (Sohn et al. 2015) both networks see them too: q(z|x, y), p(x|z, y), and the bound is that of log p(x|y).
"""

from __future__ import annotations

import math
import warnings
from itertools import pairwise
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import genzoo
from genzoo import DataSpec, Generator, ImageBatch, RandomStreams, Run, kernels
from genzoo_vae import VAEOptions, VAESampleOptions

CHUNK = 2**24  # numbers that importance sampling decodes at a time


def gaussian_kl(mu: Tensor, log_var: Tensor) -> Tensor:
    """KL(N(mu, exp(log_var)) || N(0, 1)) in nats, elementwise (Kingma & Welling 2014, appendix B)."""
    return 0.5 * (mu.square() + log_var.exp() - 1 - log_var)


def dense(sizes: list[int]) -> nn.Sequential:
    """Linear layers with ReLU between them."""
    layers: list[nn.Module] = []
    for before, after in pairwise(sizes):
        layers += [kernels.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def mlp_networks(config: VAEOptions, shape: tuple[int, ...], classes: int) -> tuple[nn.Module, nn.Module]:
    """Encoder (B, C, H, W) -> (B, 2 * latent_dim) and decoder (B, latent_dim) -> (B, C, H, W), fully connected. With
    classes the encoder takes one channel more, and the decoder a one-hot vector behind z."""
    pixels, hidden = math.prod(shape), list(config.hidden_sizes)
    inputs = pixels + math.prod(shape[1:]) if classes else pixels
    encoder = nn.Sequential(nn.Flatten(), *dense([inputs, *hidden, 2 * config.latent_dim]))
    decoder = nn.Sequential(*dense([config.latent_dim + classes, *hidden[::-1], pixels]), nn.Unflatten(1, shape))
    return encoder, decoder


def conv_networks(config: VAEOptions, shape: tuple[int, ...], classes: int) -> tuple[nn.Module, nn.Module]:
    """The same with 3x3 convolutions that halve the size (rounded up) and transposed ones that restore it."""
    channels, height, width = shape
    widths, sizes = [channels + bool(classes), *config.conv_channels], [(height, width)]
    down: list[nn.Module] = []
    for before, after in pairwise(widths):
        down += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
        sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))
    small = (widths[-1], *sizes[-1])  # the shape between convolutions and dense layers
    hidden = list(config.hidden_sizes)
    encoder = nn.Sequential(*down, nn.Flatten(), *dense([math.prod(small), *hidden, 2 * config.latent_dim]))
    widths[0] = channels
    up: list[nn.Module] = []
    for i in range(len(widths) - 1, 0, -1):
        odd = (1 - sizes[i - 1][0] % 2, 1 - sizes[i - 1][1] % 2)  # 2n - 1 or 2n
        up += [nn.ReLU(), nn.ConvTranspose2d(widths[i], widths[i - 1], 3, 2, 1, output_padding=odd)]
        up += [nn.BatchNorm2d(widths[i - 1])] if i > 1 else []
    inputs = config.latent_dim + classes
    decoder = nn.Sequential(*dense([inputs, *hidden[::-1], math.prod(small)]), nn.Unflatten(1, small), *up)
    return encoder, decoder


def gaussian_mixture(points: Tensor, most: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Weights (K,), means (K, D) and covariances (K, D, D) of a Gaussian mixture of up to `most` components fitted to
    points (N, D) by expectation maximisation. Raises `ValueError` for too few points."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    count = max(1, min(most, len(points) // 50))  # more would learn the images by heart
    mixture = GaussianMixture(count, reg_covar=1e-4, max_iter=200, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # nearly converged will do
        mixture.fit(points.numpy())
    found = mixture.weights_, mixture.means_, mixture.covariances_
    weights, means, covariances = (torch.from_numpy(array) for array in found)
    return weights, means, covariances


class VAE(Generator):
    """A variational autoencoder sized from the data. See `VAEOptions` for what can be chosen."""

    likelihood_kind: ClassVar[Literal["exact", "lower bound"]] = "lower bound"
    config: VAEOptions
    mixture_weights: Tensor
    mixture_means: Tensor
    mixture_cholesky: Tensor

    def __init__(self, config: VAEOptions, data: DataSpec) -> None:
        super().__init__(config, data)
        self.classes = len(data.classes) if self.conditional else 0
        networks = {"mlp": mlp_networks, "conv": conv_networks}[config.architecture]
        self.encoder, self.decoder = networks(config, data.shape, self.classes)
        if self.classes:
            self.label_image = nn.Embedding(self.classes, math.prod(data.shape[1:]))  # a channel of its own
        self.log_scale = nn.Parameter(torch.tensor(-1.0), requires_grad=config.likelihood == "gaussian")
        if config.prior == "mixture":  # N(0, I) until it is fitted
            mixtures, dim = max(1, self.classes), config.latent_dim  # one mixture for each class
            count = max(1, config.prior_components // mixtures)
            self.register_buffer("mixture_weights", torch.full((mixtures, count), 1 / count))
            self.register_buffer("mixture_means", torch.zeros(mixtures, count, dim))
            self.register_buffer("mixture_cholesky", torch.eye(dim).repeat(mixtures, count, 1, 1))

    @property
    def pixel_values(self) -> int | None:
        return 2 if self.config.likelihood == "bernoulli" else None

    # The two distributions

    def posterior(self, images: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """q(z|x) of images (B, C, H, W): mean and log variance, each (B, latent_dim)."""
        if labels is not None:
            images = torch.cat([images, self.label_image(labels).view(-1, 1, *images.shape[2:])], 1)
        mu, log_var = self.encoder(images).float().chunk(2, dim=1)  # sums need float32 in every precision
        bound = self.config.max_log_variance
        return mu, log_var.clamp(-bound, bound)

    def decoded(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """The decoder's output (B, C, H, W) for z (B, latent_dim): logits or means, as the likelihood has it."""
        if labels is not None:
            z = torch.cat([z, F.one_hot(labels, self.classes).to(z.dtype)], 1)
        output: Tensor = self.decoder(z)
        return output

    def reconstruction_loss(self, images: Tensor, output: Tensor) -> Tensor:
        """-log p(x|z) in nats of each image, shape (B,), from the decoder's output (B, C, H, W).

        With `mse` it is the Gaussian whose variance makes MSE + beta * KL the bound: sigma^2 = beta * pixels / 2.
        """
        output = output.float()
        if self.config.likelihood == "bernoulli":
            return F.binary_cross_entropy_with_logits(output, images, reduction="none").flatten(1).sum(1)
        pixels = math.prod(self.data.shape)
        if self.config.likelihood == "mse":
            output, log_variance = output.sigmoid(), output.new_tensor(self.config.beta * pixels / 2).log()
        else:
            log_variance = 2 * self.log_scale
        error = (images - output).square().flatten(1).sum(1)
        return 0.5 * (error * (-log_variance).exp() + pixels * (log_variance + math.log(2 * math.pi)))

    def binarized(self, images: Tensor) -> Tensor:
        """For the Bernoulli likelihood, pixels as draws of 0 or 1 with their value as probability."""
        return (torch.rand_like(images) < images).to(images.dtype) if self.config.likelihood == "bernoulli" else images

    # Training

    def forward(self, images: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """One draw of -log p(x|z) of each image, (B,), and the KL of each latent dimension, (B, latent_dim); nats."""
        images = self.binarized(images)
        mu, log_var = self.posterior(images, labels)
        z = mu + (0.5 * log_var).exp() * torch.randn_like(mu)
        return self.reconstruction_loss(images, self.decoded(z, labels)), gaussian_kl(mu, log_var)

    def objective(self, reconstruction: Tensor, kl: Tensor, weight: float) -> tuple[Tensor, Tensor, Tensor]:
        """The loss, in nats an image or as MSE + weight * KL (mean over pixels, sum over latent dimensions), and its
        two parts in nats an image: -log p(x|z) and KL."""
        config, distortion, rate = self.config, reconstruction.mean(), kl.sum(1).mean()
        divergence = kl.mean(0).clamp_min(config.free_bits).sum() if config.free_bits else rate
        if config.likelihood != "mse":
            return distortion + weight * divergence, distortion, rate
        pixels = math.prod(self.data.shape)
        constant = pixels / 2 * math.log(math.pi * config.beta * pixels)
        return (distortion - constant) * config.beta + weight * divergence, distortion, rate

    def fit(self, run: Run) -> None:
        config = self.config
        optimizer = torch.optim.Adam(self.parameters(), lr=config.learning_rate, fused=True)
        model, optimizer = run.prepare(self, optimizer)
        model = run.compile(model)
        average = genzoo.EMA(self, config.ema_decay) if config.ema_decay else None
        if average is not None:
            run.track(ema=average)
        for batch in run.batches():
            done = run.step / run.steps_total
            if config.learning_rate_schedule == "cosine":
                optimizer.param_groups[0]["lr"] = config.learning_rate * 0.5 * (1 + math.cos(math.pi * done))
            warm = min(1.0, (run.step + 1) / config.kl_warmup_steps) if config.kl_warmup_steps else 1.0
            reconstruction, kl = model(batch.images, self.labels_of(batch))
            loss, distortion, rate = self.objective(reconstruction, kl, warm * config.beta)
            optimizer.zero_grad()
            run.backward(loss)
            optimizer.step()
            if average is not None:
                average.update()
            run.log(loss=loss, reconstruction=distortion, kl=rate)
        if config.prior == "mixture":
            with run.as_sampled():
                self.fit_mixture(run)

    def fit_mixture(self, run: Run) -> None:
        """Fit the mixture to draws from q(z|x) of up to 20,000 training images; one for each class if conditional."""
        codes, classes = [], []
        for batch in run.training_examples(20_000):
            labels = self.labels_of(batch)
            mu, log_var = self.posterior(self.binarized(batch.examples), labels)
            codes.append(mu + (0.5 * log_var).exp() * torch.randn_like(mu))
            classes.append(mu.new_zeros(len(mu)) if labels is None else labels)
        points, kinds = torch.cat(codes).double().cpu(), torch.cat(classes).cpu()
        for number in range(len(self.mixture_weights)):
            own = points[kinds == number]
            try:
                weights, means, covariances = gaussian_mixture(own, self.mixture_weights.shape[1], run.options.seed)
            except ValueError as error:
                which = f" of class {self.data.classes[number]}" if self.classes else ""
                run.warn(f"the mixture prior{which} cannot be fitted, so samples come from N(0, I): {error}")
                continue
            self.mixture_weights[number].zero_()[: len(weights)] = weights
            self.mixture_means[number, : len(weights)] = means
            self.mixture_cholesky[number, : len(weights)] = torch.linalg.cholesky(covariances)

    # Use

    def sample(
        self, count: int, *, options: VAESampleOptions, rng: RandomStreams, labels: Tensor | None = None
    ) -> Tensor:
        z = rng.normal(self.config.latent_dim) * options.temperature  # (count, latent_dim)
        if self.config.prior == "mixture":
            which = torch.zeros(count, dtype=torch.int64, device=z.device) if labels is None else labels
            edges = self.mixture_weights.cumsum(1)[which]  # (count, components)
            chosen = torch.searchsorted(edges, rng.uniform(1))[:, 0].clamp_max(edges.shape[1] - 1)
            turned = (self.mixture_cholesky[which, chosen] @ z[:, :, None])[:, :, 0]
            z = self.mixture_means[which, chosen] + turned
        return self.decode(z, labels)

    def encode(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.posterior(images, labels)[0]

    def decode(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        output = self.decoded(latents, labels)
        return output.clamp(0, 1) if self.config.likelihood == "gaussian" else output.sigmoid()

    def reconstruct(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.decode(self.encode(images, labels), labels)

    def evaluate(self, batch: ImageBatch) -> dict[str, Tensor]:
        reconstruction, kl = self(batch.images, self.labels_of(batch))
        return {"bound": -(reconstruction + kl.sum(1)), "kl": kl.sum(1)}

    @torch.no_grad()
    def log_likelihood(self, images: Tensor, labels: Tensor | None = None, *, num_samples: int = 1000) -> Tensor:
        """log p(x), or log p(x|y), in nats by importance sampling with draws from q(z|x) (Burda et al. 2016, eq. 8).

        A lower bound in expectation, which grows with `num_samples` to the exact value. With the Bernoulli
        likelihood pixels are binarised first: pass images of 0 and 1 to have them as they are.
        """
        images = self.binarized(images)
        mu, log_var = self.posterior(images, labels)  # (B, D)
        size = max(1, CHUNK // max(1, images.numel()))
        total = mu.new_full((len(images),), -torch.inf)
        for start in range(0, num_samples, size):
            k = min(size, num_samples - start)
            noise = torch.randn(k, *mu.shape, device=mu.device)
            z = mu + (0.5 * log_var).exp() * noise  # (k, B, D)
            repeated = images.expand(k, *images.shape).flatten(0, 1)
            output = self.decoded(z.flatten(0, 1), None if labels is None else labels.repeat(k))
            log_px = -self.reconstruction_loss(repeated, output).view(k, -1)
            log_pz_over_q = 0.5 * (noise.square() + log_var - z.square()).sum(2)
            total = torch.logaddexp(total, (log_px + log_pz_over_q).logsumexp(0))
        return total - math.log(num_samples)
