"""The classifier that evaluations on a data set compare by, written to be shipped with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from genzoo.interface.dataset import Progress, silent
from genzoo.interface.errors import GenzooError, UsageError
from genzoo.interface.files import as_json, write_folder
from genzoo.interface.parsing import parse_json
from genzoo.interface.specs import load_target
from genzoo.registry.data import data_folder, open_data
from genzoo.registry.plugins import registry

CLASSIFIER = "classifier"  # features


def write_classifier(
    data: str, folder: Path, data_dir: str | None = None, progress: Progress = silent
) -> tuple[Path, float]:
    """Write the classifier that evaluations on a data set compare by into a folder of its own in `folder`, for
    `DatasetSpec.classifier`; it is trained where there is none yet.

    Returns that folder, and the share of test examples that the classifier has right. Raises `UsageError` for data
    without a name or labels, or that no classifier is of; `GenzooError` if the folder cannot be written.
    """
    if data not in registry().datasets.names():
        raise UsageError(f"--classifier is of a data set with a name, and {data!r} is none; `genzoo data` lists them")
    spec = registry().datasets.get(data)[1]
    modality = registry().modalities.get(spec.modality)[1]
    if CLASSIFIER not in [feature.name for _, feature in registry().features.of_modality(spec.modality)]:
        raise UsageError(f"--classifier is of data that are compared by one, and {spec.modality} data are not")
    plugin, feature = registry().features.get(CLASSIFIER, spec.modality)
    dataset, data_spec = open_data(modality, modality.train_options(data=data, data_dir=data_dir), {}, progress)
    load = load_target(feature.target, f"features {feature.name!r} of {plugin.distribution}")
    features: Any = load(dataset, data_spec, data_folder(data_dir) / "features", progress)
    target: Path = folder / features.kept.name
    facts = parse_json((features.kept / "classifier.json").read_text("utf-8"))
    facts |= {key: data_spec.to_json()[key] for key in ("shape", "classes", "train_count", "fingerprint")}
    weights = (features.kept / "classifier.safetensors").read_bytes()

    def fill(aside: Path) -> None:
        (aside / "classifier.safetensors").write_bytes(weights)
        (aside / "classifier.json").write_bytes(as_json(facts))

    try:
        write_folder(target, fill)
    except OSError as error:
        raise GenzooError(f"cannot write {target}: {error.strerror}") from None
    return target, features.accuracy
