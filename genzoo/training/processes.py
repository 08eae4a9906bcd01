"""One process or several: what Accelerate is told and asked, and what of a process's global state is a run's own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState, PartialState
from accelerate.utils import DistributedDataParallelKwargs, broadcast_object_list, gather_object
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from genzoo.interface.errors import UsageError
from genzoo.interface.randomness import random_state, restore_random_state
from genzoo.interface.specs import TrainOptions
from genzoo.kernels.devices import choose_device
from genzoo.training.precision import StepScaler

DTYPES = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}
PRECISIONS = {None: "no", torch.bfloat16: "bf16", torch.float16: "fp16"}  # as run.json names them
T = TypeVar("T")


class Processes:
    """The processes that train a run together, as `accelerate launch` or `torchrun` started them, or this one alone.

    Attributes:
        accelerator: Accelerate's, for data parallel.
        device: that of this process.
        dtype: that of the forward pass; None: float32.
        scaler: of gradients, where they are float16; else None.

    Raises `UsageError` for a device that is not there, or a precision that it cannot train with.
    """

    def __init__(self, training: TrainOptions) -> None:
        self.device = choose_device(training.device)
        self.dtype = DTYPES[self._precision(training)]
        self.accelerator = Accelerator(cpu=self.device.type == "cpu")
        if self.number > 1:
            self.device = self.accelerator.device
        self.scaler = StepScaler(self.device.type) if self.dtype is torch.float16 else None
        self._shared: list[DistributedDataParallel] = []
        # small numbers go through the CPU, so that no process waits for its device
        self._by_cpu: Any = torch.distributed.new_group(backend="gloo") if self.number > 1 else None

    def _precision(self, training: TrainOptions) -> str:
        precision, kind = training.precision, self.device.type
        if precision == "auto":
            return "bfloat16" if kind == "cuda" and torch.cuda.is_bf16_supported() else "float32"
        if precision == "float16" and kind == "cpu":
            raise UsageError(
                "--precision is float16, which a CPU cannot train with; allowed there is float32 or bfloat16"
            )
        return precision

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

    def together(self, module: nn.Module, find_unused_parameters: bool) -> nn.Module:
        """A module that takes the mean of its gradients over the processes."""
        if self.number == 1:
            return module
        self.accelerator.ddp_handler = DistributedDataParallelKwargs(find_unused_parameters=find_unused_parameters)
        shared: DistributedDataParallel = self.accelerator.prepare_model(module, device_placement=False)
        self._shared.append(shared)
        return shared

    def average_gradients(self, on: bool) -> None:
        """Whether the next backward pass takes the mean of gradients over the processes, or keeps what it adds."""
        for module in self._shared:
            module.require_backward_grad_sync = on

    def wait(self) -> None:
        """Until all are here."""
        self.accelerator.wait_for_everyone()

    def from_main(self, value: T) -> T:
        """The main process's `value`, in every process."""
        if self.number == 1:
            return value
        shared: T = broadcast_object_list([value])[0]
        return shared

    def from_all(self, value: T) -> list[T]:
        """Every process's `value`, in every process."""
        return [value] if self.number == 1 else list(gather_object([value]))

    def largest(self, number: int) -> int:
        """The largest of every process's `number`, in every process."""
        if self._by_cpu is None:
            return number
        shared = torch.tensor(number)
        torch.distributed.all_reduce(shared, torch.distributed.ReduceOp.MAX, self._by_cpu)
        return int(shared)

    def mean(self, values: torch.Tensor) -> torch.Tensor:
        """The mean of a tensor over the processes."""
        if self.number == 1:
            return values
        reduced = self.accelerator.reduce(values, "mean")
        assert isinstance(reduced, torch.Tensor), "Accelerate gives back what it got"
        return reduced


@contextmanager
def processes_of(training: TrainOptions) -> Iterator[Processes]:
    """The processes of a run, until it ends. Threads, random numbers, the choice of kernels and Accelerate's state are
    the run's own within; afterwards they are the caller's again."""
    with ExitStack() as after:
        _keep_accelerate_state(after)
        processes = Processes(training)
        device = processes.device
        after.callback(restore_random_state, random_state(device), device)
        after.callback(torch.set_num_threads, torch.get_num_threads())
        if training.threads is not None:
            torch.set_num_threads(training.threads)
        if device.type == "cuda":
            after.callback(torch.set_float32_matmul_precision, torch.get_float32_matmul_precision())
            torch.set_float32_matmul_precision("high")
            after.callback(setattr, torch.backends.cudnn, "benchmark", torch.backends.cudnn.benchmark)
            torch.backends.cudnn.benchmark = False  # it would choose algorithms by how fast they were just now
            after.enter_context(torch.cuda.device(device))
        if training.deterministic:
            _compute_deterministically(after)
        yield processes


def _keep_accelerate_state(after: ExitStack) -> None:
    """Begin without the state that Accelerate keeps for the whole program, and bring it back. The process group of
    several processes stays."""
    many = int(os.environ.get("WORLD_SIZE", "1")) > 1
    for kind in (GradientState, AcceleratorState) if many else (GradientState, AcceleratorState, PartialState):
        shared = kind._shared_state
        after.callback(shared.update, dict(shared))
        after.callback(shared.clear)
        shared.clear()


def _compute_deterministically(after: ExitStack) -> None:
    """Let torch take only operations that give the same bits each time, and refuse those that cannot."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS reads it when it is first used
    before, warn_only = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    after.callback(torch.use_deterministic_algorithms, before, warn_only=warn_only)
    torch.use_deterministic_algorithms(True)
