"""Two processes train one run: the same batch shared out, the same weights in both afterwards."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import genzoo

SCRIPT = """
import os, sys
import genzoo
from safetensors.torch import save_file
from genzoo_vae.model import VAE

fit = VAE.fit
def fit_and_keep(self, run):
    fit(self, run)
    save_file(self.state_dict(), os.path.join(sys.argv[1], f"rank{os.environ['RANK']}.safetensors"))
VAE.fit = fit_and_keep
options = dict(steps=20, batch_size=32, threads=1, log_every=5, save_every=10, sample_every=0, device="cpu")
model = dict(architecture="mlp", prior="gaussian", learning_rate_schedule="constant")
run = genzoo.train("vae", name="pair", **model, **options)
if len(sys.argv) > 2:
    genzoo.resume("pair", steps=30)
"""


def launch(tmp_path, *arguments, source=SCRIPT):
    script = tmp_path / "pair.py"
    script.write_text(source, "utf-8")
    command = [
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        str(script),
        str(tmp_path),
        *arguments,
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *command], env=environment, capture_output=True, text=True, encoding="utf-8", timeout=300
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A run of two processes, trained and resumed."""
    folder = tmp_path_factory.mktemp("pair")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENZOO_RUNS_DIR", str(folder / "runs"))
        launch(folder, "resume")
    return folder


def test_weights_are_equal_afterwards(pair):
    first, second = (load_file(pair / f"rank{rank}.safetensors") for rank in (0, 1))
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_one_process_writes_and_the_run_says_how_many_there_were(pair):
    run = genzoo.find_run(pair / "runs" / "pair")
    assert (run.status, run.step, run.record["environment"]["processes"]) == ("finished", 30, 2)
    assert [line["step"] for line in run.metrics() if "loss" in line] == [5, 10, 15, 20, 25, 30]
    state = json.loads((run.checkpoints()[0] / "state.json").read_text("utf-8"))
    assert len(state["random"]) == 2
    assert genzoo.sample(run, 2).shape == (2, 1, 28, 28)


def test_the_losses_are_those_of_both_halves(pair):
    """One process with the same batches falls the same way, though its noise is other."""
    alone = genzoo.train(
        "vae", architecture="mlp", prior="gaussian", learning_rate_schedule="constant", steps=20, batch_size=32,
        log_every=5, sample_every=0,
    )  # fmt: skip
    together = genzoo.find_run(pair / "runs" / "pair").metrics()
    for one, two in zip(alone.metrics(), together, strict=False):
        assert two["loss"] == pytest.approx(one["loss"], rel=0.05)


EVERY = """
import os, sys
import genzoo
from torch.nn.parallel import DistributedDataParallel as Parallel

reduced, forward = [], Parallel.forward
def counting(self, *inputs, **named):
    reduced.append(self.require_backward_grad_sync)
    return forward(self, *inputs, **named)
Parallel.forward = counting
settings = dict(steps=3, batch_size=8, threads=1, device="cpu", sample_every=0, eval_every=0, log_every=1)
text = dict(num_layers=1, num_heads=2, hidden_size=16, context_length=16, dropout=0.0)
genzoo.train("transformer", name="whole", **text, **settings)
assert reduced == [True] * 3
genzoo.train("transformer", name="parts", accumulation=4, **text, **settings)
assert reduced[3:] == [False, False, False, True] * 3
for name, options in {"gan": dict(generator_sizes=(8,), discriminator_sizes=(8,), r1=1.0, r1_every=1),
                      "diffusion": dict(width=8, num_timesteps=20)}.items():
    genzoo.train(name, name=name, **options, **settings)
"""


@pytest.mark.slow
def test_gradients_are_shared_once_a_step_and_every_family_trains(tmp_path, monkeypatch):
    monkeypatch.setenv("GENZOO_RUNS_DIR", str(tmp_path / "runs"))
    launch(tmp_path, source=EVERY)
    whole, parts = (genzoo.find_run(name).metrics() for name in ("whole", "parts"))
    assert [line["loss"] for line in parts] == pytest.approx([line["loss"] for line in whole], rel=1e-4)
    assert all(genzoo.find_run(name).status == "finished" for name in ("gan", "diffusion"))


def test_a_batch_that_cannot_be_shared_is_refused(tmp_path):
    script = Path(tmp_path) / "odd.py"
    script.write_text("import genzoo\ngenzoo.train('vae', steps=2, batch_size=31, device='cpu')", "utf-8")
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, encoding="utf-8", timeout=300)
    assert done.returncode != 0
    assert "--batch-size is 31; with 2 processes allowed is a multiple of 2" in done.stderr
