"""The data themselves: a folder of FLAC files, made once in the data folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

import genzoo
from genzoo_speech.espeak import SAMPLE_RATE, speak

NAME = "spoken-digits-v1"
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
ACCENTS = ("gmw/en-US", "gmw/en")
VARIANTS = (  # of espeak-ng, those that sound like people
    "Alex", "Alicia", "Andrea", "Andy", "Annie", "Denis", "Diogo", "Gene", "Gene2", "Henrique", "Hugo", "Jacky", "Lee",
    "Mario", "Michael", "Mike", "adam", "anika", "aunty", "belinda", "benjamin", "boris", "caleb", "david", "ed",
    "edward", "f1", "f2", "f3", "f4", "f5", "grandma", "grandpa", "gustave", "iven", "john", "linda", "m1", "m2", "m3",
    "m4", "m6", "m7", "max", "michel", "paul", "quincy", "robert", "steph", "victor",
)  # fmt: skip
SPEEDS = (140, 165, 190)  # words a minute
RATE, SAMPLES = 16_000, 12_000
LEAD, LEVEL = 320, 0.01  # samples before a word; what is softer at its ends is cut off


class Voice(NamedTuple):
    """A variant with an accent, and the part that all it says is in."""

    accent: str
    variant: str
    part: str

    @property
    def name(self) -> str:
        """As files have it."""
        return f"{self.accent.rpartition('/')[2].lower()}-{self.variant.lower()}"


def voices() -> Iterator[Voice]:
    """All 100. Of each ten variants one is for test and one for validation, with both accents."""
    for number, variant in enumerate(VARIANTS):
        part = {3: "validation", 8: "test"}.get(number % 10, "train")
        for accent in ACCENTS:
            yield Voice(accent, variant, part)


def load_digits(data_dir: Path) -> Path:
    """The folder of the recordings: a part, a digit, and a file for each voice and speed. Made at the first call, as
    espeak-ng does not say a word twice alike."""
    folder = data_dir / NAME
    if not folder.is_dir():
        data_dir.mkdir(parents=True, exist_ok=True)
        genzoo.write_folder(folder, fill)
    return folder


def fill(folder: Path) -> None:
    """Write all recordings into a folder."""
    for voice in voices():
        for digit in DIGITS:
            place = folder / voice.part / digit
            place.mkdir(parents=True, exist_ok=True)
            for speed in SPEEDS:
                soundfile.write(place / f"{voice.name}-{speed}.flac", recording(digit, voice, speed), RATE)


def recording(digit: str, voice: Voice, speed: int) -> npt.NDArray[np.float32]:
    """A digit, (12000,): what is silent around it cut off, at 16 kHz, of one level."""
    spoken = speak(digit, f"{voice.accent}+{voice.variant}", words_per_minute=speed, pitch=50)
    wave = soxr.resample(spoken, SAMPLE_RATE, RATE)
    loud = np.flatnonzero(np.abs(wave) > LEVEL * np.abs(wave).max())
    wave = wave[max(0, loud[0] - LEAD) : loud[-1] + LEAD][:SAMPLES]
    result = np.zeros(SAMPLES, dtype=np.float32)
    result[: len(wave)] = wave * (0.7 / np.abs(wave).max())
    return result
