"""The denoising diffusion model (Ho et al. 2020, arXiv:2006.11239), to be read from top to bottom.

An image x_0 is made noisy in T steps, q(x_t | x_{t-1}) = N(sqrt(1 - beta_t) x_{t-1}, beta_t I), which is at once

    x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) noise,    abar_t = prod_{s <= t} (1 - beta_s).

A network learns to say which noise it was. From that follows a guess of x_0, and from x_t and the guess the way back.
Timesteps are counted from 0 to T - 1, as in diffusers.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from diffusers import (
    DDIMScheduler,
    DDPMPipeline,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    UNet2DModel,
    UniPCMultistepScheduler,
)
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor

import genzoo
from genzoo import DataSpec, Generator, ImageBatch, RandomStreams, Run, kernels
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
    """The U-Net of Ho et al. 2020: (B, C, H, W) and timesteps (B,) -> (B, C, H, W). With classes, one more label than
    there are stands for none."""
    widths = tuple(config.width * m for m in config.channel_multipliers)
    attention = [size[0] // 2**level in config.attention_resolutions for level in range(len(widths))]
    return UNet2DModel(
        sample_size=size,
        in_channels=channels,
        out_channels=channels,
        block_out_channels=widths,
        layers_per_block=config.layers_per_block,
        down_block_types=tuple("AttnDownBlock2D" if a else "DownBlock2D" for a in attention),
        up_block_types=tuple("AttnUpBlock2D" if a else "UpBlock2D" for a in reversed(attention)),
        attention_head_dim=None,
        norm_num_groups=config.width // 4 if config.width <= 128 else math.gcd(config.width, 32),
        dropout=config.dropout,
        num_class_embeds=classes + 1 if classes else None,
    )


class Diffusion(Generator):
    """A diffusion model sized from the data. See `DiffusionOptions` for what can be chosen.

    Inside, images are in [-1, 1] and padded to sizes that can be halved; what is added is cut off again.
    """

    likelihood_kind: ClassVar[Literal["exact", "lower bound"]] = "lower bound"
    pixel_values = 256
    config: DiffusionOptions
    signal: Tensor
    """The share of the image's variance that is left after each step, abar_t: (T,)."""

    def __init__(self, config: DiffusionOptions, data: DataSpec) -> None:
        super().__init__(config, data)
        channels, height, width = data.shape
        multiple = 2 ** len(config.channel_multipliers)
        more = -height % multiple, -width % multiple
        self.padding = (more[1] // 2, more[1] - more[1] // 2, more[0] // 2, more[0] - more[0] // 2)
        self.inner_shape = (channels, height + more[0], width + more[1])
        self.classes = len(data.classes) if self.conditional else 0
        self.unet = unet(config, channels, self.inner_shape[1:], self.classes)
        for block in self.unet.up_blocks:
            if block.upsamplers is not None:
                block.upsamplers[0] = kernels.Upsample(block.upsamplers[0].conv)
        self.unet.to(memory_format=torch.channels_last)
        signal = DDPMScheduler(**self.scheduler_options()).alphas_cumprod.float()
        self.register_buffer("signal", signal, persistent=False)

    def train(self, mode: bool = True) -> Diffusion:
        """As `Module.train`. Residual blocks always are as in evaluation, where they do not copy their input into the
        other memory layout; their dropout is a module of its own."""
        super().train(mode)
        for block in self.modules():
            if isinstance(block, ResnetBlock2D):
                block.training = False
        return self

    # Images as the network sees them

    def to_inner(self, images: Tensor) -> Tensor:
        """Images in [0, 1], (B, C, H, W), to [-1, 1], padded with their edge."""
        return F.pad(images * 2 - 1, self.padding, mode="replicate")

    def to_images(self, inner: Tensor) -> Tensor:
        """The inverse."""
        left, right, top, bottom = self.padding
        height, width = inner.shape[2:]
        return (inner[:, :, top : height - bottom, left : width - right] * 0.5 + 0.5).clamp(0, 1)

    # The forward process, and what follows from a prediction

    def noisy(self, clean: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """A draw from q(x_t | x_0): images (B, C, H, W), noise of the same shape, timesteps (B,)."""
        kept = self.signal[t][:, None, None, None]
        return kept.sqrt() * clean + (1 - kept).sqrt() * noise

    def target(self, clean: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """What the network should say."""
        kept = self.signal[t][:, None, None, None]
        v = kept.sqrt() * noise - (1 - kept).sqrt() * clean
        return {"noise": noise, "v": v, "sample": clean}[self.config.prediction]

    def clean(self, noisy: Tensor, prediction: Tensor, t: Tensor) -> Tensor:
        """The guess of x_0 that follows from what the network says of x_t."""
        kept = self.signal[t][:, None, None, None]
        match self.config.prediction:
            case "noise":
                return (noisy - (1 - kept).sqrt() * prediction) / kept.sqrt()
            case "v":
                return kept.sqrt() * noisy - (1 - kept).sqrt() * prediction
            case _:
                return prediction

    def bounded(self, noisy: Tensor, prediction: Tensor, t: Tensor) -> Tensor:
        """The prediction whose guess of x_0 is the nearest within [-1, 1]: without it, the first steps of a sampler
        that takes few make large what is wrong with it."""
        if self.config.prediction == "sample":
            return prediction.clamp(-1, 1)
        kept = self.signal[t][:, None, None, None]
        clean = self.clean(noisy, prediction, t).clamp(-1, 1)
        return self.target(clean, (noisy - kept.sqrt() * clean) / (1 - kept).sqrt(), t)

    # Training

    def weights(self, t: Tensor) -> Tensor:
        """What the squared error of each timestep weighs, (B,): 1, or with min-SNR min(SNR, gamma) on that of x_0."""
        gamma, kept = self.config.min_snr_gamma, self.signal[t]
        if gamma == 0:
            return torch.ones_like(kept)
        snr = kept / (1 - kept)
        return (
            snr.clamp(max=gamma) / {"noise": snr, "v": snr + 1, "sample": torch.ones_like(snr)}[self.config.prediction]
        )

    def timesteps(self, count: int, device: torch.device) -> Tensor:
        """Timesteps of a batch, (B,): uniform each, and with stratified sampling spread evenly besides."""
        u = torch.rand(count, device=device)
        if self.config.timestep_sampling == "stratified":
            u = (torch.arange(count, device=device) + u) / count
        return (u * self.config.num_timesteps).long().clamp_max(self.config.num_timesteps - 1)

    def fit(self, run: Run) -> None:
        config = self.config
        optimizer = torch.optim.AdamW(self.unet.parameters(), config.learning_rate, fused=True)
        network, optimizer = run.prepare(self.unet, optimizer)
        predict = run.compile(network)
        average = genzoo.EMA(self.unet, config.ema_decay) if config.ema_decay else None
        if average is not None:
            run.track(average=average)
        parameters = list(self.unet.parameters())
        for batch in run.batches():
            optimizer.param_groups[0]["lr"] = config.learning_rate * self.rate(run.step, run.steps_total)
            clean, labels = self.to_inner(batch.images), self.labels_of(batch)
            clean = clean.contiguous(memory_format=torch.channels_last)
            if labels is not None:
                hidden = torch.rand(len(labels), device=run.device) < config.label_dropout
                labels = labels.masked_fill(hidden, self.classes)
            noise, t = torch.randn_like(clean), self.timesteps(len(clean), run.device)
            prediction = predict(self.noisy(clean, noise, t), t, labels, return_dict=False)[0].float()
            error = (prediction - self.target(clean, noise, t)).square().flatten(1).mean(1)
            loss = (self.weights(t) * error).mean()
            optimizer.zero_grad()
            run.backward(loss)
            norm = torch.nn.utils.clip_grad_norm_(parameters, config.max_gradient_norm)
            optimizer.step()
            if average is not None:
                average.update()
            run.log(loss=loss, gradient_norm=norm)

    def rate(self, step: int, total: int) -> float:
        """The share of the learning rate at a step."""
        warm = min(1.0, (step + 1) / self.config.warmup_steps) if self.config.warmup_steps else 1.0
        fall = 0.5 * (1 + math.cos(math.pi * step / total)) if self.config.learning_rate_schedule == "cosine" else 1.0
        return warm * fall

    # Sampling

    def scheduler_options(self) -> dict[str, Any]:
        """What every scheduler of diffusers must know of the forward process."""
        return {
            "num_train_timesteps": self.config.num_timesteps,
            "beta_schedule": SCHEDULES[self.config.schedule],
            "prediction_type": PREDICTIONS[self.config.prediction],
            "timestep_spacing": "trailing",
        }

    def scheduler(self, sampler: str, num_steps: int) -> Any:
        """The scheduler of diffusers that a sampler is, ready for so many steps."""
        if num_steps > (most := self.config.num_timesteps):
            raise genzoo.UsageError(f"--num-steps is {num_steps}; allowed is {most} at most, which the model learnt")
        scheduler: Any = SAMPLERS[sampler](**self.scheduler_options())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of numpy, at diffusers
            scheduler.set_timesteps(num_steps, device=self.device)
        return scheduler

    def predict(self, noisy: Tensor, t: Tensor, labels: Tensor | None, guidance: float = 1.0) -> Tensor:
        """What the network says of noisy images at one timestep; with guidance, moved from what it says of them
        without a label towards what it says with it (Ho & Salimans 2022)."""
        if labels is None or guidance == 1:
            prediction: Tensor = self.unet(noisy, t, labels, return_dict=False)[0]
            return prediction
        without = torch.full_like(labels, self.classes)
        twice = noisy.repeat(2, 1, 1, 1), t.repeat(2)
        both: Tensor = self.unet(*twice, torch.cat([labels, without]), return_dict=False)[0]
        told, untold = both.chunk(2)
        return untold + guidance * (told - untold)

    def walk(
        self,
        count: int,
        options: DiffusionSampleOptions,
        rng: RandomStreams,
        labels: Tensor | None = None,
        between: Callable[[Tensor, int], Tensor] | None = None,
    ) -> Tensor:
        """From noise to images inside, padded (count, C, H, W). `between` is given the state before each evaluation of
        the network, with the timestep it is of, and gives the state to go on from."""
        scheduler = self.scheduler(options.sampler, options.num_steps)
        generators = rng.generators()
        state: Tensor = randn((count, *self.inner_shape), generators, self.device) * scheduler.init_noise_sigma
        extra: dict[str, Any] = {"generator": generators} if options.sampler != "unipc" else {}
        extra |= {"eta": options.eta} if options.sampler == "ddim" else {}
        for number, t in enumerate(scheduler.timesteps):
            if between is not None:
                state = between(state, int(t))
            now = t.expand(count)
            prediction = self.bounded(state, self.predict(state, now, labels, options.guidance_scale), now)
            state = scheduler.step(prediction, t, state, **extra, return_dict=False)[0]
            self.report(number + 1, options.num_steps)
        return state

    def sample(
        self, count: int, *, options: DiffusionSampleOptions, rng: RandomStreams, labels: Tensor | None = None
    ) -> Tensor:
        if count == 0:
            return torch.empty(0, *self.data.shape, device=self.device)
        return self.to_images(self.walk(count, options, rng, labels))

    def inpaint(
        self,
        images: Tensor,
        known: Tensor,
        *,
        rng: RandomStreams,
        num_steps: int = 50,
        resamplings: int = 5,
        labels: Tensor | None = None,
    ) -> Tensor:
        """Fill in what is not known of images, with no training for it (RePaint, Lugmayr et al. 2022).

        At every step the known part is put in with the noise of that step; and each step is gone back and taken again,
        so that the two parts come to agree.

        Args:
            images: (B, C, H, W) in [0, 1].
            known: bool, (B, 1, H, W) or alike; these pixels come back unchanged.
            rng: one stream for each image.
            num_steps: steps from noise to image.
            resamplings: how often each is taken.

        Returns:
            Images like those given.
        """
        scheduler = self.scheduler("ddim", num_steps)
        generators = rng.generators()
        clean = self.to_inner(images)
        given = F.pad(known.to(clean.dtype), self.padding, value=1.0)  # what is cut off later is known to be the edge

        def noise() -> Tensor:
            return randn((len(images), *self.inner_shape), generators, self.device)

        state, steps = noise(), scheduler.timesteps.tolist()
        for number, t in enumerate(steps):
            now = torch.full((len(images),), t, device=self.device)
            before = self.signal[t - self.config.num_timesteps // num_steps] if number + 1 < len(steps) else None
            for again in reversed(range(resamplings if before is not None else 1)):
                state = given * self.noisy(clean, noise(), now) + (1 - given) * state
                prediction = self.bounded(state, self.predict(state, now, labels), now)
                state = scheduler.step(prediction, t, state, eta=1.0, generator=generators, return_dict=False)[0]
                if again and before is not None:
                    kept = self.signal[t] / before
                    state = kept.sqrt() * state + (1 - kept).sqrt() * noise()
            self.report(number + 1, len(steps))
        return torch.where(known, images, self.to_images(state))

    # Score

    @torch.no_grad()
    def log_likelihood(self, images: Tensor, labels: Tensor | None = None, *, num_timesteps: int = 50) -> Tensor:
        """A lower bound of log p(x), or of log p(x|y), in nats (Ho et al. 2020, equation 5); an estimate without bias.

        The terms of `num_timesteps` timesteps of each image, spread evenly, stand for those of all. Images are taken to
        be whole multiples of 1/255, as 8 bits have it.
        """
        clean, total = self.to_inner(images), self.config.num_timesteps
        snr = self.signal.double() / (1 - self.signal.double())  # (T,)
        bound = self.prior_term(clean) + self.first_term(clean, labels)
        count = min(num_timesteps, total - 1)
        edges = torch.linspace(1, total, count + 1, dtype=torch.float64)  # timestep 0 has a term of its own
        for low, high in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
            u = torch.rand(len(images), device=clean.device, dtype=torch.float64) * (high - low) + low
            t = u.long().clamp(1, total - 1)
            weight = 0.5 * (snr[t - 1] - snr[t]) * (high - low)
            bound = bound + weight * self.squared_error(clean, t, labels)
        return -bound.float()

    def squared_error(self, clean: Tensor, t: Tensor, labels: Tensor | None) -> Tensor:
        """|x_0 - guess|^2 with a fresh draw of x_t, (B,)."""
        noisy = self.noisy(clean, torch.randn_like(clean), t)
        guess = self.clean(noisy, self.predict(noisy, t, labels), t).clamp(-1, 1)
        return (clean - guess).double().square().flatten(1).sum(1)

    def prior_term(self, clean: Tensor) -> Tensor:
        """KL(q(x_T | x_0) || N(0, I)) in nats, (B,)."""
        kept = self.signal[-1].double()
        terms = 0.5 * (kept * clean.double().square() - kept - torch.log1p(-kept))
        return terms.flatten(1).sum(1)

    def first_term(self, clean: Tensor, labels: Tensor | None) -> Tensor:
        """-log p(x_0 | x_1) in nats, (B,): a Gaussian around the guess, summed over each of the 256 values' bin."""
        t = torch.zeros(len(clean), dtype=torch.int64, device=clean.device)
        noisy = self.noisy(clean, torch.randn_like(clean), t)
        mean = self.clean(noisy, self.predict(noisy, t, labels), t).clamp(-1, 1).double()
        kept = self.signal[:2].double()
        scale = ((1 - kept[1] / kept[0]) * (1 - kept[0]) / (1 - kept[1])).sqrt()  # of the step after, as Ho et al. do
        up = torch.where(clean > 0.999, torch.inf, (clean + 1 / 255 - mean) / scale)
        down = torch.where(clean < -0.999, -torch.inf, (clean - 1 / 255 - mean) / scale)
        mass: Tensor = torch.special.ndtr(up) - torch.special.ndtr(down)
        return -mass.clamp_min(1e-12).log().flatten(1).sum(1)

    def evaluate(self, batch: ImageBatch) -> dict[str, Tensor]:
        nats = self.log_likelihood(batch.images, self.labels_of(batch), num_timesteps=8)
        return {"bound": nats, "bits_per_dim": -nats / (math.log(2) * math.prod(self.data.shape))}

    # The ecosystem's format

    def export(self, folder: Path) -> str:
        """Write the U-Net and the scheduler as diffusers has them; see `genzoo.Exports`."""
        network = unet(self.config, self.data.shape[0], self.inner_shape[1:], self.classes)
        network.load_state_dict(self.unet.state_dict())
        scheduler = DDPMScheduler(**self.scheduler_options())
        if self.classes:
            network.save_pretrained(folder / "unet")
            scheduler.save_pretrained(folder / "scheduler")
            return f'diffusers.UNet2DModel.from_pretrained("{folder}/unet")  # no pipeline takes its class_labels'
        DDPMPipeline(network, scheduler).save_pretrained(folder)
        return f'diffusers.DDPMPipeline.from_pretrained("{folder}")'


def randn(shape: tuple[int, ...], generators: list[torch.Generator], device: torch.device) -> Tensor:
    """Standard normal numbers, each row of them from its own generator."""
    rows = [torch.randn(shape[1:], generator=generator) for generator in generators]
    return torch.stack(rows).to(device)
