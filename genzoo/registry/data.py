"""Where data sets are kept, what a name or a path leads to, and the data there. Imports nothing heavy before those."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from genzoo.interface.errors import GenzooError, UsageError, one_line, unknown
from genzoo.interface.specs import DatasetSpec, DataSpec, ModalitySpec, TrainOptions, load_target
from genzoo.registry.plugins import modality_of, registry

if TYPE_CHECKING:
    from genzoo.interface.dataset import Dataset, Progress
    from genzoo.interface.modality import DataSurvey

IN_MEMORY = "<in memory>"  # in place of a name or a path: of data that Python gives as objects
NAME_IN_MEMORY = "in-memory"  # of such data


def is_in_memory(data: object) -> bool:
    """Whether data are objects, and not a name or a path to them."""
    return data is not None and not isinstance(data, (str, os.PathLike))


def place_of(data: object) -> str:
    """What the option `data` says of a name, of a path, or of data in memory."""
    return IN_MEMORY if is_in_memory(data) else str(data)


def list_datasets() -> list[DatasetSpec]:
    """The data sets of every installed plugin, by name."""
    return [spec for _, _, spec in registry().datasets]


def data_folder(data_dir: str | None) -> Path:
    """Where data sets are kept: `data_dir`, else GENZOO_DATA_DIR, else the user's cache folder."""
    if folder := data_dir or os.environ.get("GENZOO_DATA_DIR"):
        return Path(folder).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("genzoo", appauthor=False)) / "data"


def shipped_classifiers(data: str) -> list[Path]:
    """The folders with classifiers that plugins ship with the data set of a name (`DatasetSpec.classifier`)."""
    from importlib.resources import files

    shipped = [spec.classifier.partition(":") for _, _, spec in registry().datasets if spec.name == data]
    return [Path(str(files(package) / inside)) for package, _, inside in shipped if package]


def locate(data: str, modality: ModalitySpec) -> DatasetSpec | tuple[Path, ...]:
    """The data set of a modality that a name stands for, or the folder or files at a path. Raises `UsageError`."""
    shelf = registry().datasets
    names = sorted(name for name, _, spec in shelf if spec.modality == modality.name)
    allowed = ", ".join([*names, modality.sources])
    if not data:
        raise UsageError(f"--data is not given; allowed is {allowed}")
    if data in shelf.names():
        spec = shelf.get(data)[1]
        if spec.modality != modality.name:
            raise UsageError(
                f"--data {data} is {spec.modality} data, and the model takes {modality.name}; allowed is {allowed}"
            )
        return spec
    whole = Path(data).expanduser()
    several = modality.several and "," in data and not whole.exists()
    parts = [part.strip() for part in data.split(",") if part.strip()] if several else [data]
    paths = tuple(
        path for part in parts for path in (_matches(part) if modality.several else [Path(part).expanduser()])
    )
    for path in paths:
        takes = path.suffix.lower() in modality.suffixes or "*" in modality.suffixes
        if not path.is_dir() and not (path.is_file() and takes):
            raise _not_data(data, path, modality, names)
    return paths


def with_whole_paths(training: TrainOptions, modality: ModalitySpec) -> TrainOptions:
    """Training options whose data are at whole paths, as a run may be gone on with from elsewhere. Raises
    `UsageError`."""
    if training.data != IN_MEMORY and isinstance(paths := locate(training.data, modality), tuple):
        training = replace(training, data=",".join(str(path.resolve()) for path in paths))
    if training.data_dir is not None:
        training = replace(training, data_dir=str(Path(training.data_dir).expanduser().resolve()))
    return training


def _matches(text: str) -> list[Path]:
    """The path that a text is, or those of a glob."""
    path = Path(text).expanduser()
    if path.exists() or not any(sign in text for sign in "*?["):
        return [path]
    from glob import glob

    matches = sorted(glob(str(path), recursive=True))
    if not matches:
        raise UsageError(f"--data {text} matches no file")
    return [Path(match) for match in matches]


def _not_data(data: str, path: Path, modality: ModalitySpec, names: list[str]) -> UsageError:
    """Why a path is no data."""
    allowed = f"allowed is a data set's name, {modality.sources}"
    if path.exists():
        return UsageError(f"--data {path} is a file; {allowed}")
    suffixes = {suffix for _, _, spec in registry().modalities for suffix in spec.suffixes}
    looks_like_one = path.suffix in suffixes or len(path.parts) > 2
    if looks_like_one or data.startswith((".", "~", os.sep)):
        return UsageError(f"--data {path} does not exist; {allowed}")
    try:
        registry().datasets.get(data)
    except UsageError as error:
        if "given by" in str(error):
            return error
    if not names:
        return UsageError(f"data {data!r} is brought by no plugin that is installed; allowed is {modality.sources}")
    return unknown("data", data, names)


def survey(data: str, modality: str | None, progress: Progress) -> tuple[str, DataSurvey]:
    """A look at a data set, a folder or files, and of which modality it is: the one that is named, or the first that
    takes it. Raises `UsageError` if none does."""
    from genzoo.interface.modality import survey_of

    shelf = registry().modalities
    if modality is None and data in registry().datasets.names():
        modality = registry().datasets.get(data)[1].modality
    specs = [spec for _, _, spec in shelf] if modality is None else [shelf.get(modality)[1]]
    refusals: list[UsageError] = []
    for spec in specs:
        try:
            located = locate(data, spec)
            if not isinstance(located, DatasetSpec):
                return spec.name, modality_of(spec.name).survey(located, progress)
            return spec.name, survey_of(*open_data(spec, spec.train_options(data=data), {}, progress))
        except UsageError as error:
            refusals.append(error)
    raise refusals[0]


def open_data(
    modality: ModalitySpec,
    options: TrainOptions,
    kept: Mapping[str, bytes],
    progress: Progress,
    in_memory: object = None,
) -> tuple[Dataset, DataSpec]:
    """The data that `options` ask for. `kept` is what a run keeps of them, empty for a new one; `in_memory` are those
    that are objects. Raises `GenzooError` if they cannot be had."""
    if options.data == IN_MEMORY:
        dataset = modality_of(modality.name).take(in_memory, options, kept, progress)
        return dataset, dataset.spec(NAME_IN_MEMORY)
    located = locate(options.data, modality)
    reader = modality_of(modality.name)
    if not isinstance(located, DatasetSpec):
        dataset = reader.open(located, options, kept, progress)
        return dataset, dataset.spec(located[0].resolve().stem)
    try:
        data = load_target(located.target, f"data {options.data!r}")(data_folder(options.data_dir))
    except GenzooError:
        raise
    except Exception as error:
        needed = f"; it needs {', '.join(located.files)} in {data_folder(options.data_dir)}" if located.files else ""
        raise GenzooError(f"data {options.data!r} cannot be loaded: {one_line(error)}{needed}") from error
    dataset = reader.take(data, options, kept, progress)
    return dataset, dataset.spec(options.data)
