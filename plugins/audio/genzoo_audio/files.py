"""Recordings from files: what libsndfile reads, resampled by soxr, cut or padded to one length. Each file is decoded
once before a training starts, so that a bad one is known then and not an hour later."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from os.path import commonpath
from pathlib import Path

import numpy as np
import psutil
import soundfile
import soxr
import torch
from torch import Tensor

from genzoo import GenzooError, Part, Progress, UsageError, folders
from genzoo_audio import SUFFIXES, AudioTrainOptions
from genzoo_audio.data import AudioData, to_int16

LONGEST = 600  # seconds of a file; a longer one is no example, and is cut up by other means
LONGEST_BY_ITSELF = 10  # seconds that examples get if --duration is not given
RATES = (1000, 384_000)  # samples a second
TRUNCATED = re.compile(
    r"^data *: (\d+) \(should be (\d+)\)", re.MULTILINE
)  # libsndfile notes it and reads what there is


@dataclass(frozen=True)
class Form:
    """What every recording is made: its sample rate, channels and samples."""

    sample_rate: int
    channels: int
    samples: int


@dataclass(frozen=True)
class AudioFiles:
    """Files that are read when asked for. Each item is an int16 tensor (C, T)."""

    paths: tuple[Path, ...]
    form: Form

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Tensor:
        return read_recording(self.paths[index], self.form)


def read_recording(path: Path, form: Form) -> Tensor:
    """The recording in a file as int16 (C, T): resampled, mixed to one channel or doubled to two, its beginning alone
    where it is longer, silence behind it where it is shorter. Raises `GenzooError` saying in a few words what is wrong
    with the file."""
    header = read_header(path)
    wanted = -(-form.samples * header.samplerate // form.sample_rate) + header.samplerate // 10  # what a filter needs
    try:
        waves = soundfile.read(path, min(wanted, header.frames), dtype="float32", always_2d=True)[0]  # (T, C)
    except soundfile.LibsndfileError as error:
        raise GenzooError(f"damaged: {error.error_string.rstrip('.')}") from None
    if len(waves) < 0.95 * min(wanted, header.frames):  # of an MP3 it is not known so well
        raise GenzooError("truncated")
    if not np.isfinite(waves).all():
        raise GenzooError("not all of its samples are finite")
    if waves.shape[1] != form.channels:
        waves = waves.mean(1, keepdims=True) if form.channels == 1 else waves.repeat(2, axis=1)
    if header.samplerate != form.sample_rate:
        waves = soxr.resample(waves, header.samplerate, form.sample_rate)
    result = np.zeros((form.channels, form.samples), dtype=np.float32)
    shown = waves[: form.samples].T
    result[:, : shown.shape[1]] = shown
    return to_int16(torch.from_numpy(result))


def read_header(path: Path) -> soundfile._SoundFileInfo:
    """What a file says of itself. Raises `GenzooError` saying in a few words what is wrong with it."""
    if path.stat().st_size == 0:
        raise GenzooError("empty")
    try:
        header = soundfile.info(path, verbose=True)
    except soundfile.LibsndfileError:
        raise GenzooError("not a recording") from None
    if header.frames == 0:
        raise GenzooError("empty")
    if header.channels > 2:
        raise GenzooError(f"{header.channels} channels; allowed is 1 or 2")
    if not RATES[0] <= header.samplerate <= RATES[1]:
        raise GenzooError(f"{header.samplerate} Hz; allowed is {RATES[0]:,} to {RATES[1]:,}")
    if header.frames > LONGEST * header.samplerate:
        raise GenzooError(f"{header.frames / header.samplerate:,.0f} s long; allowed is {LONGEST}")
    sizes = TRUNCATED.search(header.extra_info)
    if sizes and int(sizes[2]) < int(sizes[1]) < 2**31 - 1:  # a size that was not known when it was written is larger
        raise GenzooError("truncated")
    return header


def load_recording(path: Path, form: Form) -> Tensor:
    """The same of one file that a person names. Raises `UsageError` for a file that cannot be read."""
    if not path.is_file():
        raise UsageError(f"{path} is not a file")
    try:
        return read_recording(path, form)
    except (GenzooError, OSError) as error:
        raise UsageError(f"{path} cannot be read as a recording: {error}") from None


def load_files(paths: tuple[Path, ...], options: AudioTrainOptions, progress: Progress) -> AudioData:
    """Folders and files: class subfolders become labels, `train`, `validation` and `test` subfolders the parts; without
    the latter every tenth recording of a class is for test. Raises `GenzooError` naming files that cannot be read."""
    files, root = files_in(paths)
    headers, bad = folders.read_files(files, read_header, "looking at recordings", progress)
    if not headers:
        named = folders.named_files(bad, root)
        raise GenzooError(f"none of the {len(files)} recordings in {root} can be read: {named}")
    form = _form(headers, root, options)
    size = 2 * form.channels * form.samples * len(headers)
    keep = options.data_loading == "memory" or (
        options.data_loading == "auto" and size < psutil.virtual_memory().available // 2
    )
    read = folders.read_examples(
        list(headers), root, lambda path: read_recording(path, form), "reading (recordings)", progress, keep=keep,
        first=repr(form),
    )  # fmt: skip
    bad |= read.bad
    folders.refuse_bad_files(bad, len(files), root, "sound", skip=options.skip_bad_files)
    parts, classes = folders.split_folder(read.readable, root, "recording")

    def recordings(part: Part) -> Tensor | AudioFiles:
        names = tuple(parts[part])
        return torch.stack([read.examples[path] for path in names]) if keep else AudioFiles(names, form)

    def labels(part: Part) -> Tensor | None:
        return torch.tensor(list(parts[part].values())) if classes else None

    has_validation = bool(parts["validation"])
    return AudioData(
        sample_rate=form.sample_rate, train=recordings("train"), train_labels=labels("train"),
        test=recordings("test"), test_labels=labels("test"),
        validation=recordings("validation") if has_validation else None,
        validation_labels=labels("validation") if has_validation else None, classes=classes,
        fingerprint=read.fingerprint,
        skipped=tuple(sorted(path.relative_to(root).as_posix() for path in bad)),
    )  # fmt: skip


def files_in(paths: tuple[Path, ...]) -> tuple[list[Path], Path]:
    """The recordings that files and folders name, in order, and the folder that their classes are subfolders of. Raises
    `UsageError` if there is none."""
    files = [path for path in paths if path.is_file()]
    for folder in set(paths) - set(files):
        files += [file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file()]
    if not files:
        where = ", ".join(str(path) for path in paths)
        raise UsageError(f"--data {where} holds no recording; looked for {' '.join(SUFFIXES)}")
    root = paths[0] if len(paths) == 1 and paths[0].is_dir() else Path(commonpath([file.parent for file in files]))
    return sorted(set(files)), root


def _form(headers: Mapping[Path, soundfile._SoundFileInfo], where: Path, options: AudioTrainOptions) -> Form:
    rates = {header.samplerate for header in headers.values()}
    if options.sample_rate is None and len(rates) > 1:
        raise UsageError(
            f"the recordings in {where} have {len(rates)} sample rates, from {min(rates)} to {max(rates)} Hz; give"
            " --sample-rate"
        )
    sample_rate = options.sample_rate or rates.pop()
    channels = options.channels or max(header.channels for header in headers.values())
    lengths = [header.frames / header.samplerate for header in headers.values()]
    if options.duration is None and max(lengths) > LONGEST_BY_ITSELF:
        raise UsageError(
            f"the recordings in {where} last from {min(lengths):.2g} to {max(lengths):,.0f} s; give"
            " --duration, to which they are cut or padded"
        )
    return Form(sample_rate, channels, max(1, round((options.duration or max(lengths)) * sample_rate)))
