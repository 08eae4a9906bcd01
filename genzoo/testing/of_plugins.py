"""Promises of a plugin and of its options, looked at without torch."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata

from genzoo.interface.errors import Skip, UsageError
from genzoo.interface.options import Option, build, options_of
from genzoo.registry.plugins import registry
from genzoo.testing.case import Case
from genzoo.testing.check import promised, require

# The plugin, without torch


@promised
def plugin_loads(case: Case) -> None:
    """The plugin is imported; its hooks are known, and what they give has valid names and options and clashes with
    nothing of genzoo's own."""
    case.spec  # noqa: B018  (it raises)


@promised
def imports_lightly(case: Case) -> None:
    """Importing the plugin imports nothing heavy."""
    case.spec  # noqa: B018  (it raises)
    case.once("imports_lightly", lambda: _nothing_heavy(case))


def _nothing_heavy(case: Case) -> None:
    heavy = case.imported["heavy"]
    require(not heavy, f"importing {case.target} imports {', '.join(heavy)}; name the model's class by a string")


@promised
def name_is_free(case: Case) -> None:
    """No other installed plugin gives a model of that name."""
    others = {p.distribution for _, p, s in registry().generators if s.name == case.spec.name} - {
        case.plugin.distribution
    }
    require(not others, f"{', '.join(sorted(others))} gives a model {case.spec.name!r} too")


@promised
def metadata_are_complete(case: Case) -> None:
    """The distribution names its licence, its Python, and a bound on genzoo."""
    case.spec  # noqa: B018  (it raises)
    try:
        facts = metadata(case.plugin.distribution)
    except PackageNotFoundError:
        raise Skip("the distribution has no metadata here") from None
    licence = "License-Expression" in facts or "License" in facts
    require(licence, "the distribution names no licence")
    require("Requires-Python" in facts, "the distribution does not say which Python it needs")
    needs = [line for line in facts.get_all("Requires-Dist") or [] if re.match(r"genzoo(?![\w.-])", line)]
    require(bool(needs), "the distribution does not depend on genzoo")
    require(bool(re.search(r"<|==|~=", needs[0])), f"{needs[0]!r} has no upper bound: write genzoo>=0.1,<0.2")


# Options, without torch


def every_option(case: Case) -> Iterator[Option]:
    """The model's own options, of training and of sampling."""
    for config in (case.spec.config, case.spec.sample_options):
        yield from options_of(config).values()


@promised
def options_are_declared(case: Case) -> None:
    """Every option has a type, a help and a default that is allowed."""
    for item in every_option(case):
        require(len(item.help.strip()) > 3, f"{item.flag} has no help")
        try:
            same = item.default is None or item.check(item.default, case.name) == item.default
        except UsageError as error:
            raise AssertionError(f"the default is not allowed: {error}") from None
        require(same, f"{item.flag} changes its default {item.default!r}")
    for config in (case.spec.config, case.spec.sample_options):
        build(config, {}, case.name)


def _values(item: Option) -> Iterator[object]:
    """Values that an option takes: the default, the choices, the bounds."""
    bounds = [item.minimum, item.maximum]
    for value in (item.default, *item.choices, *(item.type(bound) for bound in bounds if bound is not None)):
        if value is not None and value != "":
            yield (value,) if item.many and not isinstance(value, tuple) else value


@promised
def options_mean_the_same_everywhere(case: Case) -> None:
    """A value is the same from the command line, TOML and JSON."""
    for item in every_option(case):
        for value in _values(item):
            from_text = item.check(value if item.repeated else item.shown(value), case.name)  # given again for each
            plain = json.dumps(list(value) if isinstance(value, tuple) else value)
            from_json = item.check(json.loads(plain), case.name)
            from_toml = item.check(tomllib.loads(f"x = {plain}")["x"], case.name)
            require(
                value == from_text == from_json == from_toml,
                f"{item.flag} {value!r} is {from_text!r} as text, {from_json!r} in JSON, {from_toml!r} in TOML",
            )


def _refused(item: Option) -> Iterator[str | float]:
    """Values that an option cannot take."""
    step = 1 if item.type is int else 1e-3
    if item.type in (int, float):
        yield "many"
        yield from (item.minimum - step for _ in "1" if item.minimum is not None)
        yield from (item.maximum + step for _ in "1" if item.maximum is not None)
        yield from (bound for bound in (item.above, item.below) if bound is not None)
        if item.type is float:
            yield "nan"
    elif item.type is bool or item.choices:
        yield "no such thing"


@promised
def options_out_of_bounds_are_refused(case: Case) -> None:
    """A value that is not allowed is refused, with its name, before torch is imported."""
    first = None
    for item in every_option(case):
        for value in _refused(item):
            try:
                taken = item.check(value if item.type is not int or isinstance(value, str) else int(value), case.name)
            except UsageError as error:
                require(item.flag in str(error), f"what is said of {item.flag} {value!r} does not name it: {error}")
                if item.name in options_of(case.spec.config) and item.type is not bool:
                    first = first or (item.flag, str(value))
            else:
                raise AssertionError(f"{item.flag} takes {value!r} for {taken!r}")
    if first:
        if case.plugin.source is not None:
            return
        case.once("imports_lightly", lambda: _nothing_heavy(case))
        seen = case.child("refuse", case.qualified, *first)
        require(seen["status"] == 2, f"{' '.join(first)} ends with status {seen['status']}, not 2")
        require(not seen["torch"], f"{' '.join(first)} is refused only after torch was imported")


@promised
def presets_are_allowed(case: Case) -> None:
    """Every preset, with the defaults, gives a training that could begin."""
    options = options_of(case.spec.config)
    kind = case.modality.spec.train_options
    for name, preset in {"": {}, **case.spec.presets}.items():
        values = {**case.spec.defaults, **preset}
        source = f"preset {name!r}" if name else "the defaults"
        try:
            build(case.spec.config, {k: v for k, v in values.items() if k in options}, case.name)
            rest = build(kind, {k: v for k, v in values.items() if k not in options}, case.name)
        except UsageError as error:
            raise AssertionError(f"{source}: {error}") from None
        require(rest.steps is not None or rest.epochs is not None, f"{source}: no steps and no epochs are given")
