"""What MLflow and Weights & Biases read of a run is what the run has. These are no dependencies; with them:
`uv run --group trackers pytest -m slow plugins/trackers`."""

import json
import struct

import pytest

import genzoo
from genzoo.registry.plugins import registry

SMALL = {
    "architecture": "mlp", "hidden_sizes": (8,), "prior": "gaussian", "batch_size": 8, "log_every": 2, "eval_every": 3,
    "sample_every": 3, "save_every": 2,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GENZOO_BLOCK", "tensorboard")
    registry.cache_clear()
    yield
    registry.cache_clear()


class Stop:
    """Stops a training at step 4."""

    def genzoo_run_logged(self, run, step):
        if step == 4:
            run.stop()


def train_in_two_parts():
    with pytest.raises(genzoo.Interrupted):
        genzoo.train("vae", name="one", steps=6, latent_dim=3, watchers=[Stop()], **SMALL)
    return genzoo.resume("one")


def test_nothing_is_tracked_unless_it_is_asked_for():
    run = genzoo.train("vae", steps=2, **SMALL)
    assert not (run.path / "trackers").exists()


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        ("mflow", "GENZOO_TRACKERS has 'mflow'; allowed is aim, .*mlflow"),
        ("swanlab", "not installed; pip install swanlab"),
    ],
)
def test_a_tracker_that_is_not_there_is_said_and_the_training_goes_on(monkeypatch, names, reason):
    monkeypatch.setenv("GENZOO_TRACKERS", names)
    with pytest.warns(genzoo.GenzooWarning, match=reason):
        run = genzoo.train("vae", steps=2, **SMALL)
    assert run.status == "finished"


@pytest.mark.slow
def test_mlflow_has_options_values_and_samples(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow", reason="MLflow is not installed: uv run --group trackers pytest")
    monkeypatch.setenv("GENZOO_TRACKERS", "mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
    mlflow.set_tracking_uri((tmp_path / "mlruns").as_uri())
    run = train_in_two_parts()
    client = mlflow.MlflowClient()
    (experiment,) = client.search_experiments(filter_string="name = 'genzoo'")
    (tracked,) = client.search_runs([experiment.experiment_id])
    assert (tracked.info.run_name, tracked.info.status) == ("one", "FINISHED")
    assert tracked.data.params["latent_dim"] == "3"
    assert tracked.data.params["hidden_sizes"] == "[8]"
    for name in ("loss", "kl", "validation/bound"):
        history = {metric.step: metric.value for metric in client.get_metric_history(tracked.info.run_id, name)}
        assert history == pytest.approx({line["step"]: line[name] for line in run.metrics() if name in line}), name
    files = client.list_artifacts(tracked.info.run_id, "samples")
    assert [file.path for file in files] == [f"samples/{path.name}" for _, path in run.training_samples()]


def records(log):
    """Those of a log as LevelDB has it, in blocks of 32 KiB, with a header of seven bytes."""
    position, parts = 7, []
    while position + 7 <= len(log):
        if position % 32768 > 32768 - 7:
            position += 32768 - position % 32768
            continue
        length, kind = struct.unpack("<HB", log[position + 4 : position + 7])  # behind a checksum
        parts.append(log[position + 7 : position + 7 + length])
        position += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield b"".join(parts)
            parts = []


@pytest.mark.slow
def test_weights_and_biases_has_options_values_and_samples_offline(monkeypatch):
    pytest.importorskip("wandb", reason="Weights & Biases is not installed: uv run --group trackers pytest")
    from wandb.proto.wandb_internal_pb2 import Record

    monkeypatch.setenv("GENZOO_TRACKERS", "wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    run = train_in_two_parts()
    lines, configured, ids = {}, {}, set()
    for path in sorted((run.path / "trackers").glob("wandb/offline-run-*/*.wandb")):
        for record in map(Record.FromString, records(path.read_bytes())):
            ids |= {record.run.run_id} - {""}
            for update in (*record.run.config.update, *record.config.update):
                configured[update.key] = json.loads(update.value_json)
            items = {"/".join(item.nested_key) or item.key: item.value_json for item in record.history.item}
            if items:
                lines[json.loads(items["_step"])] = {key: json.loads(value) for key, value in items.items()}
    assert len(ids) == 1
    assert configured["latent_dim"] == 3
    losses = {line["step"]: line["loss"] for line in run.metrics() if "loss" in line}
    assert {step: line["loss"] for step, line in lines.items() if "loss" in line} == pytest.approx(losses)
    drawn = {step for step, _ in run.training_samples()}
    assert {step for step, line in lines.items() if any(key.startswith("samples/") for key in line)} == drawn
