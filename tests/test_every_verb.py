"""Every family goes through every verb, each in a process of its own, as a person types it; killed once on the way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from genzoo.runs.folder import RunFolder

sys.path.insert(0, str(Path(__file__).parent / "kept"))
from write import FAMILIES, SAMPLING, data_of, options_of

EXPORTED = {"diffusion", "transformer"}
SUFFIXES = {"image": ".png", "text": ".txt", "audio": ".wav"}


def genzoo_process(*arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "genzoo", *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def printed(*arguments, status=0):
    """What a command prints; each ends with the status, and none in a traceback."""
    process = genzoo_process(*arguments)
    out, err = (part.decode("cp1252" if os.name == "nt" else "utf-8") for part in process.communicate(timeout=300))
    assert process.returncode == status, (arguments, out, err)
    assert "Traceback" not in out + err
    return out if status == 0 else err


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_goes_through_every_verb(family, tmp_path):
    endless = {**options_of(family), "data": data_of(family, tmp_path), "steps": 100_000, "save_every": 2}
    config, path = tmp_path / "config.toml", tmp_path / "runs" / "one"
    lines = [f"{name.replace('_', '-')} = {json.dumps(value)}\n" for name, value in endless.items()]
    config.write_text("".join(lines), "utf-8")
    training = genzoo_process("train", family, "--config", config, "--name", "one")
    while not list(path.glob("checkpoints/step-*[0-9]")):
        assert training.poll() is None, training.communicate()
        time.sleep(0.05)
    training.kill()
    training.communicate()
    assert RunFolder(path).status == "killed"
    steps = int(RunFolder(path).checkpoints()[0].name.removeprefix("step-")) + 4
    printed("resume", "one", "--steps", steps, "--shorten")
    assert (RunFolder(path).status, RunFolder(path).step) == ("finished", steps)

    flags = [
        part for name, value in SAMPLING.get(family, {}).items() for part in (f"--{name.replace('_', '-')}", value)
    ]
    modality = RunFolder(path).data_spec.modality
    sample = tmp_path / f"sample{SUFFIXES[modality]}"
    assert json.loads(printed("sample", "one", "-n", 3, *flags, "--out", sample, "--json"))["path"] == str(sample)
    assert "one" in printed("provenance", sample)
    features = () if modality == "text" else ("--features", "random")
    assert json.loads(printed("evaluate", "one", "-n", 10, *features, *flags, "--json"))["measures"]
    if family in EXPORTED:
        printed("export", "one", "--to", tmp_path / "export")
        assert list((tmp_path / "export").iterdir())
    else:
        assert "export" in printed("export", "one", "--to", tmp_path / "export", status=2)
    assert "one" in printed("runs")
    assert family in printed("show", "one")
    assert Path(json.loads(printed("show", "one", "--json"))["picture"]).is_file()
    assert not [file for file in path.rglob("*.json*") if b"\r" in file.read_bytes()]
