"""What is varied: options of models, each with values to choose from or a range. Imports nothing heavy."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import genzoo
from genzoo import GeneratorSpec, Option, UsageError

if TYPE_CHECKING:
    from optuna import Trial

Value = bool | int | float | str
MODEL = "model"
FORMS = "allowed are OPTION=A,B,C, OPTION=LOW..HIGH, OPTION=LOW..HIGH:log and OPTION=LOW..HIGH:STEP"
MOST_GRID = 10_000


@dataclass(frozen=True)
class Dimension:
    """One option that is varied.

    Attributes:
        name: as the command line has it: `beta`, or `vae.beta` where it is of one model alone.
        values: to choose from; empty where it is a range.
        low, high, log, step: of a range, both ends included; in powers where `log`; in multiples of `step`, if any.
    """

    name: str
    values: tuple[Value, ...] = ()
    low: float = 0
    high: float = 0
    log: bool = False
    step: float | None = None

    @property
    def option(self) -> str:
        """The option's own name."""
        return self.name.rpartition(".")[2]

    def is_of(self, model: str) -> bool:
        """Whether it is one of this model's, if the model has such an option."""
        owner = self.name.rpartition(".")[0]
        return owner in ("", model)

    def suggest(self, trial: Trial) -> Value:
        """What a trial takes."""
        if self.values:
            return cast(Value, trial.suggest_categorical(self.name, self.values))
        if isinstance(self.low, int):
            return trial.suggest_int(self.name, self.low, int(self.high), log=self.log, step=int(self.step or 1))
        return trial.suggest_float(self.name, self.low, self.high, log=self.log, step=self.step)

    def grid(self) -> tuple[Value, ...]:
        """All values. Raises `UsageError` for a range that has no step."""
        if self.values:
            return self.values
        whole = isinstance(self.low, int)
        if self.log or (self.step is None and not whole):
            raise UsageError(f"--vary {self.name} is a range without a step; a grid takes values, or LOW..HIGH:STEP")
        step = self.step or 1
        values = [self.low + i * step for i in range(math.floor((self.high - self.low) / step + 1e-9) + 1)]
        return tuple(int(value) if whole else value for value in values)


def parse(texts: Sequence[str], specs: Sequence[GeneratorSpec]) -> tuple[Dimension, ...]:
    """The dimensions that `--vary` gives, for these models. Raises `UsageError`."""
    dimensions: dict[str, Dimension] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        name = name.strip().removeprefix("--").replace("-", "_")
        if not equals or not name or not values.strip():
            raise UsageError(f"--vary {text!r} is not of the form OPTION=VALUES; {FORMS}")
        if name in dimensions:
            raise UsageError(f"--vary {name} is given twice; give it once")
        dimensions[name] = _dimension(name, values.strip(), _options(name, specs))
    if not dimensions and len(specs) < 2:
        raise UsageError("nothing is varied; give --vary OPTION=VALUES, or several models")
    return tuple(dimensions.values())


def _options(name: str, specs: Sequence[GeneratorSpec]) -> list[tuple[str, Option]]:
    """The option of this name of each model that has it. Raises `UsageError` if none has."""
    owner, _, option = name.rpartition(".")
    known: dict[str, list[tuple[str, Option]]] = {}
    for spec in specs:
        if owner in ("", spec.name):
            for each in options_of_training(spec).values():
                known.setdefault(each.name, []).append((spec.name, each))
    if owner and not known:
        raise UsageError(f"--vary {name}: {owner!r} is none of the models {', '.join(spec.name for spec in specs)}")
    if option not in known:
        raise genzoo.unknown(f"option of {' and '.join(spec.name for spec in specs)}", option, known)
    return known[option]


def options_of_training(spec: GeneratorSpec) -> Mapping[str, Option]:
    """A model's own options and those of every training."""
    return {**genzoo.options_of(genzoo.TrainOptions), **genzoo.options_of(spec.config)}


def _dimension(name: str, text: str, options: list[tuple[str, Option]]) -> Dimension:
    kinds = {(option.type, option.many) for _, option in options}
    if len(kinds) > 1:
        raise UsageError(f"--vary {name}: the models take different kinds of it; vary MODEL.{name} for each")
    ((kind, many),) = kinds
    values: list[Value] = []
    low, dots, high = text.partition("..")
    if not dots:
        parts = [part.strip() for part in text.split("|" if many or "|" in text else ",")]
        for part in parts:
            for owner, option in options:
                checked = option.check(part, owner)
            values.append(part if many else checked)
        if len(set(values)) < len(values):
            raise UsageError(f"--vary {name}={text} has a value twice")
        return Dimension(name, tuple(values))
    high, _, how = high.partition(":")
    if kind not in (int, float) or many:
        raise UsageError(f"--vary {name} is a range; {options[0][1].flag} takes {options[0][1].allowed}")
    for owner, option in options:
        ends = [option.check(end.strip(), owner) for end in (low, high)]
    if ends[0] >= ends[1]:
        raise UsageError(f"--vary {name}={text}: the range ends where it begins or before")
    if how == "log":
        if ends[0] <= 0:
            raise UsageError(f"--vary {name}={text}: a range in powers begins above 0")
        return Dimension(name, low=ends[0], high=ends[1], log=True)
    try:
        step = kind(how) if how else None
    except ValueError:
        raise UsageError(f"--vary {name}={text}: {how!r} is neither log nor a step; {FORMS}") from None
    if step is not None and step <= 0:
        raise UsageError(f"--vary {name}={text}: the step is {how}; allowed is more than 0")
    return Dimension(name, low=ends[0], high=ends[1], step=step)


def grid(
    models: Sequence[str], dimensions: Sequence[Dimension], of: Mapping[str, set[str]]
) -> Iterator[dict[str, Value]]:
    """Every combination, of each model with the options that it has (`of`). Raises `UsageError`."""
    for model in models:
        here = [each for each in dimensions if each.is_of(model) and each.option in of[model]]
        if math.prod(len(each.grid()) for each in here) > MOST_GRID:
            raise UsageError(f"the grid has more than {MOST_GRID:,} combinations; vary less, or take another --sampler")
        for values in itertools.product(*(each.grid() for each in here)):
            chosen = dict(zip((each.name for each in here), values, strict=True))
            yield {MODEL: model, **chosen} if len(models) > 1 else chosen
