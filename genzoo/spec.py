"""What can be known of models, data and trainings without importing torch."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from genzoo.errors import GenzooError, UsageError, one_line
from genzoo.options import option, options_of

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
MODALITIES = ("image", "text")


@dataclass(frozen=True, kw_only=True)
class NoOptions:
    """The options of a model that has none."""


@dataclass(frozen=True, kw_only=True)
class GeneratorSpec:
    """A model as a plugin registers it.

    `target` names the class as `"package.module:Class"`; it is imported when a model is built, not before.
    `config` and `sample_options` are option dataclasses (`genzoo.option`). `defaults` are the training options
    (`steps`, `batch_size`, ...) that suit this model; `presets` are named sets of its own and training options.
    """

    name: str
    summary: str
    modality: str
    target: str
    config: type = NoOptions
    sample_options: type = NoOptions
    defaults: Mapping[str, Any] = field(default_factory=dict)
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    paper: str = ""
    tags: tuple[str, ...] = ()

    def check(self) -> None:
        """Raises `ValueError` or `TypeError` saying what is wrong with this spec."""
        _check_name("model", self.name)
        if self.modality not in MODALITIES:
            raise ValueError(f"model {self.name!r} has modality {self.modality!r}; allowed: {', '.join(MODALITIES)}")
        training, own = options_of(TRAIN_OPTIONS[self.modality]), options_of(self.config)
        if clash := [name for name in own if name in training or name in RESERVED]:
            raise ValueError(f"model {self.name!r} has an option {clash[0]!r}, which every training has")
        if clash := [name for name in options_of(self.sample_options) if name in RESERVED_IN_SAMPLING]:
            raise ValueError(f"model {self.name!r} has a sampling option {clash[0]!r}, which every sampling has")
        for values in (self.defaults, *self.presets.values()):
            for name, value in values.items():
                if name not in own and name not in training:
                    raise ValueError(f"model {self.name!r} gives a value to {name!r}, which is no option")
                (own.get(name) or training[name]).check(value, self.name)


@dataclass(frozen=True, kw_only=True)
class DatasetSpec:
    """A data set as a plugin registers it.

    `target` names a function `load(data_dir: pathlib.Path)` that gives a `genzoo.ImageData` or a `genzoo.TextData`.
    `source` says where the data come from; `files` are those it needs in the data folder, empty where it needs none.
    """

    name: str
    summary: str
    modality: str
    target: str
    source: str = ""
    files: tuple[str, ...] = ()

    def check(self) -> None:
        """Raises `ValueError` saying what is wrong with this spec."""
        _check_name("data set", self.name)
        if self.modality not in MODALITIES:
            raise ValueError(f"data {self.name!r} has modality {self.modality!r}; allowed: {', '.join(MODALITIES)}")


@dataclass(frozen=True, kw_only=True)
class CommandSpec:
    """A command that a plugin adds. `target` names a click command, imported when the command is called."""

    name: str
    summary: str
    target: str

    def check(self) -> None:
        """Raises `ValueError` if the name cannot be a command's."""
        _check_name("command", self.name)


@dataclass(frozen=True, kw_only=True)
class MetricSpec:
    """A measure of a model as a plugin registers it.

    `target` names a function that is given a `genzoo.Subject` and returns a `genzoo.Estimate`, or raises
    `genzoo.NotMeasurable` saying why there is none. `better` is "lower" or "higher". `needs` names methods (or true
    attributes) of the model without which the measure has no meaning; a measure that needs none is also taken of real
    data and of the baselines.
    """

    name: str
    summary: str
    modality: str
    better: str
    target: str
    unit: str = ""
    needs: tuple[str, ...] = ()

    def check(self) -> None:
        """Raises `ValueError` saying what is wrong with this spec."""
        _check_name("measure", self.name.replace("_", "-"))
        if self.modality not in MODALITIES or self.better not in ("lower", "higher"):
            raise ValueError(
                f"measure {self.name!r} is of modality {self.modality!r}, better {self.better!r}; allowed are"
                f" {' or '.join(MODALITIES)}, lower or higher"
            )


@dataclass(frozen=True, kw_only=True)
class FeatureSpec:
    """Features of images to measure in, as a plugin registers them for `--features`.

    `target` names a function `load(data: genzoo.ImageData, spec: genzoo.DataSpec, folder: pathlib.Path, progress) ->
    genzoo.Features`; `folder` is where it may keep files.
    """

    name: str
    summary: str
    target: str

    def check(self) -> None:
        """Raises `ValueError` if the name cannot be one."""
        _check_name("features", self.name)


@dataclass(frozen=True, kw_only=True)
class DataSpec:
    """What a model may know of its data: all that is needed to size it, and to tell the data again.

    `shape` is (channels, height, width) of images, and (vocabulary,) of text, how many tokens there are to choose from.
    `classes` names the labels, empty for data without. The counts are of images, or of tokens. `fingerprint` is the
    SHA-256 of the training and test items; `skipped` names files that could not be read and were left out.
    """

    name: str
    modality: str
    shape: tuple[int, ...]
    classes: tuple[str, ...]
    train_count: int
    test_count: int
    fingerprint: str
    skipped: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> DataSpec:
        """The inverse of `to_json`."""
        items: dict[str, Any] = {k: tuple(v) if isinstance(v, (list, tuple)) else v for k, v in values.items()}
        return cls(**items)


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """The options that every training has; those for data of one modality are in its subclasses."""

    data: str = option("", help="A data set's name, or files.")
    data_dir: str | None = option(
        None, help="Folder where data sets are kept. Default: GENZOO_DATA_DIR, or the user's cache."
    )
    steps: int | None = option(None, help="How long to train.", unit="optimiser steps", minimum=1)
    epochs: float | None = option(None, help="How long to train, in place of --steps.", unit="passes", above=0)
    batch_size: int = option(128, help="Examples in a step, over all processes.", minimum=1)
    device: str = option("auto", help="auto (CUDA, then MPS, then CPU), cpu, cuda, cuda:N or mps.")
    precision: str = option(
        "auto",
        help="Arithmetic of the forward pass; auto is bfloat16 on CUDA that has it, else float32.",
        choices=("auto", "float32", "bfloat16", "float16"),
    )
    seed: int = option(0, help="The run is a function of this number.", minimum=0, maximum=2**31 - 1)
    runs_dir: str | None = option(None, help="Folder of runs. Default: GENZOO_RUNS_DIR, or runs.")
    name: str | None = option(None, help="The run's name. Default: model, data and time.")
    save_every: int = option(500, help="Write a checkpoint this often; 0: only the last.", unit="steps", minimum=0)
    keep: int = option(2, help="How many checkpoints to keep.", minimum=1)
    sample_every: int = option(500, help="Draw a grid of samples this often; 0: never.", unit="steps", minimum=0)
    eval_every: int = option(
        500, help="Score up to 1,000 held-out examples this often; 0: never.", unit="steps", minimum=0
    )
    log_every: int = option(50, help="Write the losses this often.", unit="steps", minimum=1)
    threads: int | None = option(None, help="CPU threads. Default: as torch chooses.", minimum=1, maximum=1024)

    def __post_init__(self) -> None:
        if self.steps is not None and self.epochs is not None:
            raise ValueError("--steps and --epochs are both given; give one")
        if self.name is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", self.name):
            raise ValueError(f"--name is {self.name!r}; allowed are letters, digits, '.', '_' and '-'")
        if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", self.device):
            raise ValueError(f"--device is {self.device!r}; allowed is auto, cpu, cuda, cuda:N or mps")


@dataclass(frozen=True, kw_only=True)
class ImageTrainOptions(TrainOptions):
    """The options of trainings on images."""

    data: str = option("mnist-5k", help="A data set's name, a folder of images, or an .npz file.")
    image_size: int | None = option(
        None, help="Scale and crop image files to this square size.", unit="pixels", minimum=1, maximum=1024
    )
    channels: int | None = option(None, help="Read image files as grey (1) or colour (3).", minimum=1, maximum=3)
    skip_bad_files: bool = option(False, help="Leave out image files that cannot be read; the run names them.")
    data_loading: str = option(
        "auto",
        help="Hold images in memory, stream them from files, or choose by size.",
        choices=("auto", "memory", "stream"),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.channels == 2:
            raise ValueError("--channels is 2; allowed is 1 or 3")


@dataclass(frozen=True, kw_only=True)
class TextTrainOptions(TrainOptions):
    """The options of trainings on text."""

    data: str = option(
        "python-docs",
        help="A data set's name, a .txt, .md or .jsonl file, several with commas between, or a folder of them.",
    )
    text_field: str = option("text", help="The field of .jsonl files that holds the text.")
    tokenizer: str = option(
        "characters",
        help="characters, bytes, bpe (byte pairs learnt from the text), or a folder that has a tokenizer.json.",
    )
    vocab_size: int = option(512, help="Tokens of a bpe tokeniser.", minimum=257, maximum=2**20)


TRAIN_OPTIONS: dict[str, Any] = {"image": ImageTrainOptions, "text": TextTrainOptions}  # by modality


RESERVED = ("preset", "config", "set", "json", "help")
RESERVED_IN_SAMPLING = (
    "n", "count", "label", "labels", "seed", "out", "format", "separate", "overwrite", "visible_label", "batch_size",
    "weights", "device", "run", "runs_dir", "progress", "json", "help",
    "features", "data_dir", "html", "markdown",
)  # fmt: skip


def class_number(label: str | int, data: DataSpec, conditional: bool, owner: str) -> int:
    """The position of a class by its name, for sampling from `owner`. Raises `UsageError` where that cannot be."""
    if not conditional:
        raise UsageError(f"{owner} was not trained with labels, so --label has no meaning; train with --conditional")
    if str(label) not in data.classes:
        names = ", ".join(data.classes[:20]) + (f" and {len(data.classes) - 20} more" if len(data.classes) > 20 else "")
        raise UsageError(f"--label is {str(label)!r}; the classes of {owner} are {names}")
    return data.classes.index(str(label))


def _check_name(kind: str, name: str) -> None:
    if not NAME.fullmatch(name):
        raise ValueError(f"{kind} name {name!r} is not lower-case letters, digits and single hyphens")


def load_target(target: str, owner: str) -> Any:
    """What `"package.module:name"` names. Raises `GenzooError` naming the `owner` if it cannot be imported."""
    module, _, name = target.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except GenzooError:
        raise
    except Exception as error:
        raise GenzooError(f"{owner}: cannot load {target}: {one_line(error)}") from error
