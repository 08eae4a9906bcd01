"""The exponential moving average of a module's weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from genzoo.interface.run import State


class EMA:
    """An exponential moving average of a module's parameters (Polyak & Juditsky 1992), for sampling.

    Call `update()` after each optimiser step and give the object to `run.track(...)`: checkpoints then hold it,
    and samples, scores and the finished model use the averaged weights. Early on, the decay is held to
    `(1 + updates) / (10 + updates)`, so that the average does not remember the first random weights.

    Args:
        module: whose parameters are averaged. Its buffers are not: they are used as they are.
        decay: in [0, 1); the weight of the past at each update.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay, self.updates = decay, 0
        self._parameters: list[Tensor] = [p for p in module.parameters() if p.requires_grad]
        self._average = [p.detach().clone() for p in self._parameters]

    @torch.no_grad()
    def update(self) -> None:
        """Take the parameters as they are now into the average."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        torch._foreach_lerp_(self._average, self._parameters, 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """While this context is open, the module's parameters are the average; afterwards they are as before."""
        before = [p.detach().clone() for p in self._parameters]
        self._write(self._average)
        try:
            yield
        finally:
            self._write(before)

    @torch.no_grad()
    def _write(self, values: list[Tensor]) -> None:
        for parameter, value in zip(self._parameters, values, strict=True):
            parameter.copy_(value)

    def state_dict(self) -> State:
        """The average and the number of updates."""
        return {"updates": self.updates, "average": list(self._average)}

    def load_state_dict(self, state: State) -> None:
        """The inverse of `state_dict`."""
        self.updates = state["updates"]
        for mine, saved in zip(self._average, state["average"], strict=True):
            mine.copy_(saved)
