"""Every family trains, resumes, samples and is evaluated on a device without float64; see tests/like/mps.py."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

import genzoo

sys.path[:0] = [str(Path(__file__).parent / folder) for folder in ("like", "kept")]
from mps import DEVICE, lacking, mps, on_device  # noqa: E402  (no package)
from write import FAMILIES, SAMPLING, data_of, options_of  # noqa: E402

MORE = {"vae": {"prior": "mixture"}, "melgan": {"adversarial_share": 0.5}}
MORE_SAMPLING = {
    "transformer": {"top_k": 5, "top_p": 0.9, "repetition_penalty": 1.2, "prompt": "the "},
    "hmm": {"prompt": "the "},
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
        weight = torch.ones(2, device="mps", requires_grad=True)
        assert {"linalg_eig", "ormqr"} <= lacking()
        assert {"mm", "add.Tensor", "stft", "_fft_r2c", "_fused_adam_", "convolution_backward"}.isdisjoint(lacking())
        with monkeypatch.context() as patch:
            patch.setattr("mps.lacking", lambda: {"mul.Tensor"})  # on the way there, and on the way back
            with pytest.raises(NotImplementedError, match="'aten::mul.Tensor' is not currently implemented"):
                weight * 2
            with pytest.raises(NotImplementedError, match=r"'aten::mul.Tensor'"):
                weight.square().sum().backward()
            assert (weight.detach().cpu() * 2).tolist() == [2, 2]
        with pytest.raises(RuntimeError, match="same device"):
            there + torch.zeros(3)
        assert there.cpu().double().dtype == torch.float64


@pytest.mark.filterwarnings("ignore:the step size of")  # which falls over the whole length
@pytest.mark.parametrize("family", [pytest.param(f, marks=() if f == "gan" else pytest.mark.slow) for f in FAMILIES])
def test_a_family_needs_nothing_that_mps_does_not_have(family, monkeypatch, tmp_path):
    sampling = {**SAMPLING.get(family, {}), **MORE_SAMPLING.get(family, {})}
    often = {"device": "auto", "save_every": 2, "eval_every": 2, "log_every": 1}
    with mps(monkeypatch):
        options = {**options_of(family), **MORE.get(family, {}), **often, "data": data_of(family, tmp_path)}
        run = genzoo.train(family, **options)
        assert run.record["environment"]["device"] == "mps"
        run = genzoo.resume(run, steps=6)
        model = genzoo.load(run)
        assert all(tensor.device == DEVICE for tensor in (*model.parameters(), *model.buffers()))
        assert not on_device(genzoo.sample(run, 3, **sampling))
        features = {} if model.data.modality == "text" else {"features": "random"}
        assert genzoo.evaluate(run, 10, **features, **sampling).measures


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
