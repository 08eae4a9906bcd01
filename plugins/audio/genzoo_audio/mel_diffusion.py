"""Sound from nothing: the diffusion process and the U-Net of genzoo-diffusion on log-mel spectrograms, which a vocoder
or Griffin-Lim makes heard."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

import genzoo
from genzoo import Batch, DataSpec, RandomStreams, UsageError
from genzoo_audio import MelDiffusionOptions, MelDiffusionSampleOptions
from genzoo_audio.spectrograms import BANDS, Mel, from_unit, griffin_lim, to_unit
from genzoo_audio.vocoder import MelGAN
from genzoo_diffusion import DiffusionSampleOptions
from genzoo_diffusion.process import GaussianDiffusion


class MelDiffusion(GaussianDiffusion):
    """A diffusion model of log-mel spectrograms; its options are `MelDiffusionOptions`.

    The network sees patches of bands and frames as channels: (C * patch * patch, bands / patch, frames / patch).
    """

    config: MelDiffusionOptions

    def __init__(self, config: MelDiffusionOptions, data: DataSpec) -> None:
        (channels, samples), patch = data.shape, config.patch
        mel = Mel(data.extra["sample_rate"])
        frames = mel.frames(samples)
        super().__init__(config, data, (channels * patch**2, -(-BANDS // patch), -(-frames // patch)))
        self.mel, self.frames = mel, frames
        self._vocoder: tuple[str, MelGAN] | None = None

    def images_of(self, batch: Batch) -> Tensor:
        patch = self.config.patch
        values = to_unit(self.mel.of(batch.examples))  # (B, C, bands, frames)
        values = F.pad(values, (0, -self.frames % patch, 0, -BANDS % patch))
        return F.pixel_unshuffle(values, patch)

    def log_mel(self, images: Tensor) -> Tensor:
        """The inverse: images (B, C', H, W) in [0, 1] to log-mel spectrograms (B, C, bands, frames)."""
        return from_unit(F.pixel_shuffle(images, self.config.patch)[:, :, :BANDS, : self.frames])

    def sample(
        self, count: int, *, options: DiffusionSampleOptions, rng: RandomStreams, labels: Tensor | None = None
    ) -> Tensor:
        assert isinstance(options, MelDiffusionSampleOptions), "the model's own options are given"
        vocoder = None if options.vocoder is None else self.vocoder(options.vocoder)
        if count == 0:
            return torch.empty(0, *self.data.shape, device=self.device)
        log_mel = self.log_mel(super().sample(count, options=options, rng=rng, labels=labels))
        if vocoder is not None:
            return vocoder.heard(log_mel, self.data.shape[1])
        magnitudes = self.mel.magnitudes(log_mel)
        return griffin_lim(magnitudes, self.mel, self.data.shape[1], rng.uniform(*magnitudes.shape[1:]))

    def vocoder(self, run: str) -> MelGAN:
        """The model of a run that makes recordings of log-mels, loaded once; a name is one beside this model's own run.
        Raises `UsageError` for a run of another model, or of another sample rate."""
        if self._vocoder is None or self._vocoder[0] != run:
            folder = None if self.run is None else str(self.run.parent)
            model = genzoo.load(run, device=str(self.device), runs_dir=folder)
            if not isinstance(model, MelGAN):
                raise UsageError(f"--vocoder {run} is a run of {model.spec.name}; allowed is one of melgan")
            if model.mel != self.mel:
                rates = f"{model.mel.sample_rate:,} Hz; allowed is {self.mel.sample_rate:,}"
                raise UsageError(f"--vocoder {run} makes recordings of {rates}")
            self._vocoder = run, model  # in a tuple, and so no part of this model's weights
        return self._vocoder[1]
