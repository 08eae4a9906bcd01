"""Linear layers that use oneDNN on AMD processors.

torch gives float32 matrix products on x86 processors to MKL, which does not use all of an AMD processor's vector
units. oneDNN does, and torch brings it for convolutions; `benchmarks/linear.py` prints the ratio of the two.
"""

from __future__ import annotations

import platform
from functools import cache
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx


@cache
def onednn_is_faster() -> bool:
    """Whether this is an x86 processor of AMD's and torch has oneDNN. A fact of the machine, not a measurement:
    which kernels run must not depend on chance, or a resumed run would not be exact."""
    if not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return False
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            vendor = file.read(4096)
    except OSError:
        vendor = platform.processor()
    return "AuthenticAMD" in vendor


class _OneDNNLinear(torch.autograd.Function):
    """x W^T + b. The backward pass is made of the same function, so that it can be differentiated again. oneDNN reads
    a transposed second factor as it lies; a transposed first one it would copy slowly."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        result: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        gradient = gradients[0].contiguous()
        for_x, for_weight, for_bias = ctx.needs_input_grad
        return (
            _OneDNNLinear.apply(gradient, weight.t(), None) if for_x else None,
            _OneDNNLinear.apply(gradient.t().contiguous(), x.t(), None) if for_weight else None,
            gradient.sum(0) if for_bias else None,
        )


class Linear(nn.Linear):
    """`torch.nn.Linear`, with oneDNN for float32 batches (..., in_features) on AMD processors. The weights have the
    same names and shapes, the results are the same to rounding."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  (torch's name)
        return self.product(input, self.weight, self.bias)

    @staticmethod
    def product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """x W^T + b of x (..., in_features) and a weight (out_features, in_features), as this class computes it."""
        plain = (
            torch.compiler.is_compiling()
            or x.device.type != "cpu"
            or x.dtype != torch.float32
            or x.ndim < 2
            or torch.is_autocast_enabled("cpu")
            or not onednn_is_faster()
        )
        if plain:
            return nn.functional.linear(x, weight, bias)
        x = x.contiguous()
        if not torch.is_grad_enabled():  # without the bookkeeping of gradients, which few rows feel
            result = torch.ops.mkldnn._linear_pointwise.default(x, weight, bias, "none", [], "")
            return cast(Tensor, result)
        result = _OneDNNLinear.apply(x.view(-1, x.shape[-1]), weight, bias)
        return cast(Tensor, result.view(*x.shape[:-1], -1))
