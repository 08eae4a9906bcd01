"""A plugin's model, built fresh or as a run has it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from genzoo.interface.errors import GenzooError, UsageError
from genzoo.interface.generator import Generator
from genzoo.interface.options import build
from genzoo.interface.specs import DataSpec, GeneratorSpec, load_target
from genzoo.kernels.devices import choose_device
from genzoo.registry.plugins import modality_of
from genzoo.runs import checkpoint
from genzoo.runs.find import find_run
from genzoo.runs.folder import RunFolder

WEIGHTS = ("best", "last")


def class_of(spec: GeneratorSpec) -> type[Generator]:
    """The class of a model. Raises `GenzooError` if the plugin gives none."""
    kind = load_target(spec.target, f"model {spec.name!r}")
    if not (isinstance(kind, type) and issubclass(kind, Generator)):
        raise GenzooError(f"model {spec.name!r}: {spec.target} is not a genzoo.Generator")
    return kind


def build_model(
    spec: GeneratorSpec, config: object, data: DataSpec, device: torch.device, kept: Mapping[str, bytes]
) -> Generator:
    """A model of a plugin, with fresh weights, on `device`, with what it needs of the files that its run keeps. Raises
    `GenzooError` if the plugin gives none, `UsageError` if its options do not go with these data."""
    try:
        model = class_of(spec)(config, data)
    except ValueError as error:
        raise UsageError(f"{spec.name}: {error}") from error
    model.spec = spec
    modality_of(spec.modality).equip(model, kept)
    return model.to(device)


def load(
    run: str | Path | RunFolder, *, weights: str = "best", device: str = "auto", runs_dir: str | None = None
) -> Generator:
    """The model of a run, ready to sample.

    Args:
        run: a run's folder or name, or a model's name for its newest finished run.
        weights: "best", by the score that the model chose, if the run keeps them, else the last; or "last".
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".

    Raises:
        UsageError: there is no such run.
        GenzooError: its files are damaged, or its plugin is not installed.
    """
    if weights not in WEIGHTS:
        raise UsageError(f"weights is {weights!r}; allowed is {' or '.join(WEIGHTS)}")
    folder = find_run(run, runs_dir)
    spec, plugin = folder.spec()
    facts, state = checkpoint.load_model(folder, weights)
    try:
        options, data = dict(facts["options"]), DataSpec.from_json(facts["data_spec"])
    except (TypeError, ValueError, LookupError, AttributeError):  # of an earlier genzoo, without a checksum
        raise GenzooError(f"run {folder.name!r} is damaged: its model does not say what it is") from None
    config: object = build(spec.config, options, f"{spec.name} ({plugin.distribution} {plugin.version})")
    model = build_model(spec, config, data, choose_device(device), folder.kept())
    for name in model.training_only:
        delattr(model, name)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        first = str(error).splitlines()[0]
        raise GenzooError(f"run {folder.name!r} does not fit {plugin.distribution} {plugin.version}: {first}") from None
    model.run = folder.path
    return model.eval()


def run_and_model(
    run: str | Path | RunFolder | Generator, device: str, runs_dir: str | None, *, needs_data: bool = True
) -> tuple[RunFolder | None, Generator]:
    """A run and its model, of either. Raises `UsageError` for a model that is of no run, where `needs_data`."""
    if not isinstance(run, Generator):
        folder = find_run(run, runs_dir)
        return folder, load(folder, device=device)
    if not needs_data:
        return None, run
    if run.run is None:
        raise UsageError(
            f"this {type(run).__name__} is of no run, whose data are needed; give a run, or what load gave"
        )
    return RunFolder(run.run), run
