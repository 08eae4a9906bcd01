"""Sound for genzoo: recordings of one length, a vocoder and a diffusion model of them. Options and registration;
imports no torch."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import genzoo
from genzoo import FeatureSpec, GeneratorSpec, MetricSpec, ModalitySpec, TrainOptions, UsageError, WriteOptions, option
from genzoo_audio.play import PLAYERS, player
from genzoo_diffusion import DiffusionOptions, DiffusionSampleOptions

SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".caf", ".w64")


@dataclass(frozen=True, kw_only=True)
class AudioTrainOptions(TrainOptions):
    """The options of trainings on recordings."""

    data: str = option(
        "spoken-digits", help="A data set's name (genzoo-speech brings this one), folders or files of recordings."
    )
    sample_rate: int | None = option(
        None, help="Resample to this rate. Default: the files' own.", unit="Hz", minimum=1000, maximum=192_000
    )
    duration: float | None = option(
        None,
        help="Cut recordings behind this, or pad them with silence. Default: the longest, if that is 10 s or less.",
        unit="seconds",
        above=0,
        maximum=60,
    )
    channels: int | None = option(
        None, help="Mix to mono (1) or double to stereo (2). Default: as the files.", minimum=1, maximum=2
    )
    skip_bad_files: bool = option(False, help="Leave out files that cannot be read; the run names them.")
    data_loading: str = option(
        "auto",
        help="Hold recordings in memory, stream them from files, or choose by size.",
        choices=("auto", "memory", "stream"),
    )


@dataclass(frozen=True, kw_only=True)
class AudioWriteOptions(WriteOptions):
    """How recordings are written."""

    suffixes: ClassVar[tuple[str, ...]] = (".wav", ".flac")
    media: ClassVar[Mapping[str, str]] = {".wav": "audio/wav", ".flac": "audio/flac"}

    format: str | None = option(None, help="Default: as --out says, or wav.", choices=("wav", "flac"))
    separate: bool = option(False, help="One file a recording instead of one with gaps; --out is a folder.")
    play: bool = option(False, help="Play what was drawn.")

    def suffix(self, out: str | None) -> str:
        if self.play and player() is None and sys.platform != "win32":
            raise UsageError(f"--play needs one of {', '.join(name for name, *_ in PLAYERS)}, and none is installed")
        if self.separate:
            return ""
        if out is None:
            return f".{self.format or 'wav'}"
        suffix = os.path.splitext(out)[1].lower()
        if suffix not in self.suffixes:
            raise UsageError(
                f"--out is {out!r}; allowed is a file that ends in .wav or .flac, or a folder with --separate"
            )
        if self.format not in (None, suffix[1:]):
            raise UsageError(f"--out is {out!r} and --format is {self.format}; make them agree")
        return suffix


@genzoo.hookimpl
def genzoo_modalities() -> list[ModalitySpec]:
    """Recordings."""
    return [
        ModalitySpec(
            name="audio",
            summary="recordings of one length, mono or stereo",
            target="genzoo_audio.modality:AudioModality",
            train_options=AudioTrainOptions,
            write_options=AudioWriteOptions,
            sources="folders or files of recordings (WAV, FLAC, OGG, MP3); `genzoo install genzoo-speech` brings"
            " spoken-digits",
            suffixes=SUFFIXES,
            several=True,
            count=16,
            template="genzoo_audio:template",
        )
    ]


@dataclass(frozen=True, kw_only=True)
class MelGANOptions:
    """Networks and training of a vocoder."""

    architecture: str = option(
        "istft",
        help="The generator: at the rate of frames with an inverse STFT at its end (Siuzdak 2023), or MelGAN's"
        " upsampling stack (Kumar et al. 2019).",
        choices=("istft", "melgan"),
    )
    width: int = option(192, help="Channels of the generator at the rate of frames.", minimum=8, maximum=2048)
    layers: int = option(6, help="Blocks of the istft generator.", minimum=1, maximum=32)
    segment: int = option(32, help="Frames of a recording that a training step sees.", minimum=8, maximum=1024)
    judged: int = option(
        4, help="Recordings of a batch that the discriminators see, which cost more than all else.", minimum=1
    )
    discriminator_width: int = option(
        8, help="Channels of a discriminator's first layer; each further has four times as many.", minimum=4,
        maximum=64,
    )  # fmt: skip
    discriminators: int = option(3, help="Scales that are judged, each half as fine.", minimum=1, maximum=5)
    adversarial_weight: float = option(0.1, help="Weight of the discriminators' judgement.", minimum=0)
    feature_weight: float = option(2.0, help="Weight of the distance in their features.", minimum=0)
    stft_weight: float = option(1.0, help="Weight of the multi-resolution STFT distance.", minimum=0)
    mel_weight: float = option(15.0, help="Weight of the log-mel error.", minimum=0)
    adversarial_share: float = option(
        0.25, help="The last share of the steps, in which the discriminators take part.", minimum=0, maximum=1
    )
    learning_rate: float = option(1e-3, help="AdamW's step size; it falls along a cosine.", above=0, maximum=1)
    max_gradient_norm: float = option(10.0, help="Clip the generator's gradient to this length.", above=0)


@dataclass(frozen=True, kw_only=True)
class MelDiffusionOptions(DiffusionOptions):
    """Options of a diffusion model of log-mel spectrograms."""

    patch: int = option(
        2, help="Bands and frames that the network sees as channels of one place.", minimum=1, maximum=8
    )
    width: int = option(24, help="Channels of the U-Net at full size.", minimum=4, maximum=1024)


@dataclass(frozen=True, kw_only=True)
class MelDiffusionSampleOptions(DiffusionSampleOptions):
    """How spectrograms are drawn, and made heard."""

    guidance_scale: float = option(
        2.0, help="Weight of the class in classifier-free guidance; 1: no guidance.", minimum=0, maximum=100
    )
    vocoder: str | None = option(
        None, help="A run of melgan, which makes recordings of spectrograms. Default: Griffin-Lim."
    )


@genzoo.hookimpl
def genzoo_generators() -> list[GeneratorSpec]:
    """The vocoder and the diffusion model."""
    return [
        GeneratorSpec(
            name="melgan",
            summary="Vocoder: a GAN that makes recordings of log-mel spectrograms",
            modality="audio",
            target="genzoo_audio.vocoder:MelGAN",
            config=MelGANOptions,
            schedule="cosine",
            defaults={"steps": 3000, "batch_size": 16},
            presets={
                "quick": {"steps": 500},
                "tiny": {
                    "width": 16, "layers": 1, "segment": 8, "discriminator_width": 4, "discriminators": 1,
                    "adversarial_share": 1.0, "steps": 100,
                },
                "paper": {
                    "architecture": "melgan", "judged": 16, "discriminator_width": 16, "width": 512,
                    "mel_weight": 0.0, "stft_weight": 0.0, "adversarial_weight": 1.0, "feature_weight": 10.0,
                    "adversarial_share": 1.0,
                    "learning_rate": 1e-4, "steps": 400_000,
                },
            },
            paper="Kumar et al. 2019, arXiv:1910.06711; Siuzdak 2023, arXiv:2306.00814",
        ),
        GeneratorSpec(
            name="mel-diffusion",
            summary="Denoising diffusion of log-mel spectrograms: sound from nothing",
            modality="audio",
            target="genzoo_audio.mel_diffusion:MelDiffusion",
            config=MelDiffusionOptions,
            sample_options=MelDiffusionSampleOptions,
            schedule="learning_rate_schedule",
            defaults={"steps": 3000, "batch_size": 32, "eval_every": 0},
            presets={
                "quick": {"steps": 500},
                "tiny": {
                    "width": 8, "channel_multipliers": (1, 2), "attention_resolutions": (), "num_timesteps": 100,
                    "patch": 4, "steps": 100,
                },
            },
            paper="Ho et al. 2020, arXiv:2006.11239",
        ),
    ]  # fmt: skip


def _metric(name: str, unit: str, better: str, summary: str, *needs: str) -> MetricSpec:
    target = f"genzoo_audio.measures:{name}"
    return MetricSpec(
        name=name, modality="audio", unit=unit, better=better, summary=summary, needs=needs, target=target
    )


@genzoo.hookimpl
def genzoo_metrics() -> list[MetricSpec | FeatureSpec]:
    """The measures of recordings, in the order of a report, and the features that they are taken in."""
    return [
        _metric("frechet_distance", "", "lower", "Fréchet distance of samples and test recordings in the features"),
        _metric(
            "label_agreement", "share", "higher", "samples that the classifier finds to be of their class",
            "conditional",
        ),
        _metric(
            "class_distance", "share", "lower", "samples that would have to change class to have the data's shares"
        ),
        _metric("mean_confidence", "share", "higher", "how sure the classifier is of a sample"),
        _metric("loudness_distance", "dB", "lower", "how far the levels of samples are from those of test recordings"),
        _metric("silence_distance", "share", "lower", "the same of the share of a recording that is silent"),
        _metric(
            "copies", "share", "lower",
            "samples nearer to a training recording than all but 1% of validation recordings are",
        ),
        _metric(
            "mel_error", "dB", "lower", "mean difference of log-mels of test recordings from theirs through the model",
            "reconstruct",
        ),
        _metric(
            "stft_distance", "", "lower", "multi-resolution STFT distance of test recordings from theirs through it",
            "reconstruct",
        ),
        FeatureSpec(
            name="classifier", modality="audio", target="genzoo_audio.features:classifier",
            summary="a small classifier of the data's own labels, trained once and kept in the data folder",
            kept="genzoo_audio.features:kept_classifier",
        ),
        FeatureSpec(
            name="random", modality="audio", target="genzoo_audio.features:random",
            summary="the same network untrained, for data without labels",
        ),
    ]  # fmt: skip
