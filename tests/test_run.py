"""What the engine promises: exact resume, nothing bad saved, stopping and going on, one process a run."""

import gc
import json
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch

import genzoo
from genzoo import Diverged, GenzooError, GenzooWarning, Interrupted, RunFolder, UsageError
from genzoo.runs import checkpoint
from genzoo.training.between import Between

pytestmark = pytest.mark.usefixtures("toy")
STEPS = 12


def losses(run):
    return [{k: v for k, v in line.items() if k not in ("seconds", "samples_per_second")} for line in run.metrics()]


def state_of(run):
    return checkpoint.load_newest(run)[1]


def same(a, b):
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def stop_after(step, monkeypatch):
    """Ask for a stop when `step` steps are done, as Ctrl-C would."""
    after_step = Between.after_step

    def stopping(self):
        after_step(self)
        if self.run.step == step:
            self.run.stop_signal = signal.SIGINT

    monkeypatch.setattr(Between, "after_step", stopping)


def stopped_and_resumed(step, monkeypatch, **options):
    with monkeypatch.context() as patch:
        stop_after(step, patch)
        with pytest.raises(Interrupted, match=f"after step {step} of {STEPS}.*genzoo resume cut"):
            genzoo.train("toy", name="cut", **options)
    assert RunFolder(Path(os.environ["GENZOO_RUNS_DIR"]) / "cut").status == "interrupted"
    return genzoo.resume("cut")


@pytest.mark.parametrize("step", [1, 4, 6, 10, 11])
def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit(monkeypatch, step):
    whole = genzoo.train("toy", name="whole")
    resumed = stopped_and_resumed(step, monkeypatch)
    assert losses(resumed) == losses(whole)
    assert len(losses(whole)) == 3  # steps 4, 8 and 12
    one, other = state_of(whole), state_of(resumed)
    for key in ("model", "optimizers", "tracked", "random"):
        assert same(one[key], other[key]), key
    assert torch.equal(genzoo.sample("whole", 5), genzoo.sample("cut", 5))
    assert resumed.status == "finished"


PARTS = {
    "torch's random state": ("torch.set_rng_state", lambda *a: None),
    "numpy's random state": ("numpy.random.set_state", lambda *a: None),
    "Python's random state": ("random.setstate", lambda *a: None),
    "optimiser": ("torch.optim.Adam.load_state_dict", lambda *a: None),
    "second optimiser": ("torch.optim.SGD.load_state_dict", lambda *a: None),
    "average": ("genzoo.training.average.EMA.load_state_dict", lambda *a: None),
    "logged values": ("genzoo.training.logbook.Logbook.load_state_dict", lambda *a: None),
    "step": ("genzoo.runs.checkpoint.load_newest", lambda run, load=checkpoint.load_newest: (5, load(run)[1])),
    "weights": ("genzoo_toy_model.Toy.load_state_dict", lambda *a: None),
}


@pytest.mark.parametrize("part", PARTS)
def test_every_part_of_the_state_is_needed(monkeypatch, part):
    whole = genzoo.train("toy", name="whole")
    with monkeypatch.context() as patch:
        stop_after(6, patch)
        with pytest.raises(Interrupted):
            genzoo.train("toy", name="cut")
    with monkeypatch.context() as patch:
        patch.setattr(*PARTS[part])
        resumed = genzoo.resume("cut")
    same_losses = losses(resumed) == losses(whole)
    one, other = state_of(whole), state_of(resumed)
    assert not (same_losses and all(same(one[key], other[key]) for key in ("model", "optimizers", "tracked", "random")))


def test_tracked_tensors_are_needed_too(monkeypatch):
    whole = genzoo.train("toy", name="whole")
    resumed = stopped_and_resumed(6, monkeypatch)
    assert torch.equal(state_of(whole)["tracked"]["total"], state_of(resumed)["tracked"]["total"])
    assert state_of(whole)["tracked"]["total"] > 0


def test_what_happens_between_steps_changes_nothing():
    plain = genzoo.train("toy", name="plain", save_every=0, sample_every=0, eval_every=0)
    busy = genzoo.train("toy", name="busy", save_every=1, sample_every=1, eval_every=1, log_every=4)
    assert same(state_of(plain)["model"], state_of(busy)["model"])
    assert same(state_of(plain)["random"], state_of(busy)["random"])


def test_the_seed_decides():
    first, again, other = (genzoo.train("toy", name=name, seed=seed) for name, seed in (("a", 3), ("b", 3), ("c", 4)))
    assert losses(first) == losses(again) != losses(other)


def test_the_callers_random_numbers_and_threads_are_untouched():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    threads = torch.get_num_threads()
    genzoo.train("toy", threads=1)
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("log_every", [1, 4])
@pytest.mark.parametrize(("option", "step"), [("break_at", 7), ("break_weights", 8)])  # weights show in the next loss
def test_a_loss_that_is_not_finite_stops_the_run(option, step, log_every):
    with pytest.raises(Diverged, match=rf"nan at step {step}; .*checkpoint is of step 5; try a smaller") as caught:
        genzoo.train("toy", name="bad", log_every=log_every, **{option: 7})
    run = genzoo.find_run("bad")
    assert caught.value.step == step
    assert (run.status, run.checkpoints()[0].name) == ("failed", "step-00000005")
    assert all(torch.isfinite(weight).all() for weight in genzoo.load(run).state_dict().values())


def test_weights_that_are_not_finite_are_not_saved_though_the_loss_is():
    with pytest.raises(Diverged, match="weights are not finite numbers after step 10"):
        genzoo.train("toy", name="bad", save_every=5, break_weights=10, sample_every=0, eval_every=0)
    assert genzoo.find_run("bad").checkpoints()[0].name == "step-00000005"


def test_a_damaged_checkpoint_is_noticed_and_the_one_before_is_used(monkeypatch):
    whole = genzoo.train("toy", name="whole")
    with monkeypatch.context() as patch:
        stop_after(11, patch)
        with pytest.raises(Interrupted):
            genzoo.train("toy", name="cut", save_every=5)
    newest = genzoo.find_run("cut").checkpoints()[0]
    assert newest.name == "step-00000011"
    file = newest / "state.safetensors"
    content = bytearray(file.read_bytes())
    content[-3] ^= 1  # one bit
    file.write_bytes(content)
    with pytest.warns(GenzooWarning, match="step-00000011 is damaged: state.safetensors.*going on from step 10"):
        resumed = genzoo.resume("cut")
    assert losses(resumed) == losses(whole)
    assert same(state_of(resumed)["model"], state_of(whole)["model"])


@pytest.mark.parametrize("damage", ["truncate", "remove", "manifest"])
def test_any_damage_is_noticed(damage):
    genzoo.train("toy", name="run", keep=1)
    run = genzoo.find_run("run")
    for folder in (run.checkpoints()[0], run.model_folder):
        file = folder / ("manifest.json" if damage == "manifest" else "state.safetensors")
        if damage == "remove":
            file.unlink()
        else:
            file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(GenzooError, match="damaged"):
        genzoo.load("run")
    with pytest.raises(GenzooError, match="no whole checkpoint.*damaged"):
        genzoo.resume(run, steps=20)


def test_a_crash_while_files_are_replaced_loses_nothing():
    run = genzoo.train("toy", name="run", steps=6)
    expected = genzoo.sample(run, 3)
    os.rename(run.model_folder, run.path / "model.old")  # the first of two renames
    newest = run.checkpoints()[0]
    os.rename(newest, newest.with_name(newest.name + ".old"))
    for leftover in (run.path / "checkpoints" / ".step-00000009.123", run.path / ".model.123"):
        leftover.mkdir()
        (leftover / "state.safetensors").write_text("half", "utf-8")
    (run.path / ".run.json.123").write_text("{", "utf-8")
    assert torch.equal(genzoo.sample(run, 3), expected)
    resumed = genzoo.resume("run", steps=STEPS)
    assert not list(run.path.rglob(".*"))
    whole = genzoo.train("toy", name="whole")
    assert same(state_of(resumed)["model"], state_of(whole)["model"])
    assert torch.equal(genzoo.sample(resumed, 3), genzoo.sample(whole, 3))


def test_no_file_of_a_run_is_a_pickle():
    run = genzoo.train("toy")
    files = [path for path in run.path.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".json", ".jsonl", ".safetensors", ".png", ".lock"}
    for path in files:
        start = path.read_bytes()[:4]
        assert not start.startswith((b"\x80", b"PK\x03\x04")), path


def test_keep_says_how_many_checkpoints(tmp_path):
    run = genzoo.train("toy", save_every=1, keep=3)
    assert [path.name for path in run.checkpoints()] == [f"step-{n:08d}" for n in (12, 11, 10)]
    assert not list(run.path.rglob(".*"))


def test_a_finished_run_can_be_trained_further():
    genzoo.train("toy", name="short", steps=6)
    with pytest.raises(UsageError, match=r"finished after 6 steps; give --steps"):
        genzoo.resume("short")
    with pytest.raises(UsageError, match="has done 6 steps; --steps is 3"):
        genzoo.resume("short", steps=3)
    longer = genzoo.resume("short", steps=STEPS)
    assert losses(longer)[-1]["step"] == STEPS
    whole = genzoo.train("toy", name="whole")
    assert same(state_of(longer)["model"], state_of(whole)["model"])


def test_other_conditions_are_named_on_a_resume(monkeypatch):
    with monkeypatch.context() as patch:
        stop_after(6, patch)
        with pytest.raises(Interrupted):
            genzoo.train("toy", name="cut", threads=2)
    run = genzoo.find_run("cut")
    run.update(environment=run.record["environment"] | {"torch": "1.0", "python": "2.7"})
    with pytest.warns(GenzooWarning, match=r"threads 2 -> 1, python 2.7 -> .*, torch 1.0 -> "):
        genzoo.resume("cut", threads=1)


def test_changed_data_are_refused_on_a_resume(monkeypatch):
    with monkeypatch.context() as patch:
        stop_after(6, patch)
        with pytest.raises(Interrupted):
            genzoo.train("toy", name="cut")
    run = genzoo.find_run("cut")
    run.update(data_spec=run.record["data_spec"] | {"fingerprint": "0"})
    with pytest.raises(GenzooError, match="are not those that run 'cut' was trained on"):
        genzoo.resume("cut")


def test_two_processes_cannot_train_one_run(monkeypatch):
    genzoo.train("toy", name="one", steps=6)
    run = genzoo.find_run("one")
    with run.hold(), pytest.raises(GenzooError, match=r"is being trained by another process \(id \d+\)"):
        genzoo.resume("one", steps=12)
    assert genzoo.resume("one", steps=12).status == "finished"


def test_a_name_that_is_taken_is_refused():
    genzoo.train("toy", name="one")
    with pytest.raises(UsageError, match=r"'one' exists.*genzoo resume one"):
        genzoo.train("toy", name="one")


def test_a_folder_that_cannot_be_written_fails_before_anything(tmp_path):
    (tmp_path / "file").write_text("", "utf-8")
    with pytest.raises(GenzooError, match=r"cannot write in the runs folder .*file.*--runs-dir"):
        genzoo.train("toy", runs_dir=str(tmp_path / "file" / "runs"))


def test_a_full_disk_ends_the_run_and_keeps_what_was_saved(monkeypatch):
    save_file = checkpoint.save_file

    def full(tensors, path):
        if "step-00000010" in str(path):
            raise OSError(28, "No space left on device")
        save_file(tensors, path)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save_file", full)
        with pytest.raises(GenzooError, match=r"cannot write .*step-00000010: No space left.*before is untouched"):
            genzoo.train("toy", name="full")
    assert genzoo.find_run("full").checkpoints()[0].name == "step-00000005"
    assert genzoo.resume("full").status == "finished"


def test_plugins_errors_pass_and_are_recorded(monkeypatch):
    def fail(self, run):
        raise RuntimeError("bad\nmatrix")

    import genzoo_toy_model

    monkeypatch.setattr(genzoo_toy_model.Toy, "fit", fail)
    with pytest.raises(RuntimeError):
        genzoo.train("toy", name="bad")
    run = genzoo.find_run("bad")
    assert (run.status, run.record["error"]) == ("failed", "RuntimeError: bad")


class Seen:
    def __init__(self):
        self.events = []

    def genzoo_run_started(self, run):
        self.events.append(("started", run.step))

    def genzoo_run_logged(self, step, values):
        self.events.append(("logged", step))
        assert values["loss"] > 0

    def genzoo_run_saved(self, step, folder):
        self.events.append(("saved", step))
        assert (folder / "manifest.json").exists()

    def genzoo_run_ended(self, status, error):
        self.events.append((status, error))


def test_watchers_see_the_run():
    seen = Seen()
    genzoo.train("toy", watchers=[seen], eval_every=0)
    assert seen.events == [
        ("started", 0), ("logged", 4), ("saved", 5), ("logged", 8), ("saved", 10), ("logged", 12), ("saved", 12),
        ("finished", None),
    ]  # fmt: skip


def test_logged_values_are_the_means_of_the_steps():
    one = genzoo.train("toy", name="one", log_every=1, eval_every=0).metrics()
    four = genzoo.train("toy", name="four", log_every=4, eval_every=0).metrics()
    for i, line in enumerate(four):
        assert line["loss"] == pytest.approx(sum(x["loss"] for x in one[4 * i : 4 * i + 4]) / 4, rel=1e-12)


@pytest.mark.parametrize("model", ["toy", "vae"])
def test_bfloat16_trains_and_is_remembered(model):
    run = genzoo.train(model, precision="bfloat16", device="cpu", steps=12, batch_size=8, log_every=4, sample_every=0)
    assert run.record["environment"]["precision"] == "bf16"
    assert run.metrics()[-1]["loss"] < run.metrics()[0]["loss"]
    assert genzoo.load(run).state_dict().popitem()[1].dtype == torch.float32
    plain = genzoo.train(model, device="cpu", steps=12, batch_size=8, log_every=4, sample_every=0)
    assert plain.record["environment"]["precision"] == "no"  # nothing of the run before is left
    assert plain.metrics()[0]["loss"] != run.metrics()[0]["loss"]


def test_compile_leaves_a_cpu_step_as_it_is():
    class Compiles(Seen):
        def genzoo_run_started(self, run):
            self.events.append(run.compile(print) is print)

    seen = Compiles()
    genzoo.train("toy", watchers=[seen])
    assert seen.events[0] is True


def test_paths_are_kept_whole(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("some.npz", images=np.zeros((20, 4, 4), np.uint8))
    run = genzoo.train("toy", data="some.npz", data_dir="here", steps=4)
    assert run.record["training"]["data"] == str(tmp_path / "some.npz")
    assert run.record["training"]["data_dir"] == str(tmp_path / "here")
    monkeypatch.chdir("/")
    assert genzoo.resume(run, steps=8).step == 8


def test_epochs_are_passes_over_the_training_data():
    assert genzoo.train("toy", epochs=2.0).step == 9  # 36 images in batches of 8


def test_an_epoch_of_text_sees_as_many_tokens_as_there_are(tmp_path):
    (tmp_path / "a.txt").write_text("the quick brown fox jumps over the lazy dog\n" * 40, "utf-8")
    shape = {"num_layers": 1, "num_heads": 1, "hidden_size": 8, "context_length": 12}
    run = genzoo.train(
        "transformer", epochs=2, batch_size=5, data=str(tmp_path / "a.txt"), eval_every=0, sample_every=0, **shape
    )
    record = json.loads((run.path / "run.json").read_text("utf-8"))
    count, length = record["data_spec"]["train_count"], record["options"]["context_length"]
    seen = run.step * record["training"]["batch_size"] * length
    assert (count, length) == (1426, 12)  # 1,760 characters without 176 for test, and without a tenth of the rest
    assert 2 * count <= seen < 2 * count + record["training"]["batch_size"] * length
    assert record["steps_total"] == run.step == record["training"]["steps"]
    assert "tokens_per_second" in run.metrics()[-1]


WHOLE = """
    import torch

    import genzoo
    from genzoo import GeneratorSpec

    class Average(genzoo.Generator):
        def __init__(self, config, data):
            super().__init__(config, data)
            self.register_buffer("mean", torch.zeros(data.shape))

        def fit(self, run):
            images = torch.cat([batch.images for batch in run.training_examples(1000)])
            for step in run.steps():
                self.mean += (images.mean(0) - self.mean) / 2
                run.log(loss=(images - self.mean).square().mean(), step_number=float(step))

        def sample(self, count, *, options, rng):
            return (self.mean + 0.1 * rng.uniform(*self.data.shape)).clamp(0, 1)

    class Mistaken(Average):
        def fit(self, run):
            for batch in run.batches():
                run.log(loss=batch.images.mean())

    @genzoo.hookimpl
    def genzoo_generators():
        defaults = {"steps": 6, "data": "dots", "log_every": 1}
        facts = {"summary": "s", "modality": "image", "defaults": defaults}
        return [
            GeneratorSpec(name="whole", target="average:Average", mini_batches=False, **facts),
            GeneratorSpec(name="parts", target="average:Average", **facts),
            GeneratorSpec(name="mistaken", target="average:Mistaken", mini_batches=False, **facts),
        ]
"""


def test_an_epoch_is_a_step_without_mini_batches(install):
    install("average", WHOLE)
    run = genzoo.train("whole", epochs=3, name="one")
    assert (run.step, run.record["steps_total"], run.record["training"]["steps"]) == (3, 3, 3)
    assert [line["step_number"] for line in run.metrics()] == [0, 1, 2]
    assert genzoo.train("whole", epochs=0.5).step == 1
    assert genzoo.train("parts", epochs=3, batch_size=10).step == 11  # 36 images in batches of 10
    whole = genzoo.train("whole", name="whole")
    resumed = genzoo.resume("one", steps=6)
    assert same(state_of(resumed)["model"], state_of(whole)["model"])
    assert losses(resumed) == losses(whole)


def test_there_is_no_batch_size_without_mini_batches(install, genzoo_command, tmp_path):
    install("average", WHOLE)
    (tmp_path / "o.toml").write_text("batch_size = 8\n", "utf-8")
    for arguments in (["--batch-size", 8], ["--set", "batch-size=8"], ["--config", tmp_path / "o.toml"]):
        refused = genzoo_command("train", "whole", *arguments)
        assert (refused.status, refused.out, refused.err.count("\n")) == (2, "", 1)
        assert "--batch-size" in refused.err
    with pytest.raises(UsageError, match="whole sees all data in every step; leave --batch-size out"):
        genzoo.train("whole", batch_size=8)
    assert genzoo.list_runs() == []
    assert "--batch-size" not in genzoo_command("train", "whole", "--help").out
    assert "--batch-size" in genzoo_command("train", "parts", "--help").out
    with pytest.raises(TypeError, match=r"model 'mistaken' says mini_batches=False: use run.steps\(\)"):
        genzoo.train("mistaken")


@pytest.mark.parametrize("model", ["whole", "parts"])
def test_no_speed_is_logged_without_mini_batches(install, model, genzoo_command):
    install("average", WHOLE)
    outcome = genzoo_command("train", model, "--name", "one")
    assert outcome.status == 0
    lines = genzoo.find_run("one").metrics()
    assert len(lines) == 6
    assert all(line.keys() == {"step", "seconds", "loss", "step_number"} for line in lines)
    assert "/s" not in outcome.err.replace("step 6/6", "")
    assert all("samples_per_second" in line for line in genzoo.train("toy").metrics())


class Stop:
    """A watcher that has seen enough."""

    def genzoo_run_logged(self, run, step):
        if step == 4:
            run.stop()


def test_a_watcher_stops_a_run_as_a_signal_does():
    whole = genzoo.train("toy", name="whole")
    with pytest.raises(Interrupted, match=f"stopped after step 4 of {STEPS}, all saved.*genzoo resume cut") as caught:
        genzoo.train("toy", name="cut", watchers=[Stop()])
    assert caught.value.exit_status == 143
    run = genzoo.find_run("cut")
    assert (run.status, run.step, run.checkpoints()[0].name) == ("interrupted", 4, "step-00000004")
    assert str(caught.value) == run.record["error"]
    resumed = genzoo.resume("cut")
    assert resumed.status == "finished"
    assert losses(resumed) == losses(whole)
    assert same(state_of(resumed)["model"], state_of(whole)["model"])


def test_a_watching_plugin_stops_a_run_too(install, genzoo_command):
    install("stops", "import genzoo\n@genzoo.hookimpl\ndef genzoo_run_logged(run, step): step == 4 and run.stop()")
    stopped = genzoo_command("train", "toy", "--name", "cut")
    assert stopped.status == 143
    assert stopped.err.splitlines()[-1].endswith("all saved; go on with: genzoo resume cut")
    assert genzoo.find_run("cut").status == "interrupted"


def test_a_stop_after_the_last_step_changes_nothing():
    class Late:
        def genzoo_run_logged(self, run, step):
            if step == STEPS:
                run.stop()

    assert genzoo.train("toy", watchers=[Late()]).status == "finished"


def start(*arguments, start_new_session=False):
    """`genzoo` in a process of its own."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent / "toy"), os.environ.get("PYTHONPATH", "")])
    }
    command = [sys.executable, "-m", "genzoo", *arguments]
    return subprocess.Popen(
        command,
        env=environment,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        start_new_session=start_new_session,
    )


def wait_for_step(name, step):
    path = Path(os.environ["GENZOO_RUNS_DIR"]) / name
    for _ in range(600):
        if (path / "metrics.jsonl").exists() and any(line["step"] >= step for line in RunFolder(path).metrics()):
            return RunFolder(path)
        time.sleep(0.1)
    raise AssertionError("the run did not get there")


WINDOWS = hasattr(signal, "SIGBREAK")  # where SIGTERM ends a process at once, and Ctrl-C cannot be sent to one alone
STOPS = [(signal.CTRL_BREAK_EVENT, 128 + signal.SIGBREAK)] if WINDOWS else [(signal.SIGINT, 130), (signal.SIGTERM, 143)]


@pytest.mark.parametrize(("number", "status"), STOPS)
def test_a_signal_saves_and_says_how_to_go_on(number, status):
    process = start("train", "toy", "--name", "cut", "--steps", "500", "--log-every", "1", "--pause", "0.05")
    run = wait_for_step("cut", 3)
    assert run.status == "running"
    with pytest.raises(GenzooError, match="another process"):
        genzoo.resume(run)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == status
    assert err.splitlines()[-1].endswith("all saved; go on with: genzoo resume cut")
    run = RunFolder(run.path)
    assert run.status == "interrupted"
    assert run.checkpoints()[0].name == f"step-{run.step:08d}"


@pytest.mark.skipif(WINDOWS, reason="there Ctrl-C goes to all processes of a console, the tests included")
def test_ctrl_c_reaches_the_workers_of_a_streamed_training_too(tmp_path):
    from PIL import Image

    (tmp_path / "pictures").mkdir()
    for number in range(30):
        Image.new("L", (4, 4), number).save(tmp_path / "pictures" / f"{number:02d}.png")
    data = ["--data", str(tmp_path / "pictures"), "--data-loading", "stream"]
    options = ["--name", "cut", "--steps", "500", "--log-every", "1", "--pause", "0.05"]
    process = start("train", "toy", *data, *options, start_new_session=True)
    run = wait_for_step("cut", 3)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines()[-1].endswith("all saved; go on with: genzoo resume cut")
    assert "Traceback" not in err
    assert RunFolder(run.path).status == "interrupted"


def test_a_killed_run_goes_on_and_ends_as_if_it_had_not_been():
    process = start("train", "toy", "--name", "cut", "--log-every", "1", "--pause", "0.2", "--save-every", "5")
    run = wait_for_step("cut", 7)
    process.kill()
    process.communicate(timeout=60)
    assert RunFolder(run.path).status == "killed"
    with open(run.metrics_file, "a", encoding="utf-8") as file:
        file.write('{"step": 8, "lo')  # as a kill may leave it
    resumed = genzoo.resume("toy")
    whole = genzoo.train("toy", name="whole", log_every=1, pause=0.0)
    assert losses(resumed) == losses(whole)
    assert same(state_of(resumed)["model"], state_of(whole)["model"])


def test_training_works_outside_the_main_thread():
    done = []
    thread = threading.Thread(target=lambda: done.append(genzoo.train("toy")))
    thread.start()
    thread.join()
    assert done[0].status == "finished"


def test_run_json_says_all_options_and_where_it_ran():
    run = genzoo.train("toy", preset="wide", seed=7)
    record = json.loads((run.path / "run.json").read_text("utf-8"))
    assert record["preset"] == "wide"
    assert record["options"]["width"] == 32
    assert (record["training"]["batch_size"], record["training"]["seed"]) == (4, 7)
    assert record["data_spec"]["fingerprint"]
    assert record["environment"]["torch"] == torch.__version__.split("+")[0]
    assert record["environment"]["threads"] == torch.get_num_threads()


def test_the_weights_with_the_best_score_are_kept_and_sampled(toy, monkeypatch):
    from genzoo_toy_model import Toy

    from genzoo.registry.plugins import registry

    registry()
    scores = iter([3.0, 1.0, 2.0, float("nan")])
    monkeypatch.setattr(Toy, "best_by", ("validation/loss", "lower"), raising=False)
    monkeypatch.setattr(Between, "_score", lambda self: {"validation/loss": next(scores)})
    run = genzoo.train("toy", steps=8, eval_every=2, name="one")
    best = run.best()
    assert (best["step"], best["score"], best["score_name"]) == (4, 1.0, "validation/loss")
    kept, last = genzoo.load(run), genzoo.load(run, weights="last")
    assert not torch.equal(kept.critic.weight, last.critic.weight)
    until = genzoo.train("toy", steps=4, eval_every=0, name="two", seed=run.record["training"]["seed"])
    assert torch.equal(kept.critic.weight, genzoo.load(until).critic.weight)
    assert run.weights()["step"] == 4
    assert run.weights("last")["step"] == 8
    with pytest.raises(UsageError, match="weights is 'first'; allowed is best or last"):
        genzoo.load(run, weights="first")


def test_a_better_score_may_be_a_higher_one_and_none_keeps_no_best(toy, monkeypatch):
    from genzoo_toy_model import Toy

    assert genzoo.train("toy", steps=4, eval_every=2, name="none").best() is None
    scores = iter([1.0, 3.0])
    monkeypatch.setattr(Toy, "best_by", ("validation/loss", "higher"), raising=False)
    monkeypatch.setattr(Between, "_score", lambda self: {"validation/loss": next(scores)})
    assert genzoo.train("toy", steps=4, eval_every=2, name="one").best()["step"] == 4


def test_a_run_that_goes_on_remembers_its_best(toy, monkeypatch):
    from genzoo_toy_model import Toy

    monkeypatch.setattr(Toy, "best_by", ("validation/loss", "lower"), raising=False)
    monkeypatch.setattr(Between, "_score", lambda self: {"validation/loss": 1.0 + self.run.step})
    run = genzoo.train("toy", steps=4, eval_every=2, name="one")
    genzoo.resume(run, steps=8)
    assert run.best()["step"] == 2


@pytest.mark.parametrize("name", ["run.json", "model", "../escape.json", "", ".hidden", "a/b"])
def test_data_cannot_have_a_run_keep_what_is_its_own_or_lies_outside(tmp_path, name):
    from genzoo.runs.folder import create

    with pytest.raises(GenzooError, match="allowed is a file's name that no run has itself"):
        create(tmp_path / "runs" / "one", {}, {name: b"content"})
    assert not list(tmp_path.rglob("*.json"))


def test_losses_are_logged_by_time_too_and_the_lines_of_log_every_stay_what_they_are(monkeypatch):
    often = {"steps": 8, "eval_every": 0, "sample_every": 0, "save_every": 0}
    plain = losses(genzoo.train("toy", name="plain", log_every=4, **often))
    monkeypatch.setattr("genzoo.training.between.LOG_WITHIN", 0.0)
    timed = losses(genzoo.train("toy", name="timed", log_every=4, **often))
    assert [line["step"] for line in timed] == list(range(1, 9))
    assert [line for line in timed if line["step"] % 4 == 0] == plain


def test_a_training_that_is_stopped_has_its_losses(monkeypatch):
    stop_after(3, monkeypatch)
    with pytest.raises(Interrupted):
        genzoo.train("toy", name="one", log_every=100, eval_every=0)
    (line,) = genzoo.find_run("one").metrics()
    assert line["step"] == 3
    assert line["loss"] > 0


def test_a_training_leaves_nothing_in_memory(monkeypatch):
    from genzoo.training.run import TrainingRun

    kept, begin = [], TrainingRun.__init__

    def begun(run, *arguments, **more):
        begin(run, *arguments, **more)
        kept.extend(map(weakref.ref, (run, run.model, run.dataset)))

    monkeypatch.setattr(TrainingRun, "__init__", begun)
    gc.disable()  # which would find circles at last, but seldom looks among what is old
    try:
        genzoo.resume(genzoo.train("toy", steps=2), steps=4)
        assert [reference() for reference in kept] == [None] * 6
    finally:
        gc.enable()


def test_a_device_that_there_cannot_be_is_refused_by_a_resume_too():
    run = genzoo.train("toy", steps=2)
    with pytest.raises(UsageError, match="--device is 'gpu'; allowed is auto, cpu"):
        genzoo.resume(run, steps=4, device="gpu")
