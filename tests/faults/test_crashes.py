"""Die at every point where a training changes the disk, then go on: nothing is lost."""

import os
import shutil
import sys

import pytest
import torch

import genzoo
from genzoo import GenzooError, RunFolder
from genzoo.runs import checkpoint
from genzoo.runs.find import runs_and_broken
from genzoo.runs.folder import was_run

pytestmark = [
    pytest.mark.usefixtures("toy"),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="a process that dies at once is a copy of this one"),
]
EVENTS = ("os.rename", "os.mkdir", "os.remove", "os.rmdir", "shutil.rmtree")
OPTIONS = {"log_every": 2, "save_every": 3, "keep": 1, "eval_every": 3, "sample_every": 6}
STEPS = 6


def dying(number, report, work):
    """In a copy of this process: `work`, dying before change `number` of the disk; gives how many changes there were,
    or None if it died."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return int(report.read_text("utf-8")) if report.exists() else None
    changes = [0]

    def change():
        changes[0] += 1
        if changes[0] == number:
            os._exit(9)

    def hook(event, arguments):
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if (writes or event in EVENTS) and "/runs/" in str(arguments[0]):
            change()

    fsync = os.fsync
    os.fsync = lambda descriptor: (change(), fsync(descriptor))[1]
    sys.addaudithook(hook)
    status = 1
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        os.dup2(2, 1)
        work()
        changed, changes[0] = changes[0], -(10**9)
        report.write_text(str(changed), "utf-8")
        status = 0
    finally:
        os._exit(status)


def best_of(monkeypatch):
    import genzoo_toy_model

    monkeypatch.setattr(genzoo_toy_model.Toy, "best_by", ("validation/loss", "lower"))


def ended(run):
    """What must be the same however often a training died."""
    lines = [{k: v for k, v in line.items() if "second" not in k} for line in run.metrics()]
    return checkpoint.load_newest(run)[1]["model"], lines, (run.best()["step"], run.best()["score"])


def check_same(run, whole):
    (weights, lines, best), (others, other_lines, other_best) = ended(run), ended(whole)
    assert all(torch.equal(weights[name], others[name]) for name in others)
    assert (lines, best) == (other_lines, other_best)
    assert torch.equal(genzoo.sample(run, 2), genzoo.sample(whole, 2))


@pytest.mark.slow
def test_a_training_that_dies_at_any_change_of_the_disk_goes_on(monkeypatch, tmp_path):
    best_of(monkeypatch)
    whole = genzoo.train("toy", name="whole", steps=STEPS, **OPTIONS)
    work = lambda: genzoo.train("toy", name="cut", steps=STEPS, **OPTIONS)  # noqa: E731
    points = dying(0, tmp_path / "points", work)
    assert points > 50
    shutil.rmtree(tmp_path / "runs" / "cut")
    resumed = 0
    for number in range(1, points + 1):
        assert dying(number, tmp_path / "none", work) is None, number
        runs, broken = runs_and_broken()
        assert "whole" in [run.name for run in runs], number
        assert len(broken) <= 1, number
        path = tmp_path / "runs" / "cut"
        if was_run(path) and not broken:
            run = RunFolder(path)
            assert run.status in ("killed", "finished"), number
            if run.checkpoints() and run.status == "killed":
                check_same(genzoo.resume("cut"), whole)
                resumed += 1
            elif run.status == "killed":
                with pytest.raises(GenzooError, match="before its first checkpoint"):
                    genzoo.resume("cut")
            else:
                check_same(run, whole)
        shutil.rmtree(path, ignore_errors=True)
    print(f"{points} points, {resumed} resumed to equal bits")
    assert resumed > points // 3


@pytest.mark.slow
def test_a_resume_that_dies_at_any_change_of_the_disk_goes_on(monkeypatch, tmp_path):
    best_of(monkeypatch)
    whole = genzoo.train("toy", name="whole", steps=9, **OPTIONS)
    begun = genzoo.train("toy", name="begun", steps=STEPS, **OPTIONS).path
    path = tmp_path / "runs" / "cut"

    def work():
        genzoo.resume("cut", steps=9)

    shutil.copytree(begun, path)
    points = dying(0, tmp_path / "points", work)
    for number in range(1, points + 1):
        shutil.rmtree(path)
        shutil.copytree(begun, path)
        assert dying(number, tmp_path / "none", work) is None, number
        run = RunFolder(path)
        check_same(run if run.status == "finished" and run.step == 9 else genzoo.resume("cut", steps=9), whole)
    print(f"{points} points, all resumed to equal bits")


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["sample", "evaluate"])
def test_a_sampling_or_evaluation_that_dies_takes_nothing_along(genzoo_command, tmp_path, verb):
    run = genzoo.train("toy", name="one", steps=STEPS, **OPTIONS)
    expected = genzoo.sample("one", 2)
    arguments = {"sample": ["-n", "4"], "evaluate": ["-n", "10", "--features", "random"]}[verb]

    def work():
        from genzoo.cli import main

        sys.argv = ["genzoo", verb, "one", *arguments]
        with pytest.raises(SystemExit):
            main()

    points = dying(0, tmp_path / "points", work)
    assert points >= 2
    died = 0
    for number in range(1, points + 1):  # folders that the one before left behind are not made again
        died += dying(number, tmp_path / f"whole-{number}", work) is None
        assert RunFolder(run.path).status == "finished"
        assert torch.equal(genzoo.sample("one", 2), expected)
        assert all(genzoo.read_provenance(path)["genzoo"] for path in run.samples())
    print(f"{died} of {points} points")
    assert died >= 2
    assert genzoo_command(verb, "one", *arguments).status == 0
