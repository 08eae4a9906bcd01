"""A run as the engine has it: what a plugin calls, and what the engine needs to know of it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import torch
from accelerate.optimizer import AcceleratedOptimizer
from torch import Tensor, nn

from genzoo.interface.dataset import Batch, Dataset, Share
from genzoo.interface.errors import GenzooError, GenzooWarning
from genzoo.interface.generator import Generator
from genzoo.interface.randomness import seeded
from genzoo.interface.run import Run, State, Stateful
from genzoo.interface.specs import DataSpec, TrainOptions
from genzoo.kernels.devices import free_memory, peak_flops
from genzoo.runs.folder import RunFolder
from genzoo.training.average import EMA
from genzoo.training.logbook import Logbook
from genzoo.training.precision import Autocast
from genzoo.training.processes import Processes

F = TypeVar("F", bound=Callable[..., object])
SIGTERM = 15
STEPS_TO_COMPILE = 2000  # of a training that is compiled by itself: compiling takes from seconds to a minute


@dataclass(frozen=True)
class Checkpoint:
    """What a run goes on from; `edited` if its options are no longer those that led there."""

    step: int
    state: State
    edited: bool = False


class TrainingRun(Run):
    """One training that goes on in this process.

    Attributes:
        folder: the run on disk.
        model: what is trained.
        processes: those that train it together.
        optimizers: those that the plugin prepared, in order.
        tracked: what else it named.
        logbook: what is logged.
        resumed: the checkpoint that it goes on from, until its first step.
        stop_signal: the number of the signal that asked to stop; None.
        engine: what happens before, between and after steps.
    """

    engine: Engine

    def __init__(
        self,
        folder: RunFolder,
        options: TrainOptions,
        dataset: Dataset,
        data: DataSpec,
        model: Generator,
        processes: Processes,
        resumed: Checkpoint | None = None,
    ) -> None:
        self.folder, self.options, self.dataset, self.data = folder, options, dataset, data
        self.name, self.path, self.device = folder.name, folder.path, model.device
        assert options.steps is not None, "how many steps there are is settled before a run is made"
        self.steps_total = options.steps
        self.model, self.processes, self.resumed = model, processes, resumed
        self.step, self.seconds = (resumed.step if resumed else 0), 0.0
        self.seconds_between = 0.0  # of scoring, drawing and saving
        self.memory = None
        self.optimizers: list[torch.optim.Optimizer] = []
        self.tracked: dict[str, Tensor | Stateful] = {}
        self.stop_signal: int | None = None
        file = folder.metrics_file if self.is_main else None
        self.logbook = Logbook(file, processes.mean)
        if resumed is not None:
            model.load_state_dict(resumed.state["model"])

    @property
    def is_main(self) -> bool:
        return self.processes.is_main

    @property
    def compiles(self) -> bool:
        """Whether `compile` does. By itself it does on CUDA, in trainings that last longer than compiling does."""
        match self.options.compile:
            case "auto":
                return self.device.type == "cuda" and self.steps_total >= STEPS_TO_COMPILE
            case choice:
                return choice == "on"

    # Steps

    def batches(self, **how: object) -> Iterator[Any]:
        if not self.model.spec.mini_batches:
            raise TypeError(f"model {self.model.spec.name!r} says mini_batches=False: use run.steps()")
        options, processes = self.options, self.processes
        share = Share(options.batch_size, options.seed, rank=processes.rank, world=processes.number)
        steps = range(self.step, self.steps_total)
        self.logbook.unit, self.logbook.per_step = self.dataset.unit, options.batch_size * self.dataset.units(**how)
        source = self.dataset.batches(steps, share, self.device, **how)
        for _, batch in zip(self.steps(), source, strict=True):
            yield batch

    def steps(self) -> Iterator[int]:
        self.engine.begin()
        while self.step < self.steps_total:
            self.engine.before_step()
            yield self.step
            self.step += 1
            self.engine.after_step()

    def sweeps(self, activity: str, most: int) -> Iterator[int]:
        for sweep in range(most):
            self.engine.before_sweep(activity, sweep, most)
            yield sweep

    def training_examples(self, count: int) -> Iterator[Batch]:
        return self.dataset.examples("train", self.device, count)

    # Models and optimisers

    def prepare(self, *objects: object, find_unused_parameters: bool = False) -> Any:
        ready = tuple(self._prepared(item, find_unused_parameters) for item in objects)
        return ready[0] if len(ready) == 1 else ready

    def _prepared(self, item: object, find_unused_parameters: bool) -> object:
        processes = self.processes
        if isinstance(item, nn.Module):
            module = item if processes.dtype is None else Autocast(item, self.device, processes.dtype)
            return processes.together(module, find_unused_parameters)
        if not isinstance(item, torch.optim.Optimizer):
            raise TypeError(f"run.prepare takes modules and optimisers, not {type(item).__name__}")
        if self.resumed is not None:
            self._restore(item, self.resumed)
        self.optimizers.append(item)
        return item if processes.scaler is None else AcceleratedOptimizer(item, False, processes.scaler)

    def _restore(self, optimizer: torch.optim.Optimizer, resumed: Checkpoint) -> None:
        """Load the state of the next optimiser; of edited options not the learning rate and the like, which it has."""
        saved: Sequence[State] = resumed.state["optimizers"]
        groups = [
            {name: value for name, value in group.items() if name != "params"} for group in optimizer.param_groups
        ]
        if len(saved) <= len(self.optimizers):
            raise GenzooError(f"the checkpoint of run {self.name!r} has {len(saved)} optimisers; the model has more")
        optimizer.load_state_dict(saved[len(self.optimizers)])
        for group, fresh in zip(optimizer.param_groups, groups, strict=True):
            group.update(fresh if resumed.edited else {})
        for parameter, state in optimizer.state.items():  # fused updates walk both in memory order: lay them out alike
            for name, value in state.items():
                if isinstance(value, Tensor) and value.shape == parameter.shape:
                    state[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)

    def track(self, **state: Tensor | Stateful) -> None:
        for name, value in state.items():
            if not isinstance(value, (Tensor, Stateful)):
                raise TypeError(f"run.track({name}=...) takes a tensor or an object with state_dict, not {value!r}")
            self.tracked[name] = value
            if self.resumed is None:
                continue
            if name not in self.resumed.state["tracked"]:
                raise GenzooError(
                    f"the checkpoint of run {self.name!r} does not hold {name!r}: it is of another version"
                )
            saved = self.resumed.state["tracked"][name]
            if isinstance(value, Tensor):
                value.data.copy_(saved)
            else:
                value.load_state_dict(saved)

    def backward(self, loss: Tensor) -> None:
        scaler = self.processes.scaler
        (loss if scaler is None else scaler.scale(loss)).backward()  # type: ignore[no-untyped-call]

    def parts(self, batch: Tensor, count: int) -> Iterator[Tensor]:
        parts = batch.chunk(count)
        for number, part in enumerate(parts, start=1):
            self.processes.average_gradients(number == len(parts))
            yield part

    def clip(self, optimizer: torch.optim.Optimizer, max_norm: float) -> Tensor:
        scaler = self.processes.scaler
        if scaler is not None:
            scaler.unscale_(cast(AcceleratedOptimizer, optimizer).optimizer)
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        norm = nn.utils.clip_grad_norm_(parameters, max_norm)
        return norm if scaler is None else torch.where(norm.isfinite(), norm, 0)  # the step is left out

    def compile(self, function: F) -> F:
        return cast(F, torch.compile(function)) if self.compiles else function

    # What is said and seen

    def log(self, **values: Tensor | float) -> None:
        self.logbook.note(self.step + 1, values)

    def count_flops(self, flops: float) -> None:
        peak = peak_flops(self.device)
        self.logbook.flops_per_step = flops
        self.logbook.peak = None if peak is None else peak * self.processes.number

    def count_memory(self, size: float) -> None:
        self.memory, free = size, free_memory(self.device)
        if size > free:
            need = f"the training takes about {size / 1e9:,.1f} GB of memory, and {free / 1e9:,.1f} GB are free"
            self.warn(f"{need}; a smaller --batch-size takes less")

    @contextmanager
    def as_sampled(self) -> Iterator[None]:
        modes = [(module, module.training) for module in self.model.modules()]
        with ExitStack() as stack:
            stack.enter_context(torch.no_grad())
            for item in self.tracked.values():
                if isinstance(item, EMA):
                    stack.enter_context(item.applied())
            stack.enter_context(seeded(self.options.seed, self.device))
            self.model.eval()
            try:
                yield
            finally:
                for module, mode in modes:
                    module.training = mode

    def stop(self) -> None:
        self.stop_signal = self.stop_signal or SIGTERM

    def warn(self, message: str) -> None:
        if self.is_main:
            warnings.warn(message, GenzooWarning, stacklevel=2)


class Engine:
    """What happens around the steps of a run."""

    def begin(self) -> None:
        """Before the first step: all that the plugin set up is there now."""

    def before_step(self) -> None:
        """Before each step."""

    def after_step(self) -> None:
        """After each step."""

    def before_sweep(self, activity: str, done: int, total: int) -> None:
        """Before each part of what is done behind the last step."""
