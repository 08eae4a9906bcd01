"""One process or several: what Accelerate is told and asked, and what of a process's global state is a run's own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState
from accelerate.utils import broadcast_object_list, gather_object

from genzoo.interface.errors import UsageError
from genzoo.interface.randomness import random_state, restore_random_state
from genzoo.interface.specs import TrainOptions
from genzoo.kernels.devices import choose_device

PRECISIONS = {"float32": "no", "bfloat16": "bf16", "float16": "fp16"}
T = TypeVar("T")


class Processes:
    """The processes that train a run together, as `accelerate launch` or `torchrun` started them, or this one alone.

    Attributes:
        accelerator: Accelerate's, for data parallel and mixed precision.
        device: that of this process.

    Raises `UsageError` for a device that is not there, or a precision that it cannot train with.
    """

    def __init__(self, training: TrainOptions) -> None:
        self.device = choose_device(training.device)
        many = int(os.environ.get("WORLD_SIZE", "1")) > 1
        AcceleratorState._reset_state(reset_partial_state=not many)  # it keeps what the run before it chose
        GradientState._reset_state()
        self.accelerator = Accelerator(mixed_precision=self._precision(training), cpu=self.device.type == "cpu")
        if self.number > 1:
            self.device = self.accelerator.device

    def _precision(self, training: TrainOptions) -> str:
        precision, kind = training.precision, self.device.type
        if precision == "auto":
            precision = "bfloat16" if kind == "cuda" and torch.cuda.is_bf16_supported() else "float32"
        if precision == "float16" and kind == "cpu":
            raise UsageError(
                "--precision is float16, which a CPU cannot train with; allowed there is float32 or bfloat16"
            )
        if kind == "cuda":
            torch.set_float32_matmul_precision("high")
            if self.device.index is not None:
                torch.cuda.set_device(self.device)
        return PRECISIONS[precision]

    @property
    def number(self) -> int:
        """How many there are."""
        return int(self.accelerator.num_processes)

    @property
    def rank(self) -> int:
        """Which of them this is, from 0."""
        return int(self.accelerator.process_index)

    @property
    def is_main(self) -> bool:
        """Whether this is the one that writes."""
        return bool(self.accelerator.is_main_process)

    def main_first(self, load: Callable[[], T]) -> T:
        """What `load` gives, on the main process first, so that a download happens once."""
        with self.accelerator.main_process_first():
            return load()

    def from_main(self, value: T) -> T:
        """The main process's `value`, in every process."""
        if self.number == 1:
            return value
        shared: T = broadcast_object_list([value])[0]
        return shared

    def from_all(self, value: T) -> list[T]:
        """Every process's `value`, in every process."""
        return [value] if self.number == 1 else list(gather_object([value]))

    def mean(self, values: torch.Tensor) -> torch.Tensor:
        """The mean of a tensor over the processes."""
        if self.number == 1:
            return values
        reduced = self.accelerator.reduce(values, "mean")
        assert isinstance(reduced, torch.Tensor), "Accelerate gives back what it got"
        return reduced

    @contextmanager
    def own_global_state(self, threads: int | None) -> Iterator[None]:
        """Threads and random numbers are the run's own until it ends, and then the caller's again."""
        before, state = torch.get_num_threads(), random_state(self.device)
        if threads is not None:
            torch.set_num_threads(threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)
            restore_random_state(state, self.device)
