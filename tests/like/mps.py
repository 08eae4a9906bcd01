"""A stand-in for MPS, which has no float64 and no complex128: `with mps():`.

The device is `cpu:0`. What is moved or made there is marked, and so is all that is worked out from it; `.cpu()` takes
the mark away. A marked tensor of a type that MPS does not have is refused as MPS refuses it. This is no proof for MPS:
an operation that MPS lacks otherwise, or that it works out wrong, is not seen, nor are gradients.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

import genzoo

model = import_module("genzoo.sampling.model")
processes = import_module("genzoo.training.processes")
train = import_module("genzoo.training.train")

DEVICE = torch.device("cpu", 0)
MISSING = (torch.float64, torch.complex128)


def on_device(value: object) -> bool:
    """Whether a tensor, or one in a list or tuple, is marked."""
    if isinstance(value, Tensor):
        return getattr(value, "_on_mps", False)
    return isinstance(value, (list, tuple)) and any(map(on_device, value))


def mark(value: object) -> None:
    """Mark tensors. Raises `TypeError` for one that MPS cannot hold."""
    if isinstance(value, Tensor):
        if value.dtype in MISSING:
            raise TypeError(f"Cannot convert a MPS Tensor to {value.dtype}: the MPS framework does not support it")
        value._on_mps = True
    elif isinstance(value, (list, tuple)):
        for item in value:
            mark(item)


class LikeMPS(TorchFunctionMode):
    """Every function of torch, with marks."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> object:
        kwargs = kwargs or {}
        result = function(*args, **kwargs)
        if function == Tensor.device.__get__:
            return DEVICE if on_device(args[0]) else result
        every = (*args, *kwargs.values())
        devices = [
            torch.device(x)
            for x in every
            if isinstance(x, torch.device) or (isinstance(x, str) and x in ("cpu", "cpu:0"))
        ]
        if function == Tensor.cpu or (function == Tensor.to and torch.device("cpu") in devices):
            return result.view_as(result) if on_device(result) else result
        if DEVICE in devices or any(map(on_device, every)):
            mark(result)
        return result


@contextmanager
def mps(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Within, trainings and loaded models are on the stand-in device."""

    def build_model(*args: Any, **kwargs: Any) -> genzoo.Generator:
        built = plain_build(*args, **kwargs)
        mark([*built.parameters(), *built.buffers()])
        return built

    plain_build = model.build_model
    monkeypatch.setattr(model, "build_model", build_model)
    monkeypatch.setattr(train, "build_model", build_model)
    monkeypatch.setattr(model, "choose_device", lambda _: DEVICE)
    monkeypatch.setattr(processes, "choose_device", lambda _: DEVICE)
    with LikeMPS():
        yield
