"""Arithmetic of fewer bits: a module's forward pass in it, and gradients that are scaled to fit float16."""

from __future__ import annotations

from typing import Any

import torch
from accelerate.utils import convert_to_fp32
from torch import Tensor, nn


class Autocast(nn.Module):
    """A module whose forward pass computes in `dtype` where torch takes that to be safe, and gives float32. The module
    itself is left as it is: called directly, as penalties on its gradients do, it computes in float32."""

    def __init__(self, module: nn.Module, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__()
        self.module, self._device_type, self._dtype = module, device.type, dtype

    def forward(self, *inputs: Any, **named: Any) -> Any:
        with torch.autocast(self._device_type, self._dtype):
            output = self.module(*inputs, **named)
        return convert_to_fp32(output)


class StepScaler(torch.amp.GradScaler):
    """A gradient scaler whose scale changes once a step of the run, however many optimisers took part in it."""

    used = False

    def step(self, optimizer: torch.optim.Optimizer, *arguments: Any, **named: Any) -> float | None:
        self.used = True
        return super().step(optimizer, *arguments, **named)

    def update(self, new_scale: float | Tensor | None = None) -> None:
        """Nothing yet: Accelerate calls this after every optimiser."""

    def end_step(self) -> None:
        """Set the scale of the next step: smaller after an overflow, larger after many steps without."""
        if self.used:
            super().update()
        self.used = False
