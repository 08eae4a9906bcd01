"""Runs that earlier versions wrote are loaded, gone on with, drawn from and shown; see tests/kept/write.py."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

import genzoo
from genzoo.registry.plugins import registry
from genzoo.runs import checkpoint
from genzoo.runs.folder import RunFolder

KEPT = Path(__file__).parent / "kept"
sys.path.insert(0, str(KEPT))
from write import FAMILIES, SAMPLING, data_of  # noqa: E402  (no package)

RUNS = sorted(path.parent for path in KEPT.glob("*/*/run.json"))


@pytest.mark.parametrize("kept", RUNS, ids=lambda path: f"{path.parent.name}-{path.name}")
@pytest.mark.filterwarnings("ignore::genzoo.GenzooWarning")  # that versions and the machine are others
def test_a_kept_run_is_loaded_resumed_drawn_from_and_shown(kept, tmp_path, monkeypatch, genzoo_command):
    path = tmp_path / "runs" / kept.name
    shutil.copytree(kept, path)
    monkeypatch.chdir(tmp_path)
    data_of(kept.name, tmp_path)
    run, options = RunFolder(path), SAMPLING.get(kept.name, {})
    assert run.status == "finished"
    step, state = checkpoint.load_newest(run)
    assert step == run.step == 4
    before = genzoo.sample(run, 2, device="cpu", **options)
    assert len(before) == 2
    shown = genzoo_command("show", path, "--json")
    assert shown.status == 0
    assert Path(json.loads(shown.out)["picture"]).is_file()
    resumed = genzoo.resume(run, steps=6, device="cpu")
    assert resumed.step == 6
    assert [line["step"] for line in resumed.metrics()] == [2, 4, 6]
    later = checkpoint.load_newest(resumed)[1]["model"]
    assert later.keys() == state["model"].keys()
    assert any(not later[name].equal(state["model"][name]) for name in later), "it learnt nothing more"


@pytest.mark.filterwarnings("ignore::genzoo.GenzooWarning")
def test_a_kept_run_on_a_folder_reads_the_files_that_it_was_trained_on(tmp_path):
    """Of a folder .txt, .md and .jsonl were read, and hidden files too, when there was no --include."""
    path, folder = tmp_path / "runs" / "transformer", tmp_path / "texts"
    shutil.copytree(KEPT / "0.1" / "transformer", path)
    folder.mkdir()
    data_of("transformer", folder)
    (folder / "kept.txt").rename(folder / ".Kept.TXT")
    (folder / "notes.py").write_text("# not read then", "utf-8")
    run = RunFolder(path)
    assert "include" not in run.record["training"]
    run.update(training={**run.record["training"], "data": str(folder)})
    for steps in (5, 6):  # the second is a run that names its files
        assert genzoo.resume(RunFolder(path), steps=steps, device="cpu").step == steps
    assert RunFolder(path).training.include
    assert genzoo.evaluate(RunFolder(path), 2, max_new_tokens=5).measures
    again = genzoo.train(like=RunFolder(path), steps=1, device="cpu", name="again")
    assert again.data_spec.fingerprint == run.data_spec.fingerprint


def test_every_family_is_kept():
    families = {spec.name for _, plugin, spec in registry().generators if plugin.distribution.startswith("genzoo-")}
    assert len(families) >= 8
    assert families <= {path.name for path in RUNS} & FAMILIES.keys(), "run tests/kept/write.py"
