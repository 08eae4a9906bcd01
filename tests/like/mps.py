"""A stand-in for MPS, which has no float64, no complex128 and not every operation: `with mps():`.

Tensors lie on the CPU. What is moved to "mps" or made there is marked, says that it is on "mps", and so does all that
is worked out from it; `.cpu()` takes the mark away. A marked tensor of a type that MPS does not have is refused as MPS
refuses it, and so are a marked and an unmarked tensor in one operation, and operations that MPS lacks: those for which
torch's own table, `native_functions.yaml`, has neither a kernel of MPS nor one made of other operations. This is no
proof for MPS: what MPS works out wrong is not seen, nor what an operation lacks that is made of others or that takes
some types alone.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
import torchgen
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torchgen.gen import parse_native_yaml
from torchgen.model import DispatchKey

DEVICE, CPU = torch.device("mps"), torch.device("cpu")
MISSING = (torch.float64, torch.complex128)
OF_CPU = ("_for_cpu", "mkldnn")  # what torch's own choice for a CPU, and for no other device, is called
TOGETHER = {"add", "sub", "mul", "div", "__add__", "__sub__", "__mul__", "__truediv__", "matmul", "linear", "conv2d",
            "where", "cat", "stack", "searchsorted", "lerp"}  # fmt: skip
"""Operations of which all tensors must be on one device."""


@functools.cache
def lacking() -> frozenset[str]:
    """The operations, such as "linalg_eig" or "mm.dtype", that this torch has for other devices and not for MPS."""
    folder = Path(torchgen.__file__).parent / "packaged" / "ATen" / "native"
    table = parse_native_yaml(str(folder / "native_functions.yaml"), str(folder / "tags.yaml"))
    kernels = table.backend_indices[DispatchKey.MPS]
    return frozenset(
        str(operation.func.name)
        for operation in table.native_functions
        if not (kernels.has_kernel(operation) or operation.has_composite_kernel)
        and not (operation.structured_delegate and operation.structured_delegate in kernels.index)
        and "generated" not in operation.tags  # out of one that is looked at itself
    )


class Operations(TorchDispatchMode):
    """Every operation that a function is made of, those of the way back too. `on`: on tensors of the device."""

    on = False

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> object:
        name = operation._schema.name.partition("::")[2] + f".{operation._schema.overload_name}".rstrip(".")
        if self.on and name in lacking() and not any(part in name for part in OF_CPU):
            raise NotImplementedError(f"The operator 'aten::{name}' is not currently implemented for the MPS device.")
        return operation(*args, **(kwargs or {}))


def on_device(value: object) -> bool:
    """Whether a tensor, or one in a list or tuple, is marked."""
    if isinstance(value, Tensor):
        return getattr(value, "_on_mps", False)
    return isinstance(value, (list, tuple)) and any(map(on_device, value))


def mark(value: object) -> None:
    """Mark tensors. Raises `TypeError` for one that MPS cannot hold."""
    if isinstance(value, Tensor):
        if value.dtype in MISSING:
            raise TypeError(
                f"Cannot convert a MPS Tensor to {value.dtype} dtype as the MPS framework doesn't support"
                f" {value.dtype}. Please use float32 instead."
            )
        value._on_mps = True
    elif isinstance(value, (list, tuple)):
        for item in value:
            mark(item)


def is_device(value: object, kind: str) -> bool:
    """Whether an argument names a device of a kind."""
    return isinstance(value, (str, torch.device)) and str(value).partition(":")[0] == kind


def elsewhere(value: object) -> bool:
    """Whether a tensor is on the CPU and of one dimension at least; numbers may be mixed in."""
    return isinstance(value, Tensor) and value.ndim > 0 and not on_device(value)


class LikeMPS(TorchFunctionMode):
    """Every function of torch, with marks."""

    def __init__(self, operations: Operations) -> None:
        super().__init__()
        self.operations = operations

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> object:
        kwargs = kwargs or {}
        if function in (torch.device, torch._C._nn._parse_to):  # they give a device
            return function(*args, **kwargs)
        every = (*args, *kwargs.values())
        moves = function in (Tensor.to, Tensor.copy_, Tensor.data.__set__, Tensor.grad.__set__)
        if function == Tensor.device.__get__:
            return DEVICE if on_device(args[0]) else function(*args)
        if any(map(on_device, every)) and any(map(elsewhere, every)) and not moves and function.__name__ in TOGETHER:
            raise RuntimeError(f"Expected all tensors to be on the same device ({function.__name__})")
        to_device = any(is_device(value, "mps") for value in every)
        args = [CPU if is_device(value, "mps") else value for value in args]
        self.operations.on = any(map(on_device, every))
        try:
            result = function(*args, **{k: CPU if is_device(v, "mps") else v for k, v in kwargs.items()})
        finally:
            self.operations.on = False
        if function == Tensor.data.__set__:
            args[0]._on_mps = on_device(args[1])
        elif function == Tensor.copy_:
            pass
        elif function == Tensor.cpu or (function == Tensor.to and any(is_device(value, "cpu") for value in every)):
            return result.view_as(result) if on_device(result) else result
        elif to_device or any(map(on_device, every)):
            if isinstance(result, Tensor) and any(
                result is value and not on_device(value) for value in every
            ):  # it lies there already, and is copied
                result = result.view_as(result)
            mark(result)
        return result


@contextmanager
def mps(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Within, there is a device "mps", which `--device auto` takes."""
    devices = import_module("genzoo.kernels.devices")
    monkeypatch.setattr(devices.torch.backends.mps, "is_available", functools.cache(lambda: True))
    monkeypatch.setattr(torch.mps, "get_rng_state", lambda: torch.get_rng_state())
    monkeypatch.setattr(torch.mps, "set_rng_state", lambda state: torch.set_rng_state(state))
    with Operations() as operations, LikeMPS(operations):
        yield
