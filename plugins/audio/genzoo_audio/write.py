"""Recordings into files: one with gaps, or a file each, with their provenance inside and beside."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor

import genzoo
from genzoo import Facts, Json, provenance

GAP_SECONDS = 0.25  # of silence between recordings in one file
FORMATS = {".wav": "WAV", ".flac": "FLAC"}


def write_joined(
    waves: Tensor, path: Path, facts: Facts, sample_rate: int, *, columns: int, title: str = "AI-generated"
) -> None:
    """Write recordings (N, C, T) as one, with gaps. What it says of itself has where each begins."""
    gap = round(GAP_SECONDS * sample_rate)
    count, channels, samples = waves.shape
    joined = torch.zeros(channels, max(0, count * (samples + gap) - gap))
    for number, wave in enumerate(waves):
        joined[:, number * (samples + gap) :][:, :samples] = wave
    layout = {"recordings": count, "samples": samples, "gap": gap, "columns": columns}
    _write(joined, path, {**facts, "layout": layout}, sample_rate, title)


def write_separate(waves: Tensor, folder: Path, facts: Facts, sample_rate: int, suffix: str) -> list[Path]:
    """Write each recording as `00000.wav` and so on in `folder`."""
    paths = [folder / f"{number:05d}{suffix}" for number in range(len(waves))]
    for number, path in enumerate(paths):
        _write(waves[number], path, {**facts, "sample": number}, sample_rate, "AI-generated")
    return paths


def _write(wave: Tensor, path: Path, facts: Facts, sample_rate: int, title: str) -> None:
    buffer = io.BytesIO()
    samples = wave.clamp(-1, 1).mul(2**15 - 1).round().to(torch.int16).T.numpy()
    with soundfile.SoundFile(
        buffer, "w", sample_rate, wave.shape[0], subtype="PCM_16", format=FORMATS[path.suffix.lower()]
    ) as file:
        file.title, file.software = title, f"genzoo {facts['version']}"
        file.comment = json.dumps(provenance.labels(facts))
        file.write(samples)
    genzoo.write_file(path, buffer.getvalue(), facts)


def read_joined(path: Path) -> tuple[Tensor, int, int]:
    """The recordings (N, C, T) in a file that was written so, their sample rate, and how many stand in a row of a
    sheet."""
    values, sample_rate = soundfile.read(path, dtype="float32", always_2d=True)
    wave = torch.from_numpy(np.ascontiguousarray(values.T))  # (C, T')
    layout = (read_labels(path).get("genzoo") or {}).get("layout")
    if not layout or layout["recordings"] == 0:
        return wave[None], sample_rate, 1
    starts = range(0, wave.shape[1], layout["samples"] + layout["gap"])
    waves = torch.stack([wave[:, start : start + layout["samples"]] for start in starts])
    return waves, sample_rate, layout["columns"]


def read_labels(path: Path) -> Json:
    """What a file says inside: the keys of `genzoo.provenance.labels`. Raises `ValueError` where it cannot be read."""
    try:
        with soundfile.SoundFile(path) as file:
            comment = file.comment
    except soundfile.SoundFileError as error:
        raise ValueError(genzoo.one_line(error)) from None
    try:
        labels = genzoo.parse_json(comment)
    except ValueError:
        return {}
    return dict(labels) if isinstance(labels, dict) else {}
