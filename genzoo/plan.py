"""From what a person asked for to a training that can begin. Everything that can be refused is refused here, before
torch is imported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from genzoo.data import locate
from genzoo.errors import UsageError, unknown
from genzoo.options import build, normalise, options_of, read_toml
from genzoo.registry import Plugin, registry
from genzoo.run_folder import check_free, check_writable, runs_folder
from genzoo.spec import TRAIN_OPTIONS, GeneratorSpec, TrainOptions


@dataclass(frozen=True)
class Plan:
    """A training with every option decided: the model's own in `config`, the others in `training`."""

    spec: GeneratorSpec
    plugin: Plugin
    preset: str | None
    config: Any
    training: TrainOptions


def list_models() -> list[GeneratorSpec]:
    """The models of every installed plugin, by name."""
    return [spec for _, _, spec in registry().generators]


def plan(
    model: str,
    given: Mapping[str, Any],
    *,
    settings: Mapping[str, Any] | None = None,
    config_file: str | None = None,
    preset: str | None = None,
) -> Plan:
    """Decide every option: `given` (the command line, or Python), then `settings` (--set), then the file, then the
    preset, then the model's defaults. Raises `UsageError` for anything that is not allowed."""
    plugin, spec = registry().generators.get(model)
    file = read_toml(config_file) if config_file else {}
    settings = dict(settings or {})
    preset = preset or settings.pop("preset", None) or file.pop("preset", None)
    if preset is not None and preset not in spec.presets:
        raise unknown(f"preset of {spec.name}", str(preset), spec.presets)
    layers = [spec.defaults, spec.presets[preset] if preset else {}, file, settings, given]
    values: dict[str, Any] = {}
    for layer in layers:
        if "steps" in layer or "epochs" in layer:  # the nearest word on how long decides
            values.pop("steps", None)
            values.pop("epochs", None)
        values.update({normalise(name): value for name, value in layer.items()})
    config, training = _sort(spec, values)
    if isinstance(paths := locate(training.data, registry().datasets, spec.modality), tuple):
        training = replace(training, data=",".join(str(path.resolve()) for path in paths))
    if training.data_dir is not None:  # a run may be resumed from elsewhere
        training = replace(training, data_dir=str(Path(training.data_dir).expanduser().resolve()))
    folder = runs_folder(training.runs_dir)
    check_writable(folder)
    if training.name is not None:
        check_free(folder / training.name)
    return Plan(spec, plugin, preset, config, training)


def _sort(spec: GeneratorSpec, values: dict[str, Any]) -> tuple[Any, TrainOptions]:
    kind = TRAIN_OPTIONS[spec.modality]
    own, every = options_of(spec.config), options_of(kind)
    for name in values:
        if name not in own and name not in every:
            raise unknown(f"option of {spec.name}", name, [*own, *every])
    config: Any = build(spec.config, {k: v for k, v in values.items() if k in own}, spec.name)
    training: TrainOptions = build(kind, {k: v for k, v in values.items() if k in every}, spec.name)
    if training.steps is None and training.epochs is None:
        raise UsageError(f"{spec.name} has no default length; give --steps or --epochs")
    return config, training
