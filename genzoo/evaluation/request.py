"""What a person asked an evaluation for, as a modality takes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from genzoo.interface.dataset import Dataset, Progress
from genzoo.interface.errors import UsageError
from genzoo.interface.measures import EvaluationRequest
from genzoo.interface.specs import DataSpec, load_target
from genzoo.registry.data import data_folder
from genzoo.registry.plugins import registry


def request_for(
    modality: str,
    n: int | None,
    seed: int,
    features: str,
    data_dir: str | None,
    before_training: Callable[[], object],
    progress: Progress,
) -> EvaluationRequest:
    """The request for data of a modality. Features may keep files in `features/` of the data folder; `before_training`
    is called where some have to be trained."""
    if features != "auto" and not registry().features.of_modality(modality):
        raise UsageError(f"--features is {features!r}, and {modality} data are not measured in features; leave it out")
    place = data_folder(data_dir) / "features"
    loaded: dict[str, Any] = {}

    def load_features(name: str, dataset: Dataset, data: DataSpec) -> Any:
        if name not in loaded:
            plugin, spec = registry().features.get(name, data.modality)
            owner = f"features {name!r} of {plugin.distribution}"
            if spec.kept and not load_target(spec.kept, owner)(data, place):
                before_training()
            loaded[name] = load_target(spec.target, owner)(dataset, data, place, progress)
        return loaded[name]

    return EvaluationRequest(count=n, seed=seed, features=features, load_features=load_features)
