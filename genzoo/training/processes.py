"""One process or several: what Accelerate is told and asked, and what of a process's global state is a run's own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState
from accelerate.utils import broadcast_object_list, gather_object

from genzoo.interface.errors import UsageError
from genzoo.interface.randomness import random_state, restore_random_state
from genzoo.interface.specs import TrainOptions

PRECISIONS = {"float32": "no", "bfloat16": "bf16", "float16": "fp16"}
T = TypeVar("T")


def accelerator_for(training: TrainOptions, device: torch.device) -> Accelerator:
    """Accelerate, for data parallel (as `accelerate launch` or `torchrun` started us) and mixed precision."""
    many = int(os.environ.get("WORLD_SIZE", "1")) > 1
    AcceleratorState._reset_state(reset_partial_state=not many)  # it keeps what the run before it chose
    GradientState._reset_state()
    precision = training.precision
    if precision == "auto":
        precision = "bfloat16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "float32"
    if precision == "float16" and device.type == "cpu":
        raise UsageError("--precision is float16, which a CPU cannot train with; allowed there is float32 or bfloat16")
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")
        if device.index is not None:
            torch.cuda.set_device(device)
    return Accelerator(mixed_precision=PRECISIONS[precision], cpu=device.type == "cpu")


def first_alone(accelerator: Accelerator, load: Callable[[], T]) -> T:
    """What `load` gives, on the main process first, so that a download happens once."""
    with accelerator.main_process_first():
        return load()


def from_main(accelerator: Accelerator, value: T) -> T:
    """The main process's `value`, in every process."""
    if accelerator.num_processes == 1:
        return value
    shared: T = broadcast_object_list([value])[0]
    return shared


def from_all(accelerator: Accelerator, value: T) -> list[T]:
    """Every process's `value`, in every process."""
    return [value] if accelerator.num_processes == 1 else list(gather_object([value]))


@contextmanager
def own_global_state(threads: int | None, device: torch.device) -> Iterator[None]:
    """Threads and random numbers are the run's own until it ends, and then the caller's again."""
    before, state = torch.get_num_threads(), random_state(device)
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        restore_random_state(state, device)


def mean_over_processes(accelerator: Accelerator, values: torch.Tensor) -> torch.Tensor:
    """The mean of a tensor over the processes."""
    if accelerator.num_processes == 1:
        return values
    reduced: Any = accelerator.reduce(values, "mean")
    assert isinstance(reduced, torch.Tensor)
    return reduced
