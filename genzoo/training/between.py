"""What happens between two steps: logging, scoring, drawing, saving, stopping."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from torch import Tensor

from genzoo.interface.dataset import Progress, silent
from genzoo.interface.errors import Diverged, Interrupted
from genzoo.interface.randomness import random_state, restore_random_state
from genzoo.interface.specs import VALIDATION
from genzoo.registry.plugins import modality_of
from genzoo.runs import checkpoint
from genzoo.runs.find import resume_call
from genzoo.sampling.draw import draw, labels_of_samples
from genzoo.training.logbook import NotFinite
from genzoo.training.run import Engine, TrainingRun

Watch = Callable[[str, dict[str, object]], list[str]]
T = TypeVar("T")
STOP_SIGNALS = tuple(  # CTRL_BREAK is Windows' own
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name)
)
STOP_CHECK = 8  # several processes agree on stopping this often, in steps
KEPT = 2  # checkpoints while it trains: the newest, and one in case that is damaged
LOG_WITHIN = 10.0  # seconds after which a line is written between those of --log-every


class Between(Engine):
    """The engine of one run.

    Args:
        run: it becomes its engine.
        watch: calls a `genzoo_run_...` hook of all who watch, and returns what failed.
        progress: is told of what is done behind the last step.
    """

    def __init__(self, run: TrainingRun, watch: Watch, progress: Progress = silent) -> None:
        self.run, self._watch, self._progress = run, watch, progress
        run.engine = self
        self._modality = modality_of(run.data.modality)
        self._sample_options = run.model.spec.sample_options()
        self._began, self._saved_step = False, run.step if run.resumed else -1
        self._clock = self._logged = time.perf_counter()

    # The moments

    def begin(self) -> None:
        """Once, before the first step. On a resume, what is left of the checkpoint is loaded."""
        if self._began:
            return
        self._began, run = True, self.run
        if run.resumed is not None:
            state = run.resumed.state
            run.logbook.load_state_dict(state["logbook"])
            run.seconds, run.seconds_between = state["seconds"], state.get("seconds_between", 0.0)
            if run.processes.scaler is not None and "scaler" in state:
                run.processes.scaler.load_state_dict(state["scaler"])
            if run.processes.rank < len(state["random"]):
                restore_random_state(state["random"][run.processes.rank], run.device)
            run.resumed = None
        elif run.options.sample_every and run.is_main:
            self.draw()
        self.tell("genzoo_run_started")
        self._clock = self._logged = time.perf_counter()

    def before_step(self) -> None:
        """Stop, if someone asked for it."""
        run, number = self.run, self.run.stop_signal or 0
        if run.processes.number > 1:
            if run.step % STOP_CHECK:
                return
            number = run.processes.largest(number)
        if not number:
            return
        if self._saved_step != run.step:
            self._stop_clock()
            self._log_between()
            self.save()
        raise Interrupted(
            f"stopped after step {run.step} of {run.steps_total}, all saved; go on with:"
            f" {resume_call(run.name, run.options.data)}",
            128 + number,
        )

    def after_step(self) -> None:
        """Log, score, draw and save where it is time to."""
        run, options = self.run, self.run.options
        if run.processes.scaler is not None:
            run.processes.scaler.end_step()
        last = run.step == run.steps_total
        log, score, sample, save = (
            bool(every) and run.step % every == 0
            for every in (options.log_every, options.eval_every, options.sample_every, options.save_every)
        )
        if not (log or score or sample or save or last):
            if run.processes.number == 1 and time.perf_counter() > self._logged + LOG_WITHIN:
                self._stop_clock()
                self._log_between()
            return
        values = self._settled(run.logbook.means) if log or last else {}
        self._stop_clock()
        if (score or (last and options.eval_every)) and run.is_main:
            values |= self._score()
            self._keep_best(values)
        if values:
            line = run.logbook.write(run.step, run.seconds, values)
            self.tell("genzoo_run_logged", step=run.step, values=line)
            self._logged = time.perf_counter()
        if sample and not last and run.is_main:
            self.draw()
        if save or last:
            self.save()
        now = time.perf_counter()
        run.seconds_between, self._clock = run.seconds_between + now - self._clock, now

    def before_sweep(self, activity: str, done: int, total: int) -> None:
        """Say how far it is; stop, if someone asked for it, where one process decides that alone."""
        self._progress(activity, done, total)
        if self.run.processes.number == 1:
            self.before_step()

    # What is done then

    def _log_between(self) -> None:
        """Write a line between those of `--log-every`, whose means and speeds are as they would be without it."""
        run = self.run
        if values := self._settled(lambda: run.logbook.means(begin_anew=False)):
            line = run.logbook.write(run.step, run.seconds, values, begin_anew=False)
            self.tell("genzoo_run_logged", step=run.step, values=line)
        self._logged = time.perf_counter()

    def _score(self) -> dict[str, float]:
        """What the modality scores the model on, with the same random numbers every time."""
        run = self.run
        with run.as_sampled():
            scores = self._modality.score(run.model, run.dataset, run.data, self._drawn)
        return {f"{VALIDATION}{name}": value for name, value in scores.items()}

    def _drawn(self, count: int) -> object:
        return draw(self.run.model, count, seed=self.run.options.seed, options=self._sample_options)

    def _keep_best(self, values: dict[str, float]) -> None:
        """Write `best/` if the score that the model chose is better than it was at any step before."""
        if self.run.model.best_by is None:
            return
        name, better = self.run.model.best_by
        score, before = values.get(name, math.nan), self.run.folder.best()
        ahead = score - before["score"] if before else -math.inf
        if math.isfinite(score) and (before is None or (ahead < 0 if better == "lower" else ahead > 0)):
            self.save_model(best={"score_name": name, "score": score})

    def draw(self) -> Path:
        """Write samples, from the run's own fixed random numbers, and say where."""
        run = self.run
        conditional = run.model.conditional
        count = self._modality.spec.default_count(run.data, conditional, training=True)
        with run.as_sampled():
            samples = self._drawn(count)
        options = self._modality.spec.write_options()
        path = run.folder.training_sample(run.step, options.suffix(None))
        facts = run.folder.provenance(run.options.seed, step=run.step)
        labels = labels_of_samples(count, run.data) if conditional else None
        self._modality.write(samples, path, facts, options, run.data, labels)
        return path

    def save(self) -> None:
        """Write a checkpoint and the model as it is sampled from. Raises `Diverged` rather than save bad numbers."""
        run = self.run
        logbook = self._settled(run.logbook.state_dict)
        weights = run.model.state_dict()
        if not checkpoint.all_finite(weights):
            raise Diverged(f"the weights are not finite numbers after step {run.step}; {self._last_good()}", run.step)
        states = run.processes.from_all(random_state(run.device))
        if run.is_main:
            state = {
                "model": weights,
                "optimizers": [optimizer.state_dict() for optimizer in run.optimizers],
                "tracked": {k: v if isinstance(v, Tensor) else v.state_dict() for k, v in run.tracked.items()},
                "random": states,
                "logbook": logbook,
                "seconds": run.seconds,
                "seconds_between": run.seconds_between,
            }
            if run.processes.scaler is not None:
                state["scaler"] = run.processes.scaler.state_dict()
            keep = run.options.keep or (1 if run.step == run.steps_total else KEPT)
            path = checkpoint.save(run.folder, run.step, state, keep)
            self.save_model()
            run.folder.reached(run.step, seconds=round(run.seconds, 3), seconds_between=round(run.seconds_between, 3))
            self.tell("genzoo_run_saved", step=run.step, folder=path)
        run.processes.wait()
        self._saved_step = run.step

    def save_model(self, best: dict[str, object] | None = None) -> None:
        """Write `model/`, with averaged weights if the model keeps an average; or `best/`, with these facts."""
        run = self.run
        with run.as_sampled():
            facts = {key: run.folder.record[key] for key in ("model", "plugin", "options", "data_spec")}
            needed = run.model.state_dict()
            for name in run.model.training_only:
                needed = {key: value for key, value in needed.items() if not key.startswith(f"{name}.")}
            folder = run.folder.model_folder if best is None else run.folder.best_folder
            checkpoint.save_model(folder, facts | {"step": run.step} | (best or {}), needed)

    def tell(self, hook: str, **arguments: object) -> None:
        """Call a `genzoo_run_...` hook. A watcher that fails is reported and ends nothing."""
        if self.run.is_main:
            for failure in self._watch(hook, {"run": self.run, **arguments}):
                self.run.warn(failure)

    def _stop_clock(self) -> None:
        now = time.perf_counter()
        self.run.seconds, self._clock = self.run.seconds + now - self._clock, now

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


@contextmanager
def stop_signals(run: TrainingRun) -> Iterator[None]:
    """Ctrl-C and SIGTERM, and Ctrl-Break on Windows, ask the run to save and stop; a second one stops at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ask(number: int, _frame: object) -> None:
        if run.stop_signal is not None:
            raise KeyboardInterrupt
        run.stop_signal = number

    before = {number: signal.signal(number, ask) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
