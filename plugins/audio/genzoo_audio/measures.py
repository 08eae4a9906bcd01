"""The measures of recordings, from what is measured to a number with its uncertainty."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

import genzoo
from genzoo import Estimate, Features, NotMeasurable, distances, mean, sets
from genzoo_audio import spectrograms
from genzoo_audio.features import pictures
from genzoo_audio.spectrograms import DECIBELS, FLOOR, Mel, griffin_lim

DRAWS = 50  # of the bootstrap, for the uncertainty of what is no mean
RARE = 0.01
SILENT = -60  # dB: a frame whose loudest band is softer is silent
RECONSTRUCTED = 200  # test recordings that are taken through a model
AT_A_TIME = 50


@dataclass(eq=False)
class AudioSet(sets.ExampleSet):
    """Recordings to measure, float32 (N, C, T) in [-1, 1], and what is made of them at need."""

    waves: Tensor
    mel: Mel
    extractor: Features

    @cached_property
    def log_mel(self) -> Tensor:
        """Log-mel spectrograms, (N, C, bands, frames)."""
        return torch.cat([self.mel.of(part) for part in torch.split(self.waves, AT_A_TIME)])

    @cached_property
    def pictures(self) -> Tensor:
        """What the extractor sees, as rows (N, D) in [0, 1]."""
        return torch.cat([pictures(part, self.mel).flatten(1) for part in torch.split(self.waves, AT_A_TIME)])

    @cached_property
    def features(self) -> Tensor:
        """As the extractor has them, (N, D), float64."""
        parts = [pictures(part, self.mel) for part in torch.split(self.waves, AT_A_TIME)]
        return torch.cat([self.extractor.of((part * 255).round().to(torch.uint8)) for part in parts])

    @cached_property
    def loudness(self) -> Tensor:
        """The root mean square of each, in dB of full scale, (N,)."""
        return 10 * self.waves.square().mean((1, 2)).clamp_min(FLOOR**2).log10()

    @cached_property
    def silence(self) -> Tensor:
        """The share of its frames in which every band is below -60 dB, (N,)."""
        return (self.log_mel.amax((1, 2)) * DECIBELS < SILENT).double().mean(1)

    def first(self, count: int) -> AudioSet:
        return AudioSet(self.waves[:count], self.mel, self.extractor)

    def __len__(self) -> int:
        return len(self.waves)


@dataclass(eq=False, kw_only=True)
class AudioSubject(sets.SetSubject[AudioSet]):
    """What a measure of recordings sees: samples, and what they are held against."""

    def spread(self, purpose: str, value: Callable[[Tensor, Tensor], float], one: Tensor, other: Tensor) -> float:
        """The standard error of a value of two sets of rows, by the bootstrap."""
        rng = self.rng(purpose)

        def drawn(rows: Tensor) -> Tensor:
            return rows[torch.from_numpy(rng.integers(0, len(rows), len(rows)))]

        return float(np.std([value(drawn(one), drawn(other)) for _ in range(DRAWS)], ddof=1))


def frechet_distance(subject: AudioSubject) -> Estimate:
    samples, test = subject.samples.features, subject.test.features
    count, width = min(len(test), len(samples)), test.shape[1]
    if count <= width:
        raise NotMeasurable(f"it takes more than {width} samples and test recordings; there are {count}")
    value = distances.frechet_distance
    return Estimate(value(samples, test), subject.spread("frechet", value, samples, test))


# Classes

label_agreement, mean_confidence = sets.label_agreement, sets.mean_confidence


def class_distance(subject: AudioSubject) -> Estimate:
    """The total variation distance of the shares of classes that the classifier finds."""
    count = len(subject.data.classes)

    def value(samples: Tensor, test: Tensor) -> float:
        return float((distances.shares(samples, count) - distances.shares(test, count)).abs().sum() / 2)

    samples, test = (part.probabilities.argmax(1) for part in (subject.samples, subject.test))
    return Estimate(value(samples, test), subject.spread("classes", value, samples, test))


# Loudness and silence


def wasserstein(one: Tensor, other: Tensor) -> float:
    """The distance of two distributions of numbers (N,) and (M,): how far one has to be moved to be the other."""
    places = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000
    return float((one.double().quantile(places) - other.double().quantile(places)).abs().mean())


def loudness_distance(subject: AudioSubject) -> Estimate:
    samples, test = subject.samples.loudness, subject.test.loudness
    return Estimate(wasserstein(samples, test), subject.spread("loudness", wasserstein, samples, test))


def silence_distance(subject: AudioSubject) -> Estimate:
    samples, test = subject.samples.silence, subject.test.silence
    return Estimate(wasserstein(samples, test), subject.spread("silence", wasserstein, samples, test))


# Copies


def copies(subject: AudioSubject) -> Estimate:
    usual = subject.once(_usual_distance, of_data=True)
    nearest = distances.nearest(subject.samples.pictures, subject.train.pictures, subject.train_index)[0]
    return mean((nearest < usual).double())


def _usual_distance(subject: AudioSubject) -> Tensor:
    """What a recording like the validation ones is nearer to a training recording than in 1% of cases at most."""
    if len(subject.validation) < 100:
        raise NotMeasurable(f"it takes 100 validation recordings; there are {len(subject.validation)}")
    return distances.conformal_quantile(distances.nearest(subject.validation.pictures, subject.train.pictures)[0], RARE)


# A recording through a model


def taken_through(subject: AudioSubject) -> tuple[Tensor, Tensor]:
    """The first test recordings and what the model makes of them, (N * C, T) each."""
    assert subject.model is not None, "a measure that needs something of the model is given one"
    model, waves = subject.model, subject.test.waves[:RECONSTRUCTED]
    reconstruct, parts = genzoo.ability(model, "reconstruct"), []
    with torch.no_grad(), genzoo.seeded(genzoo.derive_seed(subject.seed, "evaluation", "reconstruct"), model.device):
        for start in range(0, len(waves), AT_A_TIME):
            part = slice(start, start + AT_A_TIME)
            labels = subject.test_labels if model.conditional else None
            more = {} if labels is None else {"labels": labels[part].to(model.device)}
            parts.append(reconstruct(waves[part].to(model.device), **more).float().cpu())
    return waves.flatten(0, 1), torch.cat(parts).clamp(-1, 1).flatten(0, 1)


def through_griffin_lim(subject: AudioSubject) -> Tensor:
    """What Griffin-Lim with 32 iterations makes of the same recordings, (N * C, T)."""
    return heard(subject.test.waves[:RECONSTRUCTED].flatten(0, 1), subject.test.mel, subject.rng("griffin-lim"))


def heard(waves: Tensor, mel: Mel, rng: np.random.Generator) -> Tensor:
    """Recordings (N, T) taken to log-mel spectrograms and back by Griffin-Lim."""
    parts = []
    for part in torch.split(waves, AT_A_TIME):
        magnitudes = mel.magnitudes(mel.of(part))
        phases = torch.from_numpy(rng.random(magnitudes.shape, dtype=np.float32))
        parts.append(griffin_lim(magnitudes, mel, waves.shape[-1], phases))
    return torch.cat(parts)


def mel_error(subject: AudioSubject) -> Estimate:
    originals, copies = subject.once(taken_through)
    trivial = spectrograms.mel_error(subject.once(through_griffin_lim, of_data=True), originals, subject.test.mel)
    return mean(spectrograms.mel_error(copies, originals, subject.test.mel), baseline=trivial.mean().item())


def stft_distance(subject: AudioSubject) -> Estimate:
    originals, copies = subject.once(taken_through)
    trivial = spectrograms.stft_distance(subject.once(through_griffin_lim, of_data=True), originals)
    return mean(spectrograms.stft_distance(copies, originals), baseline=trivial.mean().item())
