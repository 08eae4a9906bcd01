"""A run: what a plugin sees of the training it takes part in, and what the core does between two steps."""

from __future__ import annotations

import math
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast, runtime_checkable

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list, gather_object
from torch import Tensor, nn

from genzoo import checkpoint, samples
from genzoo.average import EMA
from genzoo.data.images import Batch, ImageData, Order, batches, in_order
from genzoo.data.text import Passages, TokenData
from genzoo.errors import Diverged, GenzooError, GenzooWarning, Interrupted
from genzoo.evaluation.features import quick_distance
from genzoo.generator import Evaluates, Generator, HasLikelihood
from genzoo.logbook import Logbook, NotFinite
from genzoo.randomness import random_state, restore_random_state, seed_everything
from genzoo.run_folder import RunFolder
from genzoo.sampling import draw, draw_texts, grid_size, labels_of_samples
from genzoo.spec import DataSpec, TrainOptions

PEAKS = {  # by a part of the device's name, from the makers' data sheets, without sparsity
    "H200": 989e12, "H100 NVL": 835e12, "H100 PCIe": 756e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12,
    "L4": 121e12, "RTX 4090": 165e12, "RTX 3090": 71e12,
}  # fmt: skip
F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")
Watch = Callable[[str, dict[str, Any]], list[str]]
QUICK = 500  # samples in a score while training
EVALUATED = 1000  # held-out examples in a score while training
TEXTS = 3  # samples of text that are drawn while training
STOP_CHECK = 8  # several processes agree on stopping this often, in steps


@runtime_checkable
class Stateful(Protocol):
    """What `Run.track` takes besides tensors."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any: ...


class Run:
    """One training, as a plugin's `fit` sees it.

    Attributes:
        data: what the data are like.
        device: where tensors belong.
        step: optimiser steps done.
        steps_total: how many there will be.
        name: of the run.
        folder: the run on disk.
        options: those that every training has.
        dataset: the images and labels themselves, or the tokens, for models that see all at once.
    """

    def __init__(
        self,
        folder: RunFolder,
        options: TrainOptions,
        data: DataSpec,
        dataset: ImageData | TokenData,
        model: Generator,
        sample_options: Any,
        accelerator: Accelerator,
        watch: Watch,
        resumed: tuple[int, dict[str, Any]] | None,
    ) -> None:
        self.folder, self.options, self.data, self.dataset = folder, options, data, dataset
        self.name, self.device, self._accelerator = folder.name, model.device, accelerator
        assert options.steps is not None
        self.steps_total = options.steps
        self.step: int = resumed[0] if resumed else 0
        self._resumed = resumed[1] if resumed else None
        self._began, self._saved_step, self.seconds = False, self.step if resumed else -1, 0.0
        self._model, self._sample_options, self._watch = model, sample_options, watch
        self._optimizers: list[torch.optim.Optimizer] = []
        self._tracked: dict[str, Tensor | Stateful] = {}
        self._distance: Callable[[Tensor], float] | None = None
        self._logbook = Logbook(folder.metrics_file if self.is_main else None, options.batch_size, self._mean)
        self._clock = time.perf_counter()
        self.stop_signal: int | None = None
        if self._resumed is not None:
            model.load_state_dict(self._resumed["model"])

    # What a plugin calls

    @property
    def is_main(self) -> bool:
        """Whether this process is the one that writes."""
        return bool(self._accelerator.is_main_process)

    def prepare(self, *objects: Any) -> Any:
        """Make modules and optimisers ready for the device, mixed precision and data parallel; call it once for each.

        Returns them in the same order (one alone, not in a tuple). Call a prepared module, not the original: with
        several processes it is the wrapped one that keeps them together. On a resume the optimisers' states are
        loaded here.
        """
        ready = tuple(self._prepare(item) for item in objects)
        return ready[0] if len(ready) == 1 else ready

    def batches(self) -> Iterator[Batch]:
        """One training step an item: images (B, C, H, W) in [0, 1] on the device, and labels (B,) or None."""
        world, rank = self._accelerator.num_processes, self._accelerator.process_index
        order = Order(self.data.train_count, self.options.batch_size, self.options.seed, rank=rank, world=world)
        todo, images = range(self.step, self.steps_total), self._images()
        source = batches(images.train_images, images.train_labels, order, todo, self.device)
        for _, batch in zip(self.steps(), source, strict=True):
            yield batch

    def passages(self, length: int) -> Iterator[Tensor]:
        """One training step an item: passages of `length` tokens from anywhere in the training text, int64 (B, length)
        on the device. Raises `UsageError` if the text is shorter."""
        world, rank = self._accelerator.num_processes, self._accelerator.process_index
        tokens, size = self._tokens().train, self.options.batch_size
        passages = Passages(tokens, length, size, self.options.seed, rank=rank, world=world)
        self._logbook.rate, self._logbook.per_step = "tokens_per_second", size * (length - 1)
        for step in self.steps():
            yield passages(step, self.device)

    def steps(self) -> Iterator[int]:
        """One training step an item, numbered from 0, for models that make no use of mini-batches."""
        self._begin()
        while self.step < self.steps_total:
            self._stop_if_asked()
            yield self.step
            self.step += 1
            self._between()

    def backward(self, loss: Tensor) -> None:
        """`loss.backward()`, scaled where the precision needs it."""
        if self._accelerator.scaler is None:
            loss.backward()  # type: ignore[no-untyped-call]
        else:
            self._accelerator.backward(loss)

    def log(self, **values: Tensor | float) -> None:
        """Note scalars of the current step. Their means are written every `--log-every` steps, and only then read off
        the device; one that is not finite ends the run with the step at which it was."""
        self._logbook.note(self.step + 1, values)

    def track(self, **state: Tensor | Stateful) -> None:
        """Name what else a checkpoint must hold: tensors (restored in place) and objects with `state_dict`. On a
        resume they are loaded here. An `EMA` among them is what samples and the finished model are made with."""
        for name, value in state.items():
            if not isinstance(value, (Tensor, Stateful)):
                raise TypeError(f"run.track({name}=...) takes a tensor or an object with state_dict, not {value!r}")
            self._tracked[name] = value
            if self._resumed is None:
                continue
            if name not in self._resumed["tracked"]:
                raise GenzooError(
                    f"the checkpoint of run {self.name!r} does not hold {name!r}: it is of another version"
                )
            saved = self._resumed["tracked"][name]
            if isinstance(value, Tensor):
                value.data.copy_(saved)
            else:
                value.load_state_dict(saved)

    @property
    def bits_per_character(self) -> float:
        """What a loss in nats a token is multiplied by to be in bits a character of the training text."""
        return 1 / (math.log(2) * self._tokens().characters_per_token)

    def count_flops(self, flops: float) -> None:
        """Say how many floating-point operations a step takes. Where the device's peak is known, the share of it that
        is reached is logged as `utilisation`."""
        self._logbook.flops_per_step, self._logbook.peak = flops, peak_flops(self.device)

    def compile(self, function: F) -> F:
        """`function`, compiled where the device gains from it (CUDA); as it is elsewhere."""
        return cast(F, torch.compile(function)) if self.device.type == "cuda" else function

    def training_images(self, count: int) -> Iterator[Batch]:
        """The first `count` training images, or all there are, in parts: (B, C, H, W) in [0, 1] on the device."""
        data = self._images()
        yield from in_order(data.train_images, data.train_labels, min(count, self.data.train_count), 250, self.device)

    def warn(self, message: str) -> None:
        """Say something that a person should know and that does not stop the run."""
        if self.is_main:
            warnings.warn(message, GenzooWarning, stacklevel=2)

    # What the core calls

    @contextmanager
    def as_sampled(self) -> Iterator[None]:
        """The model as it is sampled from: averaged weights, evaluation mode, no gradients, random numbers of its own.
        Afterwards all is as it was."""
        modes = [(module, module.training) for module in self._model.modules()]
        state = random_state(self.device)
        with ExitStack() as stack:
            stack.enter_context(torch.no_grad())
            for item in self._tracked.values():
                if isinstance(item, EMA):
                    stack.enter_context(item.applied())
            self._model.eval()
            seed_everything(self.options.seed)
            try:
                yield
            finally:
                restore_random_state(state, self.device)
                for module, mode in modes:
                    module.training = mode

    def save(self) -> None:
        """Write a checkpoint and the model as it is sampled from. Raises `Diverged` rather than save bad numbers."""
        logbook = self._settled(self._logbook.state_dict)
        weights = self._model.state_dict()
        if not checkpoint.all_finite(weights):
            raise Diverged(f"the weights are not finite numbers after step {self.step}; {self._last_good()}", self.step)
        own = random_state(self.device)
        states = gather_object([own]) if self._accelerator.num_processes > 1 else [own]
        if self.is_main:
            state = {
                "model": weights,
                "optimizers": [optimizer.state_dict() for optimizer in self._optimizers],
                "tracked": {k: v if isinstance(v, Tensor) else v.state_dict() for k, v in self._tracked.items()},
                "random": states,
                "logbook": logbook,
                "seconds": self.seconds,
            }
            if self._accelerator.scaler is not None:
                state["scaler"] = self._accelerator.scaler.state_dict()
            path = checkpoint.save(self.folder, self.step, state, self.options.keep)
            self.save_model()
            self.folder.update(step=self.step, seconds=round(self.seconds, 3))
            self.tell("genzoo_run_saved", step=self.step, folder=path)
        self._accelerator.wait_for_everyone()
        self._saved_step = self.step

    def save_model(self, best: dict[str, Any] | None = None) -> None:
        """Write `model/`, with averaged weights if the model keeps an average; or `best/`, with the facts given."""
        with self.as_sampled():
            record = self.folder.record
            facts = {key: record[key] for key in ("model", "plugin", "options", "data_spec")} | {"step": self.step}
            needed = self._model.state_dict()
            for name in self._model.training_only:
                needed = {key: value for key, value in needed.items() if not key.startswith(f"{name}.")}
            folder = self.folder.model_folder if best is None else self.folder.best_folder
            checkpoint.save_model(folder, facts | (best or {}), needed)

    def draw_grid(self) -> Path:
        """Write a grid of samples, or some texts, from the run's own fixed random numbers, and say where."""
        if isinstance(self.dataset, TokenData):
            return self._draw_texts()
        with self.as_sampled():
            count = grid_size(self.data if self._model.conditional else None)
            images = draw(self._model, count, seed=self.options.seed, options=self._sample_options)
        path = self.folder.samples_folder / f"step-{self.step:08d}.png"
        marks = samples.marks(self.folder, seed=self.options.seed, step=self.step)
        labels = labels_of_samples(count, self.data) if self._model.conditional else None
        samples.write_grid(images, path, marks, labels=labels)
        return path

    def _draw_texts(self) -> Path:
        with self.as_sampled():
            texts = draw_texts(self._model, TEXTS, seed=self.options.seed, options=self._sample_options)
        path = self.folder.samples_folder / f"step-{self.step:08d}.txt"
        return samples.write_texts(texts, path, samples.marks(self.folder, seed=self.options.seed, step=self.step))

    def tell(self, hook: str, **arguments: Any) -> None:
        """Call a `genzoo_run_...` hook. A watcher that fails is reported and ends nothing."""
        if self.is_main:
            for failure in self._watch(hook, {"run": self, **arguments}):
                self.warn(failure)

    # Between two steps

    def _images(self) -> ImageData:
        if not isinstance(self.dataset, ImageData):
            raise TypeError("these data are text: use run.passages(length)")
        return self.dataset

    def _tokens(self) -> TokenData:
        if not isinstance(self.dataset, TokenData):
            raise TypeError("these data are images: use run.batches()")
        return self.dataset

    def _prepare(self, item: Any) -> Any:
        many = self._accelerator.num_processes > 1
        if isinstance(item, nn.Module):
            mixed = self._accelerator.mixed_precision != "no"
            return self._accelerator.prepare_model(item, device_placement=False) if many or mixed else item
        if not isinstance(item, torch.optim.Optimizer):
            raise TypeError(f"run.prepare takes modules and optimisers, not {type(item).__name__}")
        if self._resumed is not None:
            saved = self._resumed["optimizers"]
            if len(saved) <= len(self._optimizers):
                raise GenzooError(
                    f"the checkpoint of run {self.name!r} has {len(saved)} optimisers; the model has more"
                )
            item.load_state_dict(saved[len(self._optimizers)])
            for parameter, state in item.state.items():  # fused updates walk both in memory order: lay them out alike
                for name, value in state.items():
                    if isinstance(value, Tensor) and value.shape == parameter.shape:
                        state[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
        self._optimizers.append(item)
        return item if self._accelerator.scaler is None else self._accelerator.prepare_optimizer(item)

    def _begin(self) -> None:
        """Once, before the first step: all that the plugin set up is there now."""
        if self._began:
            return
        self._began = True
        if (state := self._resumed) is not None:
            self._logbook.load_state_dict(state["logbook"])
            self.seconds = state["seconds"]
            if self._accelerator.scaler is not None and "scaler" in state:
                self._accelerator.scaler.load_state_dict(state["scaler"])
            if self._accelerator.process_index < len(state["random"]):
                restore_random_state(state["random"][self._accelerator.process_index], self.device)
            self._resumed = None
        elif self.options.sample_every and self.is_main:
            self.draw_grid()
        self.tell("genzoo_run_started")
        self._clock = time.perf_counter()

    def _between(self) -> None:
        last, options = self.step == self.steps_total, self.options
        log, score, grid, save = (
            bool(every) and self.step % every == 0
            for every in (options.log_every, options.eval_every, options.sample_every, options.save_every)
        )
        if not (log or score or grid or save or last):
            return
        values = self._settled(self._logbook.means) if log or last else {}
        self._stop_clock()
        if (score or (last and options.eval_every)) and self.is_main:
            values |= self._evaluate()
            self._keep_best(values)
        if values:
            line = self._logbook.write(self.step, self.seconds, values)
            self.tell("genzoo_run_logged", step=self.step, values=line)
        if grid and not last and self.is_main:
            self.draw_grid()
        if save or last:
            self.save()
        self._clock = time.perf_counter()

    def _stop_clock(self) -> None:
        now = time.perf_counter()
        self.seconds, self._clock = self.seconds + now - self._clock, now

    def _mean(self, values: Tensor) -> Tensor:
        many = self._accelerator.num_processes > 1
        return cast(Tensor, self._accelerator.reduce(values, "mean")) if many else values

    def _settled(self, read: Callable[[], T]) -> T:
        """What `read` gives of the logbook. Raises `Diverged` for a value that is not finite."""
        try:
            return read()
        except NotFinite as error:
            raise Diverged(f"{error}; {self._last_good()}", error.step) from None

    def _last_good(self) -> str:
        advice = "try a smaller learning rate"
        if self._saved_step <= 0:
            return f"no checkpoint was written yet; {advice}"
        return f"the last good checkpoint is of step {self._saved_step}; {advice}"

    def _evaluate(self) -> dict[str, float]:
        """The means of the model's scores over held-out data, with the same random numbers every time."""
        if isinstance(self.dataset, TokenData):
            return self._evaluate_text(self.dataset)
        values: dict[str, float] = {}
        if self._model.best_by and self._model.best_by[0] == "frechet_distance":
            self._distance = self._distance or quick_distance(self._images(), self.data)
            with self.as_sampled():
                drawn = draw(self._model, QUICK, seed=self.options.seed, options=self._sample_options)
            values["frechet_distance"] = self._distance(drawn)
        if not isinstance(self._model, Evaluates):
            return values
        totals: dict[str, list[Tensor]] = {}
        count = min(EVALUATED, self.data.test_count)
        with self.as_sampled():
            held_out = self.dataset.test_images, self.dataset.test_labels
            for batch in in_order(*held_out, count, 250, self.device):
                for name, scores in self._model.evaluate(batch).items():
                    totals.setdefault(f"test/{name}", []).append(scores.to(torch.float32))
        return values | {name: torch.cat(parts).mean().item() for name, parts in totals.items()}

    def _evaluate_text(self, data: TokenData) -> dict[str, float]:
        """The likelihood of all of the held-out text."""
        if not isinstance(self._model, HasLikelihood):
            return {}
        with self.as_sampled():
            found = data.test if isinstance(data.test, Tensor) else torch.from_numpy(data.test.astype("int64"))
            tokens = found[None].to(self.device, torch.int64)
            nats = -self._model.log_likelihood(tokens).double().sum().item()
        return {
            "test/loss": nats / len(data.test),
            "test/bits_per_character": nats / data.test_characters / math.log(2),
        }

    def _keep_best(self, values: dict[str, float]) -> None:
        """Write `best/` if the score that the model chose is better than it was at any step before."""
        if self._model.best_by is None:
            return
        name, better = self._model.best_by
        score, before = values.get(name, math.nan), self.folder.best()
        ahead = score - before["score"] if before else -math.inf
        if math.isfinite(score) and (before is None or (ahead < 0 if better == "lower" else ahead > 0)):
            self.save_model(best={"score_name": name, "score": score})

    def _stop_if_asked(self) -> None:
        number = self.stop_signal or 0
        if self._accelerator.num_processes > 1:
            if self.step % STOP_CHECK:
                return
            number = max(gather_object([number]))
        if not number:
            return
        if self._saved_step != self.step:
            self._stop_clock()
            self.save()
        raise Interrupted(
            f"stopped after step {self.step} of {self.steps_total}, all saved; go on with: genzoo resume {self.name}",
            128 + number,
        )


def peak_flops(device: torch.device) -> float | None:
    """The dense bfloat16 operations a second that a CUDA device is sold with; None for one that is not known."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((peak for part, peak in PEAKS.items() if part in name), None)


@contextmanager
def stop_signals(run: Run) -> Iterator[None]:
    """Ctrl-C and SIGTERM ask the run to save and stop; a second Ctrl-C stops at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ask(number: int, _frame: object) -> None:
        if run.stop_signal is not None:
            raise KeyboardInterrupt
        run.stop_signal = number

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def from_main(accelerator: Accelerator, value: Any) -> Any:
    """The main process's `value`, in every process."""
    return broadcast_object_list([value])[0] if accelerator.num_processes > 1 else value
