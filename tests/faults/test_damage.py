"""A damaged or edited run is one line, takes no other along, and loses nothing that is whole."""

import json
import os
import shutil

import pytest
import torch

import genzoo
from genzoo import GenzooWarning, RunFolder, UsageError
from genzoo.runs import checkpoint

pytestmark = pytest.mark.usefixtures("toy")
DEEP = "[" * 100_000


OPTIONS = {"log_every": 2, "save_every": 4, "eval_every": 0, "sample_every": 0}
KEPT = {}


@pytest.fixture
def run(tmp_path, tmp_path_factory):
    """A run of 8 steps, a copy of the first that is asked for."""
    path = tmp_path / "runs" / "one"
    if not KEPT:
        genzoo.train("toy", name="one", steps=8, **OPTIONS)
        KEPT["run"] = shutil.copytree(path, tmp_path_factory.mktemp("kept") / "one")
    elif not path.exists():
        shutil.copytree(KEPT["run"], path)
    return RunFolder(path)


def edit(run, part, **values):
    """Change `run.json` as an editor does."""
    record = json.loads((run.path / "run.json").read_text("utf-8"))
    (record[part] if part else record).update(values)
    (run.path / "run.json").write_text(json.dumps(record), "utf-8")


def test_what_decides_the_numbers_is_not_edited_unseen(run, genzoo_command):
    edit(run, "options", rate=0.2)
    edit(run, "training", batch_size=4, seed=1)
    outcome = genzoo_command("resume", "one", "--steps", "12")
    said = "batch_size 8 -> 4, seed 0 -> 1, rate 0.05 -> 0.2; put that back, or give --accept-changes"
    assert (outcome.status, said in outcome.err) == (2, True), outcome.err
    assert RunFolder(run.path).step == 8

    outcome = genzoo_command("resume", "one", "--steps", "12", "--accept-changes")
    assert outcome.status == 0
    assert "warning: going on with what run.json says now: batch_size 8 -> 4, seed 0 -> 1, rate" in outcome.err
    resumed = RunFolder(run.path)
    options = {"batch_size": "8 -> 4", "seed": "0 -> 1", "rate": "0.05 -> 0.2"}
    assert resumed.record["edits"] == [{"step": 8, "options": options}]
    assert not resumed.altered
    assert not resumed.edits()
    rates = [optimizer["param_groups"][0]["lr"] for optimizer in checkpoint.load_newest(resumed)[1]["optimizers"]]
    assert rates == [0.2, 0.2]


def test_what_decides_nothing_is_edited_with_a_warning(run):
    edit(run, "training", keep=7)
    edit(run, None, note="by hand")
    with pytest.warns(GenzooWarning, match=r"'one': run.json does not have its checksum"):
        resumed = genzoo.resume("one", steps=12)
    assert (resumed.record["note"], resumed.training.keep, "edits" in resumed.record) == ("by hand", 7, False)


def test_laying_out_run_json_anew_is_no_edit(run):
    edit(run, None)
    assert not RunFolder(run.path).altered


def test_a_flipped_bit_in_the_log_stops_no_resume(run):
    lines = run.metrics_file.read_bytes().splitlines(keepends=True)
    lines[1] = lines[1].replace(b'"step": 4', b'"step": "4')
    lines[2] = b"\xff" + lines[2][1:]
    run.metrics_file.write_bytes(b"".join([*lines, DEEP.encode()]))
    resumed = genzoo.resume("one", steps=12)
    assert [line["step"] for line in resumed.metrics()] == [2, 8, 10, 12]
    whole = genzoo.train("toy", name="whole", steps=12, **OPTIONS)
    one, other = (checkpoint.load_newest(r)[1]["model"] for r in (resumed, whole))
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 9}', '{"format": 2}', DEEP, '{"a": ' + DEEP, None])
def test_a_broken_run_is_listed_as_broken_and_takes_no_other_along(run, genzoo_command, content):
    broken = run.path.with_name("two")
    shutil.copytree(run.path, broken)
    (broken / "run.json").unlink()
    if content is not None:
        (broken / "run.json").write_text(content, "utf-8")
    outcome = genzoo_command("runs")
    assert outcome.status == 0
    assert [line.split()[:4] for line in outcome.out.splitlines()[1:]] == [
        ["one", "toy", "dots", "finished"], ["two", "broken"],
    ]  # fmt: skip
    assert outcome.err.count("\n") == 1
    assert "two" in outcome.err
    listed = json.loads(genzoo_command("runs", "--json").out)
    assert [(item["name"], item["status"]) for item in listed] == [("one", "finished"), ("two", "broken")]
    for verb in ("resume", "sample", "show"):
        outcome = genzoo_command(verb, "two")
        assert (outcome.status in (1, 2), outcome.err.count("\n")) == (True, 1), outcome.err
    assert genzoo_command("sample", "toy", "-n", "1").status == 0


@pytest.mark.parametrize(
    ("key", "value"), [("step", "8"), ("options", []), ("data_spec", {}), ("seconds", None), ("training", 3)]
)
def test_what_cannot_be_in_run_json_is_said(run, genzoo_command, key, value):
    edit(run, None, **{key: value})
    outcome = genzoo_command("show", "one")
    assert (outcome.status, "run.json is damaged" in outcome.err, outcome.err.count("\n")) == (1, True, 1)


def test_a_manifest_has_a_checksum_too(run):
    file = run.model_folder / "manifest.json"
    file.write_text(file.read_text("utf-8").replace('"width": 8', '"width": 9'), "utf-8")
    with pytest.raises(genzoo.GenzooError, match=r"model is damaged: its manifest.json"):
        genzoo.load("one")


def test_a_kill_between_the_renames_of_the_best_weights_does_not_take_the_last(monkeypatch):
    import genzoo_toy_model

    monkeypatch.setattr(genzoo_toy_model.Toy, "best_by", ("validation/loss", "lower"))
    run = genzoo.train("toy", name="one", steps=8, eval_every=4)
    best, expected = run.best(), genzoo.sample("one", 3)
    os.rename(run.path / "best", run.path / "best.old")
    assert run.best() == best
    assert torch.equal(genzoo.sample("one", 3), expected)
    resumed = genzoo.resume("one", steps=12)
    assert resumed.best()["score"] <= best["score"]
    whole = genzoo.train("toy", name="whole", steps=12, eval_every=4)
    assert resumed.best()["step"] == whole.best()["step"]
    assert not (run.path / "best.old").exists() or not (run.path / "best").exists()


def test_a_run_of_before_has_no_checksum_and_is_read(run):
    for file in (run.path / "run.json", *run.path.rglob("manifest.json")):
        record = json.loads(file.read_text("utf-8"))
        del record["sha256"]
        file.write_text(json.dumps(record), "utf-8")
    assert not RunFolder(run.path).altered
    assert genzoo.resume("one", steps=12).status == "finished"


def test_edits_are_refused_by_the_library_too(run):
    edit(run, "options", width=16)
    with pytest.warns(GenzooWarning, match="checksum"), pytest.raises(UsageError, match="width 8 -> 16"):
        genzoo.resume("one", steps=12)
