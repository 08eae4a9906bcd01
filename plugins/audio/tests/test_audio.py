"""Recordings are read, refused, batched, written, shown and played as they should be."""

import json
import math
import sys

import numpy as np
import pytest
import soundfile
import torch

import genzoo
from genzoo import Batch, GenzooError, RandomStreams, UsageError, silent
from genzoo.cli import main
from genzoo.image import features
from genzoo.registry.plugins import modality_of, registry
from genzoo_audio import AudioTrainOptions, MelDiffusionOptions, MelGANOptions, play
from genzoo_audio.data import AudioData
from genzoo_audio.files import load_files
from genzoo_audio.measures import wasserstein
from genzoo_audio.mel_diffusion import MelDiffusion
from genzoo_audio.reference import shaped_noise
from genzoo_audio.spectrograms import Mel, griffin_lim, istft, mel_error, sheet, stft, stft_distance
from genzoo_audio.vocoder import MelGAN
from genzoo_diffusion.process import GaussianDiffusion

CPU = torch.device("cpu")
RATE = 4000


def tone(hertz=440.0, seconds=0.25, rate=RATE, level=0.5):
    return level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


@pytest.fixture
def folder(tmp_path):
    """Twelve tones in two classes."""
    for name, hertz in (("high", 900), ("low", 200)):
        (tmp_path / "tones" / name).mkdir(parents=True)
        for number in range(6):
            soundfile.write(tmp_path / "tones" / name / f"{number}.wav", tone(hertz + number), RATE)
    return tmp_path / "tones"


def read(folder, **options):
    chosen = AudioTrainOptions(data=str(folder), **options)
    return load_files((folder,), chosen, silent).with_validation(chosen.validation)


def pitch(wave, rate):
    return torch.fft.rfft(wave).abs().argmax().item() * rate / len(wave)


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3", ".aiff"])
def test_formats_are_read_and_resampled(tmp_path, suffix):
    for number in range(3):
        soundfile.write(tmp_path / f"{number}{suffix}", tone(440, 0.5, 16000), 16000)
    data = read(tmp_path, sample_rate=8000, duration=0.4)
    batch = data.take("train", torch.arange(1), CPU)
    assert batch.waves.shape == (1, 1, 3200)
    assert pitch(batch.waves[0, 0, 800:2400], 8000) == pytest.approx(440, abs=6)
    assert batch.waves.abs().max() == pytest.approx(0.5, abs=0.05)
    assert data.spec("x").extra == {"sample_rate": 8000}


def test_recordings_are_cut_or_padded_mixed_or_doubled(tmp_path):
    stereo = np.stack([tone(), np.zeros(1000)], 1)
    for number in range(3):
        soundfile.write(tmp_path / f"{number}.wav", stereo, RATE)
    short, long = read(tmp_path, duration=0.1), read(tmp_path, duration=0.5)
    whole = read(tmp_path).take("test", torch.arange(1), CPU).waves
    assert whole.shape == (1, 2, 1000)
    assert torch.equal(short.take("test", torch.arange(1), CPU).waves, whole[..., :400])
    assert torch.equal(long.take("test", torch.arange(1), CPU).waves[..., :1000], whole)
    assert not long.take("test", torch.arange(1), CPU).waves[..., 1000:].any()
    mono = read(tmp_path, channels=1).take("test", torch.arange(1), CPU).waves
    assert torch.allclose(mono[0, 0], whole[0].mean(0), atol=1e-4)
    soundfile.write(tmp_path / "3.wav", tone(), RATE)
    doubled = read(tmp_path).part("test")[0]
    assert torch.equal(doubled[0, 0], doubled[0, 1])


def test_bad_files_are_named_with_the_reason_and_skipped_if_asked(folder):
    (folder / "low" / "empty.wav").write_bytes(b"")
    (folder / "low" / "text.mp3").write_text("no sound at all", "utf-8")
    soundfile.write(folder / "low" / "hour.wav", np.zeros(3_600_000, dtype="int16"), 1000, subtype="PCM_U8")
    soundfile.write(folder / "low" / "five.wav", np.zeros((100, 5)), RATE)
    soundfile.write(folder / "low" / "nan.wav", np.full(100, np.nan), RATE, subtype="FLOAT")
    whole = (folder / "low" / "0.wav").read_bytes()
    (folder / "low" / "cut.wav").write_bytes(whole[: len(whole) // 2])
    soundfile.write(folder / "low" / "lost.flac", tone(), RATE)
    whole = (folder / "low" / "lost.flac").read_bytes()
    (folder / "low" / "lost.flac").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(GenzooError) as error:
        read(folder)
    for reason in (
        "empty.wav (empty)", "text.mp3 (not a recording)", "hour.wav (3,600 s long; allowed is 600)",
        "five.wav (5 channels", "nan.wav (not all", "cut.wav (truncated)", "lost.flac (damaged: ",
        "7 of 19 sound files", "--skip-bad-files",
    ):  # fmt: skip
        assert reason in str(error.value)
    data = read(folder, skip_bad_files=True)
    assert len(data.spec("x").skipped) == 7
    assert sum(data.count(part) for part in ("train", "validation", "test")) == 12


def test_what_has_to_be_said_is_asked_for(folder, tmp_path):
    soundfile.write(folder / "high" / "other.wav", tone(rate=8000), 8000)
    with pytest.raises(UsageError, match=r"2 sample rates, from 4000 to 8000 Hz; give --sample-rate"):
        read(folder)
    soundfile.write(folder / "high" / "other.wav", tone(seconds=11), RATE)
    with pytest.raises(UsageError, match=r"last from 0.25 to 11 s; give --duration"):
        read(folder)
    (tmp_path / "none").mkdir()
    with pytest.raises(UsageError, match="holds no recording"):
        read(tmp_path / "none")


def test_streams_give_the_batches_of_memory(folder):
    kept, streamed = read(folder), read(folder, data_loading="stream")
    assert not isinstance(streamed.train, torch.Tensor)
    assert kept.fingerprint == streamed.fingerprint
    share = genzoo.Share(4, seed=3)
    pairs = zip(kept.batches(range(3), share, CPU), streamed.batches(range(3), share, CPU), strict=True)
    for one, other in pairs:
        assert torch.equal(one.waves, other.waves)
        assert torch.equal(one.labels, other.labels)
    assert kept.spec("x").classes == ("high", "low")


def test_data_that_do_not_fit_together_are_refused():
    waves = torch.zeros(4, 1, 100, dtype=torch.int16)
    with pytest.raises(GenzooError, match="differ in length"):
        AudioData(sample_rate=RATE, train=waves, test=waves[..., :50])
    with pytest.raises(GenzooError, match="not int16"):
        AudioData(sample_rate=RATE, train=waves.float(), test=waves)
    with pytest.raises(GenzooError, match="without classes"):
        AudioData(sample_rate=RATE, train=waves, test=waves, train_labels=torch.zeros(4), test_labels=torch.zeros(4))


# Files that are written


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_samples_say_what_they_are_and_are_shown_one_by_one(folder, tmp_path, suffix):
    modality, data = modality_of("audio"), read(folder)
    waves, spec = data.take("train", torch.arange(3), CPU).waves, data.spec("tones")
    path, facts = tmp_path / f"out{suffix}", {"version": "1", "run": "a run", "seed": 3}
    modality.write(waves, path, facts, modality.spec.write_options(), spec)
    assert soundfile.info(path).frames == 3 * 1000 + 2 * 1000  # two gaps of 0.25 s
    assert modality.provenance(path)["genzoo"]["run"] == "a run"
    assert genzoo.read_provenance(path)["digital_source_type"].endswith("trainedAlgorithmicMedia")
    assert json.loads((tmp_path / f"out{suffix}.json").read_text("utf-8"))["genzoo"]["seed"] == 3
    assert torch.equal(modality.preview(path), sheet(soundfile_waves(path), Mel(RATE), 8))
    separate = modality.spec.write_options(separate=True, format=suffix[1:])
    modality.write(waves, tmp_path / "each", facts, separate, spec)
    again = [soundfile.read(tmp_path / "each" / f"{i:05d}{suffix}")[0] for i in range(3)]
    assert np.allclose(np.stack(again), waves[:, 0].numpy(), atol=1e-4)


def soundfile_waves(path):
    wave = torch.from_numpy(soundfile.read(path, dtype="float32")[0])
    return torch.stack([wave[start : start + 1000] for start in (0, 2000, 4000)])[:, None]


def test_playing_needs_a_player_and_calls_it(folder, tmp_path, monkeypatch):
    modality, data = modality_of("audio"), read(folder)
    options = modality.spec.write_options(play=True)
    monkeypatch.setattr(play.shutil, "which", lambda name: None)
    if play.sys.platform != "win32":
        with pytest.raises(UsageError, match="--play needs one of afplay"):
            options.suffix(None)
    monkeypatch.setattr(play.shutil, "which", lambda name: f"/bin/{name}" if name == "aplay" else None)
    monkeypatch.setattr(play.sys, "platform", "linux")
    calls = []
    monkeypatch.setattr(play.subprocess, "run", lambda command, **_: calls.append(command) or Done())
    assert options.suffix(None) == ".wav"
    waves = data.take("train", torch.arange(1), CPU).waves
    modality.write(waves, tmp_path / "x.wav", {"version": "1"}, options, data.spec("tones"))
    assert calls == [["/bin/aplay", "-q", str(tmp_path / "x.wav")]]


class Done:
    returncode = 0


# Spectrograms


def test_the_short_time_transform_is_undone_and_scaled():
    waves = torch.randn(3, 2, 5000) * 0.1
    assert torch.allclose(istft(stft(waves, 512), 512, 5000), waves, atol=1e-5)
    loud = torch.sin(2 * torch.pi * 16 / 512 * torch.arange(5000))
    assert stft(loud, 512).abs()[16, 10].item() == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize("rate", [4000, 8000, 16000, 22050, 44100])
def test_every_band_hears_something(rate):
    mel = Mel(rate)
    assert (mel.filters.sum(1) > 0).all()
    assert mel.of(torch.zeros(1, rate // 4)).shape == (1, 64, mel.frames(rate // 4))


def test_griffin_lim_comes_nearer_with_every_iteration():
    waves = torch.from_numpy(np.stack([tone(hertz, 0.5) for hertz in (300, 700)])).float()
    mel, rng = Mel(RATE), torch.Generator().manual_seed(0)
    magnitudes = stft(waves, mel.window).abs()
    phases = torch.rand(magnitudes.shape, generator=rng)
    errors = [stft_distance(griffin_lim(magnitudes, mel, 2000, phases, n), waves).mean() for n in (0, 4, 32)]
    assert errors[0] > errors[1] > errors[2]
    assert stft_distance(waves, waves).max() == 0
    assert mel_error(waves / 2, waves, mel).max() <= 20 * math.log10(2) + 1e-3


# Models


def test_channels_are_vocoded_each_by_itself(folder):
    data = read(folder).spec("tones")
    stereo = genzoo.DataSpec.from_json({**data.to_json(), "shape": (2, 1000)})
    torch.manual_seed(0)
    options = MelGANOptions(width=8, layers=1, discriminator_width=4)
    two, one = MelGAN(options, stereo).eval(), MelGAN(options, data).eval()
    one.generator.load_state_dict(two.generator.state_dict())
    waves = torch.randn(2, 2, 1000) * 0.1
    with torch.no_grad():
        each = torch.cat([one.reconstruct(waves[:, i : i + 1]) for i in range(2)], 1)
        assert torch.allclose(two.reconstruct(waves), each, atol=1e-5)


def test_the_stack_of_the_paper_makes_a_hop_of_a_frame(folder):
    data = read(folder).spec("tones")
    model = MelGAN(MelGANOptions(architecture="melgan", width=16, discriminator_width=4), data)
    waves = torch.randn(2, 1, 1000) * 0.1
    assert model.reconstruct(waves).shape == waves.shape
    losses = model.evaluate(Batch(waves, None))
    assert {name: tuple(values.shape) for name, values in losses.items()} == {"mel_error": (2,), "stft_distance": (2,)}


def test_the_diffusion_model_is_that_of_the_other_plugin_on_log_mels(folder):
    data = read(folder)
    model = MelDiffusion(MelDiffusionOptions(width=8, channel_multipliers=(1, 2)), data.spec("tones"))
    assert isinstance(model, GaussianDiffusion)
    batch = data.take("train", torch.arange(2), CPU)
    images = model.images_of(batch)
    assert images.min() >= 0
    assert images.max() <= 1
    assert torch.allclose(model.log_mel(images), model.mel.of(batch.waves), atol=1e-4)


TINY = {"steps": 4, "batch_size": 4, "preset": "tiny", "device": "cpu", "eval_every": 0, "sample_every": 0}


def test_a_vocoder_is_taken_from_a_run_and_from_no_other(folder, tmp_path):
    vocoder = genzoo.train("melgan", data=str(folder), **TINY)
    run = genzoo.train("mel-diffusion", data=str(folder), **TINY)
    model = genzoo.load(run)
    heard = genzoo.sample(model, 2, num_steps=2, vocoder=str(vocoder.path))
    assert heard.shape == (2, 1, 1000)
    assert not torch.equal(heard, genzoo.sample(model, 2, num_steps=2))
    with pytest.raises(UsageError, match="is a run of mel-diffusion; allowed is one of melgan"):
        genzoo.sample(run, 1, num_steps=2, vocoder=str(run.path))
    longer = genzoo.train("melgan", data=str(folder), duration=0.4, **TINY)
    assert genzoo.sample(run, 1, num_steps=2, vocoder=longer.name).shape == (1, 1, 1000)
    other = genzoo.train("melgan", data=str(folder), sample_rate=2000, **TINY)
    with pytest.raises(UsageError, match="makes recordings of 2,000 Hz; allowed is 4,000"):
        genzoo.sample(run, 1, num_steps=2, vocoder=str(other.path))


# Measures


def test_levels_and_spectra_are_compared_as_distributions():
    one = torch.arange(1000.0)
    assert wasserstein(one, one.flip(0)) == pytest.approx(0, abs=1e-9)
    assert wasserstein(one, one + 3) == pytest.approx(3, abs=1e-6)
    waves = torch.from_numpy(np.stack([tone(300, level=level) for level in (0.1, 0.4)])).float()[:, None]
    noise = shaped_noise(waves, np.random.default_rng(0))
    assert torch.allclose(noise.square().mean(2), waves.square().mean(2), rtol=1e-4)
    assert pitch(noise[0, 0], RATE) == pytest.approx(300, abs=5)


def test_a_comparison_and_its_page_with_sound(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(features, "STEPS", 5)
    genzoo.train("mel-diffusion", data=str(folder), conditional=True, name="one", num_timesteps=20, **TINY)
    genzoo.train("melgan", data=str(folder), name="two", **TINY)
    command = ["genzoo", "compare", "one", "two", "-n", "8", "--html", str(tmp_path / "page.html")]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    page = (tmp_path / "page.html").read_text("utf-8")
    assert page.count('<audio controls src="data:audio/flac;base64,') == 2
    assert 'src="data:image/png;base64,' in page
    assert "http" not in page
    one, two = ({m.name: m for m in result.measures} for result in genzoo.compare(["one", "two"], 8))  # as it is kept
    assert {"label_agreement", "class_distance", "loudness_distance", "silence_distance"} <= set(one)
    assert set(one["loudness_distance"].references) == {"floor", "griffin_lim", "noise"}
    assert one["loudness_distance"].references["floor"] < 1
    assert 0 < two["mel_error"].references["griffin_lim"] < two["mel_error"].value


def test_babble_is_of_the_training_log_mels(folder):
    run = genzoo.train("melgan", data=str(folder), **TINY)
    model, data = genzoo.load(run), read(folder)
    rows = model.mel.of(data.take("train", torch.arange(data.count("train")), CPU).waves).flatten(1)
    assert torch.allclose(model.babble_mean, rows.mean(0), atol=1e-4)
    spread = (model.babble.square().sum(0) - rows.var(0)).abs().max()
    assert spread < 1e-2  # sixteen components are all that there are of so few
    assert genzoo.sample(model, 2, seed=1).shape == (2, 1, 1000)
    assert RandomStreams(1, 2).normal(16).shape == (2, 16)


def test_the_default_data_without_the_plugin_that_brings_them(monkeypatch):
    monkeypatch.setenv("GENZOO_BLOCK", "speech,tensorboard")
    registry.cache_clear()
    with pytest.raises(UsageError, match="brought by no plugin that is installed; allowed is folders"):
        genzoo.train("melgan", **TINY)


def test_a_survey_says_what_a_training_would_need(folder):
    survey = modality_of("audio").survey((folder,), silent)
    assert survey.facts["parts"] == {"train": 11, "test": 1}
    assert survey.facts["sample rates"] == {"4000 Hz": 12}
    assert (survey.problems, survey.options) == ([], ["--conditional"])
    assert survey.sheet.shape[0] == 3
    (folder / "low" / "text.wav").write_text("no sound at all", "utf-8")
    soundfile.write(folder / "high" / "other.wav", tone(rate=8000, seconds=11), 8000)
    survey = modality_of("audio").survey((folder,), silent)
    assert survey.options == ["--skip-bad-files", "--sample-rate 4000", "--duration 0.25", "--conditional"]
    assert "text.wav (not a recording)" in survey.problems[0]
