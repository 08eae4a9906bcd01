"""From a run to a paper: data that moved, trainings again, runs in order, and what is printed of them."""

import csv
import json
import os
import re
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

import genzoo
from genzoo import Evaluation, GenzooError, GenzooWarning, Measured, RunFolder, UsageError
from genzoo.evaluation import report
from genzoo.runs import checkpoint, manage
from genzoo.runs.manage import size_of
from genzoo.runs.plot import titled

pytestmark = pytest.mark.usefixtures("toy")


@pytest.fixture
def pictures(tmp_path):
    """24 pictures of 4x4 in two classes, in a folder that may move."""
    rng = np.random.default_rng(0)
    for name in ("dark", "light"):
        folder = tmp_path / "tree" / "pictures" / name
        folder.mkdir(parents=True)
        for number in range(12):
            array = rng.integers(0, 120, (4, 4), np.uint8) + (130 if name == "light" else 0)
            Image.fromarray(array.astype(np.uint8)).save(folder / f"{number}.png")
    return tmp_path / "tree" / "pictures"


@pytest.fixture
def run(pictures, coder):
    return genzoo.train("coder", data=str(pictures), name="run", runs_dir=str(pictures.parent / "runs"))


# Data that moved


def test_a_tree_that_moves_whole_is_found_again(run, pictures, tmp_path):
    before = genzoo.reconstruct(run, 4)[0]
    shutil.move(pictures.parent, tmp_path / "elsewhere")
    moved = RunFolder(tmp_path / "elsewhere" / "runs" / "run")
    assert torch.equal(genzoo.reconstruct(moved, 4)[0], before)
    assert genzoo.resume(moved, steps=2).step == 2
    assert moved.training.data == str((tmp_path / "elsewhere" / "pictures").resolve())


def test_data_that_moved_alone_are_given_once(run, pictures, tmp_path, genzoo_command):
    where = tmp_path / "new"
    shutil.move(pictures, where)
    runs = ("--runs-dir", run.path.parent)
    done = genzoo_command("reconstruct", "run", *runs)
    assert (done.status, done.err) == (
        2,
        f"genzoo: the data of run 'run' are no longer at {pictures}; give --data where they are now\n",
    )
    assert genzoo_command("interpolate", "run", "--data", where, *runs).status == 0
    assert genzoo_command("reconstruct", "run", *runs).status == 0  # it is remembered
    shutil.move(where, where.with_name("newer"))
    evaluated = genzoo.evaluate(run, data=str(where.with_name("newer")), features="random")
    assert evaluated.protocol["data"] == "pictures"  # as the run knows them, whatever the folder is called
    shutil.move(where.with_name("newer"), where)
    assert genzoo_command("resume", "run", "--steps", 2, "--data", where, *runs).status == 0
    assert json.loads((run.path / "run.json").read_text("utf-8"))["training"]["data"] == str(where)


@pytest.mark.parametrize("verb", ["reconstruct", "resume"])
def test_other_data_are_refused_and_not_remembered(run, pictures, tmp_path, verb):
    other = shutil.copytree(pictures, tmp_path / "other")
    (other / "dark" / "0.png").unlink()
    with pytest.raises(GenzooError, match="not those that run 'run' was trained on; put those back, or give --data"):
        getattr(genzoo, verb)(run, data=str(other), **({"steps": 2} if verb == "resume" else {}))
    assert RunFolder(run.path).training.data == str(pictures)


def test_the_place_is_not_written_while_another_trains_the_run(run, pictures, tmp_path):
    where = tmp_path / "new"
    shutil.move(pictures, where)
    before = (run.path / "run.json").read_bytes()
    with run.hold():
        genzoo.reconstruct(RunFolder(run.path), 2, data=str(where))
    assert (run.path / "run.json").read_bytes() == before


# Examples of one's own


def test_examples_of_ones_own_are_reconstructed_and_gone_between(run, pictures, genzoo_command):
    files = [pictures / "dark" / "0.png", pictures / "light" / "0.png"]
    originals, copies = genzoo.reconstruct(run, examples=files)
    expected = torch.stack([torch.from_numpy(np.array(Image.open(file)))[None] / 255 for file in files])
    assert torch.equal(originals, expected)
    assert torch.equal(genzoo.reconstruct(genzoo.load(run), examples=expected)[1], copies)
    ways = genzoo.interpolate(run, examples=files, num_steps=3)
    assert ways.shape == (1, 3, 1, 4, 4)
    assert torch.allclose(ways[0, [0, -1]], copies)
    shutil.rmtree(pictures / "dark")  # the data are not needed
    file, runs = files[1], ("--runs-dir", run.path.parent)
    done = genzoo_command("interpolate", "run", *runs, "--json", "--from", file, file)
    assert json.loads(done.out)["count"] == 1
    done = genzoo_command("interpolate", "run", *runs, "--from", file)
    assert done.err == "genzoo: there are 1 examples to interpolate between; allowed are pairs\n"
    done = genzoo_command("reconstruct", "run", file, *runs)
    assert done.err == f"genzoo: {str(file)!r} is one argument too many; files of yours come behind --from\n"


def test_examples_that_are_none(run, pictures, tmp_path):
    with pytest.raises(UsageError, match="is not a file"):
        genzoo.reconstruct(run, examples=[tmp_path / "nothing.png"])
    with pytest.raises(UsageError, match=r"the examples are shape \(2, 1, 3, 3\)"):
        genzoo.reconstruct(run, examples=torch.rand(2, 1, 3, 3))
    with pytest.raises(UsageError, match="n is Tensor; allowed is a number"):
        genzoo.reconstruct(run, torch.rand(2, 1, 4, 4))
    conditional = genzoo.train("coder", data=str(pictures), conditional=True, name="conditional")
    with pytest.raises(UsageError, match="--label is needed"):
        genzoo.reconstruct(conditional, examples=[pictures / "dark" / "0.png"])
    assert len(genzoo.reconstruct(conditional, examples=[pictures / "dark" / "0.png"], label="dark")[1]) == 1


# A training again


def weights_of(run):
    return checkpoint.load_newest(genzoo.find_run(run))[1]["model"]


def test_a_run_is_trained_again_from_what_it_says_of_itself(pictures, tmp_path):
    data = str(pictures)
    first = genzoo.train("toy", data=data, preset="wide", rate=0.03, seed=5, steps=6, name="first")
    again = genzoo.train(like="first", name="again")
    assert (again.record["options"], again.record["preset"]) == (first.record["options"], "wide")
    assert again.record["training"] == first.record["training"] | {"name": "again"}
    assert (again.record["like"], again.record["seconds"] > 0) == ("first", True)
    assert all(
        torch.equal(a, b) for a, b in zip(weights_of("first").values(), weights_of("again").values(), strict=True)
    )
    alone = shutil.copy(first.path / "run.json", tmp_path / "supplement.json")  # of a paper
    other = genzoo.train(config=str(alone), seed=6, name="other", settings={"rate": 0.02})
    assert other.record["training"]["seed"] == 6
    assert (other.record["options"]["rate"], other.record["options"]["width"]) == (0.02, 32)


def test_what_is_not_the_same_is_said(pictures, tmp_path):
    run = genzoo.train("toy", data=str(pictures), name="first", steps=2)
    run.update(environment=run.record["environment"] | {"torch": "0.4.1"})
    with pytest.warns(GenzooWarning, match="other conditions than those of run 'first'.*torch 0.4.1 -> "):
        genzoo.train(like="first")
    run.update(environment=run.record["environment"] | {"torch": torch.__version__.partition("+")[0]})
    (pictures / "dark" / "0.png").unlink()
    with pytest.raises(GenzooError, match="not those that run 'first' was trained on; put those back, or give --data"):
        genzoo.train(like="first")
    with pytest.warns(GenzooWarning, match="other data than those of run 'first'"):
        genzoo.train(like="first", data=str(pictures))
    shutil.move(pictures, tmp_path / "moved")
    with pytest.raises(UsageError, match="the data of run 'first' are not at .* here; give --data where they are"):
        genzoo.train(like="first")


def test_the_command_takes_the_model_from_the_run_or_the_file(genzoo_command, tmp_path):
    genzoo.train("toy", name="first", steps=2, width=5)
    done = genzoo_command("train", "--like", "first", "--seed", 3, "--set", "style=fancy", "--json")
    record = json.loads(done.out)
    assert (record["like"], record["training"]["seed"]) == ("first", 3)
    assert (record["options"]["width"], record["options"]["style"]) == (5, "fancy")
    file = tmp_path / "my.toml"
    file.write_text('model = "toy"\nsteps = 1\n', "utf-8")
    assert json.loads(genzoo_command("train", "--config", file, "--json").out)["step"] == 1
    for arguments, message in (
        (("vae", "--like", "first"), "the model is 'vae', and run 'first' is of 'toy'; leave one out"),
        (("vae", "--config", file), "the model is 'vae', and --config is of 'toy'; leave one out"),
        (("--steps", 5), "no model is named; give MODEL, --like RUN, or a --config that says `model`"),
        (("--like", "nothing"), "there is no run 'nothing'"),
        (("toy", "--init-from", "nothing"), "there is no run 'nothing'"),
    ):
        done = genzoo_command("train", *arguments)
        assert (done.status, message in done.err) == (2, True), done.err


def test_a_run_keeps_each_time_that_it_went_on(toy):
    genzoo.train("toy", name="run", steps=4)
    genzoo.resume("run", steps=6)
    run = genzoo.resume("run", steps=8)
    first, second = run.record["resumes"]
    assert (first["from_step"], first["to_step"], first["changes"]) == (4, 6, {"steps": [4, 6]})
    assert (second["from_step"], second["to_step"], second["changes"]) == (6, 8, {"steps": [6, 8]})
    assert first["when"] < second["when"]
    with pytest.warns(GenzooWarning, match="planned for 4 and then 6 and then 8 steps; this one for 8 from the first"):
        genzoo.train(like="run")


def test_a_run_is_not_shortened_unasked(toy, monkeypatch):
    genzoo.train("toy", name="run", steps=4)
    run = genzoo.find_run("run")
    run.update(status="interrupted", steps_total=9, training=run.record["training"] | {"steps": 9})
    with pytest.raises(UsageError, match="is planned for 9 steps; --steps 5 would end it sooner.*--shorten"):
        genzoo.resume("run", steps=5)
    assert genzoo.resume("run", steps=5, shorten=True).step == 5


def test_what_becomes_of_a_falling_step_size_is_said(genzoo_command):
    tiny = ("--data", "dots", "--hidden-sizes", 4, "--latent-dim", 2, "--sample-every", 0, "--eval-every", 0)
    assert genzoo_command("train", "vae", "--steps", 2, "--name", "falls", *tiny).status == 0
    done = genzoo_command("resume", "falls", "--steps", 3)
    assert (
        "(--learning-rate-schedule cosine): up to step 2 it was that of 2 steps, and from there on it is that of 3"
        in done.err
    )
    genzoo_command("train", "vae", "--steps", 2, "--name", "stays", "--learning-rate-schedule", "constant", *tiny)
    assert "step size" not in genzoo_command("resume", "stays", "--steps", 3).err


# Weights of another run


def test_a_run_begins_with_the_weights_of_another(toy):
    parent = genzoo.train("toy", name="parent", width=6)
    child = genzoo.train("toy", init_from="parent", name="child", steps=1, rate=1e-6)
    assert child.record["parent"] == {"run": "parent", **parent.weights()}
    assert (child.record["options"]["width"], child.record["options"]["rate"]) == (6, 1e-6)
    sampled, begun = genzoo.load(parent).state_dict(), genzoo.load(child).state_dict()
    assert all(torch.allclose(sampled[name], begun[name], atol=1e-4) for name in sampled)
    with pytest.warns(GenzooWarning, match="3 of 6 tensors are those of run 'parent'.*begun anew: mean.0.weight"):
        wider = genzoo.train("toy", init_from="parent", name="wider", steps=1, width=9)
    assert wider.record["options"]["width"] == 9
    resumed = genzoo.resume(child, steps=2)  # which does not begin with them again
    assert resumed.record["parent"]["run"] == "parent"
    with pytest.raises(UsageError, match="the model is 'vae', and run 'parent' is of 'toy'; leave one out"):
        genzoo.train("vae", init_from="parent")


def test_a_discriminator_comes_along(toy):
    tiny = {"data": "dots", "steps": 2, "preset": "article-128", "eval_every": 0}
    parent = genzoo.train("gan", name="parent", **tiny)
    child = genzoo.train("gan", init_from="parent", name="child", steps=1, learning_rate=1e-9)
    one, other = weights_of(parent), weights_of(child)
    assert [name for name in one if name.startswith("discriminator.")]
    for name in one:
        if name.startswith("discriminator."):
            assert torch.allclose(one[name].float(), other[name].float(), atol=1e-4), name


# Runs in order


@pytest.fixture
def three(toy):
    for name, seed, width in (("one", 0, 4), ("two", 1, 8), ("three", 2, 16)):
        genzoo.train("toy", name=name, seed=seed, width=width, steps=2, save_every=1, keep=2)
    measured = genzoo.evaluate("two", features="random").measures[0]
    genzoo.resume("three", steps=3)
    return measured


def names(done):
    return [line.split()[0] for line in done.out.splitlines()[1:]]


def test_runs_are_sorted_chosen_and_shown_as_asked(three, genzoo_command):
    assert names(genzoo_command("runs")) == ["three", "two", "one"]
    assert names(genzoo_command("runs", "--sort", "seed")) == ["one", "two", "three"]
    assert names(genzoo_command("runs", "--sort", "-width")) == ["three", "two", "one"]
    assert names(genzoo_command("runs", "--sort", three.name))[0] == "two"  # those without it last
    assert names(genzoo_command("runs", "--where", "model=toy seed>=1 width<16")) == ["two"]
    assert names(genzoo_command("runs", "--where", f"{three.name}={three.value}")) == ["two"]
    assert [run.name for run in genzoo.list_runs(sort="width", where="seed!=1")] == ["one", "three"]
    done = genzoo_command("runs", "--columns", f"run,steps,resumes,size,{three.name}", "--where", "seed=2")
    assert done.out.splitlines()[0].split() == ["RUN", "STEPS", "RESUMES", "SIZE", *three.name.upper().split("_")]
    assert done.out.splitlines()[1].split()[:3] == ["three", "3/3", "1"]
    entry = json.loads(genzoo_command("runs", "--where", "seed=1", "--json").out)[0]
    assert entry["scores"][three.name] == three.value
    assert (entry["seed"], entry["steps"], entry["size"]) == (1, 2, size_of(genzoo.find_run("two").path))
    assert genzoo_command("runs", "--where", "seed=77").out == "no run is so\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--sort", "sead"), "unknown column 'sead'; did you mean 'seed'?"),
        (("--columns", "run,stepz"), "unknown column 'stepz'; did you mean 'steps'?"),
        (("--where", "seed"), "--where 'seed' is no condition; allowed is such as model=gan"),
    ],
)
def test_what_runs_do_not_have_is_said(three, genzoo_command, arguments, message):
    done = genzoo_command("runs", *arguments)
    assert (done.status, message in done.err) == (2, True), done.err


def test_the_progress_of_a_training_is_not_that_of_its_last_checkpoint(toy):
    genzoo.train("toy", name="run", steps=2)
    run = genzoo.find_run("run")
    run.update(status="running", step=1)
    assert run.progress == 1  # it was killed: it will go on from there
    with run.hold():
        assert RunFolder(run.path).progress == 2


def test_prune_leaves_what_going_on_and_sampling_need(three, genzoo_command):
    run = genzoo.find_run("two")
    before = genzoo.sample(run, 3)
    assert len(run.checkpoints()) == 2
    planned = genzoo_command("prune", "two", "--dry-run")
    assert planned.out.startswith("two: 1 checkpoints, ")
    assert "would free " in planned.out
    assert len(run.checkpoints()) == 2
    assert genzoo_command("prune", "two").err == (
        "genzoo: there is nobody to ask; give --yes to remove it, or --dry-run to look\n"
    )
    size = size_of(run.path)
    done = json.loads(genzoo_command("prune", "two", "one", "--yes", "--json").out)
    assert done["runs"]["two"] == size - size_of(run.path) > 0
    assert [folder.name for folder in run.checkpoints()] == ["step-00000002"]
    assert torch.equal(genzoo.sample(run, 3), before)
    assert genzoo.resume(run, steps=3).step == 3


def test_prune_keeps_the_newest_that_is_whole(three, genzoo_command):
    run = genzoo.find_run("two")
    newest, before = run.checkpoints()
    (newest / "state.safetensors").write_bytes(b"no")
    genzoo_command("prune", "two", "--yes")
    assert run.checkpoints() == [before]
    (before / "state.safetensors").write_bytes(b"no")
    genzoo_command("prune", "two", "--yes")
    assert run.checkpoints() == [before]  # what may be mended is not removed


def test_rm_and_rename_and_note(three, genzoo_command, tmp_path):
    runs = genzoo.find_run("one").path.parent
    assert genzoo_command("note", "one", "the first\tof three").status == 0
    assert "note             the first\\tof three" in genzoo_command("show", "one").out
    assert genzoo_command("rename", "one", "first").out == f"{runs / 'first'}\n"
    assert genzoo.find_run("first").record["note"] == "the first\tof three"
    for name, message in (("two", "exists"), ("../out", "allowed are letters"), ("con", "no folder on Windows")):
        done = genzoo_command("rename", "first", name)
        assert (done.status, message in done.err) == (2, True), done.err
    assert genzoo_command("rm", "first", "two", "--dry-run").status == 0
    assert len(genzoo.list_runs()) == 3
    assert genzoo_command("rm", "first", "two", "--yes").out.splitlines()[-1].startswith("freed ")
    assert [run.name for run in genzoo.list_runs()] == ["three"]
    assert [path.name for path in runs.iterdir()] == ["three"]


def test_what_is_outside_held_or_a_model_is_not_touched(three, genzoo_command, tmp_path):
    runs = genzoo.find_run("one").path.parent
    outside = shutil.copytree(runs / "one", tmp_path / "outside")
    try:
        (runs / "link").symlink_to(outside)
    except OSError:  # Windows lets only some make links
        pytest.skip("no links can be made here")
    for verb in ("rm", "prune"):
        for name in (outside, "link"):
            done = genzoo_command(verb, name, "--yes")
            assert (done.status, "only those are touched" in done.err) == (2, True), done.err
        assert "'toy' is a model; name the run" in genzoo_command(verb, "toy", "--yes").err
        with genzoo.find_run("one").hold():
            assert "run 'one' is being trained" in genzoo_command(verb, "two", "one", "--yes").err
    assert len(genzoo.find_run("two").checkpoints()) == 2  # one that is refused leaves the others too
    assert (outside / "run.json").is_file()


def killed(*_):
    raise KeyboardInterrupt


def test_a_removal_that_was_killed_leaves_no_run_and_goes_with_the_next(three, genzoo_command, monkeypatch):
    runs = genzoo.find_run("one").path.parent
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("shutil.rmtree", killed)
        manage.remove(genzoo.find_run("one"))
    assert {run.name for run in genzoo.list_runs()} == {"two", "three"}
    genzoo_command("rm", "two", "--yes")
    assert [path.name for path in runs.iterdir()] == ["three"]


def test_a_removal_touches_no_hidden_folder_of_anyone_else(three, genzoo_command):
    runs = genzoo.find_run("one").path.parent
    os.rename(runs / "one", runs / ".one.123")
    genzoo_command("rm", "two", "--yes")
    assert {path.name for path in runs.iterdir()} == {".one.123", "three"}


def test_a_finished_run_keeps_one_checkpoint_and_a_stopped_one_two(toy, monkeypatch):
    finished = genzoo.train("toy", name="finished", save_every=3)
    assert [folder.name for folder in finished.checkpoints()] == ["step-00000012"]
    with pytest.raises(GenzooError):
        genzoo.train("toy", name="broke", save_every=3, break_at=11)
    assert len(genzoo.find_run("broke").checkpoints()) == 2


@pytest.mark.parametrize(
    ("verb", "meant"), [("delete", "rm"), ("remove", "rm"), ("mv", "rename"), ("evaluat", "evaluate")]
)
def test_a_misspelt_verb_suggests_the_one_that_is_meant(genzoo_command, verb, meant):
    assert genzoo_command(verb, "one").err == f"genzoo: unknown command '{verb}'; did you mean '{meant}'?\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "VAE"), "unknown model 'VAE'; did you mean 'vae'?"),
        (("train", "vae", "--lr", "1"), "No such option '--lr'. Did you mean '--learning-rate'?"),
        (("train", "vae", "--set", "lr=1"), "unknown option of vae 'lr'; did you mean 'learning_rate'?"),
        (("train", "vae", "--batchsize", "1"), "No such option '--batchsize'. Did you mean '--batch-size'?"),
    ],
)
def test_what_was_meant_is_suggested(genzoo_command, arguments, message):
    done = genzoo_command(*arguments)
    assert (done.status, done.err) == (2, f"genzoo: {message}\n")


def test_a_preset_that_is_the_default_is_said_to_be(genzoo_command):
    assert "preset quick: all as by default\n" in genzoo_command("info", "diffusion").out


def test_what_is_no_run_is_said():
    with pytest.raises(UsageError, match="there is no run"):
        genzoo.sample("x" * 5000)
    with pytest.raises(UsageError, match="a run is needed, by its name or folder; this is a Tensor"):
        genzoo.sample(torch.rand(2, 1, 4, 4))


# What is printed


def read_table(path):
    return list(csv.DictReader(path.read_text("utf-8").splitlines()))


def test_seeds_are_a_mean_in_a_band_and_the_data_lie_beside(toy, genzoo_command, tmp_path):
    for seed in (0, 1, 2):
        genzoo.train("toy", name=f"a{seed}", seed=seed)
    genzoo.train("toy", name="wide", width=16)
    out = tmp_path / "loss.csv"
    done = genzoo_command("plot", "a0", "a1", "a2", "wide", "--y", "loss", "--out", out.with_suffix(".svg"))
    assert done.out == f"{out.with_suffix('.svg')}\n{out}\n"
    table = read_table(out)
    assert [(row["group"], row["step"], row["runs"]) for row in table[:4]] == [
        ("toy, width 8", "4.0", "3"), ("toy, width 8", "8.0", "3"), ("toy, width 8", "12.0", "3"),
        ("toy, width 16", "4.0", "1"),
    ]  # fmt: skip
    losses = [genzoo.find_run(f"a{seed}").metrics()[1]["loss"] for seed in (0, 1, 2)]
    assert float(table[1]["loss"]) == pytest.approx(np.mean(losses))
    assert float(table[1]["standard_deviation"]) == pytest.approx(np.std(losses, ddof=1))
    assert float(table[3]["standard_deviation"]) == 0
    picture = out.with_suffix(".svg").read_text("utf-8")
    assert "&quot;runs&quot;: [&quot;a0&quot;" in picture.replace('"', "&quot;")
    again = genzoo_command("plot", "a0", "a1", "a2", "wide", "--y", "loss", "--out", out.with_suffix(".svg"))
    assert again.err == f"genzoo: {out.with_suffix('.svg')} exists; give --overwrite to replace it\n"
    apart = genzoo_command("plot", "a0", "a1", "--apart", "--x", "seconds", "--y", "loss", "--out", tmp_path / "b.pdf")
    assert apart.status == 0
    assert {row["group"] for row in read_table(tmp_path / "b.csv")} == {"a0", "a1"}
    content = (tmp_path / "b.pdf").read_bytes()
    assert b"/FontFile2" in content  # embedded
    assert b"/Type3" not in content


def test_a_group_is_one_line_and_goes_as_one(toy, genzoo_command, tmp_path):
    genzoo.train_seeds("toy", 2, name="few", steps=4)
    genzoo.train("toy", steps=4, width=4, name="other")
    done = genzoo_command("plot", "few", "other", "--y", "loss", "--out", tmp_path / "a.png")
    assert done.status == 0, done.err
    table = list(read_table(tmp_path / "a.csv"))
    assert [(row["group"], row["runs"]) for row in table] == [("few", "2"), ("toy, width 4", "1")]
    again = genzoo_command("train", "--like", "few-seed0", "--seeds", 2, "--name", "again", "--json")
    assert [run["training"]["seed"] for run in json.loads(again.out)] == [0, 1]
    assert "is of group 'few', which finds it by its name" in genzoo_command("rename", "few-seed0", "x").err
    genzoo_command("rm", "few", "again", "--yes")
    assert [run.name for run in genzoo.list_runs()] == ["other"]


def test_measures_are_plotted_against_each_other(three, genzoo_command, tmp_path):
    out = tmp_path / "both.pdf"
    assert genzoo_command("plot", "two", "--x", "width", "--y", three.name, "--out", out).status == 0
    (row,) = read_table(out.with_suffix(".csv"))
    assert (float(row["width"]), float(row[three.name])) == (8, three.value)
    again = ("plot", "two", "one", "--x", "width", "--y", three.name, "--out", out, "--overwrite")
    assert "run 'one' was not measured yet; do it with: genzoo compare RUN..." in genzoo_command(*again).err
    genzoo.evaluate("one", 20, features="random")
    assert "these runs were measured differently" in genzoo_command(*again).err
    genzoo.evaluate("two", 10, features="random")  # the newest, which "one" was not measured by
    shared = genzoo.evaluate("one", features="random")
    assert genzoo_command(*again).status == 0
    values = {row["group"]: float(row[three.name]) for row in read_table(out.with_suffix(".csv"))}
    (of_one,) = [m.value for m in shared.measures if m.name == three.name]
    assert values == {"toy, width 8": three.value, "toy, width 4": of_one}


def test_axes_have_units():
    names = ("seconds", "precision", "nll", "frechet_distance", "size", "latent_dim")
    assert [titled(name, "image") for name in names] == [
        "training time (s)", "precision (share)", "nll (nats an example)", "frechet distance", "size (bytes)",
        "latent dim",
    ]  # fmt: skip


def test_a_measure_goes_before_an_option_of_its_name(toy, genzoo_command):
    genzoo.train("toy", name="run", steps=1)
    assert genzoo_command("runs", "--columns", "run,precision").out.split() == ["RUN", "PRECISION", "run"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--out", "a.txt"), "allowed is a file that ends in .pdf, .svg or .png"),
        (("--out", "a.pdf", "--size", "9"), "--size is '9'; allowed is WxH in cm, each 2 to 100"),
        (("--out", "a.pdf", "--size", "1x900"), "allowed is WxH in cm"),
        (("--out", "a.pdf", "--y", "lossy"), "no run logged 'lossy'; to plot it as measured, say against what"),
        (("--out", "a.pdf", "--y", "loss", "--x", "width"), "allowed is step or seconds"),
        (("--out", "a.pdf", "--y", "style", "--x", "width"), "style of run 'one' is 'plain', which is no number"),
    ],
)
def test_what_cannot_be_plotted_is_said(toy, genzoo_command, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    genzoo.train("toy", name="one", steps=2)
    done = genzoo_command("plot", "one", *arguments)
    assert (done.status, message in done.err) == (2, True), done.err
    assert not list(tmp_path.glob("a.*"))


def evaluation(run, **values):
    measures = tuple(Measured(name=n, value=v, unit="", better="lower", uncertainty=u) for n, (v, u) in values.items())
    return Evaluation(
        run=run, model="toy", protocol={}, heading="100 % of it_all", columns={"floor": "real data"}, legend="",
        measures=measures, left_out={}, facts={},
    )  # fmt: skip


def test_a_table_in_latex_marks_the_best_and_ties_and_no_zeros():
    results = [
        evaluation("a_1", far=(1.5, 0.1), copies=(0.0, None), tiny=(3e-9, None)),
        evaluation("b&2", far=(1.6, 0.1), copies=(0.0, None), tiny=(-1.0, None)),
        evaluation("c", far=(9.0, 0.1), copies=(0.0, None), tiny=(2.0, None)),
    ]
    lines = report.latex(results).splitlines()
    assert lines[0] == r"% \usepackage{booktabs}"
    assert r"Measure & a\_1 & b\&2 & c & real data \\" in lines
    far, copies, tiny = lines[-5:-2]
    assert far == (
        r"far $\downarrow$ & {\boldmath$1.500$} $\pm$ $0.10$ & {\boldmath$1.600$} $\pm$ $0.10$ &"
        r" $9.000$ $\pm$ $0.10$ &  \\"
    )
    assert "boldmath" not in copies
    assert "resizebox" not in "".join(lines)
    wide = report.latex([evaluation(f"run-{number}", far=(1.0, 0.1)) for number in range(5)]).splitlines()
    assert wide[0] == r"% \usepackage{booktabs}\usepackage{graphicx}"
    assert wide[2].startswith(r"\resizebox{\ifdim\width>\linewidth")
    assert wide[-1] == r"\end{tabular}}"
    assert r"$3.000 \cdot 10^{-9}$ & {\boldmath$-1.000$}" in tiny
    assert lines[-1] == r"\end{tabular}"
    chosen = report.only(results, ["tiny", "far"])
    assert [m.name for m in chosen[0].measures] == ["tiny", "far"]
    table = list(csv.DictReader(report.as_csv(chosen).splitlines()))
    assert [(row["run"], row["measure"], row["best"]) for row in table[:4]] == [
        ("a_1", "tiny", "false"), ("b&2", "tiny", "true"), ("c", "tiny", "false"), ("a_1", "far", "true"),
    ]  # fmt: skip


def test_the_formats_of_a_comparison(three, genzoo_command):
    wanted = ("--measures", three.name, "--features", "random")
    latex = genzoo_command("evaluate", "two", *wanted, "--format", "latex")
    assert r"\toprule" in latex.out
    assert genzoo_command("compare", "two", "one", *wanted, "--format", "csv").out.count("\n") == 3
    result = json.loads(genzoo_command("compare", "two", "one", *wanted, "--format", "json").out)
    assert [[m["name"] for m in one["measures"]] for one in result] == [[three.name]] * 2
    done = genzoo_command("compare", "two", "one", "--measures", three.name + "x")
    assert (done.status, f"did you mean '{three.name}'?" in done.err) == (2, True)
    done = genzoo_command("evaluate", "two", "--format", "csv", "--json")
    assert done.err == "genzoo: --csv and --json are both given; give one\n"


def test_a_first_look_is_small_and_compares_with_nothing_else(toy, genzoo_command):
    genzoo.train("toy", name="run", steps=1)
    protocol = json.loads(genzoo_command("evaluate", "run", "--fast", "--json").out)["protocol"]
    assert (protocol["samples"], protocol["features"]) == (36, "random-v1")  # as many as there are for training
    refused = genzoo_command("compare", "run", "--fast", "-n", 5)
    assert (refused.status, "leave -n and --features out" in refused.err) == (2, True)


def test_citations(toy, genzoo_command):
    genzoo.train("toy", name="run", steps=1)
    out = genzoo_command("cite", "run", "vae", "gan", "vae").out
    assert out.startswith("@misc{genzoo,")  # which every style of BibTeX knows
    assert out.count("@inproceedings{") == 2
    assert "{kingma2014auto," in out
    assert "% toy: its plugin names no paper" in out
    for model in ("vae", "gan", "dcgan", "diffusion", "transformer"):
        entry = genzoo_command("cite", model).out
        assert entry.count("{") == entry.count("}")


# Classes keep their names


def test_classes_keep_their_names_in_arrays_pictures_and_folders(pictures, genzoo_command, tmp_path):
    genzoo.train("toy", data=str(pictures), conditional=True, name="run", steps=1)
    genzoo_command("sample", "run", "-n", 6, "--out", tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as arrays:
        assert arrays["classes"].tolist() == ["dark", "light"]
    assert genzoo.read_provenance(tmp_path / "a.npz")["genzoo"]["classes"] == ["dark", "light"]
    again = genzoo.train("toy", data=str(tmp_path / "a.npz"), steps=1)
    assert again.data_spec.classes == ("dark", "light")
    genzoo_command("sample", "run", "-n", 6, "--separate", "--out", tmp_path / "drawn")
    assert sorted(path.relative_to(tmp_path / "drawn").as_posix() for path in (tmp_path / "drawn").rglob("*.png")) == [
        "dark/00000.png", "dark/00002.png", "dark/00004.png", "light/00001.png", "light/00003.png", "light/00005.png",
    ]  # fmt: skip
    assert genzoo.read_provenance(tmp_path / "drawn" / "light" / "00003.png")["genzoo"]["class"] == "light"
    assert genzoo.train("toy", data=str(tmp_path / "drawn"), steps=1).data_spec.classes == ("dark", "light")


def test_several_classes_have_their_turn(pictures, genzoo_command, tmp_path):
    genzoo.train("toy", data=str(pictures), conditional=True, name="run", steps=1)
    dark, light = (genzoo.sample("run", 1, label=name)[0] for name in ("dark", "light"))
    both = genzoo.sample("run", 4, label="light,dark")
    assert [torch.equal(image, light) for image in both] == [True, False, True, False]
    assert torch.equal(genzoo.sample("run", 4, label="all"), genzoo.sample("run", 4))
    assert torch.equal(genzoo.sample("run", 2, label=["dark", "dark"])[1], dark)
    genzoo_command("sample", "run", "--label", "light,dark", "--out", tmp_path / "b.npz")
    with np.load(tmp_path / "b.npz") as arrays:
        assert np.bincount(arrays["labels"]).tolist() == [8, 8]
    done = genzoo_command("sample", "run", "--label", "light,dusk")
    assert "--label is 'dusk'; the classes of run 'run' are dark, light" in done.err


# Grids for print


@pytest.mark.parametrize("suffix", [".pdf", ".svg", ".png"])
def test_a_grid_for_print_says_what_it_is_and_names_its_rows(pictures, genzoo_command, tmp_path, suffix):
    genzoo.train("toy", data=str(pictures), conditional=True, name="run", steps=1)
    out = tmp_path / f"grid{suffix}"
    options = ("--columns", 4, "--scale", 5, "--dpi", 100, "--class-names")
    assert genzoo_command("sample", "run", "-n", 12, *options, "--out", out).status == 0
    labels = genzoo.read_provenance(out)
    assert labels["digital_source_type"].endswith("trainedAlgorithmicMedia")
    assert (labels["genzoo"]["run"], labels["genzoo"]["classes"]) == ("run", ["dark", "light"])
    height, width = (4 * (4 + 2) + 2) * 5, (4 * (4 + 2) + 2) * 5  # two rows of four for each of two classes
    content = out.read_bytes()
    if suffix == ".png":
        with Image.open(out) as picture:
            assert picture.height == height
            assert picture.width > width + 20  # the names
            assert round(picture.info["dpi"][0]) == 100
    elif suffix == ".pdf":
        box = re.search(rb"/MediaBox \[ *0 0 ([\d.]+) ([\d.]+) *\]", content)
        assert float(box[2]) == pytest.approx(height * 72 / 100)
        assert float(box[1]) > width * 72 / 100 + 14
        assert b"/FontFile2" in content
        assert int(re.findall(rb"startxref\s+(\d+)", content)[-1]) == content.rindex(b"\nxref\n") + 1
    else:
        assert b"<svg" in content
        assert content.count(b"<?xpacket") == 2
    again = tmp_path / f"again{suffix}"
    genzoo_command("sample", "run", "-n", 12, *options, "--out", again)
    assert again.read_bytes() == content


def test_a_grid_has_as_many_columns_as_are_asked_for(toy, genzoo_command, tmp_path):
    genzoo.train("toy", name="run", steps=1)
    genzoo_command("sample", "run", "-n", 6, "--columns", 3, "--out", tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size == (3 * 6 + 2, 2 * 6 + 2)


# Latent vectors


@pytest.mark.parametrize("model", ["gan", "vae"])
def test_latent_vectors_are_those_that_samples_are_drawn_from(toy, model):
    options = {
        "gan": {"preset": "article-128", "latent_categories": 3},
        "vae": {"hidden_sizes": (4,), "latent_dim": 2},
    }[model]
    run = genzoo.train(model, name="run", data="dots", steps=1, eval_every=0, batch_size=4, **options)
    loaded = genzoo.load(run)
    with torch.no_grad():
        drawn = loaded.decode(loaded.draw_latents(5, rng=genzoo.RandomStreams(3, 5)))
    assert torch.equal(drawn, genzoo.sample(loaded, 5, seed=3))


def test_a_gan_is_interpolated_and_walked_through(toy, genzoo_command, tmp_path):
    run = genzoo.train(
        "gan", name="run", data="dots", steps=1, eval_every=0, batch_size=4, preset="article-128", conditional=True
    )
    model = genzoo.load(run)
    with torch.no_grad():
        latents = model.draw_latents(4, rng=genzoo.RandomStreams(0, 4))
    ways = genzoo.interpolate(run, 2, num_steps=5)
    assert ways.shape == (2, 5, 1, 4, 4)
    for pair in (0, 1):  # of one class each
        with torch.no_grad():
            ends = model.decode(latents[2 * pair : 2 * pair + 2], torch.tensor([pair, pair]))
        assert torch.allclose(ways[pair, [0, -1]], ends, atol=1e-5)
    frames = genzoo.walk(model, 3, num_steps=4, label="b")
    assert frames.shape == (12, 1, 4, 4)
    with torch.no_grad():
        places = model.decode(model.draw_latents(3, rng=genzoo.RandomStreams(0, 3)), torch.ones(3, dtype=torch.int64))
    assert torch.allclose(frames[::4], places, atol=1e-5)
    assert (frames[-1] - frames[0]).abs().max() <= (frames[0] - frames[4]).abs().max()  # it closes
    with pytest.raises(UsageError, match="cannot interpolate"):
        genzoo.interpolate(run, examples=torch.rand(2, 1, 4, 4))
    out = tmp_path / "walk.gif"
    assert genzoo_command("walk", "run", "-n", 3, "--num-steps", 4, "--out", out).out == f"{out}\n"
    with Image.open(out) as animation:
        assert (animation.n_frames > 1, animation.info["loop"]) == (True, 0)
    assert genzoo.read_provenance(out)["genzoo"]["operation"] == "walk"
    genzoo.train("toy", name="toy", steps=1)
    done = genzoo_command("walk", "toy")
    assert done.err == "genzoo: model 'toy' cannot walk: it does not draw from a latent vector\n"


# A look at data


def test_a_look_at_a_folder_says_all_at_once(pictures, genzoo_command, tmp_path):
    shutil.copy(pictures / "dark" / "0.png", pictures / "light" / "6x.png")  # the tenth of its class: it is for test
    (pictures / "light" / "9y.png").write_bytes(b"")
    Image.new("RGB", (9, 7)).save(pictures / "dark" / "wide.png")
    before = sorted(path.stat().st_mtime_ns for path in pictures.rglob("*"))
    done = genzoo_command("data", pictures, "--json", "--out", tmp_path / "sheet.png")
    looked = json.loads(done.out)
    assert (looked["modality"], looked["files"], looked["readable"]) == ("image", 27, 26)
    assert looked["sizes"] == {"4x4": 25, "9x7": 1}
    assert looked["modes"] == {"L": 25, "RGB": 1}
    assert looked["classes"]["train"] == {"dark": 12, "light": 12}
    assert sum(looked["parts"].values()) == 26
    sizes, bad, again, both = looked["problems"]
    assert "2 sizes" in sizes
    assert bad == "1 files cannot be read: light/9y.png (empty)"
    assert again == "1 images are there again: dark/0.png = light/6x.png"
    assert both.startswith("1 of these are in two parts")
    assert looked["options"] == ["--image-size 16", "--skip-bad-files", "--conditional"]
    assert sorted(path.stat().st_mtime_ns for path in pictures.rglob("*")) == before
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 8 * 4
    assert not any(genzoo.read_provenance(tmp_path / "sheet.png").values())  # it is real
    said = genzoo_command("train", "toy", "--data", pictures, *" ".join(looked["options"]).split(), "--steps", 1)
    assert "1 files cannot be read and are left out: light/9y.png" in said.err
    (done,) = [genzoo_command("data", pictures)]
    assert "note       1 files cannot be read" in done.out
    assert done.out.endswith(f"train with --data {pictures} --image-size 16 --skip-bad-files --conditional\n")


def test_a_look_at_other_data(tmp_path, toy, genzoo_command):
    np.savez(tmp_path / "a.npz", images=np.zeros((20, 3, 3), np.uint8), labels=np.arange(20) % 2)
    looked = json.loads(genzoo_command("data", tmp_path / "a.npz", "--json").out)
    assert (looked["shape"], looked["parts"]) == ([1, 3, 3], {"train": 18, "test": 2})
    assert looked["problems"][0].startswith("19 images are there again")
    (tmp_path / "b.txt").write_text("to be or not to be " * 100, "utf-8")
    looked = json.loads(genzoo_command("data", tmp_path / "b.txt", "--json").out)
    assert (looked["modality"], looked["parts"]["test"]) == ("text", 190)
    assert json.loads(genzoo_command("data", "dots", "--json").out)["classes"] == ["a", "b"]
    for arguments in (("nothing",), (tmp_path / "b.txt", "--modality", "image"), ("--out", "x.png")):
        assert genzoo_command("data", *arguments).status == 2
