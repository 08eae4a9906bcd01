"""Sweeps: what is varied, who does which trial, and that nothing is lost or done twice when workers die."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest

import genzoo
from genzoo import GenzooError, UsageError
from genzoo.registry.plugins import registry
from genzoo_sweep import Sweep, space, sweep
from genzoo_sweep.sweep import Plan, spec_of

TOY = str(Path(__file__).parents[3] / "tests" / "toy")
FAST = {"steps": "8", "eval_every": "4", "sample_every": "0", "save_every": "2", "log_every": "2"}
MEASURE = "loss"


@pytest.fixture(autouse=True)
def toy(monkeypatch):
    monkeypatch.syspath_prepend(TOY)
    registry.cache_clear()
    yield
    registry.cache_clear()


def plan(*vary, **how):
    return Plan(models=("toy",), vary=vary, measures=(MEASURE,), settings={**FAST, **how.pop("settings", {})}, **how)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("width=4,8,16", {"values": (4, 8, 16)}),
        ("width=2..32", {"low": 2, "high": 32}),
        ("width=2..32:log", {"low": 2, "high": 32, "log": True}),
        ("width=8..32:8", {"low": 8, "high": 32, "step": 8}),
        ("--rate=1e-3..1e-1:log", {"low": 1e-3, "high": 1e-1, "log": True}),
        ("bias=true,false", {"values": (True, False)}),
        ("style=plain,fancy", {"values": ("plain", "fancy")}),
        ("sizes=4,4|8", {"values": ("4,4", "8")}),
        ("batch-size=4,8", {"values": (4, 8)}),
        ("toy.width=4,8", {"values": (4, 8)}),
    ],
)
def test_what_is_varied(text, expected):
    (dimension,) = space.parse([text], [spec_of("toy")])
    name = text.partition("=")[0].removeprefix("--").replace("-", "_")
    assert dimension == space.Dimension(name, **expected)


@pytest.mark.parametrize(
    ("vary", "says"),
    [
        (["widht=4,8"], "did you mean 'width'"),
        (["width"], "not of the form OPTION=VALUES"),
        (["width=0,8"], "--width is '0'"),
        (["width=8..200"], "--width is '200'"),
        (["width=8..4"], "ends where it begins"),
        (["width=4..8:often"], "neither log nor a step"),
        (["width=4,4"], "a value twice"),
        (["style=plain..fancy"], "is a range"),
        (["limit=0..8:log"], "--limit is '0'"),
        (["width=4,8", "width=2,3"], "given twice"),
        (["other.width=4,8"], "none of the models"),
        ([], "nothing is varied"),
        (["seed=1,2"], "the sweep's own"),
        (["steps=4,8"], "set and varied"),
    ],
)
def test_what_cannot_be_varied_is_one_line_and_makes_nothing(vary, says):
    with pytest.raises(UsageError, match=says) as error:
        Sweep.begin("s", plan(*vary))
    assert "\n" not in str(error.value)
    assert not genzoo.runs_folder(None).exists()


def test_a_sweep_from_the_command_line(genzoo_command, tmp_path):
    options = [part for name, value in FAST.items() for part in ("--set", f"{name}={value}")]
    command = ["sweep", "toy", "--vary", "width=2..8", "--measure", MEASURE, "--trials", 4, "--name", "s", *options]
    status, out, err = genzoo_command(*command)
    assert status == 0, err
    heading = out.splitlines()[0].replace("↓", "v").split()  # as it is where standard output has no arrows
    assert heading == ["TRIAL", MEASURE, "v", "width", "SECONDS", "STATE"]
    assert [line.split()[-1] for line in out.splitlines()[1:5]] == ["complete"] * 4
    assert "matters" in out
    assert "best     s-0" in out
    values = [float(line.split()[1]) for line in out.splitlines()[1:5]]
    assert values == sorted(values)
    best = genzoo.find_run(out.split("best     ")[1][:5] + "-seed0")
    assert best.metrics()[-1][f"validation/{MEASURE}"] == pytest.approx(values[0], rel=1e-4)
    assert len(genzoo.list_runs()) == 4
    assert "sweep s: 4 trials are there" in genzoo_command(*command)[2]  # nothing is done again
    assert len(genzoo.list_runs()) == 4
    status, out, _ = genzoo_command("sweep", "show", "s", "--json", "--out", tmp_path / "s.html")
    shown = json.loads(out)
    assert (status, len(shown["trials"])) == (0, 4)
    assert set(shown["importances"]) == {MEASURE}
    page = (tmp_path / "s.html").read_text("utf-8")
    assert page.count("<tr>") == 5
    assert "data:image/png" in page
    assert not re.search("<script|http", page)
    assert genzoo_command("sweep", "show", "s", "--out", tmp_path / "s.png")[0] == 0
    assert (tmp_path / "s.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["toy", "--vary", "width=2,4"], "no measure is given"),
        (["toyy", "--vary", "width=2,4", "--measure", "loss"], "did you mean 'toy'"),
        (["toy", "--vary", "width=2,4", "--measure", "loss:up"], "NAME:higher"),
        (["toy", "--vary", "rate=0.1..0.5", "--measure", "loss", "--sampler", "grid"], "a range without a step"),
        (
            ["toy", "--vary", "width=2,4", "--measure", "a", "--measure", "b", "--prune", "median"],
            "takes one --measure",
        ),
        (["toy", "--vary", "width=2,4", "--measure", "a", "--set", "name=x"], "the sweep's own"),
        (["show", "s"], "there is no sweep 's'"),
    ],
)
def test_mistakes_are_one_line(genzoo_command, arguments, says):
    status, _, err = genzoo_command("sweep", *arguments)
    assert (status, err.count("\n")) == (2, 1)
    assert says in err


def test_a_sweep_of_that_name_with_other_options_is_refused():
    Sweep.begin("s", plan("width=2,4"))
    with pytest.raises(UsageError, match="exists with vary"):
        Sweep.begin("s", plan("width=2,8"))


def test_a_measure_that_is_not_logged_ends_it_at_the_first_score():
    other = Plan(models=("toy",), vary=("width=2,4",), measures=("lost",), settings=FAST)
    with pytest.raises(UsageError, match=f"unknown measure .* 'lost'; did you mean '{MEASURE}'"):
        Sweep.begin("s", other).work(4)
    assert genzoo.list_runs()[0].step < 8


SECOND = """
import dataclasses
import genzoo
from genzoo import option
from genzoo_toy import ToyOptions, ToySampleOptions

@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(ToyOptions):
    extra: int = option(1, help="What the other one has not.", minimum=1)

@genzoo.hookimpl
def genzoo_generators():
    return [
        genzoo.GeneratorSpec(
            name="toy-two", summary="-", modality="image", target="genzoo_toy_model:Toy", config=Options,
            sample_options=ToySampleOptions, defaults={"data": "dots", "batch_size": 8},
        )
    ]
"""


def test_a_grid_is_every_combination_once_over_models_too(tmp_path, monkeypatch):
    (tmp_path / "toy_two.py").write_text(SECOND, "utf-8")
    info = tmp_path / "toy_two-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-two\nVersion: 1.0\n", "utf-8")
    (info / "entry_points.txt").write_text("[genzoo]\ntoy_two = toy_two\n", "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    registry.cache_clear()
    both = Plan(models=("toy", "toy-two"), vary=("toy.width=2,4", "extra=1,2", "bias=false"), measures=(MEASURE,),
                sampler="grid", settings=FAST)  # fmt: skip
    begun = Sweep.begin("s", both)
    begun.work()
    Sweep.find("s").work()
    assert [trial.params for trial in begun.trials()] == [
        {"model": "toy", "toy.width": 2, "bias": False},
        {"model": "toy", "toy.width": 4, "bias": False},
        {"model": "toy-two", "extra": 1, "bias": False},
        {"model": "toy-two", "extra": 2, "bias": False},
    ]
    assert {run.model for run in genzoo.list_runs()} == {"toy", "toy-two"}


def test_proposals_are_a_function_of_the_seed():
    def proposed(name, seed):
        begun = Sweep.begin(name, plan("rate=0.01..0.5:log", seed=seed, settings={"steps": "2"}))
        begun.work(3)
        return [trial.params["rate"] for trial in begun.trials()]

    first = proposed("a", 1)
    assert proposed("b", 1) == first != proposed("c", 2)
    assert len(set(first)) == 3


def test_trials_that_fail_are_told_and_the_others_are_done():
    begun = Sweep.begin("s", plan("break_at=0,3", sampler="grid"))
    begun.work()
    states = {trial.params["break_at"]: trial.state.name for trial in begun.trials()}
    assert states == {0: "COMPLETE", 3: "FAIL"}
    failed = next(trial for trial in begun.trials() if trial.params["break_at"] == 3)
    assert "diverged" in failed.user_attrs[sweep.ERROR]


def test_a_first_trial_that_cannot_be_ends_the_sweep():
    with pytest.raises(GenzooError, match="diverged"):
        Sweep.begin("s", plan("break_at=3,4", sampler="grid")).work()


def test_a_trial_that_falls_behind_is_stopped(monkeypatch):
    monkeypatch.setattr(sweep, "_pruner", lambda name: optuna.pruners.ThresholdPruner(upper=-1))
    begun = Sweep.begin("s", plan("width=2,4", prune="median"))
    begun.work(2)
    assert [trial.state.name for trial in begun.trials()] == ["PRUNED", "PRUNED"]
    assert {run.step for run in genzoo.list_runs()} == {4}


def test_several_seeds_are_one_value_and_several_measures_a_front():
    two = Plan(models=("toy",), vary=("width=2,8",), measures=(MEASURE, f"{MEASURE}:higher"), seeds=2, settings=FAST)
    begun = Sweep.begin("s", two)
    begun.work(2)
    assert len(begun.study.best_trials) == 2
    runs = [run for run in genzoo.list_runs() if run.group == "s-000"]
    mean = sum(run.metrics()[-1][f"validation/{MEASURE}"] for run in runs) / 2
    assert begun.trials()[0].values == pytest.approx([mean, mean])


def worker(name, widths, *settings):
    """A worker in a process of its own."""
    options = [part for name, value in {**FAST, **dict(settings)}.items() for part in ("--set", f"{name}={value}")]
    path = os.pathsep.join([TOY, os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-m", "genzoo", "sweep", "toy", "--vary", f"width={widths}", "--measure", MEASURE,
         "--sampler", "grid", "--name", name, *options],
        env=os.environ | {"PYTHONPATH": path}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def weights(run):
    return {name: tensor.tolist() for name, tensor in genzoo.load(run).state_dict().items()}


def killed_in_the_middle(process):
    """Wait until a worker has a run with a checkpoint, then kill it."""
    deadline = time.monotonic() + 100
    while not any(0 < run.progress < 8 and run.checkpoints() for run in genzoo.list_runs()):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_what_a_killed_worker_left_is_gone_on_with_exactly():
    process = worker("s", "2,3", ("pause", 0.1))
    killed_in_the_middle(process)
    (left,) = [trial for trial in Sweep.find("s").trials() if trial.state.name == "RUNNING"]
    Sweep.find("s").work()
    trials = Sweep.find("s").trials()
    assert [trial.params["width"] for trial in trials] == [2, 3]
    assert {trial.state.name for trial in trials} == {"COMPLETE"}
    whole = genzoo.train("toy", width=left.params["width"], name="whole", settings=FAST)
    assert weights(whole) == weights(genzoo.find_run(f"s-{left.number:03}-seed0"))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_six_workers_of_which_three_are_killed_do_each_trial_once():
    workers = [worker("s", "2,3,4,5,6,7", ("pause", 0.3)) for _ in range(6)]
    killed_in_the_middle(workers[0])
    for number in (1, 2):
        time.sleep(0.5)
        workers[number].send_signal(signal.SIGKILL)
        workers[number].wait()
    for process in workers[3:]:
        assert process.wait(timeout=300) == 0
    Sweep.find("s").work()
    trials = Sweep.find("s").trials()
    assert sorted(trial.params["width"] for trial in trials) == [2, 3, 4, 5, 6, 7]
    assert {trial.state.name for trial in trials} == {"COMPLETE"}
    runs = genzoo.list_runs()
    assert [run.step for run in runs] == [8] * 6
    for trial in trials:
        whole = genzoo.train("toy", width=trial.params["width"], name=f"whole{trial.number}", settings=FAST)
        assert weights(whole) == weights(genzoo.find_run(f"s-{trial.number:03}-seed0"))


@pytest.mark.slow
def test_workers_are_started_by_submitit(genzoo_command, monkeypatch):
    pytest.importorskip("submitit")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([TOY, os.environ.get("PYTHONPATH", "")]))
    options = [part for name, value in FAST.items() for part in ("--set", f"{name}={value}")]
    status, out, err = genzoo_command(
        "sweep", "toy", "--vary", "width=2..8", "--measure", MEASURE, "--trials", 4, "--name", "s", "--submit", "local",
        "--workers", 2, *options,
    )  # fmt: skip
    assert status == 0, err
    assert out.count("job ") == 2
    assert [trial.state.name for trial in Sweep.find("s").trials()] == ["COMPLETE"] * 4
