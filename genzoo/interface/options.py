"""Options: the fields of a frozen dataclass, checked in one place wherever their values come from.

    @dataclass(frozen=True, kw_only=True)
    class Config:
        latent_dim: int = option(16, help="Size of the latent vector.", minimum=1, maximum=4096)

A field's type is `int`, `float`, `bool`, `str`, a `tuple[..., ...]` of one of those, or any of them `| None`
(None is "not given", and the default). The same checks serve the command line, TOML, JSON and Python.
"""

from __future__ import annotations

import keyword
import math
import types
import typing
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass
from functools import cache
from typing import Any, TypeVar, cast

from genzoo.interface.errors import UsageError, unknown

T = TypeVar("T")
Scalar = bool | int | float | str
NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


def option(
    default: object,
    *,
    help: str,  # noqa: A002  (click and argparse call it so)
    unit: str | None = None,
    minimum: float | None = None,
    maximum: float | None = None,
    above: float | None = None,
    below: float | None = None,
    choices: tuple[str, ...] = (),
    repeated: bool = False,
    hidden: bool = False,
    prose: bool = False,
) -> Any:
    """A dataclass field that is an option.

    `minimum` and `maximum` are allowed values, `above` and `below` are not; `unit` is shown behind the help. A tuple
    may be given as a text with commas, unless it is `repeated`: then the option is given again for each. One that is
    `hidden` is settled by the model and shown nowhere. A text is `prose` where the model reads it as it is, such as a
    prompt, and it names no file, run or place: a page may then take it from anyone.
    """
    bounds = {"minimum": minimum, "maximum": maximum, "above": above, "below": below}
    facts = {
        "help": help, "unit": unit, "choices": choices, "repeated": repeated, "hidden": hidden, "prose": prose,
    }  # fmt: skip
    return field(default=default, metadata={**facts, **bounds})


@dataclass(frozen=True, kw_only=True, eq=False)
class Option:
    """One option of a dataclass, as its field declares it."""

    name: str
    type: type
    many: bool
    optional: bool
    default: object
    help: str
    unit: str | None
    choices: tuple[str, ...]
    repeated: bool
    hidden: bool
    prose: bool
    minimum: float | None
    maximum: float | None
    above: float | None
    below: float | None

    @property
    def flag(self) -> str:
        """The option's name on the command line: `latent_dim` is `--latent-dim`, and `from_` is `--from`."""
        return "--" + self.name.removesuffix("_").replace("_", "-")

    @property
    def bounds(self) -> str:
        """The bounds in mathematical shorthand (`1 <= x <= 4096`), or an empty text."""
        low = [f"{self.minimum:g} <="] if self.minimum is not None else []
        low += [f"{self.above:g} <"] if self.above is not None else []
        high = [f"<= {self.maximum:g}"] if self.maximum is not None else []
        high += [f"< {self.below:g}"] if self.below is not None else []
        return " ".join([*low, "x", *high]) if low or high else ""

    @property
    def allowed(self) -> str:
        """What the option takes, in words."""
        if self.choices:
            words = "one of " + ", ".join(self.choices)
        else:
            words = NAMES[self.type] + (f" with {self.bounds}" if self.bounds else "")
        return f"a list, each {words}" if self.many else words

    def shown(self, value: object) -> str:
        """A value as a person would type it."""
        if value is None:
            return ""
        if isinstance(value, bool):
            return str(value).lower()
        return ",".join(map(str, value)) if self.many and isinstance(value, Iterable) else str(value)

    def check(self, value: object, owner: str) -> Any:
        """`value` (text, or what TOML, JSON or Python gave) as the option's type; `UsageError` if it is not allowed."""
        if value is None and self.optional:
            return None
        try:
            if not self.many:
                return self._scalar(value)
            if not isinstance(value, Iterable):
                raise TypeError
            parts = self._parts(value) if isinstance(value, str) else list(value)
            return tuple(self._scalar(part) for part in parts)
        except (ValueError, TypeError, OverflowError):
            shown = self.shown(value) if isinstance(value, (list, tuple)) and self.many else value
            plain = value is None or isinstance(value, (str, int, float, list, tuple, dict))
            shown = repr(shown) if plain else f"a {type(value).__name__}"
            raise UsageError(f"{owner}: {self.flag} is {shown}; allowed is {self.allowed}") from None

    def _parts(self, text: str) -> list[str]:
        return [text] if self.repeated else [part.strip() for part in text.split(",") if part.strip()]

    def _scalar(self, value: object) -> Scalar:
        result = value
        if self.type is bool:
            result = {"true": True, "false": False, True: True, False: False}.get(value)
        elif self.type is int:
            result = int(value) if isinstance(value, str) else value
        elif self.type is float:
            result = float(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else value
        if type(result) is not self.type or (self.choices and result not in self.choices):
            raise ValueError
        if self.type in (int, float):
            self._check_bounds(cast(float, result))
        return cast(Scalar, result)

    def _check_bounds(self, number: float) -> None:
        inside = (
            math.isfinite(number)
            and (self.minimum is None or number >= self.minimum)
            and (self.maximum is None or number <= self.maximum)
            and (self.above is None or number > self.above)
            and (self.below is None or number < self.below)
        )
        if not inside:
            raise ValueError


def options_of(config: type) -> Mapping[str, Option]:
    """The options of a dataclass by name, in the order of its fields. A field that is none is a `TypeError`."""
    return _options_of(cast(Hashable, config))


@cache
def _options_of(config: type) -> Mapping[str, Option]:
    if not (isinstance(config, type) and is_dataclass(config)):
        raise TypeError(f"{config.__name__} is not a dataclass")
    hints = typing.get_type_hints(config)
    options = {}
    for item in fields(config):
        where = f"{config.__name__}.{item.name}"
        if "help" not in item.metadata or item.default is MISSING:
            raise TypeError(f"{where} is not declared with genzoo.option(default, help=...)")
        kind, many, optional = _read_type(hints[item.name], where)
        options[item.name] = Option(
            name=item.name, type=kind, many=many, optional=optional, default=item.default, **item.metadata
        )
    return options


def _read_type(hint: Any, where: str) -> tuple[type, bool, bool]:
    optional = False
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        rest = [part for part in typing.get_args(hint) if part is not types.NoneType]
        hint, optional = (rest[0] if len(rest) == 1 else hint), True
    many = typing.get_origin(hint) is tuple
    if many:
        hint = typing.get_args(hint)[0]
    if hint not in NAMES:
        raise TypeError(f"{where} has a type that options cannot have: {hint}")
    return hint, many, optional


def normalise(name: str) -> str:
    """`latent-dim`, `--latent-dim` and `latent_dim` are one option; so are `from` and `from_`, Python's way."""
    plain = name.removeprefix("--").replace("-", "_")
    return f"{plain}_" if keyword.iskeyword(plain) else plain


def build(config: type[T], values: Mapping[str, object], owner: str) -> T:
    """A `config` of checked `values`; `owner` (a model's name) begins every error. Raises `UsageError`."""
    options = options_of(cast(type, config))
    checked = {}
    for name, value in values.items():
        if name not in options:
            raise unknown(f"option of {owner}", name, options)
        checked[name] = options[name].check(value, owner)
    try:
        return config(**checked)
    except ValueError as error:  # what __post_init__ says of options that do not go together
        raise UsageError(f"{owner}: {error}") from error


def to_json(config: Any) -> dict[str, object]:
    """The options as JSON has them: tuples are lists."""
    return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(config).items()}


def read_toml(path: str) -> dict[str, object]:
    """The options in a TOML file, names with `-` or `_`. Raises `UsageError`."""
    import tomllib

    try:
        with open(path, "rb") as file:
            content = tomllib.load(file)
    except OSError as error:
        raise UsageError(f"cannot read --config {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"--config {path} is not TOML: {error}") from None
    tables = [name for name, value in content.items() if isinstance(value, dict)]
    if tables:
        raise UsageError(f"--config {path} has a table [{tables[0]}]; allowed are lines of option = value")
    return {normalise(name): value for name, value in content.items()}


def read_pairs(pairs: tuple[str, ...]) -> dict[str, str]:
    """`--set key=value` texts as options. Raises `UsageError` for one without `=`, and for an option that two set."""
    values: dict[str, str] = {}
    for name, value in map(_split, pairs):
        if name in values:
            raise UsageError(f"--set {name} is given twice; give it once")
        values[name] = value
    return values


def _split(pair: str) -> tuple[str, str]:
    name, equals, value = pair.partition("=")
    if not equals or not name.strip():
        raise UsageError(f"--set {pair!r} is not of the form option=value")
    return normalise(name.strip()), value.strip()


def rows(config: type) -> Iterator[tuple[str, str, str, str]]:
    """For tables of options: flag, default, what is allowed, help."""
    for item in options_of(config).values():
        if item.hidden:
            continue
        unit = f" ({item.unit})" if item.unit else ""
        yield item.flag, item.shown(item.default), item.allowed, item.help + unit
