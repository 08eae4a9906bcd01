"""One sweep: a folder that any number of workers share, Optuna's study in it, and who does which trial."""

from __future__ import annotations

import hashlib
import json
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import optuna
from filelock import FileLock, Timeout
from optuna import Study, Trial
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import JournalStorage, get_storage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState

import genzoo
from genzoo import GeneratorSpec, GenzooError, Interrupted, RunFolder, UsageError, one_line
from genzoo_sweep import space

RECORD, JOURNAL, LOCK = "sweep.json", "journal.log", "sweep.lock"
VALIDATION = "validation/"
TAKEN = ("seed", "seeds", "name", "runs_dir", "like", "config", "preset")  # by the sweep itself
PROPOSED, ERROR, SECONDS = "proposed", "error", "seconds"  # what is kept of a trial besides
DONE = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a sweep is; two workers of one sweep have the same.

    Attributes:
        models: their names.
        vary: options and their values, as `--vary` has them.
        measures: scores on validation data, such as `loss`; `NAME:higher` where more is better.
        settings: options that every trial has.
        preset: of every trial.
        sampler: "tpe" (Bergstra 2011; of several measures Ozaki 2020), "random" or "grid".
        prune: "none", "median" or "hyperband" (Li 2018).
        seeds: trainings of a trial, whose mean is its value.
        seed: of the sampler, and the first of the trainings.
        storage: a URL of a database that Optuna takes; None: Optuna's journal, a file in the sweep's folder.
    """

    models: tuple[str, ...]
    vary: tuple[str, ...]
    measures: tuple[str, ...]
    settings: Mapping[str, str]
    preset: str | None = None
    sampler: str = "tpe"
    prune: str = "none"
    seeds: int = 1
    seed: int = 0
    storage: str | None = None

    def __post_init__(self) -> None:
        if not self.models:
            raise UsageError("no model is given; give one or more, as in: genzoo sweep vae --vary beta=0.1,1,4")
        if len(self.measures) > 1 and self.prune != "none":
            raise UsageError(f"--prune {self.prune} takes one --measure; {len(self.measures)} are given")
        if not self.measures:
            raise UsageError(
                f"no measure is given; give --measure NAME, one of the scores behind {VALIDATION} that `genzoo show`"
                " has of a run of the model"
            )
        taken = [name for name in self.settings if name in TAKEN]
        varied = [text.partition("=")[0].strip().replace("-", "_") for text in self.vary]
        if taken or set(varied) & set(TAKEN):
            name = (taken or sorted(set(varied) & set(TAKEN)))[0]
            raise UsageError(f"{name!r} is the sweep's own: it has --seed, --seeds, --name, --preset and --runs-dir")
        both = sorted(set(varied) & set(self.settings))
        if both:
            raise UsageError(f"{both[0]!r} is set and varied; give one")

    def to_json(self) -> dict[str, Any]:
        """As JSON has it."""
        return json.loads(json.dumps(vars(self)))  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Measure:
    """A score on validation data that decides."""

    name: str
    direction: Literal["minimize", "maximize"]

    @classmethod
    def read(cls, text: str) -> Measure:
        """From `NAME`, `NAME:lower` or `NAME:higher`. Raises `UsageError`."""
        name, _, better = text.removeprefix(VALIDATION).partition(":")
        if better not in ("", "lower", "higher") or not name:
            raise UsageError(f"--measure {text!r}; allowed is NAME (lower is better) or NAME:higher")
        return cls(name, "maximize" if better == "higher" else "minimize")

    def of(self, run: RunFolder) -> float:
        """Of a run: that of the best weights where the model kept them by it, else the last. Raises `UsageError`."""
        best, key = run.best(), VALIDATION + self.name
        if best and best["score_name"] == key:
            return float(best["score"])
        lines = [line for line in run.metrics() if key in line]
        if not lines:
            raise self.missing(run, {name for line in run.metrics() for name in line})
        return float(lines[-1][key])

    def missing(self, run: RunFolder, logged: set[str]) -> UsageError:
        """The error for a run that has no such score."""
        scores = {name.removeprefix(VALIDATION) for name in logged if name.startswith(VALIDATION)}
        if not scores:
            return UsageError(f"run {run.name!r} was never scored; give --set eval_every=STEPS")
        return genzoo.unknown("measure of a training's validation data", self.name, scores)


class Sweep:
    """A sweep in a folder of runs.

        sweep = Sweep.begin("s1", Plan(models=("vae",), vary=("beta=0.1,1,4",), measures=("loss",), settings={}))
        sweep.work(trials=12)
        sweep.study.best_trial.params

    Attributes:
        path: its folder.
        plan: what it is.
        study: Optuna's.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            record: dict[str, Any] = genzoo.parse_json((path / RECORD).read_text("utf-8"))
            record |= {name: tuple(record[name]) for name in ("models", "vary", "measures")}
            self.plan = Plan(**record)
        except FileNotFoundError:
            raise UsageError(f"there is no sweep {path.name!r} in {path.parent}") from None
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise GenzooError(f"{path / RECORD} is not the record of a sweep: {one_line(error)}") from None
        self.measures = [Measure.read(text) for text in self.plan.measures]
        self.specs = [spec_of(name) for name in self.plan.models]
        self.dimensions = space.parse(self.plan.vary, self.specs)
        self._options = {spec.name: set(space.options_of_training(spec)) for spec in self.specs}
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.study: Study = optuna.create_study(
            study_name=path.name, storage=self._storage(), directions=[each.direction for each in self.measures],
            pruner=_pruner(self.plan.prune), load_if_exists=True,
        )  # fmt: skip

    @classmethod
    def begin(cls, name: str, plan: Plan, runs_dir: str | None = None) -> Sweep:
        """The sweep of this name, made if it is not there. Raises `UsageError` if it is there and another one."""
        try:
            genzoo.TrainOptions(name=name)  # which a trial's runs are called by
        except ValueError as error:
            raise UsageError(str(error)) from None
        path = genzoo.runs_folder(runs_dir) / name
        [Measure.read(text) for text in plan.measures]
        space.parse(plan.vary, [spec_of(model) for model in plan.models])
        if (path / "run.json").exists():
            raise UsageError(f"{path} is a run; choose another --name")
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise GenzooError(f"cannot write in {path} ({error.strerror}); choose another --runs-dir") from None
        with FileLock(path / LOCK):
            if (path / RECORD).exists():
                sweep = cls(path)
                _check_same(sweep, plan)
                return sweep
            combinations = []
            if plan.sampler == "grid":
                specs = [spec_of(model) for model in plan.models]
                options = {spec.name: set(space.options_of_training(spec)) for spec in specs}
                combinations = list(space.grid(plan.models, space.parse(plan.vary, specs), options))
            genzoo.write_file(path / RECORD, json.dumps(plan.to_json(), indent=2).encode() + b"\n")
            sweep = cls(path)
            for combination in combinations:
                sweep.study.enqueue_trial(combination)
        return sweep

    @classmethod
    def find(cls, name: str, runs_dir: str | None = None) -> Sweep:
        """The sweep of this name, or in this folder. Raises `UsageError` if there is none."""
        here = Path(name).expanduser()
        return cls(here if (here / RECORD).is_file() else genzoo.runs_folder(runs_dir) / name)

    def _storage(self) -> Any:
        if self.plan.storage is not None:
            try:
                return get_storage(self.plan.storage)
            except Exception as error:  # of whatever database it names
                raise UsageError(f"--storage {self.plan.storage!r} cannot be opened: {one_line(error)}") from None
        file = str(self.path / JOURNAL)
        lock = JournalFileOpenLock(file) if sys.platform == "win32" else None
        return JournalStorage(JournalFileBackend(file, lock_obj=lock))

    # Doing trials

    def work(self, trials: int | None = None, watchers: Sequence[object] = (), progress: Any = genzoo.silent) -> None:
        """Do trials until the sweep has so many, those of other workers counted; a grid has all of its own.

        Trials that a worker left, killed or stopped, are gone on with first. Raises `Interrupted` when asked to stop;
        `GenzooError` if the very first trial cannot be done.
        """
        while True:
            with self._claimed(trials) as trial:
                if trial is None:
                    return
                self._carry_out(trial, watchers, progress)

    def trials(self) -> list[FrozenTrial]:
        """All trials that were begun, by number."""
        return [trial for trial in self.study.get_trials(deepcopy=False) if PROPOSED in trial.user_attrs]

    def group_of(self, number: int) -> str:
        """The name of the group of runs that a trial's trainings are."""
        return f"{self.path.name}-{number:03}"

    @contextmanager
    def _claimed(self, trials: int | None) -> Iterator[Trial | None]:
        """A trial that nobody else does while this lasts: one that was left, or a new one; None if there is none."""
        held = None
        with FileLock(self.path / LOCK):
            trial = None
            for left in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
                if (held := self._hold(left.number)) is None:
                    continue
                if PROPOSED in left.user_attrs:
                    trial = Trial(self.study, left._trial_id)
                    break
                self.study.tell(left.number, state=TrialState.FAIL)  # its worker died as it was made
                held.release()
            if trial is None and self._has_more(trials):
                trial = self._proposed()
                held = self._hold(trial.number)
        try:
            yield trial
        finally:
            if held is not None:
                held.release()

    def _hold(self, number: int) -> FileLock | None:
        """The lock of a trial, which the system gives back when a worker dies; None if another one has it."""
        lock = FileLock(self.path / f"{self.group_of(number)}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return None
        return lock

    def _has_more(self, trials: int | None) -> bool:
        if self.plan.sampler == "grid":
            return bool(self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,)))
        return trials is None or len(self.trials()) < trials

    def _proposed(self) -> Trial:
        """A new trial. What the sampler draws is a function of the sweep's seed, the trial's number, and the results
        that are there."""
        drawn = hashlib.sha256(f"{self.plan.seed} {len(self.study.get_trials(deepcopy=False))}".encode()).digest()
        self.study.sampler = _sampler(self.plan.sampler, int.from_bytes(drawn[:4], "big"))
        trial = self.study.ask()
        model = self.plan.models[0]
        if len(self.plan.models) > 1:
            model = trial.suggest_categorical(space.MODEL, self.plan.models)
        for each in self.dimensions:
            if each.is_of(model) and each.option in self._options[model]:
                each.suggest(trial)
        trial.set_user_attr(PROPOSED, True)
        return trial

    def _carry_out(self, trial: Trial, watchers: Sequence[object], progress: Any) -> None:
        options = dict(trial.params)
        model = str(options.pop(space.MODEL, self.plan.models[0]))
        varied = {name.rpartition(".")[2]: value for name, value in options.items()}
        judge = Judge(self, trial)
        try:
            runs = genzoo.train_seeds(
                model, self.plan.seeds, name=self.group_of(trial.number), preset=self.plan.preset,
                settings={**self.plan.settings, **varied}, seed=self.plan.seed, runs_dir=str(self.path.parent),
                watchers=[judge, *watchers], progress=progress,
            )  # fmt: skip
            values = [statistics.fmean(measure.of(run) for run in runs) for measure in self.measures]
        except Interrupted:
            if judge.error is not None:
                self._failed(trial, judge.error)
                raise judge.error from None
            if not judge.pruned:
                raise  # the trial stays open, and is gone on with by whoever comes next
            self.study.tell(trial, state=TrialState.PRUNED)
        except GenzooError as error:
            self._failed(trial, error)
            if not any(each.state == TrialState.COMPLETE for each in self.trials()):
                raise
        else:
            trial.set_user_attr(SECONDS, round(sum(run.record["seconds"] for run in runs), 1))
            self.study.tell(trial, values)

    def _failed(self, trial: Trial, error: GenzooError) -> None:
        trial.set_user_attr(ERROR, str(error))
        self.study.tell(trial, state=TrialState.FAIL)


class Judge:
    """Watches the trainings of a trial: stops one without the measure, and one that the pruner gives up."""

    def __init__(self, sweep: Sweep, trial: Trial) -> None:
        self._sweep, self._trial = sweep, trial
        self.pruned = False
        self.error: UsageError | None = None

    def genzoo_run_logged(self, run: Any, step: int, values: dict[str, float]) -> None:
        if not any(name.startswith(VALIDATION) for name in values):
            return
        for measure in self._sweep.measures:
            if VALIDATION + measure.name not in values:
                self.error = measure.missing(run, set(values))
                run.stop()
                return
        plan = self._sweep.plan
        if plan.prune != "none" and run.options.seed == plan.seed:
            self._trial.report(values[VALIDATION + self._sweep.measures[0].name], step)
            if step < run.steps_total and self._trial.should_prune():
                self.pruned = True
                run.stop()


def spec_of(model: str) -> GeneratorSpec:
    """The model of this name. Raises `UsageError`."""
    specs = {spec.name: spec for spec in genzoo.list_models()}
    if model not in specs:
        raise genzoo.unknown("model", model, specs)
    return specs[model]


def _check_same(sweep: Sweep, plan: Plan) -> None:
    before, now = sweep.plan.to_json(), plan.to_json()
    for name, value in now.items():
        if before[name] != value:
            raise UsageError(
                f"sweep {sweep.path.name!r} exists with {name} {before[name]!r}, and now it is {value!r}; choose"
                " another --name"
            )


def _sampler(name: str, seed: int) -> BaseSampler:
    if name == "tpe":
        return TPESampler(seed=seed, constant_liar=True)
    return RandomSampler(seed=seed)


def _pruner(name: str) -> BasePruner:
    pruners: dict[str, BasePruner] = {"none": NopPruner(), "median": MedianPruner(), "hyperband": HyperbandPruner()}
    return pruners[name]
