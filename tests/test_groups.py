"""A group is one training a seed: gone on with where it was left, and one column of a comparison."""

import json
import signal
import statistics

import pytest

import genzoo
from genzoo import GenzooError, Interrupted, UsageError
from genzoo.evaluation import report
from genzoo.training.between import Between

SMALL = {"steps": 4, "sample_every": 0, "eval_every": 0, "save_every": 2}


@pytest.fixture(autouse=True)
def _plugins(toy, monkeypatch):
    monkeypatch.setattr("genzoo.image.features.STEPS", 20)


def stop_in(monkeypatch, seed, number=signal.SIGINT):
    """Ask the run of a seed to stop after its second step."""
    after_step = Between.after_step

    def stopping(self):
        after_step(self)
        if self.run.options.seed == seed and self.run.step == 2:
            self.run.stop_signal = number

    monkeypatch.setattr(Between, "after_step", stopping)


def trained(monkeypatch):
    """The steps that are trained from here on, as (run, step)."""
    steps = []
    after_step = Between.after_step
    monkeypatch.setattr(
        Between, "after_step", lambda self: steps.append((self.run.name, self.run.step)) or after_step(self)
    )
    return steps


def test_each_run_of_a_group_is_that_of_its_seed(genzoo_command):
    runs = genzoo.train_seeds("toy", 2, seed=3, name="g", **SMALL)
    assert [(run.name, run.group, run.training.seed) for run in runs] == [("g-seed3", "g", 3), ("g-seed4", "g", 4)]
    assert genzoo_command("cite", "g").out == genzoo_command("cite", "toy").out
    alone = genzoo.train("toy", seed=4, name="alone", **SMALL)
    assert alone.group is None
    assert alone.weights()["sha256"] == runs[1].weights()["sha256"] != runs[0].weights()["sha256"]
    assert json.loads((runs[0].path / "run.json").read_text("utf-8"))["group"] == {"name": "g", "seeds": [3, 4]}
    lines = [line.split() for line in genzoo_command("runs").out.splitlines()]
    assert lines[0][:2] == ["RUN", "GROUP"]
    assert [line[:2] for line in lines[2:]] == [["g-seed4", "g"], ["g-seed3", "g"]]


@pytest.mark.parametrize("how", ["the same command", "resume"])
def test_a_group_that_was_stopped_goes_on_where_it_was(monkeypatch, genzoo_command, how):
    whole = [genzoo.train("toy", seed=seed, name=f"whole{seed}", **SMALL) for seed in range(3)]
    with monkeypatch.context() as patch:
        stop_in(patch, seed=1)
        with pytest.raises(
            Interrupted, match="stopped in run 2 of 3 of group 'g', all saved; .*: genzoo resume g$"
        ) as stop:
            genzoo.train_seeds("toy", 3, name="g", **SMALL)
    assert stop.value.exit_status == 130
    with pytest.raises(UsageError, match="1 of the 3 runs of group 'g' are finished; go on with: genzoo resume g"):
        genzoo.compare(["g"])
    steps = trained(monkeypatch)
    if how == "resume":
        assert genzoo_command("resume", "g").status == 0
    else:
        genzoo.train_seeds("toy", 3, name="g", **SMALL)
    assert steps == [("g-seed1", 3), ("g-seed1", 4), *(("g-seed2", step) for step in (1, 2, 3, 4))]
    runs = [genzoo.find_run(f"g-seed{seed}") for seed in range(3)]
    assert [run.weights()["sha256"] for run in runs] == [run.weights()["sha256"] for run in whole]
    assert [run.status for run in genzoo.train_seeds("toy", 3, name="g", **SMALL)] == ["finished"] * 3
    assert len(steps) == 6
    assert genzoo_command("resume", "g").err.startswith("genzoo: all 3 runs of group 'g' are finished; give --steps")
    assert genzoo_command("resume", "g", "--steps", 5).status == 0
    assert steps[6:] == [(f"g-seed{seed}", 5) for seed in range(3)]


def test_a_run_that_was_killed_before_its_first_checkpoint_begins_anew(monkeypatch):
    first, _ = genzoo.train_seeds("toy", 2, name="g", **SMALL)
    for checkpoint in first.checkpoints():
        for file in checkpoint.iterdir():
            file.unlink()
        checkpoint.rmdir()
    first.update(status="running", step=0)
    steps = trained(monkeypatch)
    genzoo.train_seeds("toy", 2, name="g", **SMALL)
    assert steps == [("g-seed0", step) for step in (1, 2, 3, 4)]


def test_more_seeds_are_added_and_other_options_refused():
    genzoo.train_seeds("toy", 1, name="g", **SMALL)
    genzoo.train_seeds("toy", 2, name="g", **SMALL)
    for options, why in (
        ({"steps": 5}, "steps 4, and now it is 5"),
        ({**SMALL, "width": 3}, "width 8, and now it is 3"),
    ):
        with pytest.raises(UsageError, match=f"group 'g' exists with {why}; choose another --name, or go on with: "):
            genzoo.train_seeds("toy", 2, name="g", **{**SMALL, **options})
    genzoo.train("toy", name="h-seed0", **SMALL)
    with pytest.raises(UsageError, match="run 'h-seed0' exists and is of no such group; choose another --name"):
        genzoo.train_seeds("toy", 2, name="h", **SMALL)
    with pytest.raises(UsageError, match="--seeds is 2 from --seed 2147483647 on; allowed"):
        genzoo.train_seeds("toy", 2, seed=2**31 - 1, **SMALL)
    with pytest.raises(UsageError, match="'g' is a group of 2 runs; give one of them: g-seed0, g-seed1"):
        genzoo.load("g")


def test_a_run_that_diverges_keeps_no_other_from_being_trained():
    with pytest.raises(GenzooError, match=r"2 of 2 runs diverged, of seed 0, 1; the first: .*nan at step 3"):
        genzoo.train_seeds("toy", 2, name="g", break_at=3, **SMALL)
    assert [genzoo.find_run(f"g-seed{seed}").status for seed in (0, 1)] == ["failed", "failed"]


def test_a_group_is_one_column_mean_and_standard_deviation(genzoo_command):
    genzoo.train_seeds("toy", 3, name="g", **SMALL)
    genzoo.train("toy", name="wide", width=9, **SMALL)
    pooled, wide = genzoo.compare(["g", "wide"], 20)
    each = genzoo.compare([f"g-seed{seed}" for seed in range(3)], 20)
    assert (pooled.run, wide.run, [result.run for result in pooled.of_seeds]) == (
        "g",
        "wide",
        [one.run for one in each],
    )
    for number, measure in enumerate(pooled.measures):
        values = [result.measures[number].value for result in each]
        assert measure.value == statistics.fmean(values)
        assert measure.uncertainty == statistics.stdev(values)
        assert measure.count == 3
    assert len({result.measures[0].value for result in each}) == 3
    done = genzoo_command("compare", "g", "wide", "-n", 20)
    assert done.status == 0
    assert done.out.splitlines()[2].split()[:3] == ["MEASURE", "g", "wide"]
    assert "g: mean and standard deviation of 3 runs, seeds 0, 1, 2" in done.out


@pytest.mark.slow
def test_the_page_of_a_group_shows_each_run(genzoo_command, tmp_path):
    genzoo.train_seeds("toy", 2, name="g", **SMALL)
    genzoo.train("toy", name="wide", width=9, **SMALL)
    assert genzoo_command("compare", "g", "wide", "-n", 20, "--html", tmp_path / "page.html").status == 0
    page = (tmp_path / "page.html").read_text("utf-8")
    assert all(f"<h2>{name}</h2>" in page for name in ("g-seed0", "g-seed1", "wide"))


def test_runs_that_differ_in_the_seed_alone_are_one_column_if_that_is_asked():
    for name, options in (("a", {}), ("b", {"seed": 1}), ("c", {"width": 9}), ("d", {"seed": 7})):
        genzoo.train("toy", name=name, **SMALL, **options)
    genzoo.train_seeds("toy", 2, name="g", width=9, seed=5, **SMALL)
    names = ["a", "b", "c", "d"]
    assert [result.run for result in genzoo.compare(names, 20)] == names
    one, other = genzoo.compare(names, 20, seeds=True)
    assert (one.run, one.facts["seeds"], other.run) == ("a and 2 more", [0, 1, 7], "c")
    (group,) = genzoo.compare(["g-seed6"], 20, seeds=True)
    assert (group.run, group.facts["seeds"]) == ("g", [5, 6])
    (twice,) = genzoo.compare(["g", "g-seed5"], 20, seeds=True)
    assert len(twice.of_seeds) == 2


def test_the_best_is_marked_by_the_error_of_the_mean():
    def column(run, value, spread, count):
        measure = genzoo.Measured(
            name="precision", value=value, unit="", better="higher", uncertainty=spread, count=count
        )
        facts = {"seeds": list(range(count))}
        return genzoo.Evaluation(
            run=run, model="-", protocol={"modality": "image"}, heading="", columns={}, legend="", measures=(measure,),
            left_out={}, facts=facts,
        )  # fmt: skip

    far = report.rows([column("a", 0.8, 0.1, 25), column("b", 0.7, 0.1, 25)])[1]
    assert far[1:] == ("0.8000 ± 0.10 *", "0.7000 ± 0.10")
    near = report.rows([column("a", 0.8, 0.1, 1), column("b", 0.7, 0.1, 1)])[1]
    assert near[2].endswith("*")
