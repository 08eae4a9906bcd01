"""Plugins: found by entry point, loaded one by one. One that fails is kept with the reason; the others work."""

from __future__ import annotations

import inspect
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from time import perf_counter
from types import ModuleType
from typing import Any, Generic, TypeVar

import pluggy

from genzoo import hookspecs
from genzoo.errors import UsageError, one_line, unknown
from genzoo.spec import CommandSpec, DatasetSpec, FeatureSpec, GeneratorSpec, MetricSpec

GROUP = "genzoo"
Spec = TypeVar("Spec", GeneratorSpec, DatasetSpec, CommandSpec, MetricSpec, FeatureSpec)


@dataclass
class Plugin:
    """One entry point: its name, its distribution, and what became of it.

    `status` is "loaded", "blocked" or "failed"; `problems` says in words what is wrong, one text each; `seconds` is
    how long importing it and calling its hooks took.
    """

    name: str
    distribution: str
    version: str
    status: str = "loaded"
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0
    module: ModuleType | None = None


def installed() -> Iterator[tuple[Plugin, str]]:
    """The entry points of the group `genzoo` and the modules they name, from the distributions on `sys.path`.

    What `importlib.metadata.entry_points` would give; importing that takes a fifth of the time of `genzoo list`.
    """
    seen = set()
    for folder in sys.path:
        try:
            names = sorted(os.listdir(folder or "."))
        except OSError:
            continue
        for name in names:
            if not name.endswith((".dist-info", ".egg-info")):
                continue
            path = os.path.join(folder, name)
            section = re.search(rf"^\[{GROUP}\]\s*$([^\[]*)", _text(path, "entry_points.txt"), flags=re.MULTILINE)
            if section is None:
                continue
            about = _text(path, "METADATA") or _text(path, "PKG-INFO")
            facts = dict(re.findall(r"^(Name|Version): *(.+?)\s*$", about.partition("\n\n")[0], flags=re.MULTILINE))
            distribution = re.sub(r"[-_.]+", "-", facts.get("Name", name.partition("-")[0])).lower()
            if distribution in seen:  # the first on the path is the one that is imported
                continue
            seen.add(distribution)
            for entry, target in re.findall(r"^\s*([^#=\s][^=]*?)\s*=\s*([\w.]+)", section[1], flags=re.MULTILINE):
                yield Plugin(entry, distribution, facts.get("Version", "")), target


def _text(folder: str, name: str) -> str:
    try:
        with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _same(one: Any, other: Any) -> bool:
    """Whether two specs want one name. Measures of two modalities may share it."""
    of_one_kind = not isinstance(one, MetricSpec) or one.modality == other.modality
    return bool(one.name == other.name and of_one_kind)


class Shelf(Generic[Spec]):
    """The specs of one kind by name. What two distributions give under one name is found as `distribution/name`."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: list[tuple[Plugin, Spec]] = []

    def add(self, plugin: Plugin, spec: Spec) -> None:
        for other, present in self._entries:
            if not _same(present, spec):
                continue
            plugin.problems.append(_same_name(self.kind, spec.name, other.distribution, plugin.distribution))
            other.problems.append(_same_name(self.kind, spec.name, plugin.distribution, other.distribution))
        self._entries.append((plugin, spec))

    def has(self, distribution: str, name: str) -> bool:
        """Whether `distribution` gives `name` already."""
        return any((p.distribution, s.name) == (distribution, name) for p, s in self._entries)

    def get(self, name: str) -> tuple[Plugin, Spec]:
        """The plugin and spec of `name` or `distribution/name`. Raises `UsageError`."""
        found = [(p, s) for p, s in self._entries if name in (s.name, f"{p.distribution}/{s.name}")]
        if len(found) == 1:
            return found[0]
        if found:
            both = " or ".join(sorted(f"{p.distribution}/{s.name}" for p, s in found))
            raise UsageError(f"{self.kind} {name!r} is given by {len(found)} plugins; say {both}")
        raise unknown(self.kind, name, self.names())

    def names(self) -> list[str]:
        """The names that `get` takes, sorted; qualified where two distributions give one name."""
        return sorted(name for name, _, _ in self)

    def __iter__(self) -> Iterator[tuple[str, Plugin, Spec]]:
        counts: dict[str, int] = {}
        for _, spec in self._entries:
            counts[spec.name] = counts.get(spec.name, 0) + 1
        for plugin, spec in sorted(self._entries, key=lambda entry: (entry[1].name, entry[0].distribution)):
            name = spec.name if counts[spec.name] == 1 else f"{plugin.distribution}/{spec.name}"
            yield name, plugin, spec


def _same_name(kind: str, name: str, other: str, own: str) -> str:
    return f"{kind} {name!r} is also given by {other}; it is reached as {own}/{name}"


class Registry:
    """All that the installed plugins give, and what is wrong with those that failed."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self.manager = pluggy.PluginManager("genzoo")
        self.manager.add_hookspecs(hookspecs)
        self.plugins: list[Plugin] = []
        self.generators: Shelf[GeneratorSpec] = Shelf("model")
        self.datasets: Shelf[DatasetSpec] = Shelf("data")
        self.commands: Shelf[CommandSpec] = Shelf("command")
        self.metrics: Shelf[MetricSpec] = Shelf("measure")
        self.features: Shelf[FeatureSpec] = Shelf("features")
        self._add_own()
        allowed, blocked = _names(environ.get("GENZOO_PLUGINS")), _names(environ.get("GENZOO_BLOCK"))
        for plugin, target in sorted(installed(), key=lambda found: (found[0].name, found[0].distribution)):
            self.plugins.append(plugin)
            names = {plugin.name, plugin.distribution}
            if (allowed is not None and not names & allowed) or (blocked is not None and names & blocked):
                plugin.status = "blocked"
            else:
                start = perf_counter()
                self._load(plugin, target)
                plugin.seconds = perf_counter() - start

    def _add_own(self) -> None:
        from genzoo.data import DATASETS
        from genzoo.evaluation import FEATURES, METRICS

        core = Plugin("genzoo", "genzoo", "")
        own: tuple[tuple[Shelf[Any], tuple[Any, ...]], ...] = (
            (self.datasets, DATASETS), (self.metrics, METRICS), (self.features, FEATURES),
        )  # fmt: skip
        for shelf, specs in own:
            for spec in specs:
                shelf.add(core, spec)
        self._taken: dict[type, set[str]] = {type(specs[0]): {spec.name for spec in specs} for _, specs in own}
        self._taken |= {GeneratorSpec: set(), CommandSpec: RESERVED_COMMANDS}

    def _load(self, plugin: Plugin, target: str) -> None:
        """Import a plugin, check its hooks and take what it gives: all of it or, with the reason kept, nothing."""
        name = f"{plugin.distribution}:{plugin.name}"
        try:
            module = import_module(target)
            wanted = getattr(module, "GENZOO_API", 1)
            if wanted > hookspecs.API_VERSION:
                raise UsageError(
                    f"it asks for plugin API {wanted}; this genzoo has {hookspecs.API_VERSION}: upgrade genzoo"
                )
            _check_marks(module)
            self.manager.register(module, name)
            self.manager.check_pending()
            given = self._given(plugin, module)
        except (Exception, SystemExit) as error:
            if self.manager.has_plugin(name):
                self.manager.unregister(name=name)
            plugin.status = "failed"
            plugin.problems.append(_reason(error))
            return
        plugin.module = module
        for shelf, spec in given:
            shelf.add(plugin, spec)

    def _given(self, plugin: Plugin, module: ModuleType) -> list[tuple[Shelf[Any], Any]]:
        given: list[tuple[Shelf[Any], Any]] = []
        shelves: dict[str, dict[type, Shelf[Any]]] = {
            "genzoo_generators": {GeneratorSpec: self.generators},
            "genzoo_datasets": {DatasetSpec: self.datasets},
            "genzoo_commands": {CommandSpec: self.commands},
            "genzoo_metrics": {MetricSpec: self.metrics, FeatureSpec: self.features},
        }
        for hook, kinds in shelves.items():
            function = getattr(module, hook, None)
            for spec in function() if function else ():
                kind = type(spec)
                if (shelf := kinds.get(kind)) is None:
                    allowed = " or a ".join(allowed.__name__ for allowed in kinds)
                    raise TypeError(f"{hook} gives a {kind.__name__}, not a {allowed}")
                spec.check()
                if spec.name in self._taken[kind]:
                    raise ValueError(f"{shelf.kind} {spec.name!r} is genzoo's own; choose another name")
                twice = any(spec.name == other.name for _, other in given if type(other) is kind)
                if twice or shelf.has(plugin.distribution, spec.name):
                    raise ValueError(f"{shelf.kind} {spec.name!r} is given twice")
                given.append((shelf, spec))
        return given

    def watch(self, watchers: list[object]) -> Callable[[str, dict[str, Any]], list[str]]:
        """A function that calls a `genzoo_run_...` hook of every plugin and of `watchers`, and returns what failed."""
        implementations = [
            (name, {hook: getattr(plugin, hook, None) for hook in WATCHED})
            for name, plugin in [*self.manager.list_name_plugin(), *((type(w).__name__, w) for w in watchers)]
        ]

        def call(hook: str, arguments: dict[str, Any]) -> list[str]:
            failures = []
            for name, hooks in implementations:
                if (function := hooks[hook]) is None:
                    continue
                wanted = inspect.signature(function).parameters
                try:
                    function(**{key: value for key, value in arguments.items() if key in wanted})
                except Exception as error:
                    failures.append(f"{hook} of {name} failed: {one_line(error)}")
            return failures

        return call


WATCHED = ("genzoo_run_started", "genzoo_run_logged", "genzoo_run_saved", "genzoo_run_ended")
RESERVED_COMMANDS: set[str] = {
    "list", "info", "train", "resume", "sample", "reconstruct", "interpolate", "export", "evaluate", "compare",
    "runs", "show", "data",
    "plugins", "provenance", "new", "check", "install", "uninstall", "doctor",
}  # fmt: skip


def _names(text: str | None) -> set[str] | None:
    return None if text is None else {part.strip() for part in text.split(",") if part.strip()}


def _check_marks(module: ModuleType) -> None:
    for name, function in vars(module).items():
        if name.startswith("genzoo_") and inspect.isfunction(function) and not hasattr(function, "genzoo_impl"):
            raise UsageError(f"its function {name} is not marked @genzoo.hookimpl")


def _reason(error: BaseException) -> str:
    if isinstance(error, UsageError):
        return str(error)
    if isinstance(error, pluggy.PluginValidationError):
        text = "; ".join(str(error).splitlines())
        if match := re.search(r"unknown hook '(\w+)'", text):
            known = [name for name in vars(hookspecs) if name.startswith("genzoo_")]
            return str(unknown("hook", match[1], known))
        return text
    return one_line(error)


@cache
def registry() -> Registry:
    """The registry of this process, made at first use."""
    return Registry()
