"""Every family of images trains, is scored, resumes and samples on a device without float64; see tests/like/mps.py."""

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
}


def test_the_stand_in_refuses_what_mps_does_not_have(monkeypatch):
    with mps(monkeypatch):
        there = torch.zeros(3).to(DEVICE)
        assert on_device(there + 1)
        assert on_device(torch.ones(2, device=there.device))
        for refused in (there.double, lambda: (there + 1).to(torch.float64), lambda: torch.zeros(1).double().to(DEVICE),
                        lambda: torch.zeros(1, dtype=torch.complex128, device=there.device)):  # fmt: skip
            with pytest.raises(TypeError, match="MPS"):
                refused()
        assert there.cpu().double().dtype == torch.float64


@pytest.mark.parametrize("family", [pytest.param(f, marks=() if f == "gan" else pytest.mark.slow) for f in FAMILIES])
def test_a_family_needs_nothing_that_mps_does_not_have(family, monkeypatch):
    with mps(monkeypatch):
        run = genzoo.train(family, data="mnist-5k", **TINY, **FAMILIES[family])
        run = genzoo.resume(run, steps=6)
        model = genzoo.load(run)
        assert on_device(next(model.parameters()))
        options = {"num_steps": 4} if family == "diffusion" else {}
        assert not on_device(genzoo.sample(run, 3, **options))
        batch = torch.rand(2, 1, 28, 28).to(DEVICE)
        if hasattr(model, "log_likelihood"):
            more = {"num_samples": 5} if family == "vae" else {"num_timesteps": 5}
            assert model.log_likelihood(batch, **more).dtype == torch.float32
        if hasattr(model, "encode"):
            model.encode(batch)
