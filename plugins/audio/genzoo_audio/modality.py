"""Recordings as genzoo knows them: what each promise of a modality is for sound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor

from genzoo import (
    Dataset,
    DataSpec,
    DataSurvey,
    EvaluationRequest,
    Facts,
    GenzooError,
    Json,
    Modality,
    Progress,
    TrainOptions,
    WriteOptions,
)
from genzoo_audio import AudioTrainOptions, AudioWriteOptions, write
from genzoo_audio.data import AudioData, to_float
from genzoo_audio.files import Form, load_files, load_recording
from genzoo_audio.play import play
from genzoo_audio.reference import AudioReference, audio_reference
from genzoo_audio.spectrograms import Mel, sheet
from genzoo_audio.survey import survey_files

COLUMNS = 8  # spectrograms in a row of a sheet


class AudioModality(Modality[Tensor]):
    """Recordings: a sample is a float32 tensor (C, T) in [-1, 1], several are (N, C, T)."""

    # Data

    def open(
        self, paths: tuple[Path, ...], options: TrainOptions, kept: Mapping[str, bytes], progress: Progress
    ) -> AudioData:
        assert isinstance(options, AudioTrainOptions), "the modality's own options are given"
        return load_files(paths, options, progress).with_validation(options.validation)

    def survey(self, paths: tuple[Path, ...], progress: Progress) -> DataSurvey:
        return survey_files(paths, progress)

    def take(self, data: object, options: TrainOptions, kept: Mapping[str, bytes], progress: Progress) -> AudioData:
        """A folder is read as `--data` reads it; `AudioData` are taken as they are."""
        assert isinstance(options, AudioTrainOptions), "the modality's own options are given"
        if isinstance(data, Path):
            return self.open((data,), options, kept, progress)
        if not isinstance(data, AudioData):
            raise GenzooError(f"data {options.data!r} gave a {type(data).__name__}, not a folder or AudioData")
        return data.with_validation(options.validation)

    # Samples

    def check(self, samples: object, count: int, data: DataSpec, *, strict: bool = False) -> Tensor:
        promised = f"promised are floats of shape {(count, *data.shape)} in [-1, 1]"
        if not isinstance(samples, Tensor):
            raise GenzooError(f"the model gave a {type(samples).__name__} for {count} samples; {promised}")
        if tuple(samples.shape) != (count, *data.shape):
            raise GenzooError(f"the model gave shape {tuple(samples.shape)} for {count} samples; {promised}")
        if not bool(torch.isfinite(samples).all()):
            raise GenzooError(f"the model gave numbers that are not finite; {promised}")
        if strict and not samples.is_floating_point():
            raise GenzooError(f"the model gave {samples.dtype}; {promised}")
        if strict and count and samples.abs().max().item() > 1:
            raise GenzooError(f"the model gave numbers up to {samples.abs().max().item():.3g}; {promised}")
        return samples.float().clamp(-1, 1).cpu()

    def join(self, parts: Sequence[Tensor], data: DataSpec) -> Tensor:
        return torch.cat(list(parts)) if parts else torch.empty(0, *data.shape)

    def write(
        self, samples: Tensor, path: Path, facts: Facts, options: WriteOptions, data: DataSpec,
        labels: Tensor | None = None,
    ) -> None:  # fmt: skip
        assert isinstance(options, AudioWriteOptions), "the modality's own options are given"
        sample_rate: int = data.extra["sample_rate"]
        paths = [path]
        if options.separate:
            paths = write.write_separate(samples, path, facts, sample_rate, f".{options.format or 'wav'}")
        else:
            columns = COLUMNS
            if labels is not None and len(set(labels.tolist())) > 1:  # they come in turn: a row a class
                order = labels.argsort(stable=True)
                samples, columns = samples[order], int(labels.bincount().max())
            write.write_joined(samples, path, facts, sample_rate, columns=columns)
        if options.play:
            for written in paths:
                play(written)

    def write_rows(self, rows: Sequence[Tensor], path: Path, facts: Facts, data: DataSpec) -> None:
        sample_rate: int = data.extra["sample_rate"]
        write.write_joined(self.join(rows, data), path, facts, sample_rate, columns=max(map(len, rows)))

    def preview(self, path: Path) -> Tensor:
        waves, sample_rate, columns = write.read_joined(path)
        return sheet(waves, Mel(sample_rate), columns)

    def read(self, path: Path, data: DataSpec) -> Tensor:
        channels, samples = data.shape
        return to_float(load_recording(path, Form(data.extra["sample_rate"], channels, samples)))[None]

    def provenance(self, path: Path) -> Json:
        return write.read_labels(path) or super().provenance(path)

    # Measures

    def reference(
        self, dataset: Dataset, data: DataSpec, request: EvaluationRequest, progress: Progress
    ) -> AudioReference:
        assert isinstance(dataset, AudioData), "the modality's own data are given"
        return audio_reference(dataset, data, request, self.spec)

    # Conformance

    def example(self, folder: Path) -> dict[str, object]:
        """Tones of three pitches that fade, at 4 kHz, a folder of each."""
        rng = np.random.default_rng(0)
        time = np.arange(1024) / 4000
        for name, hertz in (("high", 1200), ("low", 150), ("middle", 500)):
            (folder / "tones" / name).mkdir(parents=True, exist_ok=True)
            for number in range(16):
                tone = np.sin(2 * np.pi * (hertz * rng.uniform(0.9, 1.1) * time + rng.random()))
                tone = tone * np.exp(-time * rng.uniform(4, 12)) * rng.uniform(0.2, 0.9)
                soundfile.write(folder / "tones" / name / f"{number:02d}.wav", tone, 4000, subtype="PCM_16")
        return {"data": str(folder / "tones")}
