"""Digits are spoken by voices that are each in one part."""

from collections import Counter

import numpy as np
import pytest
import soundfile

import genzoo
from genzoo_speech import data
from genzoo_speech.data import DIGITS, RATE, SAMPLES, SPEEDS, load_digits, recording, voices
from genzoo_speech.espeak import speak


def test_no_voice_is_in_two_parts():
    every = list(voices())
    assert len(every) == len({voice.name for voice in every}) == 100
    assert Counter(voice.part for voice in every) == {"train": 80, "validation": 10, "test": 10}
    assert len({(voice.variant, voice.part) for voice in every}) == 50  # an accent alone makes no new voice


def test_a_digit_is_heard_by_every_voice():
    for voice in voices():
        wave = recording("seven", voice, SPEEDS[0])
        assert wave.shape == (SAMPLES,)
        assert np.abs(wave).max() == pytest.approx(0.7, abs=1e-3), voice
        assert (np.abs(wave) > 0.01).mean() > 0.1, voice


def test_voices_speeds_and_words_differ():
    one, other = (voice for voice in voices() if voice.variant in ("f2", "m3") and voice.accent == "gmw/en")
    assert not np.allclose(recording("one", one, 165), recording("one", other, 165))
    slow, fast = (speak("one", "gmw/en+f2", words_per_minute=rate, pitch=50) for rate in (140, 190))
    assert len(slow) > len(fast)
    with pytest.raises(OSError, match="no voice 'nobody'"):
        speak("one", "nobody", words_per_minute=160, pitch=50)


def test_the_folder_is_made_once_and_trained_on(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "VARIANTS", data.VARIANTS[:9])
    monkeypatch.setattr(data, "SPEEDS", data.SPEEDS[:1])
    folder = load_digits(tmp_path / "data")
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.flac"))
    assert len(files) == 9 * 2 * 10
    assert {file.split("/")[1] for file in files} == set(DIGITS)
    before = {file: (folder / file).read_bytes() for file in files[:5]}
    assert load_digits(tmp_path / "data") == folder
    assert before == {file: (folder / file).read_bytes() for file in files[:5]}
    header = soundfile.info(folder / files[0])
    assert (header.samplerate, header.frames, header.channels) == (RATE, SAMPLES, 1)
    run = genzoo.train("melgan", data="spoken-digits", preset="tiny", steps=2, batch_size=2, sample_every=0)
    assert run.data_spec.classes == tuple(sorted(DIGITS))
    assert [getattr(run.data_spec, f"{part}_count") for part in ("train", "validation", "test")] == [140, 20, 20]
