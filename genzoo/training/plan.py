"""From what a person asked for to a training that can begin, or go on. Everything that can be refused is refused here,
before torch is imported."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from genzoo.interface.errors import GenzooWarning, UsageError, unknown
from genzoo.interface.options import build, normalise, options_of, read_toml
from genzoo.interface.shown import Listing
from genzoo.interface.specs import MOST_STEPS, DataSpec, GeneratorSpec, Json, ModalitySpec, TrainOptions, load_target
from genzoo.registry.data import IN_MEMORY, locate, place_of, with_whole_paths
from genzoo.registry.installed import Plugin
from genzoo.registry.plugins import registry

if TYPE_CHECKING:
    from genzoo.runs.folder import RunFolder
    from genzoo.runs.groups import Group


NO_MODEL = "no model is named; give MODEL, --like RUN, or a --config that says `model`"


@dataclass(frozen=True)
class Origin:
    """The run whose training is done again: its name, what it says of itself, and whether other data are asked for."""

    name: str
    record: Json
    other_data: bool


@dataclass(frozen=True)
class Plan:
    """A training with every option decided: the model's own in `config`, the others in `training`. `folder` is that of
    a run which goes on, None for a new one; `like` is what a new one does again, `parent` whose weights it begins with,
    and it may be of a `group`. `edits` are the options that were edited in its `run.json` and accepted, `in_memory` the
    data where they are objects."""

    spec: GeneratorSpec
    plugin: Plugin
    preset: str | None
    config: object
    training: TrainOptions
    folder: RunFolder | None = None
    edits: Mapping[str, str] = field(default_factory=dict)
    group: Group | None = None
    like: Origin | None = None
    parent: RunFolder | None = None
    in_memory: object = None

    @property
    def modality(self) -> ModalitySpec:
        """The kind of data."""
        return registry().modalities.get(self.spec.modality)[1]

    def steps(self, data: DataSpec) -> int:
        """How many steps the training has: `--steps`, or as many as go through the data `--epochs` times; of a model
        without mini-batches an epoch is a step."""
        if self.training.steps is not None:
            return self.training.steps
        assert self.training.epochs is not None, "a plan has one of the two"
        if not self.spec.mini_batches:
            return max(1, math.ceil(self.training.epochs))
        length = self.spec.example_length
        each = getattr(self.config, length) if isinstance(length, str) else length
        steps = max(1, math.ceil(self.training.epochs * data.train_count / (self.training.batch_size * each)))
        if steps > MOST_STEPS:
            raise UsageError(
                f"--epochs is {self.training.epochs:g}, which is {steps:,} steps; allowed is {MOST_STEPS:,}"
            )
        return steps


def list_models() -> Listing[GeneratorSpec]:
    """The models of every installed plugin, and those that were registered, by name; they show themselves as a
    table."""
    plugins = {id(spec): plugin for _, plugin, spec in registry().generators}

    def rows_of(spec: GeneratorSpec) -> list[Json]:
        plugin = plugins[id(spec)]
        source = f"{plugin.distribution} {plugin.version}".strip()
        return [{"model": spec.name, "modality": spec.modality, "plugin": source, "summary": spec.summary}]

    return Listing([spec for _, _, spec in registry().generators], rows_of)


def plan(
    model: str | None,
    options: Mapping[str, object],
    *,
    settings: Mapping[str, object] | None = None,
    config_file: str | None = None,
    preset: str | None = None,
    like: str | Path | RunFolder | None = None,
) -> Plan:
    """Decide every option: `options` (the command line, or Python), then `settings` (--set), then the file, then the
    preset, then the run that it is like or whose weights it begins with, or without one the model's defaults. A file
    that is a `run.json` is such a run. Raises `UsageError` for anything that is not allowed."""
    if model is not None and not isinstance(model, str):
        raise UsageError(f"a model is needed, by its name; this is a {type(model).__name__}")
    if config_file is not None and config_file.endswith(".json"):
        if like is not None:
            raise UsageError(f"--like and --config {config_file} both say which run to train again; give one")
        like, config_file = config_file, None
    file = read_toml(config_file) if config_file else {}
    settings, in_memory = dict(settings or {}), options.get("data")
    if in_memory is not None:
        options = {**options, "data": place_of(in_memory)}
    asked = {normalise(name): value for layer in (file, settings, options) for name, value in layer.items()}
    from genzoo.runs.find import check_given, check_writable, find_record, find_run, runs_folder
    from genzoo.runs.folder import check_free

    runs_dir = cast(str | None, asked.get("runs_dir"))
    parent = None if asked.get("init_from") is None else find_run(cast(str, asked["init_from"]), runs_dir)
    origin = like if like is not None else parent
    origin_name, record = ("", None) if origin is None else find_record(origin, runs_dir)
    plugin, spec = _model(model, cast(str | None, file.pop("model", None)), record, origin_name)
    if parent is not None and (parent.model, parent.record["plugin"]) != (spec.name, plugin.distribution):
        raise UsageError(f"run {parent.name!r} is of model {parent.model!r}; --init-from takes one of {spec.name}")
    name = preset or settings.pop("preset", None) or file.pop("preset", None)
    if name is not None and name not in spec.presets:
        raise unknown(f"preset of {spec.name}", str(name), spec.presets)
    preset = None if name is None else str(name)
    base = spec.defaults if record is None else _again(record)
    layers = [base, spec.presets[preset] if preset else {}, file, settings, options]
    values: dict[str, object] = {}
    for layer in layers:
        if "steps" in layer or "epochs" in layer:  # the nearest word on how long decides
            values.pop("steps", None)
            values.pop("epochs", None)
        values.update({normalise(name): value for name, value in layer.items()})
    if parent is not None:
        values["init_from"] = str(parent.path)
    if record is not None and preset is None:
        preset = record.get("preset")
    decided = Plan(spec, plugin, preset, *_sorted(spec, values), parent=parent, in_memory=in_memory)
    check_given(decided.training, in_memory, f"run {origin_name!r}" if origin_name else "this training")
    training = _at_whole_paths(decided, origin_name)
    if training.init_from is not None and parent is None:  # of the run that it is like
        decided = replace(decided, parent=find_run(training.init_from, runs_dir))
    if decided.parent is not None:
        training = replace(training, init_from=str(decided.parent.path.resolve()))
    if like is not None and record is not None:
        of_data = {"data"} | options_of(decided.modality.train_options).keys() - options_of(TrainOptions).keys()
        decided = replace(decided, like=Origin(origin_name, record, bool(of_data & asked.keys())))
    folder = runs_folder(training.runs_dir)
    check_writable(folder)
    if training.name is not None:
        check_free(folder / training.name)
    _check_data(training, decided.modality)
    return replace(decided, training=training)


def _model(name: str | None, in_file: str | None, record: Json | None, origin: str) -> tuple[Plugin, GeneratorSpec]:
    """The model that is named, by a file or a run where it is not. Raises `UsageError` where two differ."""
    names = [name, in_file, None if record is None else f"{record['plugin']}/{record['model']}"]
    entries = [registry().generators.get(named) for named in names if named is not None]
    if not entries:
        raise UsageError(NO_MODEL)
    for plugin, spec in entries[1:]:
        if (plugin.distribution, spec.name) != (entries[0][0].distribution, entries[0][1].name):
            source = f"run {origin!r}" if record is not None else "--config"
            raise UsageError(f"the model is {entries[0][1].name!r}, and {source} is of {spec.name!r}; leave one out")
    return entries[0]


def _again(record: Json) -> dict[str, object]:
    """The options of a training that is done again: all but where its run is, and what it began with if it is not
    given anew."""
    return {k: v for k, v in (record["training"] | record["options"]).items() if k not in ("name", "runs_dir")}


def _at_whole_paths(decided: Plan, origin: str) -> TrainOptions:
    try:
        return with_whole_paths(decided.training, decided.modality)
    except UsageError as error:
        if not origin or "does not exist" not in str(error):
            raise
        raise UsageError(
            f"the data of run {origin!r} are not at {decided.training.data} here; give --data where they are"
        ) from error


def plan_resume(
    folder: RunFolder,
    *,
    steps: int | None,
    device: str | None,
    threads: int | None,
    data: object = None,
    data_dir: str | None = None,
    shorten: bool = False,
    accept_changes: bool = False,
) -> Plan:
    """The training of a run that goes on, with what is to differ. Raises `UsageError` where there is nothing to do, or
    where `run.json` was edited and that is not accepted."""
    from genzoo.runs.find import data_place

    edits = {name: f"{before} -> {now}" for name, (before, now) in folder.edits().items()}
    if edits and not accept_changes:
        raise UsageError(
            f"run {folder.name!r}: run.json was edited: {in_words(edits)}; put that back, or give --accept-changes to"
            " go on with what it says now"
        )
    spec, plugin = folder.spec()
    changes: dict[str, Any] = {"steps": steps, "device": device, "threads": threads}
    before = data_place(folder, data, data_dir)
    try:
        training = replace(before, **{key: value for key, value in changes.items() if value is not None})
    except ValueError as error:
        raise UsageError(f"resume: {error}") from None
    assert training.steps is not None, "a run says how many steps it has"
    if training.steps < folder.step:
        raise UsageError(f"run {folder.name!r} has done {folder.step} steps; --steps is {training.steps}")
    planned = int(folder.record["steps_total"])
    if training.steps < planned and not shorten:
        raise UsageError(
            f"run {folder.name!r} is planned for {planned:,} steps; --steps {training.steps} would end it sooner, for"
            " good: give --shorten too if that is meant"
        )
    if folder.status == "finished" and training.steps <= folder.step:
        raise UsageError(f"run {folder.name!r} is finished after {folder.step} steps; give --steps to train it further")
    if training.steps != planned:
        _warn_of_length(folder, spec, planned, training.steps)
    owner = f"{spec.name} ({plugin.distribution} {plugin.version})"
    config: object = build(spec.config, folder.record["options"], owner)
    return Plan(spec, plugin, folder.record.get("preset"), config, training, folder, edits, in_memory=data)


def in_words(edits: Mapping[str, str]) -> str:
    """`learning_rate 0.001 -> 0.01, seed 0 -> 1`."""
    return ", ".join(f"{name} {change}" for name, change in edits.items())


def _warn_of_length(folder: RunFolder, spec: GeneratorSpec, planned: int, steps: int) -> None:
    """Say what becomes of a step size that changes over the whole length of a training, which is now another."""
    option = options_of(spec.config).get(spec.schedule)
    shape = folder.record["options"].get(spec.schedule) if option else spec.schedule
    if not shape or shape == "constant":
        return
    flag = f"{option.flag} {shape}" if option else shape
    warnings.warn(
        f"the step size of {spec.name} changes over the whole length of a training ({flag}): up to step"
        f" {folder.step:,} it was that of {planned:,} steps, and from there on it is that of {steps:,}; a run of"
        f" {steps:,} steps from the first is another",
        GenzooWarning,
        stacklevel=2,
    )


def _sorted(spec: GeneratorSpec, values: dict[str, object]) -> tuple[object, TrainOptions]:
    """The model's own options, and those of every training."""
    kind = registry().modalities.get(spec.modality)[1].train_options
    of_model, of_training = options_of(spec.config), options_of(kind)
    for name in values:
        if name not in of_model and name not in of_training:
            raise unknown(f"option of {spec.name}", name, [*of_model, *of_training])
    if "batch_size" in values and not spec.mini_batches:
        raise UsageError(f"{spec.name} sees all data in every step; leave --batch-size out")
    config: object = build(spec.config, {k: v for k, v in values.items() if k in of_model}, spec.name)
    training = build(kind, {k: v for k, v in values.items() if k in of_training}, spec.name)
    if training.steps is None and training.epochs is None:
        raise UsageError(f"{spec.name} has no default length; give --steps or --epochs")
    return config, training


def _check_data(training: TrainOptions, modality: ModalitySpec) -> None:
    """Let the modality look at files. Raises `GenzooError` for what cannot be read."""
    if (
        modality.check_data
        and training.data != IN_MEMORY
        and isinstance(paths := locate(training.data, modality), tuple)
    ):
        load_target(modality.check_data, f"modality {modality.name!r}")(paths, training)
