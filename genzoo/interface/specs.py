"""What can be known of models, data and trainings without importing torch."""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from genzoo.interface.errors import GenzooError, UsageError, one_line, some_of
from genzoo.interface.options import option, rows
from genzoo.interface.shown import Shown, rows_as_html

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
MOST_STEPS = 10**9
OF_WINDOWS = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?|.*\.", re.IGNORECASE)  # files that it cannot have
Json = dict[str, Any]
"""An object of parsed JSON."""
OF_A_CLASS = 8  # this part of the samples that are drawn by default, of each class
MOST_CLASSES = 64  # that are drawn by default
VALIDATION = "validation/"  # before the names of scores on validation data, in what is logged and in `best_by`


@dataclass(frozen=True, kw_only=True)
class NoOptions:
    """The options of a model that has none."""


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """The options that every training has. A modality adds those of its data in a subclass.

    `of_earlier_runs` are the values of options that a run which does not name them was trained with, as it is of a
    genzoo that had no such option, where these are not the defaults.
    """

    of_earlier_runs: ClassVar[Mapping[str, object]] = {}

    data: str = option("", help="A data set's name, or files.")
    data_dir: str | None = option(
        None, help="Folder where data sets are kept. Default: GENZOO_DATA_DIR, or the user's cache."
    )
    steps: int | None = option(None, help="How long to train.", unit="optimiser steps", minimum=1, maximum=MOST_STEPS)
    epochs: float | None = option(
        None, help="How long to train, in place of --steps.", unit="passes", above=0, maximum=1e6
    )
    batch_size: int = option(128, help="Examples in a step, over all processes.", minimum=1, maximum=2**24)
    device: str = option("auto", help="auto (CUDA, then MPS, then CPU), cpu, cuda, cuda:N or mps.")
    precision: str = option(
        "auto",
        help="Arithmetic of the forward pass; auto is bfloat16 on CUDA that has it, else float32.",
        choices=("auto", "float32", "bfloat16", "float16"),
    )
    compile: str = option(
        "auto",
        help="Compile the networks (torch.compile); auto: on CUDA, for 2,000 steps or more.",
        choices=("auto", "on", "off"),
    )
    deterministic: bool = option(
        False, help="Take only operations that give the same bits each time, also on CUDA; slower there."
    )
    seed: int = option(0, help="The run is a function of this number.", minimum=0, maximum=2**31 - 1)
    runs_dir: str | None = option(None, help="Folder of runs. Default: GENZOO_RUNS_DIR, or runs.")
    name: str | None = option(None, help="The run's name. Default: model, data and time.")
    save_every: int = option(500, help="Write a checkpoint this often; 0: only the last.", unit="steps", minimum=0)
    keep: int | None = option(
        None, help="How many checkpoints to keep. Default: 2 while it trains, the newest when it is done.", minimum=1
    )
    sample_every: int = option(500, help="Draw a grid of samples this often; 0: never.", unit="steps", minimum=0)
    eval_every: int = option(
        500, help="Score up to 1,000 validation examples this often; 0: never.", unit="steps", minimum=0
    )
    validation: float = option(
        0.1,
        help="Share of the training part that is held out to choose by (best weights, --eval-every), where the data"
        " bring no validation part; at most 10,000 examples.",
        above=0,
        maximum=0.5,
    )
    log_every: int = option(50, help="Write the losses this often.", unit="steps", minimum=1)
    threads: int | None = option(None, help="CPU threads. Default: as torch chooses.", minimum=1, maximum=1024)
    init_from: str | None = option(
        None, help="Begin with the weights of a run of the model, and with its options where no others are given."
    )

    def __post_init__(self) -> None:
        if self.steps is not None and self.epochs is not None:
            raise ValueError("--steps and --epochs are both given; give one")
        if self.name is not None:
            check_run_name(self.name, "--name")
        if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", self.device):
            raise ValueError(f"--device is {self.device!r}; allowed is auto, cpu, cuda, cuda:N or mps")


@dataclass(frozen=True, kw_only=True)
class WriteOptions:
    """How samples are written. A modality adds its options in a subclass.

    `suffixes` are the endings of files that it writes, the first by default. With `printed`, samples are text that is
    printed where no `--out` is given. `media` says of files that a browser plays, by suffix, which media type they are
    ("audio/wav", "video/mp4"): the page of an evaluation holds them, below their preview.
    """

    suffixes: ClassVar[tuple[str, ...]] = ()
    media: ClassVar[Mapping[str, str]] = {}
    printed: ClassVar[bool] = False

    def suffix(self, out: str | None) -> str:
        """The ending of the file to write: of `out`, or by default; empty for a folder. Raises `UsageError` for one
        that this modality does not write."""
        if out is None:
            return self.suffixes[0]
        suffix = os.path.splitext(out)[1].lower()
        if suffix not in self.suffixes:
            raise UsageError(f"--out is {out!r}; allowed is a file that ends in {in_words(self.suffixes)}")
        return suffix


def check_run_name(name: str, owner: str) -> None:
    """Raises `ValueError` saying why a run cannot be called so; `owner` is what has the name."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise ValueError(f"{owner} is {name!r}; allowed are letters, digits, '.', '_' and '-'")
    if OF_WINDOWS.fullmatch(name):
        raise ValueError(f"{owner} is {name!r}, which no folder on Windows can be called; choose another")


def check_file_name(option: str, path: str) -> None:
    """Raises `UsageError` for a file that no Windows can have: it would be a device there."""
    if OF_WINDOWS.fullmatch(Path(path).name):
        raise UsageError(f"{option} is {path!r}, which no file on Windows can be called; choose another")


def in_words(names: tuple[str, ...]) -> str:
    """`.png, .jpg or .jpeg`."""
    return " or ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)


class Spec(Shown):
    """What a plugin registers, as it shows itself."""

    name: str
    summary: str
    kind: ClassVar[str]

    def _title(self) -> str:
        return f"{self.kind} {self.name}: {self.summary}"

    def _facts(self) -> Mapping[str, object]:
        return {
            key: getattr(self, key) for key in ("modality", "sources", "source", "unit", "better") if hasattr(self, key)
        }


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ModalitySpec(Spec):
    """A kind of data as a plugin registers it: images, texts, sounds, tables.

    Args:
        target: names the class, a `genzoo.Modality`, as `"package.module:Class"`; it is imported when it is needed.
        train_options: how its data are named and read, a subclass of `TrainOptions`.
        write_options: how its samples are written, a subclass of `WriteOptions`.
        sources: what `--data` takes besides a name, in words: "a folder of images, or an .npz file".
        suffixes: the endings of files that `--data` takes; `*` among them: any. Folders are taken too.
        check_data: names a function, `"package.module:function"`, which is given the files and folders that `--data`
            names and the training options, before torch is imported; it raises `GenzooError` for what cannot be read.
        several: whether `--data` takes several files, with commas between.
        count: how many samples `genzoo sample` draws if it is not told; of a conditional model an eighth of it, or one,
            of each class.
        training_count: the same while training; None: `count`.
        template: a folder of a package, `"package:folder"`, with `init.py.in` and `model.py.in` of a plugin that
            `genzoo new --modality NAME` begins with; empty: there is none.
    """

    kind: ClassVar[str] = "modality"
    name: str
    summary: str
    target: str
    train_options: type[TrainOptions] = TrainOptions
    write_options: type[WriteOptions] = WriteOptions
    sources: str = "a folder"
    suffixes: tuple[str, ...] = ()
    check_data: str = ""
    several: bool = False
    count: int = 64
    training_count: int | None = None
    template: str = ""

    def default_count(self, data: DataSpec, conditional: bool, *, training: bool = False) -> int:
        """How many samples are drawn if no number is given; of a conditional model an eighth of that of each class."""
        count = self.training_count if training and self.training_count is not None else self.count
        return max(1, count // OF_A_CLASS) * min(len(data.classes), MOST_CLASSES) if conditional else count

    def check(self) -> None:
        """Raises `ValueError` saying what is wrong with this spec."""
        _check_name("modality", self.name)
        if not issubclass(self.train_options, TrainOptions) or not issubclass(self.write_options, WriteOptions):
            raise ValueError(f"the options of modality {self.name!r} are no TrainOptions and WriteOptions")
        if not self.write_options.suffixes:
            raise ValueError(f"modality {self.name!r} does not say in `WriteOptions.suffixes` which files it writes")


TAGS = {  # what a model can say of itself that its methods and options do not
    "closed-form": "all weights are set in the first step; further steps change nothing",
    "density": "it has an exact likelihood, which sums or integrates to 1 over all that it can draw",
}


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class GeneratorSpec(Spec):
    """A model as a plugin registers it.

    Args:
        target: names the class as `"package.module:Class"`; it is imported when a model is built, not before. Of what
            `genzoo.register` is given, it may be the class itself.
        config, sample_options: option dataclasses (`genzoo.option`).
        defaults: the training options (`steps`, `batch_size`, ...) that suit this model.
        presets: named sets of its own and training options.
        mini_batches: whether it trains on `run.batches()`. A model that does not, and goes by `run.steps()`, has no
            `--batch-size`, and an epoch of it is a step.
        example_length: how much of the data an example of a batch is, in the units that they are counted in (1 image,
            so many tokens), or the name of the option that says it. For `--epochs`.
        schedule: how the step size changes over the whole length of a training, in a word such as "cosine", or the name
            of the option that says it, whose value "constant" is that it does not; empty: nothing depends on the
            length. For runs that are trained further than was planned.
        paper: where the model is from, in words, or an address.
        bibtex: the same as an entry, or several, of BibTeX, for `genzoo cite`.
        tags: what it is, for those who look and for `genzoo check`: `closed-form` (all weights are set in the first
            step, and further steps change nothing), `density` (it has an exact likelihood).
    """

    kind: ClassVar[str] = "model"
    name: str
    summary: str
    modality: str
    target: str | type
    config: type = NoOptions
    sample_options: type = NoOptions
    defaults: Mapping[str, object] = field(default_factory=dict)
    presets: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    paper: str = ""
    bibtex: str = ""
    tags: tuple[str, ...] = ()
    mini_batches: bool = True
    example_length: int | str = 1
    schedule: str = ""

    def _facts(self) -> Mapping[str, object]:
        values = {"modality": self.modality, "paper": self.paper, "presets": ", ".join(self.presets)}
        return {**values, "next": f"genzoo.train({self.name!r})"}

    def _repr_html_(self) -> str:
        options = rows_as_html(("option", "default", "allowed", "what it does"), list(rows(self.config)))
        return super()._repr_html_() + f"<details><summary>options</summary>{options}</details>"

    def check(self) -> None:
        """Raises `ValueError` saying what is wrong with this spec's name or tags. Its options are checked with those of
        its modality, when all plugins are known."""
        _check_name("model", self.name)
        if strange := [tag for tag in self.tags if tag not in TAGS]:
            raise ValueError(f"model {self.name!r} has a tag {strange[0]!r}; allowed are {', '.join(TAGS)}")


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class DatasetSpec(Spec):
    """A data set as a plugin registers it.

    `target` names a function `load(data_dir: pathlib.Path)` that gives what the modality takes (`Modality.take`): a
    `genzoo.ImageData`, a `genzoo.TextData`. `source` says where the data come from; `files` are those it needs in the
    data folder, empty where it needs none. `classifier` is a folder of a package, `"package:folder"`, with the
    classifier that evaluations on these data compare by, as `genzoo data NAME --classifier FOLDER` writes it, so that
    they compare by the same one on all machines; empty: each trains its own.
    """

    kind: ClassVar[str] = "data set"
    name: str
    summary: str
    modality: str
    target: str
    source: str = ""
    files: tuple[str, ...] = ()
    classifier: str = ""

    def check(self) -> None:
        """Raises `ValueError` saying what is wrong with this spec."""
        _check_name("data set", self.name)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class CommandSpec(Spec):
    """A command that a plugin adds. `target` names a click command, imported when the command is called."""

    kind: ClassVar[str] = "command"
    name: str
    summary: str
    target: str

    def check(self) -> None:
        """Raises `ValueError` if the name cannot be a command's."""
        _check_name("command", self.name)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class MetricSpec(Spec):
    """A measure of a model as a plugin registers it.

    `target` names a function that is given the modality's subject (`genzoo.ImageSubject`, `genzoo.TextSubject`) and
    returns a `genzoo.Estimate`, or raises `genzoo.NotMeasurable` saying why there is none. `better` is "lower" or
    "higher". `needs` names methods (or true attributes) of the model without which the measure has no meaning; a
    measure that needs none is also taken of real data and of the baselines. `applies` says of which data it can be
    taken: of others it is not, and nothing is said of it; None: of all data of the modality.

    A measure without a `modality` is one of the run, whatever its data: its function is given the `genzoo.RunFolder`
    alone, is asked each time that a result is shown, and what it returns is not kept, as it may change afterwards (what
    people say of a run's samples). It may return None: there is nothing to say yet.
    """

    kind: ClassVar[str] = "measure"
    name: str
    summary: str
    modality: str = ""
    better: str
    target: str
    unit: str = ""
    needs: tuple[str, ...] = ()
    applies: Callable[[DataSpec], bool] | None = None

    def check(self) -> None:
        """Raises `ValueError` saying what is wrong with this spec."""
        _check_name("measure", self.name.replace("_", "-"))
        if self.better not in ("lower", "higher"):
            raise ValueError(f"measure {self.name!r} is better {self.better!r}; allowed is lower or higher")


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class FeatureSpec(Spec):
    """Features to measure samples of a modality in, as a plugin registers them for `--features`.

    `target` names a function `load(dataset, data: genzoo.DataSpec, folder: pathlib.Path, progress)` that gives what the
    modality measures in (images: `genzoo.Features`); `folder` is where it may keep files. `kept` names a function
    `(data, folder)` that is true if nothing has to be trained, for features of which something is; how long an
    evaluation takes is else looked at before.
    """

    kind: ClassVar[str] = "features"
    name: str
    summary: str
    modality: str
    target: str
    kept: str = ""

    def check(self) -> None:
        """Raises `ValueError` if the name cannot be one."""
        _check_name("features", self.name)


@dataclass(frozen=True, kw_only=True, repr=False)
class DataSpec(Shown):
    """What a model may know of its data: all that is needed to size it, and to tell the data again.

    Attributes:
        shape: (channels, height, width) of images; (vocabulary,) of text, how many tokens there are to choose from;
            what another modality says of its own.
        classes: names of the labels, empty for data without.
        train_count, validation_count, test_count: of images, of tokens, or of what else the modality counts.
        fingerprint: the SHA-256 of all examples.
        skipped: files that could not be read and were left out.
        extra: what only this modality knows (sample rate, columns), as JSON has it.
    """

    name: str
    modality: str
    shape: tuple[int, ...]
    classes: tuple[str, ...] = ()
    train_count: int
    validation_count: int
    test_count: int
    fingerprint: str
    skipped: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def _title(self) -> str:
        size = "x".join(map(str, self.shape))
        return f"data {self.name}: {self.modality} {size}, {self.train_count:,} for training"

    def _facts(self) -> Mapping[str, object]:
        parts = {"validation": f"{self.validation_count:,}", "test": f"{self.test_count:,}"}
        more = {"classes": some_of(self.classes, 20), "skipped": some_of(self.skipped), **self.extra}
        return {**parts, **more, "fingerprint": self.fingerprint}

    def to_json(self) -> Json:
        """As JSON has it."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, object]) -> DataSpec:
        """The inverse of `to_json`."""
        items: Json = {k: tuple(v) if isinstance(v, (list, tuple)) else v for k, v in values.items()}
        return cls(**items)

    def class_number(self, label: str | int, conditional: bool, owner: str) -> int:
        """The position of a class by its name, for sampling from `owner`. Raises `UsageError` where that cannot be."""
        if not conditional:
            raise UsageError(
                f"{owner} was not trained with labels, so --label has no meaning; train with --conditional"
            )
        if str(label) not in self.classes:
            raise UsageError(f"--label is {str(label)!r}; the classes of {owner} are {some_of(self.classes, 20)}")
        return self.classes.index(str(label))

    def class_numbers(self, label: str | int | Sequence[str | int], conditional: bool, owner: str) -> list[int]:
        """The positions of several classes: a name, names with commas between or in a list, or `all`. Raises
        `UsageError` as `class_number` does."""
        if label == "all" and conditional and "all" not in self.classes:
            return list(range(len(self.classes)))
        if isinstance(label, str):
            label = [label] if label in self.classes else [part.strip() for part in label.split(",") if part.strip()]
        names = [label] if isinstance(label, int) else label
        return [self.class_number(name, conditional, owner) for name in names]


def _check_name(kind: str, name: str) -> None:
    if not NAME.fullmatch(name):
        raise ValueError(f"{kind} name {name!r} is not lower-case letters, digits and single hyphens")


def load_target(target: str | type, owner: str) -> Any:
    """What `"package.module:name"` names, or what it is itself. Raises `GenzooError` naming the `owner` if it cannot be
    imported."""
    if not isinstance(target, str):
        return target
    module, _, name = target.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except GenzooError:
        raise
    except Exception as error:
        raise GenzooError(f"{owner}: cannot load {target}: {one_line(error)}") from error
