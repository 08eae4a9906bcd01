"""A vocoder: recordings from log-mel spectrograms, to be read from top to bottom.

The generator G is a network of frames whose end is an inverse short-time Fourier transform (Siuzdak 2023,
arXiv:2306.00814), or MelGAN's stack of transposed convolutions (Kumar et al. 2019, arXiv:1910.06711). It is trained by
spectral distances from the recording x whose log-mel spectrogram is m,

    mel_weight |mel(G(m)) - m|_1 + stft_weight stft_distance(G(m), x),

and in the last share of the steps by discriminators D_k, each of the recording at a scale of its own, as well:

    D:  sum_k  E max(0, 1 - D_k(x)) + E max(0, 1 + D_k(G(m)))
    G:  sum_k -E D_k(G(m)) + feature_weight sum_layers |D_k^(i)(x) - D_k^(i)(G(m))|_1.

Channels of a recording are vocoded each by itself.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from genzoo import DataSpec, Generator, RandomStreams, Run
from genzoo_audio import MelGANOptions
from genzoo_audio.data import AudioBatch
from genzoo_audio.spectrograms import BANDS, DECIBELS, FLOOR, Mel, istft, mel_error, stft_distance

BABBLE = 16  # principal components of the log-mels that samples are made of
LEARNT_FROM = 500  # training recordings that these are taken from


class ConvNeXt(nn.Module):
    """A block of Liu et al. 2022 over frames: (B, width, F) to the same."""

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width)
        self.widen, self.narrow = nn.Linear(width, 3 * width), nn.Linear(3 * width, width)
        self.scale = nn.Parameter(torch.full((width,), 1 / layers))

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.norm(self.depthwise(x).transpose(1, 2))  # (B, F, width)
        change: Tensor = self.scale * self.narrow(F.gelu(self.widen(hidden)))
        return x + change.transpose(1, 2)


class FrameGenerator(nn.Module):
    """Log-mels (B, bands, F) to recordings (B, T): a network of frames gives magnitudes and phases, which an inverse
    STFT makes a recording of. Magnitudes are learnt as a factor of those that the log-mel itself implies."""

    def __init__(self, mel: Mel, width: int, layers: int) -> None:
        super().__init__()
        self.mel = mel
        bins = mel.window // 2 + 1
        self.enter = nn.Conv1d(BANDS, width, 7, padding=3)
        self.blocks = nn.Sequential(*(ConvNeXt(width, layers) for _ in range(layers)))
        self.norm = nn.LayerNorm(width)
        self.leave = nn.Linear(width, 3 * bins)

    def forward(self, log_mel: Tensor, samples: int) -> Tensor:
        hidden = self.blocks(self.enter(log_mel / 4 + 1))
        of_frames = self.leave(self.norm(hidden.transpose(1, 2))).transpose(1, 2)  # (B, 3 * bins, F)
        with torch.autocast(log_mel.device.type, enabled=False):  # spectra are of float32 alone
            gain, real, imaginary = of_frames.float().chunk(3, dim=1)
            magnitudes = self.mel.magnitudes(log_mel).clamp_min(FLOOR / 10) * gain.clamp(-8, 8).exp()
            length = (real.square() + imaginary.square() + 1e-6).sqrt()
            spectra = torch.complex(magnitudes * real / length, magnitudes * imaginary / length)
            return istft(spectra, self.mel.window, samples).clamp(-1, 1)


class Residual(nn.Module):
    """MelGAN's residual block with a dilated convolution: (B, width, T) to the same."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.wide = weight_norm(nn.Conv1d(width, width, 3, dilation=dilation))
        self.narrow = weight_norm(nn.Conv1d(width, width, 1))
        self.shortcut = weight_norm(nn.Conv1d(width, width, 1))
        self.dilation = dilation

    def forward(self, x: Tensor) -> Tensor:
        padded = F.pad(F.leaky_relu(x, 0.2), (self.dilation, self.dilation), mode="replicate")
        result: Tensor = self.shortcut(x) + self.narrow(F.leaky_relu(self.wide(padded), 0.2))
        return result


class UpsamplingGenerator(nn.Module):
    """MelGAN's generator: log-mels (B, bands, F) to recordings (B, T), by transposed convolutions whose strides make up
    a hop, each with half of the channels and three residual blocks behind it."""

    def __init__(self, mel: Mel, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.ReplicationPad1d(3), weight_norm(nn.Conv1d(BANDS, width, 7))]
        for stride in strides(mel.hop):
            after = max(8, width // 2)
            layers += [
                nn.LeakyReLU(0.2),
                weight_norm(nn.ConvTranspose1d(width, after, 2 * stride, stride, stride // 2)),
            ]
            layers += [Residual(after, 3**i) for i in range(3)]
            width = after
        layers += [nn.LeakyReLU(0.2), nn.ReplicationPad1d(3), weight_norm(nn.Conv1d(width, 1, 7)), nn.Tanh()]
        self.layers = nn.Sequential(*layers)

    def forward(self, log_mel: Tensor, samples: int) -> Tensor:
        waves: Tensor = self.layers(log_mel / 4 + 1)[:, 0, :samples]
        return waves


def strides(hop: int) -> list[int]:
    """MelGAN's, 8, 8, 2, 2 for 256: eights, and twos for the rest."""
    eights, rest = 0, hop
    while rest % 8 == 0 and eights < 2:
        eights, rest = eights + 1, rest // 8
    return [8] * eights + [2] * int(math.log2(rest))


class Discriminator(nn.Module):
    """MelGAN's: a recording (B, 1, T) to what each layer makes of it; the last is the judgement, (B, 1, T')."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([weight_norm(nn.Conv1d(1, width, 15, padding=7))])
        for stride in (4, 4, 4):
            after = min(4 * width, 256)
            self.layers.append(
                weight_norm(nn.Conv1d(width, after, 10 * stride + 1, stride, 5 * stride, groups=width // 4))
            )
            width = after
        self.layers.append(weight_norm(nn.Conv1d(width, width, 5, padding=2)))
        self.judge = weight_norm(nn.Conv1d(width, 1, 3, padding=1))

    def forward(self, waves: Tensor) -> list[Tensor]:
        features = []
        for layer in self.layers:
            waves = F.leaky_relu(layer(waves), 0.2)
            features.append(waves)
        return [*features, self.judge(waves)]


class Discriminators(nn.Module):
    """One for each scale: recordings (B, T) to a list of what `Discriminator` gives."""

    def __init__(self, width: int, scales: int) -> None:
        super().__init__()
        self.scales = nn.ModuleList(Discriminator(width) for _ in range(scales))

    def forward(self, waves: Tensor) -> list[list[Tensor]]:
        waves, results = waves[:, None], []
        for discriminator in self.scales:
            results.append(discriminator(waves))
            waves = F.avg_pool1d(waves, 4, 2, padding=1, count_include_pad=False)
        return results


class MelGAN(Generator):
    """A vocoder; its options are `MelGANOptions`.

    It has nothing to say of its own: `sample` draws a log-mel from a Gaussian of the training recordings' principal
    components, which is babble, and makes it heard. `reconstruct` takes recordings through it.
    """

    training_only: ClassVar[tuple[str, ...]] = ("discriminators",)
    config: MelGANOptions
    babble_mean: Tensor
    babble: Tensor

    def __init__(self, config: MelGANOptions, data: DataSpec) -> None:
        super().__init__(config, data)
        channels, samples = data.shape
        self.mel = mel = Mel(data.extra["sample_rate"])
        self.generator: nn.Module = (
            FrameGenerator(mel, config.width, config.layers)
            if config.architecture == "istft"
            else UpsamplingGenerator(mel, config.width)
        )
        self.discriminators = Discriminators(config.discriminator_width, config.discriminators)
        size = channels * BANDS * mel.frames(samples)
        self.register_buffer("babble_mean", torch.zeros(size))
        self.register_buffer("babble", torch.zeros(BABBLE, size))

    # Training

    def fit(self, run: Run) -> None:
        config = self.config
        if run.step == 0:
            self.learn_babble(run)
        rate = config.learning_rate
        generators = torch.optim.AdamW(self.generator.parameters(), rate, betas=(0.8, 0.99), weight_decay=0.0)
        judges = torch.optim.AdamW(self.discriminators.parameters(), rate, betas=(0.8, 0.99), weight_decay=0.0)
        generator, discriminators, generators, judges = run.prepare(
            self.generator, self.discriminators, generators, judges
        )
        seen, begins = config.judged, round((1 - config.adversarial_share) * run.steps_total)
        for batch in run.batches():
            for group in (*generators.param_groups, *judges.param_groups):
                group["lr"] = rate * 0.5 * (1 + math.cos(math.pi * run.step / run.steps_total))
            real = self.segments(batch)  # (B, T)
            log_mel = self.mel.of(real)
            fake = generator(log_mel, real.shape[1])
            adversarial = config.adversarial_share > 0 and run.step >= begins
            if adversarial:
                judge_loss = self.discriminator_loss(discriminators(real[:seen]), discriminators(fake[:seen].detach()))
                judges.zero_grad()
                run.backward(judge_loss)
                judges.step()
                run.log(discriminator_loss=judge_loss)
            mel_loss = (self.mel.of(fake) - log_mel).abs().mean()
            stft_loss = stft_distance(fake, real).mean()
            loss = config.mel_weight * mel_loss + config.stft_weight * stft_loss
            if adversarial:
                loss = loss + self.generator_loss(discriminators(real[:seen]), discriminators(fake[:seen]), run)
            generators.zero_grad()
            run.backward(loss)
            run.clip(generators, config.max_gradient_norm)
            generators.step()
            run.log(loss=loss, mel_error=mel_loss * DECIBELS, stft_distance=stft_loss)

    def segments(self, batch: AudioBatch) -> Tensor:
        """Parts of a batch's recordings at random places, each channel by itself: (B * C, T)."""
        waves = batch.examples.flatten(0, 1)
        samples = min(self.config.segment * self.mel.hop, waves.shape[1])
        starts = torch.randint(0, waves.shape[1] - samples + 1, (len(waves), 1), device=waves.device)
        return waves.gather(1, starts + torch.arange(samples, device=waves.device))

    def discriminator_loss(self, real: list[list[Tensor]], fake: list[list[Tensor]]) -> Tensor:
        """The hinge loss of all scales."""
        losses = [F.relu(1 - r[-1]).mean() + F.relu(1 + f[-1]).mean() for r, f in zip(real, fake, strict=True)]
        return torch.stack(losses).sum()

    def generator_loss(self, real: list[list[Tensor]], fake: list[list[Tensor]], run: Run) -> Tensor:
        """The judgement of all scales, and the distance in their features."""
        judgement = torch.stack([-scale[-1].mean() for scale in fake]).mean()
        pairs = [pair for r, f in zip(real, fake, strict=True) for pair in zip(r[:-1], f[:-1], strict=True)]
        features = torch.stack([(one.detach() - other).abs().mean() for one, other in pairs]).mean()
        run.log(judgement=judgement, feature_distance=features)
        return self.config.adversarial_weight * judgement + self.config.feature_weight * features

    @torch.no_grad()
    def learn_babble(self, run: Run) -> None:
        """The mean and the principal components of the log-mels of the first training recordings."""
        rows = torch.cat([self.mel.of(batch.examples).flatten(1) for batch in run.training_examples(LEARNT_FROM)])
        self.babble_mean.copy_(rows.mean(0))
        centred = (rows - self.babble_mean).cpu().double()
        vectors = torch.linalg.eigh(centred @ centred.T / max(1, len(rows) - 1)).eigenvectors
        kept = min(BABBLE, len(rows) - 1)
        components = vectors[:, -kept:].T @ centred / max(1, len(rows) - 1) ** 0.5  # of the length of their deviation
        self.babble[:kept] = components.float().to(self.babble.device)

    # What it makes heard

    def heard(self, log_mel: Tensor, samples: int) -> Tensor:
        """Recordings (B, C, T) of so many samples, of log-mels (B, C, bands, 1 + T // hop)."""
        waves: Tensor = self.generator(log_mel.flatten(0, 1), samples)
        return waves.view(*log_mel.shape[:2], samples)

    def reconstruct(self, examples: Tensor) -> Tensor:
        return self.heard(self.mel.of(examples), examples.shape[2])

    def sample(self, count: int, *, options: object, rng: RandomStreams) -> Tensor:
        if count == 0:
            return torch.empty(0, *self.data.shape, device=self.device)
        log_mel = self.babble_mean + rng.normal(BABBLE) @ self.babble
        channels, samples = self.data.shape
        return self.heard(log_mel.clamp_min(math.log(FLOOR)).view(count, channels, BANDS, -1), samples)

    def evaluate(self, batch: AudioBatch) -> dict[str, Tensor]:
        copies, channels = self.reconstruct(batch.examples).flatten(0, 1), self.data.shape[0]
        waves = batch.examples.flatten(0, 1)
        scores = {"mel_error": mel_error(copies, waves, self.mel), "stft_distance": stft_distance(copies, waves)}
        return {name: values.view(-1, channels).mean(1) for name, values in scores.items()}
