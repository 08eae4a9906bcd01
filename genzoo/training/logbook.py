"""What a training logs: noted at every step without reading it off the device, written as means every few steps."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from genzoo.interface.errors import GenzooError
from genzoo.interface.run import State


class NotFinite(ArithmeticError):
    """A logged value is NaN or infinite."""

    def __init__(self, name: str, value: float, step: int) -> None:
        super().__init__(f"{name} became {value} at step {step}")
        self.step = step


class Logbook:
    """The values logged since the last line of `metrics.jsonl`, and that file.

    Args:
        file: where the lines go; None on processes that do not write.
        mean: takes a tensor to its mean over the processes.

    Attributes:
        unit: what the training's speed is counted in, such as samples; None without mini-batches.
        per_step: how many of them a step has.
        flops_per_step: floating-point operations of a step, and `peak` those that the device can do in a second; where
            both are known their share is written as `utilisation`.
    """

    def __init__(self, file: Path | None, mean: Callable[[Tensor], Tensor]) -> None:
        self._file, self._mean = file, mean
        self.unit: str | None = None
        self.per_step = 0
        self.flops_per_step: float | None = None
        self.peak: float | None = None
        self._pending: list[tuple[str, int, Tensor | float]] = []  # noted, not yet read off the device
        self._window: dict[str, list[float]] = {}  # read, not yet written
        self._line = (0, 0.0)  # step and seconds of the last line

    def note(self, step: int, values: dict[str, Tensor | float]) -> None:
        """Keep the values of a step. Raises `TypeError` for a tensor of several."""
        for name, value in values.items():
            if isinstance(value, Tensor) and value.numel() != 1:
                raise TypeError(f"run.log({name}=...) takes one number, not a tensor of shape {tuple(value.shape)}")
        self._pending += [(k, step, v.detach() if isinstance(v, Tensor) else float(v)) for k, v in values.items()]

    def settle(self) -> None:
        """Read what was noted off the device, in one go. Raises `NotFinite`."""
        pending, self._pending = self._pending, []
        tensors = [value.to(torch.float32) for _, _, value in pending if isinstance(value, Tensor)]
        read = iter(self._mean(torch.stack(tensors)).tolist() if tensors else ())
        for name, step, value in pending:
            number = next(read) if isinstance(value, Tensor) else value
            if not math.isfinite(number):
                raise NotFinite(name, number, step)
            self._window.setdefault(name, []).append(number)

    def means(self, *, begin_anew: bool = True) -> dict[str, float]:
        """The means since they last began anew."""
        self.settle()
        means = {name: math.fsum(numbers) / len(numbers) for name, numbers in self._window.items()}
        self._window = {} if begin_anew else self._window
        return means

    def write(
        self, step: int, seconds: float, values: dict[str, float], *, begin_anew: bool = True
    ) -> dict[str, float]:
        """Append a line after `step` steps and `seconds` of training, and give it back. The next line's speed is that
        since this one, where it begins anew."""
        steps, passed = step - self._line[0], seconds - self._line[1]
        speed = steps / passed if steps and passed > 0 else 0.0
        self._line = (step, seconds) if steps and begin_anew else self._line
        rate = {} if self.unit is None else {f"{self.unit}_per_second": round(speed * self.per_step, 1)}
        line = {"step": step, "seconds": round(seconds, 3), **rate, **values}
        if self.flops_per_step and self.peak and speed:
            line["utilisation"] = speed * self.flops_per_step / self.peak
        if self._file is not None:
            try:
                with open(self._file, "a", encoding="utf-8", newline="\n") as file:
                    file.write(json.dumps(line) + "\n")
            except OSError as error:
                raise GenzooError(f"cannot write {self._file}: {error.strerror}") from None
        return line

    def state_dict(self) -> State:
        """What a checkpoint holds of it, settled."""
        self.settle()
        return {"window": self._window, "line": list(self._line)}

    def load_state_dict(self, state: State) -> None:
        """The inverse of `state_dict`."""
        self._window, (step, seconds) = state["window"], state["line"]
        self._line = (int(step), float(seconds))
