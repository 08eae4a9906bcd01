"""A disk that is full at any moment: the file is named, what was saved is whole, and with room again all goes on."""

import os
import shutil
import subprocess
import sys

import pytest
import torch

import genzoo
from genzoo import RunFolder
from genzoo.runs import checkpoint
from genzoo.runs.find import runs_and_broken

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("toy")]
OPTIONS = {"steps": 8, "log_every": 2, "save_every": 2, "eval_every": 2, "sample_every": 4, "keep": 2}
FLAGS = [word for name, value in OPTIONS.items() for word in (f"--{name.replace('_', '-')}", value)]
KIB = 1024


@pytest.fixture
def disk(tmp_path):
    """A folder on a disk of its own, of a megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if sys.platform != "linux" or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("a disk of its own cannot be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_loses_nothing_that_was_saved(disk, genzoo_command):
    whole = genzoo.train("toy", name="whole", **OPTIONS)
    weights = checkpoint.load_newest(whole)[1]["model"]
    counts = {"finished": 0, "resumed": 0, "before a checkpoint": 0, "no run": 0}
    tried = 0
    for room in range(0, 400 * KIB, 8 * KIB):  # a multiple of two pages
        for path in (disk / "runs", disk / "filling"):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        left = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
        (disk / "filling").write_bytes(b"x" * (left - room))
        outcome = genzoo_command("train", "toy", "--name", "one", "--runs-dir", disk / "runs", *FLAGS)
        tried += 1
        assert "Traceback" not in outcome.err, outcome.err
        if outcome.status == 0:
            counts["finished"] += 1
            if counts["finished"] == 2:
                break
            continue
        last = outcome.err.splitlines()[-1]
        assert "No space left on device" in last, outcome.err
        assert str(disk) in last, last
        (disk / "filling").unlink()
        path = disk / "runs" / "one"
        if not (path / "run.json").exists():
            assert not path.exists()
            counts["no run"] += 1
            continue
        assert not runs_and_broken(str(disk / "runs"))[1]
        run = RunFolder(path)
        assert run.status in ("failed", "killed")
        assert not [file for file in path.rglob(".*.[0-9]*") if file.is_file()]
        if not run.checkpoints():
            counts["before a checkpoint"] += 1
            continue
        again = checkpoint.load_newest(genzoo.resume(run, runs_dir=str(disk / "runs")))[1]["model"]
        assert all(torch.equal(again[name], weights[name]) for name in weights)
        counts["resumed"] += 1
    print(f"{tried} sizes of disk: {counts}")
    assert counts["finished"]
    assert counts["resumed"]
