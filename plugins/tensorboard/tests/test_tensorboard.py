"""What TensorBoard reads of a run is what the run has."""

import os
import warnings
from functools import partial

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

import genzoo
from genzoo.registry.plugins import registry


@pytest.fixture(autouse=True)
def _on(tmp_path, monkeypatch):
    monkeypatch.setenv("GENZOO_RUNS_DIR", str(tmp_path / "runs"))
    monkeypatch.setenv("GENZOO_BLOCK", "")
    registry.cache_clear()
    yield
    registry.cache_clear()


def read(run):
    events = EventAccumulator(str(run.path / "tensorboard"), size_guidance={"images": 0, "scalars": 0, "tensors": 0})
    return events.Reload()


def train(**options):
    short = {"steps": 6, "batch_size": 8, "log_every": 2, "eval_every": 3, "sample_every": 3, "hidden_sizes": (8,)}
    return genzoo.train("vae", **short | options)


def test_scalars_samples_and_options_are_shown():
    run = train(latent_dim=3)
    board, lines = read(run), run.metrics()
    assert set(board.Tags()["scalars"]) == {key for line in lines for key in line} - {"step"}
    assert [event.step for event in board.Scalars("loss")] == [line["step"] for line in lines if "loss" in line]
    for event, line in zip(board.Scalars("loss"), [line for line in lines if "loss" in line], strict=True):
        assert event.value == pytest.approx(line["loss"], rel=1e-6)
    assert [image.step for image in board.Images("samples")] == [0, 3, 6]
    assert board.Images("samples")[0].width > 100
    text = make_ndarray(board.Tensors("options/text_summary")[0].tensor_proto)
    assert "latent_dim: 3" in np.ravel(text)[0].decode()


def test_a_resumed_run_goes_on_where_it_stopped():
    class Stop:
        def genzoo_run_logged(self, run, step):
            if step == 4:
                run.stop()

    with pytest.raises(genzoo.Interrupted):
        train(name="one", watchers=[Stop()])
    run = genzoo.resume("one")
    board = read(run)
    assert [event.step for event in board.Scalars("loss")] == [2, 4, 6]
    assert [image.step for image in board.Images("samples")] == [0, 3, 6]


def test_texts_are_shown(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("one two three four\n" * 50, "utf-8")
    options = {"num_layers": 1, "num_heads": 1, "hidden_size": 8, "context_length": 8, "steps": 2, "batch_size": 2}
    run = genzoo.train("transformer", data=str(path), **options)
    assert [event.step for event in read(run).Tensors("samples/text_summary")] == [0, 2]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no disk that is always full")
def test_a_full_disk_is_said_once_and_the_training_goes_on(monkeypatch, capfd):
    full = partial(open, "/dev/full", "wb")
    monkeypatch.setattr("genzoo_tensorboard.open", lambda *_rest: full(), raising=False)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        run = train()
    (message,) = [str(warning.message) for warning in warned if warning.category is genzoo.GenzooWarning]
    assert "genzoo-tensorboard:tensorboard failed: OSError: [Errno 28] No space left on device: '" in message
    assert str(run.path / "tensorboard" / "events.out.tfevents.") in message
    assert (run.status, capfd.readouterr().err) == ("finished", "")


def test_it_can_be_blocked(monkeypatch):
    monkeypatch.setenv("GENZOO_BLOCK", "tensorboard")
    registry.cache_clear()
    assert not (train().path / "tensorboard").exists()
