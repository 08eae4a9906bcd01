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
from write import SAMPLING, data_of  # noqa: E402  (no package)

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


def test_every_family_is_kept():
    families = {spec.name for _, _, spec in registry().generators}
    assert {"dcgan", "diffusion", "gan", "transformer", "vae"} <= families & {path.name for path in RUNS}
