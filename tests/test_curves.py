"""A stranger's modality, built as a wheel and installed into an empty environment, goes all the way."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

CURVES = Path(__file__).parent / "curves"


@pytest.fixture(scope="module")
def curves(outside):
    """The clean environment with the plugin's wheel; `call` is `genzoo`."""
    source = outside.root / "genzoo-curves"
    shutil.copytree(CURVES, source)
    outside(outside.uv, "build", "--wheel", "--quiet", "--python", sys.executable, source)
    (wheel,) = (source / "dist").glob("*.whl")
    outside(outside.scripts / "python", "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel)

    def call(*arguments, **more):
        return outside(outside.scripts / "genzoo", *arguments, **more)

    call.folder, call.outside = outside.root, outside
    return call


def rows(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_the_plugin_is_short():
    lines = [line for path in CURVES.rglob("*.py") for line in path.read_text("utf-8").splitlines()]
    assert len(lines) < 250


def test_it_is_named_wherever_modalities_are(curves):
    assert "pca" in curves("list", "--modality", "curves")
    assert "vae" not in curves("list", "--modality", "curves")
    assert "a .csv file with a curve a row" in curves("data")
    assert "default: waves" in curves("train", "pca", "--help")
    assert json.loads(curves("info", "pca", "--json"))["modality"] == "curves"


def test_its_model_keeps_every_promise(curves):
    assert " 0 failed" in curves("check", "pca")


def test_from_training_to_comparing(curves):
    curves("train", "pca", "--conditional", "--name", "one", "--threads", "1")
    curves("train", "pca", "--rank", "1", "--name", "two", "--threads", "1")
    folder = curves.folder / "runs" / "one"
    record = json.loads((folder / "run.json").read_text("utf-8"))
    assert record["data_spec"]["modality"] == "curves"
    assert record["data_spec"]["extra"] == {"curves": 400}
    assert [record["data_spec"][f"{part}_count"] for part in ("train", "validation", "test")] == [324, 36, 40]
    path = Path(curves("sample", "one", "-n", "6", "--decimals", "2").strip())
    heading, *drawn = rows(curves.folder / path)
    assert heading[:2] == ["label", "0"]
    assert [row[0] for row in drawn] == ["arch", "sine", "square"] * 2
    assert all(re.fullmatch(r"-?\d+\.\d\d", cell) for row in drawn for cell in row[1:])
    labels = json.loads(curves("provenance", path, "--json"))
    assert labels["genzoo"]["run"] == "one"
    assert labels["digital_source_type"].endswith("trainedAlgorithmicMedia")
    curves("sample", "one", "--label", "square", "-n", "3", "--out", "squares.csv")
    assert {row[0] for row in rows(curves.folder / "squares.csv")[1:]} == {"square"}
    for verb in ("reconstruct", "interpolate"):
        assert curves(verb, "one").strip().endswith(".csv")
    assert "show.png" in curves("show", "one")
    assert (folder / "show.png").read_bytes()[:4] == b"\x89PNG"
    result = json.loads(curves("evaluate", "one", "--json"))
    (measure,) = result["measures"]
    assert measure["name"] == "spectrum_distance"
    assert measure["references"]["floor"] < measure["value"] < measure["references"]["noise"]
    table = curves("compare", "one", "two", "--html", "page.html")
    assert "REAL CURVES  WHITE NOISE" in table
    page = (curves.folder / "page.html").read_text("utf-8")
    assert '<th scope="col">WHITE NOISE</th>' in page
    assert page.count("data:image/png") == 6  # samples, and two drawings of the training, of each run


def test_a_killed_training_goes_on_as_if_nothing_had_been(curves):
    options = ["--steps", "400", "--save-every", "5", "--sample-every", "0", "--keep", "3", "--threads", "1"]
    curves("train", "pca", *options, "--name", "whole")
    command = [str(curves.outside.scripts / "genzoo"), "train", "pca", *options, "--name", "killed"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("GENZOO_", "PYTHON", "VIRTUAL_ENV"))}
    process = subprocess.Popen(command, cwd=curves.folder, env=environment, stderr=subprocess.DEVNULL)
    checkpoints = curves.folder / "runs" / "killed" / "checkpoints"
    while process.poll() is None and not list(checkpoints.glob("step-*/manifest.json")):
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert json.loads((curves.folder / "runs" / "killed" / "run.json").read_text("utf-8"))["status"] == "running"
    curves("resume", "killed")
    weights = [curves.folder / "runs" / name / "model" / "state.safetensors" for name in ("whole", "killed")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_a_plugin_of_the_modality_is_begun_by_its_template(curves):
    curves("new", "sketch", "--modality", "curves")
    project = curves.folder / "genzoo-sketch"
    assert '"genzoo-curves"' in (project / "pyproject.toml").read_text("utf-8")
    curves.outside(curves.outside.uv, "build", "--wheel", "--quiet", "--python", sys.executable, project)
    (wheel,) = (project / "dist").glob("*.whl")
    curves.outside(
        curves.outside.scripts / "python", "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel
    )
    curves("train", "sketch", "--steps", "60", "--threads", "1", "--name", "begun")
    lines = [json.loads(line) for line in (curves.folder / "runs/begun/metrics.jsonl").read_text("utf-8").splitlines()]
    assert lines[-1]["loss"] < lines[0]["loss"]
    assert curves("sample", "sketch", "-n", "2").strip().endswith(".csv")
