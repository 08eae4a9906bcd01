"""Log-mel spectrograms, the way back from them (Griffin & Lim 1984), and pictures of them.

A recording of T samples has 1 + T // hop frames; a frame is the magnitude spectrum of a Hann window, scaled so that a
full-scale sine has 0.5, summed by triangles that are equally wide on the mel scale, and its natural logarithm.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import matplotlib
import torch
import torch.nn.functional as F
from torch import Tensor

import genzoo

BANDS = 64
FLOOR = 1e-4  # -80 dB: what is softer is silence
CEILING = 2.0  # no sum of triangles of recordings in [-1, 1] is louder
DECIBELS = 20 / math.log(10)  # of a natural logarithm of magnitudes
MOMENTUM = 0.99  # of Griffin-Lim (Perraudin et al. 2013)


@dataclass(frozen=True)
class Mel:
    """The log-mel spectrogram of a sample rate: windows of about 64 ms, four to a window's length, 64 bands.

    Attributes:
        sample_rate: samples a second.
    """

    sample_rate: int

    @cached_property
    def window(self) -> int:
        """Samples of a frame, a power of two."""
        return max(256, int(2 ** round(math.log2(0.064 * self.sample_rate))))

    @property
    def hop(self) -> int:
        """Samples from one frame to the next."""
        return self.window // 4

    def frames(self, samples: int) -> int:
        """How many frames a recording of so many samples has."""
        return 1 + samples // self.hop

    @cached_property
    def filters(self) -> Tensor:
        """The triangles, (bands, window // 2 + 1)."""
        edges = torch.linspace(0, _mel(self.sample_rate / 2), BANDS + 2, dtype=torch.float64)
        edges = 700 * (torch.exp(edges / 1127) - 1)  # in Hz
        bins = torch.linspace(0, self.sample_rate / 2, self.window // 2 + 1, dtype=torch.float64)
        rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
        falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
        return torch.minimum(rising, falling).clamp_min(0).float()

    @cached_property
    def inverse(self) -> Tensor:
        """The pseudo-inverse of the triangles, (window // 2 + 1, bands)."""
        inverse: Tensor = torch.linalg.pinv(self.filters.double()).float()
        return inverse

    def of(self, waves: Tensor) -> Tensor:
        """Log-mel spectrograms (..., bands, frames) of recordings (..., T) in [-1, 1]."""
        return self.of_magnitudes(stft(waves, self.window).abs())

    def of_magnitudes(self, magnitudes: Tensor) -> Tensor:
        """The same of magnitudes (..., window // 2 + 1, frames)."""
        return (self.filters.to(magnitudes) @ magnitudes).clamp_min(FLOOR).log()

    def magnitudes(self, log_mel: Tensor) -> Tensor:
        """The smallest magnitudes (..., window // 2 + 1, frames), 0 or more, that have about this log-mel spectrogram
        (..., bands, frames)."""
        return (self.inverse.to(log_mel) @ log_mel.exp()).clamp_min(0)


def _mel(hertz: float) -> float:
    return 1127 * math.log(1 + hertz / 700)


def stft(waves: Tensor, window: int, hop: int | None = None) -> Tensor:
    """The short-time spectra of recordings (..., T): complex (..., window // 2 + 1, 1 + T // hop)."""
    hann = torch.hann_window(window, device=waves.device, dtype=waves.dtype)
    flat = waves.reshape(-1, waves.shape[-1])
    mode = "reflect" if waves.shape[-1] > window // 2 else "constant"
    spectra = torch.stft(
        flat, window, hop or window // 4, window=hann, center=True, pad_mode=mode, return_complex=True
    ) * (2 / window)
    return spectra.view(*waves.shape[:-1], *spectra.shape[1:])


def istft(spectra: Tensor, window: int, samples: int) -> Tensor:
    """The inverse of `stft`: recordings (..., T) of so many samples."""
    hann = torch.hann_window(window, device=spectra.device)
    flat = spectra.reshape(-1, *spectra.shape[-2:]) * (window / 2)
    whole = -(-samples // (window // 4)) * (window // 4)  # torch refuses an end that no whole hop reaches
    waves = torch.istft(flat, window, window // 4, window=hann, center=True, length=min(samples, whole))
    return waves.view(*spectra.shape[:-2], samples)


def griffin_lim(magnitudes: Tensor, mel: Mel, samples: int, phases: Tensor, iterations: int = 32) -> Tensor:
    """Recordings (..., T) whose short-time spectra have about these magnitudes (..., window // 2 + 1, frames): the
    fast algorithm of Perraudin et al. 2013.

    Args:
        phases: those to begin with, in turns, of the same shape.
    """
    angles = torch.polar(torch.ones_like(phases), 2 * math.pi * phases)
    before = torch.zeros_like(angles)
    for _ in range(iterations):
        waves = istft(magnitudes * angles, mel.window, samples)
        rebuilt = stft(waves, mel.window)
        ahead = rebuilt - (MOMENTUM / (1 + MOMENTUM)) * before
        angles, before = ahead / ahead.abs().clamp_min(1e-12), rebuilt
    return istft(magnitudes * angles, mel.window, samples).clamp(-1, 1)


RESOLUTIONS = (256, 512, 1024, 2048)  # windows, in samples


def stft_distance(waves: Tensor, others: Tensor) -> Tensor:
    """The multi-resolution distance of recordings (B, T) from others (Yamamoto et al. 2020), (B,): at each resolution
    the norm of the difference of magnitudes by that of the other's, plus the mean difference of their logarithms."""
    total = torch.zeros(len(waves), device=waves.device)
    windows = [window for window in RESOLUTIONS if window <= waves.shape[-1]] or [2 ** int(math.log2(waves.shape[-1]))]
    for window in windows:
        one, other = (stft(part, window).abs().clamp_min(FLOOR / 10) for part in (waves, others))
        convergence = (one - other).flatten(1).norm(dim=1) / other.flatten(1).norm(dim=1)
        total = total + convergence + (one.log() - other.log()).abs().flatten(1).mean(1)
    return total / len(windows)


def mel_error(waves: Tensor, others: Tensor, mel: Mel) -> Tensor:
    """The mean absolute difference of the log-mel spectrograms of recordings (B, T), in dB: (B,)."""
    return (mel.of(waves) - mel.of(others)).abs().flatten(1).mean(1) * DECIBELS


def to_unit(log_mel: Tensor) -> Tensor:
    """Log-mel spectrograms to [0, 1]: silence is 0."""
    return ((log_mel - math.log(FLOOR)) / math.log(CEILING / FLOOR)).clamp(0, 1)


def from_unit(values: Tensor) -> Tensor:
    """The inverse."""
    return values * math.log(CEILING / FLOOR) + math.log(FLOOR)


GAP = 3  # pixels between spectrograms of a sheet


def sheet(waves: Tensor, mel: Mel, columns: int) -> Tensor:
    """A picture, uint8 (3, H, W), of the spectrograms of recordings (N, C, T), low notes at the bottom, channels below
    one another."""
    values = to_unit(mel.of(waves)).flip(-2).flatten(1, 2)  # (N, C * bands, frames)
    scale = max(1, round(96 / values.shape[2]))
    values = values.repeat_interleave(scale, 2) if scale > 1 else F.adaptive_avg_pool1d(values, 96)
    colours = torch.tensor(matplotlib.colormaps["magma"](range(256)))[:, :3].mul(255).round().to(torch.uint8)
    pictures = colours[(values * 255).round().long()].movedim(-1, 1)  # (N, 3, H, W)
    return genzoo.tiled(pictures, max(1, min(columns, len(pictures))), gap=GAP, background=255)
