"""The data of a run, again: where they were, or where they are now."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from genzoo.interface.dataset import Dataset, Progress, silent
from genzoo.interface.errors import GenzooError
from genzoo.interface.specs import DataSpec
from genzoo.registry.data import IN_MEMORY, is_in_memory, open_data
from genzoo.runs.find import data_place
from genzoo.runs.folder import RunFolder


def load_data(
    folder: RunFolder, data: object = None, data_dir: str | None = None, progress: Progress = silent
) -> tuple[Dataset, DataSpec]:
    """The data of a run. `data` and `data_dir` are where they are now, if not where they were, and the run remembers
    it; or `data` are they themselves, as `train` takes them in memory. Raises `GenzooError` if they are no longer the
    same."""
    options = data_place(folder, data, data_dir)
    dataset, spec = open_data(folder.modality, options, folder.kept(), progress, data)
    check_same_data(folder, options.data, spec)
    remember_place(folder, data, data_dir)
    return dataset, replace(spec, name=folder.data_spec.name)  # by the name that results know them by


def remember_place(folder: RunFolder, data: object, data_dir: str | None) -> None:
    """Keep in a run where its data are now, if that is given: not while a process trains it, nor where its folder
    cannot be written."""
    if is_in_memory(data):
        return
    if (data is not None or data_dir is not None) and not folder.is_held():
        with suppress(OSError):
            folder.remember(data_place(folder, data, data_dir))


def check_same_data(folder: RunFolder, data: str, spec: DataSpec) -> None:
    """Raises `GenzooError` if data are not those that a run began with."""
    if spec.fingerprint != folder.data_spec.fingerprint and data == IN_MEMORY:
        raise GenzooError(f"these data are not those that run {folder.name!r} was trained on; give those: data=...")
    if spec.fingerprint != folder.data_spec.fingerprint:
        raise GenzooError(
            f"data {data!r} are not those that run {folder.name!r} was trained on; put those back, or give --data"
            " where they are now"
        )
