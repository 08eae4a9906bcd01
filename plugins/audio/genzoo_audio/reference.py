"""What runs on recordings are held against: test recordings, and what real data and trivial models score beside
them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import genzoo
from genzoo import (
    DataSpec,
    EvaluationRequest,
    Facts,
    Generator,
    ModalitySpec,
    Part,
    UsageError,
    sets,
)
from genzoo_audio import write
from genzoo_audio.data import AudioData
from genzoo_audio.measures import AudioSet, AudioSubject, heard
from genzoo_audio.spectrograms import Mel

MOST = 1000  # samples and test recordings, if no number is given
SAMPLES_AT_MOST = 300_000_000  # of the recordings of a part that are looked at
SHOWN = 16


class AudioReference(sets.SetReference[AudioSubject]):
    """Recordings; `floor` holds training recordings against test recordings."""

    columns = {"floor": "real data", "griffin_lim": "Griffin-Lim", "noise": "shaped noise"}  # noqa: RUF012
    legend = (
        "what as many training recordings score (real data), the same through log-mel spectrograms and Griffin-Lim with"
        " 32 iterations, and noise with their average spectrum"
    )

    def subject(self, samples: Tensor, labels: Tensor | None, model: Generator) -> AudioSubject:
        return self.against(samples, model=model, labels=labels)

    def against(self, waves: Tensor, **more: Any) -> AudioSubject:
        """The same data, held against other recordings (N, C, T)."""
        test = self.floor.test
        return replace(self.floor, samples=AudioSet(waves, test.mel, test.extractor), train_index=None, **more)

    def others(self) -> dict[str, AudioSubject]:
        real, mel = self.floor.samples.waves, self.floor.test.mel
        copies = heard(real.flatten(0, 1), mel, self.floor.rng("griffin-lim of training")).view_as(real)
        noise = shaped_noise(real, self.floor.rng("noise"))
        return {"floor": self.floor, "griffin_lim": self.against(copies), "noise": self.against(noise)}

    def illustrate(self, subject: AudioSubject, folder: Path, facts: Facts) -> None:
        count = self.spec.default_count(subject.data, subject.labels is not None)
        waves, sample_rate = subject.samples.waves[:count], subject.data.extra["sample_rate"]
        columns = min(8, max(1, len(waves)))
        if subject.labels is not None:
            columns = min(len(subject.data.classes), len(waves))  # samples are of each class in turn
        write.write_joined(waves, folder / "samples.flac", facts, sample_rate, columns=columns)


def shaped_noise(waves: Tensor, rng: np.random.Generator) -> Tensor:
    """Noise with the mean power spectrum and the levels of recordings (N, C, T)."""
    power = torch.fft.rfft(waves).abs().square().mean((0, 1)).sqrt()  # (T // 2 + 1,)
    white = torch.from_numpy(rng.standard_normal(waves.shape, dtype=np.float32))
    noise = torch.fft.irfft(torch.fft.rfft(white) * power, n=waves.shape[-1])
    wanted, reached = (part.square().mean((1, 2), keepdim=True).sqrt() for part in (waves, noise))
    levelled: Tensor = noise * wanted / reached.clamp_min(1e-9)
    return levelled.clamp(-1, 1)


def audio_reference(
    dataset: AudioData, data: DataSpec, request: EvaluationRequest, spec: ModalitySpec
) -> AudioReference:
    """The data of a protocol, and the features that they are measured in."""
    if request.count is not None and request.count > data.train_count:
        raise UsageError(
            f"n is {request.count}; allowed is {data.train_count} or fewer, as many as there are training recordings,"
            " which are measured in the same number"
        )
    count = request.count or min(MOST, data.train_count)
    name = request.features if request.features != "auto" else "classifier" if data.classes else "random"
    features = request.load_features(name, dataset, data)
    mel, most = Mel(data.extra["sample_rate"]), max(1, SAMPLES_AT_MOST // (data.shape[0] * data.shape[1]))

    def recordings(part: Part, wanted: int) -> tuple[AudioSet, Tensor | None]:
        order = genzoo.permutation(genzoo.derive_seed(request.seed, "evaluation", part), 0, dataset.count(part))
        batch = dataset.take(part, order[:wanted], torch.device("cpu"))
        return AudioSet(batch.examples, mel, features), batch.labels

    test, test_labels = recordings("test", min(MOST, most))
    train, train_labels = recordings("train", max(count, min(most, data.train_count)))
    validation, _ = recordings("validation", min(MOST, most))
    floor = AudioSubject(
        data=data, seed=request.seed, samples=AudioSet(train.waves[:count], mel, features), train=train,
        validation=validation, test=test, train_index=torch.arange(count), test_labels=test_labels,
        labels=None if train_labels is None else train_labels[:count],
    )  # fmt: skip
    protocol = {
        "training_recordings": data.train_count,
        "test_recordings": len(test),
        "features": features.name,
        "features_sha256": features.sha256,
        "features_accuracy": features.accuracy,
    }
    right = "" if features.accuracy is None else f", {features.accuracy:.1%} of test recordings right"
    heading = (
        f"{count:,} samples of seed {request.seed} against {len(test):,} test recordings of {data.name}; features"
        f" {features.name} ({features.sha256[:12]}{right})"
    )
    return AudioReference(floor, protocol, heading, spec)
