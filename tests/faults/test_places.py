"""Places that cannot be written or that no system can have are refused before anything is computed."""

import os
import shutil
import sys

import pytest

import genzoo
from genzoo import RunFolder
from genzoo.training.plan import plan

pytestmark = pytest.mark.usefixtures("toy")
OPTIONS = {"steps": 2, "eval_every": 0, "sample_every": 0}


@pytest.fixture
def run():
    return genzoo.train("toy", name="one", **OPTIONS)


@pytest.mark.parametrize("verb", ["evaluate", "compare"])
def test_a_run_that_takes_no_result_is_told_before_anything_is_measured(run, genzoo_command, monkeypatch, verb):
    measured = []
    monkeypatch.setattr("genzoo.evaluation.evaluate.load_data", lambda *rest: measured.append(rest))
    (run.path / "evaluations").write_bytes(b"")  # that cannot be written in, not even by root
    outcome = genzoo_command(verb, "one", "--features", "random")
    assert (outcome.status, outcome.err.count("\n"), outcome.out, measured) == (1, 1, "", [])
    assert outcome.err.startswith(f"genzoo: cannot write in {run.path / 'evaluations'} (")
    assert outcome.err.endswith("where the result is kept; copy the run to where you can\n")


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root writes in every folder")
def test_a_read_only_run_is_sampled_and_not_measured(run, genzoo_command, tmp_path):
    os.chmod(run.path, 0o555)
    try:
        assert "Permission denied" in genzoo_command("evaluate", "one", "--features", "random").err
        assert "Permission denied" in genzoo_command("show", "one").err
        assert genzoo_command("sample", "one", "-n", "1", "--out", tmp_path / "a.png").status == 0
    finally:
        os.chmod(run.path, 0o755)


@pytest.mark.parametrize("arguments", [("sample", "one"), ("sample", "one", "--out", "there/a.png")], ids=" ".join)
def test_samples_that_can_be_written_nowhere_are_not_drawn(run, genzoo_command, monkeypatch, tmp_path, arguments):
    drawn = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("genzoo.sampling.model.load", lambda *rest, **more: drawn.append(rest))
    place = run.path / "samples" if len(arguments) == 2 else tmp_path / "there"
    shutil.rmtree(place, ignore_errors=True)
    place.write_bytes(b"")  # that cannot be written in, not even by root
    outcome = genzoo_command(*arguments)
    assert (outcome.status, outcome.err.count("\n"), outcome.out, drawn) == (1, 1, "", [])
    assert outcome.err.startswith(f"genzoo: cannot write in {place} (")
    assert outcome.err.endswith("; say with --out where you can\n")


def test_a_training_whose_run_json_cannot_be_written_leaves_nothing(genzoo_command, monkeypatch, tmp_path):
    def refuse(path, record):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("genzoo.runs.folder.write_json", refuse)
    outcome = genzoo_command("train", "toy", "--name", "new", "--steps", 1)
    path = tmp_path / "runs" / "new"
    message = f"genzoo: cannot write {path / 'run.json'}: No space left on device; no run was begun\n"
    assert (outcome.status, outcome.err, path.exists()) == (1, message, False)


def test_what_a_run_keeps_is_compared_where_it_cannot_be_written(run, genzoo_command, monkeypatch):
    assert genzoo_command("evaluate", "one", "-n", "10", "--features", "random").status == 0

    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("genzoo.runs.find._try_to_write", refuse)
    assert genzoo_command("compare", "one", "-n", "10", "--features", "random").status == 0
    outcome = genzoo_command("compare", "one", "-n", "11", "--features", "random")
    assert (outcome.status, "(Permission denied), where the result is kept" in outcome.err) == (1, True)


@pytest.mark.parametrize(
    "arguments",
    [
        ("sample", "one", "--out", "CON.png"),
        ("show", "one", "--out", "nul.png"),
        ("reconstruct", "one", "--out", "aux.png"),
        ("evaluate", "one", "--html", "PRN.html"),
        ("compare", "one", "--html", "com1.html"),
        ("export", "one", "--to", "nul"),
        ("export", "one", "--to", "nul/"),
        ("new", "mine", "--to", "Con"),
        ("plot", "one", "--out", "lpt1.svg"),
        ("data", ".", "--out", "con.png"),
    ],
    ids=" ".join,
)
def test_names_that_windows_keeps_for_itself_are_refused(run, genzoo_command, monkeypatch, tmp_path, arguments):
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.rglob("*"))
    outcome = genzoo_command(*arguments)
    assert (outcome.status, outcome.err.count("\n")) == (2, 1), outcome.err
    assert f"{arguments[-2]} is {arguments[-1]!r}, which no file on Windows can be called" in outcome.err
    assert set(tmp_path.rglob("*")) == before


def test_what_is_left_of_a_training_that_died_before_run_json_is_no_run_to_resume(run, genzoo_command):
    dead = run.path.with_name("dead")
    shutil.copytree(run.path, dead)
    (dead / "run.json").unlink()
    outcome = genzoo_command("train", "toy", "--name", "dead", "--steps", 2)
    assert (outcome.status, outcome.err.count("\n"), "resume" in outcome.err) == (2, 1, False)
    assert f"{dead} exists and has no run.json" in outcome.err
    with pytest.raises(genzoo.UsageError, match="`genzoo resume one` goes on with it"):
        plan("toy", {"name": "one"})
    assert RunFolder(run.path).status == "finished"


def test_a_home_that_nobody_has_is_one_line(run, genzoo_command):
    outcome = genzoo_command("sample", "one", "--out", "~nobody-is-called-so/a.png")
    assert (outcome.status, outcome.err) == (
        2, "genzoo: a path begins with ~ and a name that no user here has; write it out\n",
    )  # fmt: skip
