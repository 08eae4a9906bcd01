"""The data of a run, again."""

from __future__ import annotations

from dataclasses import replace

from genzoo.interface.dataset import Dataset, Progress, silent
from genzoo.interface.errors import GenzooError
from genzoo.interface.specs import DataSpec
from genzoo.registry.data import open_data
from genzoo.runs.folder import RunFolder


def load_data(folder: RunFolder, data_dir: str | None = None, progress: Progress = silent) -> tuple[Dataset, DataSpec]:
    """The data of a run. `data_dir` is where they are now, if not where they were. Raises `GenzooError` if they are no
    longer the same."""
    options = folder.training if data_dir is None else replace(folder.training, data_dir=data_dir)
    dataset, data = open_data(folder.modality, options, folder.kept(), progress)
    if data.fingerprint != folder.data_spec.fingerprint:
        raise GenzooError(
            f"data {options.data!r} are no longer those that run {folder.name!r} was trained on; put them back"
        )
    return dataset, data
