"""Denoising diffusion (Ho et al. 2020, arXiv:2006.11239) of any pictures, to be read from top to bottom.

The forward process adds noise to an image x_0 in T steps, q(x_t | x_{t-1}) = N(sqrt(1 - beta_t) x_{t-1}, beta_t I),
which has the closed form

    x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) noise,    abar_t = prod_{s <= t} (1 - beta_s).

A network learns to predict the noise (or v, or x_0). The prediction gives an estimate of x_0, and x_t and the estimate
give a step of the reverse process. Timesteps are counted from 0 to T - 1, as in diffusers.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import torch
import torch.nn.functional as F
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    SchedulerMixin,
    UNet2DModel,
    UniPCMultistepScheduler,
)
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor

import genzoo
from genzoo import Batch, DataSpec, Generator, RandomStreams, Run, kernels
from genzoo_diffusion import DiffusionOptions, DiffusionSampleOptions

PREDICTIONS = {"noise": "epsilon", "v": "v_prediction", "sample": "sample"}
SCHEDULES = {"linear": "linear", "cosine": "squaredcos_cap_v2"}
SAMPLERS = {
    "ddpm": DDPMScheduler,
    "ddim": DDIMScheduler,
    "dpm-solver++": DPMSolverMultistepScheduler,
    "unipc": UniPCMultistepScheduler,
}


def unet(config: DiffusionOptions, channels: int, size: tuple[int, int], classes: int) -> UNet2DModel:
    """The U-Net of Ho et al. 2020: (B, C, H, W) and timesteps (B,) -> (B, C, H, W). With classes, label number
    `classes` stands for no label."""
    channels_by_level = tuple(config.width * multiplier for multiplier in config.channel_multipliers)
    attention = [size[0] // 2**level in config.attention_resolutions for level in range(len(channels_by_level))]
    return UNet2DModel(
        sample_size=size,
        in_channels=channels,
        out_channels=channels,
        block_out_channels=channels_by_level,
        layers_per_block=config.layers_per_block,
        down_block_types=tuple("AttnDownBlock2D" if attends else "DownBlock2D" for attends in attention),
        up_block_types=tuple("AttnUpBlock2D" if attends else "UpBlock2D" for attends in reversed(attention)),
        attention_head_dim=None,
        norm_num_groups=config.width // 4 if config.width <= 128 else math.gcd(config.width, 32),
        dropout=config.dropout,
        num_class_embeds=classes + 1 if classes else None,
    )


class GaussianDiffusion(Generator):
    """A diffusion model of pictures (C, H, W) in [0, 1] that examples are, or can be seen as (`images_of`); its options
    are `DiffusionOptions`.

    The network sees images in [-1, 1], padded to sizes that can be halved, (B, C, H', W'); samples are cropped.

    Args:
        shape: of the pictures.
    """

    config: DiffusionOptions
    signal: Tensor
    """abar_t, the share of the image's variance left at each timestep, (T,)."""

    def __init__(self, config: DiffusionOptions, data: DataSpec, shape: tuple[int, ...]) -> None:
        super().__init__(config, data)
        self.shape = shape
        channels, height, width = shape
        multiple = 2 ** len(config.channel_multipliers)
        pad_height, pad_width = -height % multiple, -width % multiple
        left, top = pad_width // 2, pad_height // 2
        self.padding = (left, pad_width - left, top, pad_height - top)
        self.inner_shape = (channels, height + pad_height, width + pad_width)
        self.classes = len(data.classes) if self.conditional else 0
        self.unet = unet(config, channels, self.inner_shape[1:], self.classes)
        for block in self.unet.up_blocks:
            if block.upsamplers is not None:
                block.upsamplers[0] = kernels.Upsample(block.upsamplers[0].conv)
        self.unet.to(memory_format=torch.channels_last)
        signal = DDPMScheduler(**self.scheduler_options()).alphas_cumprod.float()
        self.register_buffer("signal", signal, persistent=False)

    def train(self, mode: bool = True) -> GaussianDiffusion:
        """As `Module.train`, but residual blocks stay in evaluation mode, in which diffusers does not copy their input
        into another memory layout. Their dropout is a separate module, which does follow `mode`."""
        super().train(mode)
        for block in self.modules():
            if isinstance(block, ResnetBlock2D):
                block.training = False
        return self

    # Images as the network sees them

    def images_of(self, batch: Batch) -> Tensor:
        """What is learnt of a batch: images (B, C, H, W) in [0, 1]. As it stands, its examples."""
        return batch.examples

    def to_inner(self, images: Tensor) -> Tensor:
        """Images in [0, 1], (B, C, H, W), to [-1, 1], padded with their edge, (B, C, H', W')."""
        return F.pad(images * 2 - 1, self.padding, mode="replicate")

    def to_images(self, inner: Tensor) -> Tensor:
        """The inverse: (B, C, H', W') to (B, C, H, W)."""
        left, right, top, bottom = self.padding
        height, width = inner.shape[2:]
        return (inner[:, :, top : height - bottom, left : width - right] * 0.5 + 0.5).clamp(0, 1)

    # The forward process, and conversions between prediction and x_0

    def alpha_bar(self, t: Tensor) -> Tensor:
        """abar_t of timesteps (B,), to be multiplied by images: (B, 1, 1, 1)."""
        return self.signal[t][:, None, None, None]

    def noisy(self, clean: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """x_t, a draw from q(x_t | x_0): images x_0 and noise, (B, C, H', W') each, at timesteps (B,)."""
        alpha_bar = self.alpha_bar(t)
        return alpha_bar.sqrt() * clean + (1 - alpha_bar).sqrt() * noise

    def target(self, clean: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """The right prediction: the noise, v, or x_0."""
        alpha_bar = self.alpha_bar(t)
        v = alpha_bar.sqrt() * noise - (1 - alpha_bar).sqrt() * clean
        return {"noise": noise, "v": v, "sample": clean}[self.config.prediction]

    def clean(self, noisy: Tensor, prediction: Tensor, t: Tensor) -> Tensor:
        """The estimate of x_0 that the network's prediction from x_t gives."""
        alpha_bar = self.alpha_bar(t)
        match self.config.prediction:
            case "noise":
                return (noisy - (1 - alpha_bar).sqrt() * prediction) / alpha_bar.sqrt()
            case "v":
                return alpha_bar.sqrt() * noisy - (1 - alpha_bar).sqrt() * prediction
            case _:
                return prediction

    def bounded(self, noisy: Tensor, prediction: Tensor, t: Tensor) -> Tensor:
        """The prediction whose estimate of x_0 is clipped to [-1, 1]. Without it, the first of a few large steps of a
        sampler would magnify the network's error."""
        if self.config.prediction == "sample":
            return prediction.clamp(-1, 1)
        alpha_bar = self.alpha_bar(t)
        clean = self.clean(noisy, prediction, t).clamp(-1, 1)
        noise = (noisy - alpha_bar.sqrt() * clean) / (1 - alpha_bar).sqrt()
        return self.target(clean, noise, t)

    # Training

    def fit(self, run: Run) -> None:
        config = self.config
        optimizer = torch.optim.AdamW(self.unet.parameters(), config.learning_rate, fused=True)
        network, optimizer = run.prepare(self.unet, optimizer)
        network = run.compile(network)
        average = genzoo.EMA(self.unet, config.ema_decay) if config.ema_decay else None
        if average is not None:
            run.track(average=average)
        for batch in run.batches():
            factor = self.learning_rate_factor(run.step, run.steps_total)
            optimizer.param_groups[0]["lr"] = config.learning_rate * factor
            clean = self.to_inner(self.images_of(batch)).contiguous(memory_format=torch.channels_last)  # (B, C, H', W')
            labels = self.drop_labels(self.labels_of(batch))  # (B,)
            noise, t = torch.randn_like(clean), self.timesteps(len(clean), run.device)  # (B, C, H', W'), (B,)
            prediction = network(self.noisy(clean, noise, t), t, labels, return_dict=False)[0]  # (B, C, H', W')
            loss = self.loss(prediction.float(), self.target(clean, noise, t), t)
            optimizer.zero_grad()
            run.backward(loss)
            gradient_norm = run.clip(optimizer, config.max_gradient_norm)
            optimizer.step()
            if average is not None:
                average.update()
            run.log(loss=loss, gradient_norm=gradient_norm)

    def loss(self, prediction: Tensor, target: Tensor, t: Tensor) -> Tensor:
        """The weighted mean squared error of predictions (B, C, H', W') at timesteps (B,)."""
        error = (prediction - target).square().flatten(1).mean(1)  # (B,)
        return (self.weights(t) * error).mean()

    def weights(self, t: Tensor) -> Tensor:
        """The weight of each timestep's squared error, (B,): 1, or with min-SNR min(SNR, gamma) on the error of x_0
        (Hang et al. 2023)."""
        gamma, alpha_bar = self.config.min_snr_gamma, self.signal[t]
        if gamma == 0:
            return torch.ones_like(alpha_bar)
        snr = alpha_bar / (1 - alpha_bar)
        error_ratio = {"noise": snr, "v": snr + 1, "sample": torch.ones_like(snr)}  # of the prediction to that of x_0
        return snr.clamp(max=gamma) / error_ratio[self.config.prediction]

    def timesteps(self, count: int, device: torch.device) -> Tensor:
        """Random timesteps of a batch, (count,): each uniform, and if stratified one from each of `count` equal
        parts."""
        u = torch.rand(count, device=device)
        if self.config.timestep_sampling == "stratified":
            u = (torch.arange(count, device=device) + u) / count
        return (u * self.config.num_timesteps).long().clamp_max(self.config.num_timesteps - 1)

    def drop_labels(self, labels: Tensor | None) -> Tensor | None:
        """Labels (B,), some replaced at random by the one for none, for classifier-free guidance (Ho & Salimans
        2022)."""
        if labels is None:
            return None
        dropped = torch.rand(len(labels), device=labels.device) < self.config.label_dropout
        return labels.masked_fill(dropped, self.classes)

    def learning_rate_factor(self, step: int, total: int) -> float:
        """The learning rate at a step, as a share of `--learning-rate`."""
        config = self.config
        warmup = min(1.0, (step + 1) / config.warmup_steps) if config.warmup_steps else 1.0
        cosine = 0.5 * (1 + math.cos(math.pi * step / total)) if config.learning_rate_schedule == "cosine" else 1.0
        return warmup * cosine

    # Sampling

    def scheduler_options(self) -> dict[str, object]:
        """The forward process in the terms of diffusers' schedulers."""
        return {
            "num_train_timesteps": self.config.num_timesteps,
            "beta_schedule": SCHEDULES[self.config.schedule],
            "prediction_type": PREDICTIONS[self.config.prediction],
            "timestep_spacing": "trailing",
        }

    def scheduler(self, sampler: str, num_steps: int) -> SchedulerMixin:
        """The diffusers scheduler of a sampler, set to a number of steps."""
        if num_steps > (maximum := self.config.num_timesteps):
            raise genzoo.UsageError(f"--num-steps is {num_steps}; allowed is {maximum} at most, which the model learnt")
        scheduler = SAMPLERS[sampler](**self.scheduler_options())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # from numpy, in diffusers
            scheduler.set_timesteps(num_steps, device=self.device)
        return scheduler

    def predict(self, noisy: Tensor, t: Tensor, labels: Tensor | None, guidance: float = 1.0) -> Tensor:
        """The network's prediction from x_t (B, C, H', W') at timesteps (B,), of the same shape. With guidance, that
        without the label plus `guidance` times the difference that the label makes (Ho & Salimans 2022)."""
        if labels is None or guidance == 1:
            prediction: Tensor = self.unet(noisy, t, labels, return_dict=False)[0]
            return prediction
        labels = torch.cat([labels, torch.full_like(labels, self.classes)])  # (2B,)
        predictions: Tensor = self.unet(noisy.repeat(2, 1, 1, 1), t.repeat(2), labels, return_dict=False)[0]
        conditional, unconditional = predictions.chunk(2)
        return unconditional + guidance * (conditional - unconditional)

    def walk(
        self,
        count: int,
        options: DiffusionSampleOptions,
        rng: RandomStreams,
        labels: Tensor | None = None,
        between: Callable[[Tensor, int], Tensor] | None = None,
    ) -> Tensor:
        """The reverse process, from noise to padded images (count, C, H', W'). `between` is called before each
        evaluation of the network with x_t and t, and returns the x_t to go on from."""
        scheduler = self.scheduler(options.sampler, options.num_steps)
        generators = rng.generators()
        x: Tensor = randn((count, *self.inner_shape), generators, self.device) * scheduler.init_noise_sigma
        step_options: dict[str, object] = {"generator": generators} if options.sampler != "unipc" else {}
        step_options |= {"eta": options.eta} if options.sampler == "ddim" else {}
        for done, t in enumerate(scheduler.timesteps, start=1):
            if between is not None:
                x = between(x, int(t))
            timesteps = t.expand(count)
            prediction = self.predict(x, timesteps, labels, options.guidance_scale)
            x = scheduler.step(self.bounded(x, prediction, timesteps), t, x, **step_options, return_dict=False)[0]
            self.report(done, options.num_steps)
        return x

    def sample(
        self, count: int, *, options: DiffusionSampleOptions, rng: RandomStreams, labels: Tensor | None = None
    ) -> Tensor:
        if count == 0:
            return torch.empty(0, *self.shape, device=self.device)
        return self.to_images(self.walk(count, options, rng, labels))


def randn(shape: tuple[int, ...], generators: list[torch.Generator], device: torch.device) -> Tensor:
    """Standard normal numbers of a shape (B, ...), row i from generator i."""
    rows = [torch.randn(shape[1:], generator=generator) for generator in generators]
    return torch.stack(rows).to(device)
