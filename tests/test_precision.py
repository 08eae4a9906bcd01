"""float16 with scaled gradients, on a CPU in place of a GPU; what a run changes for the whole program and restores."""

import os
from types import SimpleNamespace

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

import genzoo
from genzoo.training import processes
from genzoo.training.precision import Autocast, StepScaler
from genzoo.training.run import TrainingRun

pytestmark = pytest.mark.usefixtures("toy")
TINY = {"num_layers": 1, "num_heads": 2, "hidden_size": 16, "context_length": 32, "dropout": 0.0, "warmup_steps": 1}
SETTINGS = {"batch_size": 8, "log_every": 1, "sample_every": 0, "eval_every": 0, "device": "cpu"}


@pytest.fixture
def float16(monkeypatch):
    """Trainings in float16, by a scaler with these settings."""

    def begin(**settings):
        monkeypatch.setattr(processes.Processes, "_precision", lambda *_: "float16")
        monkeypatch.setattr(processes, "StepScaler", lambda device: StepScaler(device, **settings))

    return begin


def column(run, name):
    return [line[name] for line in run.metrics() if name in line]


def test_float16_clips_gradients_as_float32_does(float16):
    """Clipped while still scaled, the gradients would be too small by the scale, and the loss would not fall."""
    plain = genzoo.train("transformer", steps=12, learning_rate=0.01, **SETTINGS, **TINY)
    float16(init_scale=2.0**10)
    scaled = genzoo.train("transformer", steps=12, learning_rate=0.01, **SETTINGS, **TINY)
    assert scaled.record["environment"]["precision"] == "fp16"
    assert column(scaled, "loss") == pytest.approx(column(plain, "loss"), rel=0.01)
    assert column(scaled, "gradient_norm") == pytest.approx(column(plain, "gradient_norm"), rel=0.1)
    assert column(plain, "loss")[-1] < 0.98 * column(plain, "loss")[0]


def test_an_overflow_leaves_the_step_out_and_the_run_goes_on(float16):
    float16(init_scale=2.0**40)
    run = genzoo.train("transformer", steps=40, **SETTINGS, **TINY)
    norms = column(run, "gradient_norm")
    assert (run.status, norms[0]) == ("finished", 0)
    assert norms[-1] > 0
    assert all(torch.isfinite(torch.tensor(column(run, "loss"))))
    state = genzoo.runs.checkpoint.load_newest(run)[1]
    assert state["scaler"]["scale"] == 2.0 ** (40 - norms.count(0))  # halved by each step left out


def test_the_scale_changes_once_a_step_with_two_optimisers(float16):
    float16(init_scale=2.0, growth_interval=1)
    run = genzoo.train("toy", steps=4, **SETTINGS)
    assert genzoo.runs.checkpoint.load_newest(run)[1]["scaler"]["scale"] == 2.0**5


def test_a_resume_in_float16_is_exact(float16):
    float16(init_scale=2.0, growth_interval=3)
    whole = genzoo.train("toy", name="whole", **SETTINGS, steps=8)
    genzoo.train("toy", name="cut", **SETTINGS, steps=4)
    resumed = genzoo.resume("cut", steps=8)
    one, other = (genzoo.runs.checkpoint.load_newest(run)[1] for run in (whole, resumed))
    assert one["scaler"] == other["scaler"]
    assert all(torch.equal(one["model"][key], other["model"][key]) for key in one["model"])


def test_a_module_stays_in_float32_beside_its_prepared_self():
    """Penalties on gradients call it directly."""
    dtypes = []
    layer = torch.nn.Linear(2, 2)
    layer.register_forward_hook(lambda _module, _inputs, output: dtypes.append(output.dtype))
    assert Autocast(layer, torch.device("cpu"), torch.float16)(torch.ones(1, 2)).dtype == torch.float32
    layer(torch.ones(1, 2))
    assert dtypes == [torch.float16, torch.float32]


def test_the_whole_programs_settings_are_given_back(monkeypatch):
    """Accelerate's state, and the choice of deterministic algorithms."""
    accelerator = Accelerator(mixed_precision="bf16", cpu=True)
    seen = []
    from genzoo_toy_model import Toy

    fit = Toy.fit
    monkeypatch.setattr(
        Toy, "fit", lambda *args: (seen.append(torch.are_deterministic_algorithms_enabled()), fit(*args))
    )
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    genzoo.train("toy", deterministic=True)
    assert os.environ.pop("CUBLAS_WORKSPACE_CONFIG") == ":4096:8"
    genzoo.train("toy")
    assert seen == [True, False]
    assert not torch.are_deterministic_algorithms_enabled()
    assert AcceleratorState().mixed_precision == accelerator.mixed_precision == "bf16"
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.mark.parametrize(("choice", "steps", "device", "compiles"), [
    ("auto", 5000, "cpu", False), ("auto", 5000, "cuda", True), ("auto", 100, "cuda", False),
    ("on", 100, "cpu", True), ("off", 5000, "cuda", False),
])  # fmt: skip
def test_short_trainings_are_not_compiled(choice, steps, device, compiles):
    run = SimpleNamespace(options=genzoo.TrainOptions(compile=choice), steps_total=steps, device=torch.device(device))
    assert TrainingRun.compiles.fget(run) is compiles
