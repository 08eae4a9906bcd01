"""The denoising diffusion model of images: the process of `genzoo_diffusion.process`, with a bound of its likelihood,
inpainting, and an export to diffusers."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from diffusers import DDPMPipeline, DDPMScheduler
from torch import Tensor

from genzoo import DataSpec, ImageBatch, RandomStreams
from genzoo_diffusion import DiffusionOptions
from genzoo_diffusion.process import GaussianDiffusion, randn, unet

CROPPED = '''"""The pipeline of a network that sees its images padded: what it draws is cropped."""

import torch
from diffusers import DDPMPipeline, ImagePipelineOutput


class CroppedDDPMPipeline(DDPMPipeline):
    """As `DDPMPipeline`, without the padding."""

    def __call__(self, *arguments, output_type="pil", return_dict=True, **options):
        images = super().__call__(*arguments, output_type="np", return_dict=False, **options)[0]
        images = images[:, {top}:{bottom}, {left}:{right}]
        if output_type == "pil":
            images = self.numpy_to_pil(images)
        elif output_type == "pt":
            images = torch.from_numpy(images).permute(0, 3, 1, 2)
        return ImagePipelineOutput(images=images) if return_dict else (images,)
'''


class Diffusion(GaussianDiffusion):
    """A diffusion model of images, sized from the data; its options are `DiffusionOptions`."""

    likelihood_kind: ClassVar[Literal["exact", "lower bound"]] = "lower bound"
    pixel_values = 256

    def __init__(self, config: DiffusionOptions, data: DataSpec) -> None:
        super().__init__(config, data, data.shape)

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
        """Fill in the unknown pixels of images, without training for it (RePaint, Lugmayr et al. 2022).

        At every step the known pixels are replaced by a draw of them at that noise level. Each step is repeated after
        going one step back in the forward process, so that the two parts come to agree.

        Args:
            images: (B, C, H, W) in [0, 1].
            known: bool, (B, 1, H, W) or (B, C, H, W); these pixels come back unchanged.
            rng: one stream for each image.
            num_steps: steps of the reverse process.
            resamplings: how often each step is taken.

        Returns:
            Images (B, C, H, W) in [0, 1].
        """
        scheduler = self.scheduler("ddim", num_steps)
        generators = rng.generators()
        clean = self.to_inner(images)  # (B, C, H', W')
        mask = F.pad(known.to(clean.dtype), self.padding, value=1.0)  # the padding, which is cropped, counts as known

        def noise() -> Tensor:
            return randn((len(images), *self.inner_shape), generators, self.device)

        x, timesteps = noise(), scheduler.timesteps.tolist()
        for done, t in enumerate(timesteps, start=1):
            batch_t = torch.full((len(images),), t, device=self.device)  # (B,)
            is_last = done == len(timesteps)
            for repeats_left in reversed(range(1 if is_last else resamplings)):
                x = mask * self.noisy(clean, noise(), batch_t) + (1 - mask) * x
                prediction = self.bounded(x, self.predict(x, batch_t, labels), batch_t)
                x = scheduler.step(prediction, t, x, eta=1.0, generator=generators, return_dict=False)[0]  # x_{t-1}
                if repeats_left:
                    alpha = self.signal[t] / self.signal[t - self.config.num_timesteps // num_steps]
                    x = alpha.sqrt() * x + (1 - alpha).sqrt() * noise()  # back to x_t
            self.report(done, len(timesteps))
        return torch.where(known, images, self.to_images(x))

    # Score

    @torch.no_grad()
    def log_likelihood(
        self, images: Tensor, labels: Tensor | None = None, *, num_timesteps: int = 50, rng: RandomStreams | None = None
    ) -> Tensor:
        """An unbiased estimate of a lower bound of log p(x), or log p(x|y), in nats (Ho et al. 2020, equation 5).

        The terms of all timesteps are estimated from those of `num_timesteps` of them, evenly spread, for each image.
        Pixels are taken to be whole multiples of 1/255, as of 8-bit images. Without `rng` the draws are those of seed
        0.
        """
        rng = rng or RandomStreams(0, len(images), device=images.device)
        clean, total = self.to_inner(images), self.config.num_timesteps
        # float64 on the CPU, as MPS has none; what is summed in float32 is exact to rounding
        signal = self.signal.cpu().double()
        snr = signal / (1 - signal)  # (T,)
        nats = self.prior_term(clean) + self.first_term(clean, labels, rng)  # the bound of -log p(x), (B,)
        count = min(num_timesteps, total - 1)
        edges = torch.linspace(1, total, count + 1, dtype=torch.float64)  # timestep 0 is the first term
        for low, high in pairwise(edges.tolist()):
            u = rng.uniform().cpu().double() * (high - low) + low  # (B,)
            t = u.long().clamp(1, total - 1)  # (B,)
            weight = 0.5 * (snr[t - 1] - snr[t]) * (high - low)
            nats = nats + weight * self.squared_error(clean, t.to(clean.device), labels, rng).cpu()
        return -nats.float().to(clean.device)

    def squared_error(self, clean: Tensor, t: Tensor, labels: Tensor | None, rng: RandomStreams) -> Tensor:
        """|x_0 - estimate|^2 at a new draw of x_t, (B,)."""
        noisy = self.noisy(clean, rng.normal(*clean.shape[1:]), t)
        estimate = self.clean(noisy, self.predict(noisy, t, labels), t).clamp(-1, 1)
        return (clean - estimate).square().flatten(1).sum(1)

    def prior_term(self, clean: Tensor) -> Tensor:
        """KL(q(x_T | x_0) || N(0, I)) in nats, (B,), on the CPU."""
        alpha_bar = self.signal[-1].cpu().double()
        terms = 0.5 * (alpha_bar * clean.cpu().double().square() - alpha_bar - torch.log1p(-alpha_bar))
        return terms.flatten(1).sum(1)

    def first_term(self, clean: Tensor, labels: Tensor | None, rng: RandomStreams) -> Tensor:
        """-log p(x_0 | x_1) in nats, (B,), on the CPU: a Gaussian around the estimate of x_0, integrated over
        the bin of each of the 256 values."""
        t = torch.zeros(len(clean), dtype=torch.int64, device=clean.device)
        noisy = self.noisy(clean, rng.normal(*clean.shape[1:]), t)
        mean = self.clean(noisy, self.predict(noisy, t, labels), t).clamp(-1, 1).cpu().double()
        clean, alpha_bar = clean.cpu(), self.signal[:2].cpu().double()
        variance = (1 - alpha_bar[1] / alpha_bar[0]) * (1 - alpha_bar[0]) / (1 - alpha_bar[1])
        scale = variance.sqrt()  # the posterior's at timestep 1, as in Ho et al.
        upper = torch.where(clean > 0.999, torch.inf, (clean + 1 / 255 - mean) / scale)
        lower = torch.where(clean < -0.999, -torch.inf, (clean - 1 / 255 - mean) / scale)
        probability: Tensor = torch.special.ndtr(upper) - torch.special.ndtr(lower)  # (B, C, H', W')
        return -probability.clamp_min(1e-12).log().flatten(1).sum(1)

    def evaluate(self, batch: ImageBatch) -> dict[str, Tensor]:
        nats = self.log_likelihood(batch.images, self.labels_of(batch), num_timesteps=8)
        return {"bound": nats, "bits_per_dim": -nats / (math.log(2) * math.prod(self.data.shape))}

    # Export to diffusers

    def export(self, folder: Path) -> str:
        """Write the U-Net and the scheduler in the format of diffusers; see `genzoo.Exports`."""
        network = unet(self.config, self.data.shape[0], self.inner_shape[1:], self.classes)
        network.load_state_dict(self.unet.state_dict())
        scheduler = DDPMScheduler(**self.scheduler_options())
        if self.classes:
            network.save_pretrained(folder / "unet")
            scheduler.save_pretrained(folder / "scheduler")
            return f'diffusers.UNet2DModel.from_pretrained("{folder}/unet")  # no pipeline takes its class_labels'
        DDPMPipeline(network, scheduler).save_pretrained(folder)
        if not any(self.padding):
            return f'diffusers.DDPMPipeline.from_pretrained("{folder}")'
        left, right, top, bottom = self.padding  # no pipeline of diffusers crops
        height, width = self.inner_shape[1:]
        code = CROPPED.format(top=top, bottom=height - bottom, left=left, right=width - right)
        (folder / "pipeline.py").write_text(code, "utf-8", newline="\n")
        options = f'"{folder}", custom_pipeline="{folder}", trust_remote_code=True'
        return f"diffusers.DiffusionPipeline.from_pretrained({options})  # pipeline.py there cuts the padding off"
