"""Every family trains, resumes, samples and is evaluated on a device without float64; see tests/like/mps.py."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

import genzoo

sys.path.insert(0, str(Path(__file__).parent / "like"))
from mps import DEVICE, mps, on_device

TINY = {"steps": 4, "save_every": 2, "eval_every": 2, "sample_every": 0, "log_every": 1, "batch_size": 4}
FAMILIES = {
    "vae": {"architecture": "mlp", "hidden_sizes": (8,), "prior": "mixture"},
    "gan": {"generator_sizes": (8,), "discriminator_sizes": (8,)},
    "dcgan": {"width": 4},
    "diffusion": {"width": 8, "num_timesteps": 20},
    "transformer": {"hidden_size": 8, "num_layers": 1, "num_heads": 2, "context_length": 16, "data": "text.txt"},
}
SAMPLING = {
    "diffusion": {"num_steps": 4},
    "transformer": {"max_new_tokens": 8, "top_k": 5, "top_p": 0.9, "repetition_penalty": 1.2},
}


def test_the_stand_in_refuses_what_mps_does_not_have(monkeypatch):
    with mps(monkeypatch):
        there = torch.zeros(3).to(DEVICE)
        assert (there + 1).device.type == torch.ones(2, device=there.device).device.type == "mps"
        for refused in (there.double, lambda: (there + 1).to(torch.float64), lambda: torch.zeros(1).double().to(DEVICE),
                        lambda: torch.zeros(1, dtype=torch.complex128, device="mps")):  # fmt: skip
            with pytest.raises(TypeError, match="MPS"):
                refused()
        with pytest.raises(NotImplementedError, match="MPS device"):
            torch.linalg.eigvals(torch.eye(2, device="mps"))
        with pytest.raises(RuntimeError, match="same device"):
            there + torch.zeros(3)
        assert there.cpu().double().dtype == torch.float64


@pytest.mark.parametrize("family", [pytest.param(f, marks=() if f == "gan" else pytest.mark.slow) for f in FAMILIES])
def test_a_family_needs_nothing_that_mps_does_not_have(family, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    Path("text.txt").write_text("the quick brown fox jumps over the lazy dog;\n" * 100, "utf-8")
    with mps(monkeypatch):
        run = genzoo.train(
            family, **{"data": "digits-8x8" if family != "dcgan" else "mnist-5k", **TINY, **FAMILIES[family]}
        )
        assert run.record["environment"]["device"] == "mps"
        run = genzoo.resume(run, steps=6)
        model = genzoo.load(run)
        assert all(tensor.device == DEVICE for tensor in (*model.parameters(), *model.buffers()))
        assert not on_device(genzoo.sample(run, 3, **SAMPLING.get(family, {})))
        features = {} if family == "transformer" else {"features": "random"}
        assert genzoo.evaluate(run, 10, **features, **SAMPLING.get(family, {})).measures


def test_what_a_device_cannot_do_is_one_line_that_says_what_to_do(monkeypatch, install, genzoo_command):
    install("spectrum", """
        import click, genzoo
        @click.command()
        @click.argument("dtype")
        def command(dtype):
            import torch
            torch.linalg.eigvals(torch.eye(2, device="mps").to(getattr(torch, dtype)))
        @genzoo.hookimpl
        def genzoo_commands():
            return [genzoo.CommandSpec(name="spectrum", summary="s", target="spectrum:command")]
    """)  # fmt: skip
    with mps(monkeypatch):
        for dtype, reason in (("float32", "is not currently implemented"), ("float64", "support")):
            outcome = genzoo_command("spectrum", dtype)
            assert (outcome.status, outcome.err.count("\n")) == (1, 1)
            assert reason in outcome.err
            assert "MPS" in outcome.err
            assert outcome.err.endswith("give --device cpu\n")
