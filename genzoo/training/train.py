"""The story of one training, top to bottom: of a new run, and of one that goes on."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from genzoo.interface.dataset import Dataset, Progress, silent
from genzoo.interface.errors import GenzooError, GenzooWarning, Interrupted, one_line
from genzoo.interface.generator import Generator
from genzoo.interface.options import to_json
from genzoo.interface.randomness import derive_seed, seed_everything
from genzoo.interface.specs import DataSpec, Json, TrainOptions
from genzoo.registry.data import IN_MEMORY, open_data
from genzoo.registry.installed import Plugin
from genzoo.registry.plugins import registry
from genzoo.runs import checkpoint
from genzoo.runs.data import check_same_data
from genzoo.runs.find import find_run, new_name, runs_folder
from genzoo.runs.folder import RunFolder, create
from genzoo.runs.progress import Watched
from genzoo.sampling.model import build_model, class_of
from genzoo.training.between import Between, stop_signals
from genzoo.training.environment import environment, warn_of_changes
from genzoo.training.initial import begin_with
from genzoo.training.plan import Origin, Plan, in_words, plan, plan_resume
from genzoo.training.processes import Processes, processes_of
from genzoo.training.run import Checkpoint, Engine, TrainingRun


def train(
    model: str | None = None,
    *,
    like: str | Path | RunFolder | None = None,
    preset: str | None = None,
    config: str | None = None,
    settings: Mapping[str, object] | None = None,
    watchers: Sequence[object] = (),
    progress: Progress | bool | None = None,
    **options: object,
) -> RunFolder:
    """Train a model.

        run = genzoo.train("vae", data="mnist-5k", steps=2000, latent_dim=8)

    Args:
        model: a name that `list_models` has, or `distribution/name`; None: that of `like`.
        like: a run, or a `run.json`, to train again: its options hold where no others are given, and what differs of
            the environment is warned of.
        preset: a named set of options of the model.
        config: a TOML file of options, or a `run.json`, which is `like`.
        settings: options with less weight than `options`, as `--set` on the command line.
        watchers: objects with any of the methods `genzoo_run_started/logged/saved/ended`.
        progress: whether it is shown how far it is: True, also on standard error; None, in a notebook alone; or what is
            called with (what, done, total) while the data are read, and of what is done behind the last step.
        **options: the model's own options and those every training has, as `genzoo train MODEL --help` lists them.
            `data` may also be in memory, as the modality takes it: of images an array or tensor, (images, labels), a
            dictionary of arrays as in an `.npz`, a torch `Dataset` or a `datasets.Dataset`; of text a list of strings
            or such a data set. The run does not keep them.

    Returns:
        The run: its folder, options and metrics. `load` makes a model of it.

    Raises:
        UsageError: a name or a value that is not allowed; nothing was written.
        Diverged: a loss or a weight is no longer finite; earlier checkpoints are untouched.
        Interrupted: Ctrl-C or SIGTERM; everything is saved.
        GenzooError: data that cannot be read, a folder that cannot be written.
    """
    planned = plan(model, options, settings=settings, config_file=config, preset=preset, like=like)
    with Watched(progress) as watched:
        return carry_out(planned, [*watchers, *watched.watchers], watched.data)


def resume(
    run: str | Path | RunFolder,
    *,
    steps: int | None = None,
    shorten: bool = False,
    device: str | None = None,
    threads: int | None = None,
    accept_changes: bool = False,
    data: object = None,
    data_dir: str | None = None,
    runs_dir: str | None = None,
    watchers: Sequence[object] = (),
    progress: Progress | bool | None = None,
) -> RunFolder:
    """Go on with a run from its newest whole checkpoint.

    On a CPU the weights and losses are bit for bit those of a run that was never stopped. What differs from when it
    began (versions, threads, device) is warned of.

    Args:
        run: a run's folder or name, or a model's name for its newest run that is not finished.
        steps: a new total, to train further than was planned; or with `shorten` less far.
        device, threads: as for `train`, where they should differ.
        accept_changes: go on with options that were edited in `run.json`, such as the learning rate; it will say so.
        data, data_dir: where the data are now, if not where they were, and the run remembers it; or the data
            themselves, which are needed again where they were given in memory.

    Raises:
        UsageError: there is no such run, or nothing to do, or `run.json` was edited.
        GenzooError: its data changed, it has no whole checkpoint, or another process trains it.
    """
    folder = find_run(run, runs_dir, to_resume=True)
    planned = plan_resume(
        folder, steps=steps, shorten=shorten, device=device, threads=threads, data=data, data_dir=data_dir,
        accept_changes=accept_changes,
    )  # fmt: skip
    with Watched(progress) as watched:
        return carry_out(planned, [*watchers, *watched.watchers], watched.data)


def carry_out(planned: Plan, watchers: Sequence[object] = (), progress: Progress = silent) -> RunFolder:
    """Do the training that is planned, or what is left of it; see `train` and `resume`."""
    with ExitStack() as held:
        processes = held.enter_context(processes_of(planned.training))
        if planned.folder is None:
            config, training = class_of(planned.spec).settled(planned.config, planned.training)
            planned = replace(planned, config=config, training=training)
        elif processes.is_main:
            held.enter_context(planned.folder.hold())
        run = (_begun if planned.folder is None else _resumed)(planned, *_data(planned, processes, progress), processes)
        if planned.folder is None and processes.is_main:
            held.enter_context(run.folder.hold())
        between = Between(run, registry().watch(list(watchers)), progress)
        # else the two keep each other, and the model and data, until Python next looks for circles, which may be long
        held.callback(setattr, run, "engine", Engine())
        held.enter_context(stop_signals(run))
        return _fit(run, between)


def _data(planned: Plan, processes: Processes, progress: Progress) -> tuple[Dataset, DataSpec]:
    """The data. The main process is first, so that what must be fetched, or learnt from them, is so once."""
    origin = planned.folder or planned.parent
    kept = {} if origin is None else origin.kept()
    if processes.is_main:
        data = open_data(planned.modality, planned.training, kept, progress, planned.in_memory)
    kept = processes.from_main(dict(data[0].kept()) if processes.is_main else kept)
    if not processes.is_main:
        data = open_data(planned.modality, planned.training, kept, progress, planned.in_memory)
    return data


def _begun(planned: Plan, dataset: Dataset, data: DataSpec, processes: Processes) -> TrainingRun:
    """A new run, with its folder."""
    training = replace(planned.training, steps=planned.steps(data), epochs=None)
    if planned.like is not None:
        _check_like(planned.like, training, data, processes)
    seed_everything(training.seed)
    model = build_model(planned.spec, planned.config, data, processes.device, dataset.kept())
    parent = None if planned.parent is None else begin_with(model, planned.parent)
    if processes.rank:
        seed_everything(derive_seed(training.seed, "process", processes.rank))
    folder = runs_folder(training.runs_dir)
    path = folder / (training.name or new_name(planned.spec.name, data.name, folder))
    path = Path(processes.from_main(str(path)))
    if processes.is_main:
        record = _record(replace(planned, training=training), data, model, parent, processes)
        create(path, record, dataset.kept())
    processes.wait()
    return TrainingRun(RunFolder(path), training, dataset.place(processes.device), data, model, processes)


def _resumed(planned: Plan, dataset: Dataset, data: DataSpec, processes: Processes) -> TrainingRun:
    """A run that goes on, at its newest whole checkpoint."""
    folder, training = planned.folder, planned.training
    assert folder is not None, "a run that goes on has a folder"
    check_same_data(folder, training.data, data)
    resumed = Checkpoint(*checkpoint.load_newest(folder), edited=bool(planned.edits))
    changes = _changed_options(folder.record["training"], training)
    changes |= warn_of_changes(
        folder.record, processes, "going on under other conditions, so not bit for bit as it would have"
    )
    model = build_model(planned.spec, planned.config, data, processes.device, dataset.kept())
    if processes.is_main:
        folder.remove_leftovers()
        folder.cut_metrics(int(resumed.state["logbook"]["line"][0]))  # a line of the stop itself is written anew
        if training.data != IN_MEMORY:
            folder.remember(training)
        resumes = [
            *folder.record.get("resumes", []),
            {"when": _now(), "from_step": resumed.step, "to_step": resumed.step, "changes": changes},
        ]
        values: Json = {"resumes": resumes, "steps_total": training.steps, "process": os.getpid()}
        if planned.edits:
            edits = {"step": resumed.step, "options": dict(planned.edits)}
            values["edits"] = [*folder.record.get("edits", []), edits]
            warnings.warn(
                f"going on with what run.json says now: {in_words(planned.edits)}", GenzooWarning, stacklevel=4
            )
        folder.update(**values)
    return TrainingRun(folder, training, dataset.place(processes.device), data, model, processes, resumed)


def _check_like(like: Origin, training: TrainOptions, data: DataSpec, processes: Processes) -> None:
    """Say what differs from the run that is trained again. Raises `GenzooError` if its data do, unasked."""
    if data.fingerprint != like.record["data_spec"]["fingerprint"]:
        if not like.other_data:
            raise GenzooError(
                f"data {training.data!r} are not those that run {like.name!r} was trained on; put those back, or give"
                " --data"
            )
        if processes.is_main:
            text = f"other data than those of run {like.name!r}: {data.train_count:,} for training"
            warnings.warn(text, GenzooWarning, stacklevel=4)
    lengths = [resume["changes"]["steps"] for resume in like.record.get("resumes", []) if "steps" in resume["changes"]]
    if lengths and processes.is_main:
        planned = " and then ".join(f"{steps:,}" for steps in (lengths[0][0], *(after for _, after in lengths)))
        text = f"run {like.name!r} was planned for {planned} steps; this one for {training.steps:,} from the first"
        warnings.warn(text, GenzooWarning, stacklevel=4)
    warn_of_changes(
        like.record, processes, f"other conditions than those of run {like.name!r}, so not bit for bit the same"
    )


def _changed_options(before: Json, training: TrainOptions) -> Json:
    """What was and what is, by the name of an option that differs."""
    return {name: [before.get(name), now] for name, now in to_json(training).items() if before.get(name) != now}


def _fit(run: TrainingRun, between: Between) -> RunFolder:
    """Let the plugin train; whatever happens, the folder says how it ended."""
    if run.is_main:
        run.folder.update(status="running", error=None)
    try:
        run.model.train()
        run.model.fit(run)
        if run.is_main:
            between.save_model()
            between.draw()
    except BaseException as error:
        _end(run, between, "interrupted" if isinstance(error, (Interrupted, KeyboardInterrupt)) else "failed", error)
        if isinstance(error, BrokenPipeError):  # no reader of ours, who may go without harm
            raise GenzooError(f"run {run.name!r} failed: a process that it needs has gone (broken pipe)") from error
        raise
    _end(run, between, "finished", None)
    return run.folder


def _end(run: TrainingRun, between: Between, status: str, error: BaseException | None) -> None:
    if not run.is_main:
        return
    known = error is None or isinstance(error, GenzooError)
    text = None if error is None else str(error) if known else one_line(error)
    seconds = {"seconds": round(run.seconds, 3), "seconds_between": round(run.seconds_between, 3)}
    try:
        if status == "finished":
            run.folder.reached(run.step, **seconds)
        run.folder.update(status=status, error=text, ended=_now())
    except OSError as problem:  # a full disk must not hide what went wrong
        run.warn(f"cannot write how run {run.name!r} ended: {problem.strerror}")
    between.tell("genzoo_run_ended", status=status, error=error)


def _record(
    planned: Plan, data: DataSpec, model: Generator, parent: Json | None, processes: Processes
) -> dict[str, object]:
    """What `run.json` says of a new run."""
    return {
        "model": planned.spec.name,
        "plugin": planned.plugin.distribution,
        "source": _source(planned.plugin),
        "preset": planned.preset,
        "group": None if planned.group is None else {"name": planned.group.name, "seeds": list(planned.group.seeds)},
        "like": None if planned.like is None else planned.like.name,
        "parent": parent,
        "resumes": [],
        "options": to_json(planned.config),
        "training": to_json(planned.training),
        "data_spec": data.to_json(),
        "parameters": sum(p.numel() for p in model.parameters()),
        "status": "running",
        "error": None,
        "step": 0,
        "steps_total": planned.training.steps,
        "seconds": 0.0,
        "seconds_between": 0.0,
        "started": _now(),
        "ended": None,
        "process": os.getpid(),
        "environment": environment(planned.plugin.distribution, processes),
    }


def _source(plugin: Plugin) -> Json | None:
    """What a plugin without a distribution is written in, and whether that is a file."""
    source = plugin.source
    return None if source is None else {"name": source.name, "sha256": source.sha256, "file": source.path is not None}


def _now() -> str:
    return datetime.fromtimestamp(time.time()).astimezone().isoformat(timespec="microseconds")
