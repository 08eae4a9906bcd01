"""Flipped bits and cut files, in every file of a run of every family: one line, or nothing is the worse."""

import random
import shutil
import warnings
from pathlib import Path

import pytest

import genzoo
from genzoo import GenzooError, RunFolder
from genzoo.runs import checkpoint, show
from genzoo.runs.find import runs_and_broken

KEPT = Path(__file__).parents[1] / "kept" / "0.1"
FLIPS = 40


def use(run_path):
    """All that a person does with a run, but train it."""
    runs_and_broken(str(run_path.parent))
    run = genzoo.find_run(run_path)
    show.facts(run)
    run.kept()
    run.edits()
    run.evaluations()
    genzoo.load(run, device="cpu")
    checkpoint.load_newest(run)
    for sample in run.samples():
        genzoo.read_provenance(sample)


@pytest.mark.slow
@pytest.mark.parametrize("family", sorted(path.name for path in KEPT.iterdir()))
def test_damage_is_one_line_or_none_is_done(family, tmp_path):
    several = 0
    rng, answers = random.Random(family), {"refused": 0, "taken": 0}
    original = shutil.copytree(KEPT / family, tmp_path / "runs" / family)
    RunFolder(original).update()  # with a checksum
    files = [path for path in original.rglob("*") if path.is_file()]
    for file in files:
        content = file.read_bytes()
        for number in range(FLIPS):
            damaged = bytearray(content)
            if number % 4 and content:
                damaged[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
            else:
                del damaged[rng.randrange(len(content) + 1) :]
            file.write_bytes(damaged)
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    use(original)
                answers["taken"] += 1
            except GenzooError as error:
                several += "\n" in str(error)
                answers["refused"] += 1
        file.write_bytes(content)
    use(original)
    print(family, len(files), "files", answers)
    assert not several
    assert min(answers.values()) > 0
