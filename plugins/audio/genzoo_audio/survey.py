"""A look at recordings before a training: rates, channels, lengths, classes and parts, and what cannot be read."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from statistics import median

import torch

from genzoo import DataSurvey, GenzooError, Progress, folders
from genzoo_audio.data import to_float
from genzoo_audio.files import LONGEST_BY_ITSELF, Form, files_in, read_header, read_recording
from genzoo_audio.spectrograms import Mel, sheet

SHOWN, COLUMNS = 32, 8


def survey_files(paths: tuple[Path, ...], progress: Progress) -> DataSurvey:
    """What is in folders and files of recordings. Raises `UsageError` if they hold none."""
    files, root = files_in(paths)
    headers, bad = folders.read_files(files, read_header, "looking at recordings", progress)
    rates = Counter(header.samplerate for header in headers.values())
    channels = Counter(header.channels for header in headers.values())
    seconds = sorted(header.frames / header.samplerate for header in headers.values()) or [0.0]
    facts: dict[str, object] = {
        "files": len(files), "readable": len(headers),
        "sample rates": {f"{rate} Hz": count for rate, count in rates.most_common()},
        "channels": {str(number): count for number, count in channels.most_common()},
        "seconds": f"{seconds[0]:.2f} to {seconds[-1]:.2f}, half of them below {median(seconds):.2f}",
    }  # fmt: skip
    options, problems = [], []
    if bad:
        problems.append(f"{len(bad)} files cannot be read: {folders.named_files(bad, root)}")
        options.append("--skip-bad-files")
    if len(rates) > 1:
        problems.append(f"there are {len(rates)} sample rates, and a training takes one; --sample-rate resamples")
        options.append(f"--sample-rate {min(rates)}")
    if seconds[-1] > LONGEST_BY_ITSELF:
        problems.append(f"recordings of more than {LONGEST_BY_ITSELF} s; --duration cuts and pads")
        options.append(f"--duration {min(median(seconds), LONGEST_BY_ITSELF):.3g}")
    try:
        parts, classes = folders.split_folder(list(headers), root, "recording")
    except GenzooError as error:
        return DataSurvey(facts=facts, problems=[*problems, str(error)], options=options)
    facts |= {"parts": {part: len(labels) for part, labels in parts.items() if labels}, "classes": list(classes)}
    shown = list(headers)[:: max(1, len(headers) // SHOWN)][:SHOWN]
    form = Form(min(rates), 1, max(1, round(min(seconds[-1], LONGEST_BY_ITSELF) * min(rates))))
    waves, _ = folders.read_files(shown, lambda path: read_recording(path, form), "reading (recordings)", progress)
    whole = to_float(torch.stack(list(waves.values()))) if waves else None
    picture = None if whole is None else sheet(whole, Mel(form.sample_rate), COLUMNS)
    return DataSurvey(
        facts=facts, problems=problems, options=[*options, *(["--conditional"] if classes else [])], sheet=picture
    )
