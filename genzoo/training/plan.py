"""From what a person asked for to a training that can begin, or go on. Everything that can be refused is refused here,
before torch is imported."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genzoo.interface.errors import UsageError, unknown
from genzoo.interface.options import build, normalise, options_of, read_toml
from genzoo.interface.specs import DataSpec, GeneratorSpec, ModalitySpec, TrainOptions, load_target
from genzoo.registry.data import locate
from genzoo.registry.installed import Plugin
from genzoo.registry.plugins import registry

if TYPE_CHECKING:
    from genzoo.runs.folder import RunFolder
    from genzoo.runs.groups import Group


@dataclass(frozen=True)
class Plan:
    """A training with every option decided: the model's own in `config`, the others in `training`. `folder` is that of
    a run which goes on; None for a new one. `edits` are the options that were edited in its `run.json` and accepted. A
    new one may be of a `group`."""

    spec: GeneratorSpec
    plugin: Plugin
    preset: str | None
    config: object
    training: TrainOptions
    folder: RunFolder | None = None
    edits: Mapping[str, str] = field(default_factory=dict)
    group: Group | None = None

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
        return max(1, math.ceil(self.training.epochs * data.train_count / (self.training.batch_size * each)))


def list_models() -> list[GeneratorSpec]:
    """The models of every installed plugin, by name."""
    return [spec for _, _, spec in registry().generators]


def plan(
    model: str,
    options: Mapping[str, object],
    *,
    settings: Mapping[str, object] | None = None,
    config_file: str | None = None,
    preset: str | None = None,
) -> Plan:
    """Decide every option: `options` (the command line, or Python), then `settings` (--set), then the file, then the
    preset, then the model's defaults. Raises `UsageError` for anything that is not allowed."""
    plugin, spec = registry().generators.get(model)
    file = read_toml(config_file) if config_file else {}
    settings = dict(settings or {})
    name = preset or settings.pop("preset", None) or file.pop("preset", None)
    if name is not None and name not in spec.presets:
        raise unknown(f"preset of {spec.name}", str(name), spec.presets)
    preset = None if name is None else str(name)
    layers = [spec.defaults, spec.presets[preset] if preset else {}, file, settings, options]
    values: dict[str, object] = {}
    for layer in layers:
        if "steps" in layer or "epochs" in layer:  # the nearest word on how long decides
            values.pop("steps", None)
            values.pop("epochs", None)
        values.update({normalise(name): value for name, value in layer.items()})
    decided = Plan(spec, plugin, preset, *_sorted(spec, values))
    training = _resolved(decided.training, decided.modality)
    from genzoo.runs.find import check_writable, runs_folder  # a wrong option is refused before any run is looked at
    from genzoo.runs.folder import check_free

    folder = runs_folder(training.runs_dir)
    check_writable(folder)
    if training.name is not None:
        check_free(folder / training.name)
    _check_data(training, decided.modality)
    return replace(decided, training=training)


def plan_resume(
    folder: RunFolder, *, steps: int | None, device: str | None, threads: int | None, accept_changes: bool = False
) -> Plan:
    """The training of a run that goes on, with what is to differ. Raises `UsageError` where there is nothing to do, or
    where `run.json` was edited and that is not accepted."""
    edits = {name: f"{before} -> {now}" for name, (before, now) in folder.edits().items()}
    if edits and not accept_changes:
        raise UsageError(
            f"run {folder.name!r}: run.json was edited: {in_words(edits)}; put that back, or give --accept-changes to"
            " go on with what it says now"
        )
    spec, plugin = folder.spec()
    changes: dict[str, Any] = {"steps": steps, "device": device, "threads": threads}
    training = replace(folder.training, **{key: value for key, value in changes.items() if value is not None})
    assert training.steps is not None, "a run says how many steps it has"
    if training.steps < folder.step:
        raise UsageError(f"run {folder.name!r} has done {folder.step} steps; --steps is {training.steps}")
    if folder.status == "finished" and training.steps <= folder.step:
        raise UsageError(f"run {folder.name!r} is finished after {folder.step} steps; give --steps to train it further")
    owner = f"{spec.name} ({plugin.distribution} {plugin.version})"
    config: object = build(spec.config, folder.record["options"], owner)
    return Plan(spec, plugin, folder.record.get("preset"), config, training, folder, edits)


def in_words(edits: Mapping[str, str]) -> str:
    """`learning_rate 0.001 -> 0.01, seed 0 -> 1`."""
    return ", ".join(f"{name} {change}" for name, change in edits.items())


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
    if modality.check_data and isinstance(paths := locate(training.data, modality), tuple):
        load_target(modality.check_data, f"modality {modality.name!r}")(paths, training)


def _resolved(training: TrainOptions, modality: ModalitySpec) -> TrainOptions:
    """With whole paths, as a run may be resumed from elsewhere."""
    if isinstance(paths := locate(training.data, modality), tuple):
        training = replace(training, data=",".join(str(path.resolve()) for path in paths))
    if training.data_dir is not None:
        training = replace(training, data_dir=str(Path(training.data_dir).expanduser().resolve()))
    return training
