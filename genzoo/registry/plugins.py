"""Plugins loaded one by one. One that fails is kept with the reason; the others work."""

from __future__ import annotations

import os
import re
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from functools import cache
from importlib import import_module
from itertools import chain
from time import perf_counter
from typing import TYPE_CHECKING, Any

import pluggy

from genzoo.interface import hookspecs
from genzoo.interface.errors import GenzooError, GenzooWarning, UsageError, one_line, unknown
from genzoo.interface.options import options_of
from genzoo.interface.specs import (
    CommandSpec,
    DatasetSpec,
    FeatureSpec,
    GeneratorSpec,
    Json,
    MetricSpec,
    ModalitySpec,
    load_target,
)
from genzoo.registry.installed import CORE, Plugin, installed
from genzoo.registry.shelf import AnySpec, Shelf, same_name
from genzoo.registry.watchers import guarded

if TYPE_CHECKING:
    from genzoo.interface.modality import Modality


class Registry:
    """All that the installed plugins give, and what is wrong with those that failed."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._asked = _manager()  # has one plugin at a time, so that what each gives is known to be its own
        self.plugins: list[Plugin] = []
        self.modalities: Shelf[ModalitySpec] = Shelf("modality")
        self.generators: Shelf[GeneratorSpec] = Shelf("model")
        self.datasets: Shelf[DatasetSpec] = Shelf("data")
        self.commands: Shelf[CommandSpec] = Shelf("command")
        self.metrics: Shelf[MetricSpec] = Shelf("measure")
        self.features: Shelf[FeatureSpec] = Shelf("features")
        self.loaded: dict[str, Modality[Any]] = {}  # modalities that were asked for
        self.warned_of: set[tuple[str, str | None]] = set()  # owners of another source, and the source now
        self._shelves: dict[str, dict[type, Shelf[Any]]] = {
            "genzoo_modalities": {ModalitySpec: self.modalities},
            "genzoo_generators": {GeneratorSpec: self.generators},
            "genzoo_datasets": {DatasetSpec: self.datasets},
            "genzoo_commands": {CommandSpec: self.commands},
            "genzoo_metrics": {MetricSpec: self.metrics, FeatureSpec: self.features},
        }
        self._load(environ)

    def _load(self, environ: Mapping[str, str]) -> None:
        """Import every plugin and call its hooks; then take what each gives, all of it or, with the reason kept,
        nothing. genzoo's own come first, then those that bring a modality, as others may be of it."""
        allowed, blocked = _names(environ.get("GENZOO_PLUGINS")), _names(environ.get("GENZOO_BLOCK"))
        offers: list[tuple[Plugin, list[AnySpec]]] = []
        for plugin, target in sorted(installed(), key=lambda pair: (pair[0].name, pair[0].distribution)):
            self.plugins.append(plugin)
            names = {plugin.name, plugin.distribution}
            listed = allowed is None or plugin.distribution == CORE or bool(names & allowed)
            if not listed or (blocked is not None and names & blocked):
                plugin.status = "blocked"
                continue
            if plugin.api > hookspecs.API_VERSION:
                have = hookspecs.API_VERSION
                _fail(plugin, UsageError(f"it is for plugin API {plugin.api}; this genzoo has {have}: upgrade genzoo"))
                continue
            start = perf_counter()
            try:
                with redirect_stdout(sys.stderr):  # what it prints is not what a command was asked for
                    offers.append((plugin, self._import(plugin, target)))
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # GeneratorExit and SystemExit too: a plugin ends no command
                _fail(plugin, error)
            plugin.seconds = perf_counter() - start

        def rank(offer: tuple[Plugin, list[AnySpec]]) -> int:
            if offer[0].distribution == CORE:
                return 0
            return 1 if any(isinstance(spec, ModalitySpec) for spec in offer[1]) else 2

        for plugin, specs in sorted(offers, key=rank):
            try:
                self._check(plugin, specs)
            except Exception as error:
                _fail(plugin, error)
                continue
            for spec in specs:
                self._shelf(spec).add(plugin, spec)
        failed = [plugin.name for plugin in self.plugins if plugin.status == "failed"]
        for shelf in (self.modalities, self.generators, self.datasets, self.commands):
            shelf.failed = failed

    def _import(self, plugin: Plugin, target: str) -> list[AnySpec]:
        """What a plugin's hooks give. Raises whatever is wrong with it."""
        plugin.module = module = import_module(target)
        return self.offered(module)

    def offered(self, module: object) -> list[AnySpec]:
        """What the hooks of a module, or of another object, give. Raises whatever is wrong with it."""
        _check_marks(module)
        specs: list[AnySpec] = []
        try:
            self._asked.register(module)
            self._asked.check_pending()
            for hook, shelves in self._shelves.items():
                for spec in chain.from_iterable(getattr(self._asked.hook, hook)()):
                    if type(spec) not in shelves:
                        kinds = " or a ".join(kind.__name__ for kind in shelves)
                        raise TypeError(f"{hook} gives a {type(spec).__name__}, not a {kinds}")
                    specs.append(spec)
            self._asked.unregister(module)
        except BaseException:
            self._asked = _manager()  # pluggy does not let go of what it refused
            raise
        return specs

    def add(self, plugin: Plugin, specs: list[AnySpec]) -> None:
        """Take what a plugin of this session gives, in place of what one of the same name and source gave. Raises
        `ValueError` or `TypeError` for what is not valid, or is called as what others give."""
        for before in [
            p for p in self.plugins if p.source and (p.name, p.distribution) == (plugin.name, plugin.distribution)
        ]:
            self.plugins.remove(before)
            for shelves in self._shelves.values():
                for shelf in shelves.values():
                    shelf.remove(before)
        for spec in specs:
            shelf = self._shelf(spec)
            for _, other, present in shelf:
                if same_name(present, spec):
                    raise ValueError(
                        f"{shelf.kind} {spec.name!r} is taken by {other.distribution}; choose another name"
                    )
        self._check(plugin, specs)
        self.plugins.append(plugin)
        for spec in specs:
            self._shelf(spec).add(plugin, spec)

    def _shelf(self, spec: AnySpec) -> Shelf[Any]:
        return next(shelves[type(spec)] for shelves in self._shelves.values() if type(spec) in shelves)

    def _check(self, plugin: Plugin, specs: list[AnySpec]) -> None:
        """Raises what is wrong with what a plugin gives, among itself and with what is there."""
        modalities = {spec.name: spec for _, _, spec in self.modalities}
        modalities |= {spec.name: spec for spec in specs if isinstance(spec, ModalitySpec)}
        for number, spec in enumerate(specs):
            spec.check()
            shelf = self._shelf(spec)
            reserved = isinstance(spec, CommandSpec) and spec.name in RESERVED_COMMANDS
            if plugin.distribution != CORE and (reserved or shelf.of_distribution(CORE, spec)):
                raise ValueError(f"{shelf.kind} {spec.name!r} is genzoo's own; choose another name")
            twice = any(type(other) is type(spec) and same_name(other, spec) for other in specs[:number])
            if twice or shelf.of_distribution(plugin.distribution, spec):
                raise ValueError(f"{shelf.kind} {spec.name!r} is given twice")
            if isinstance(spec, ModalitySpec):
                check_write_options(spec)
            elif not isinstance(spec, CommandSpec):
                of_any = isinstance(spec, MetricSpec) and not spec.modality
                if spec.modality not in modalities and not of_any:
                    raise ValueError(
                        f"{shelf.kind} {spec.name!r} is of modality {spec.modality!r}; installed are"
                        f" {', '.join(sorted(modalities))}"
                    )
                if isinstance(spec, GeneratorSpec):
                    check_options(spec, modalities[spec.modality])

    def watch(self, watchers: Sequence[object]) -> Callable[[str, dict[str, object]], list[str]]:
        """A function that calls a `genzoo_run_...` hook of every plugin and of `watchers`, and returns what failed.

        pluggy calls them, so `tryfirst`, `trylast` and wrappers mean what they do there; one that raises keeps none of
        the others from being called.
        """
        manager = _manager()
        failures: list[str] = []
        plugins = [(f"{p.distribution}:{p.name}", p.module) for p in self.plugins if p.module is not None]
        for name, watcher in [*plugins, *((type(watcher).__name__, watcher) for watcher in watchers)]:
            manager.register(guarded(name, watcher, failures))

        def call(hook: str, arguments: dict[str, object]) -> list[str]:
            failures.clear()
            getattr(manager.hook, hook)(**arguments)
            return list(failures)

        return call


SLOW = 0.5  # seconds that a plugin may take to load
RESERVED_COMMANDS: set[str] = {
    "list", "info", "train", "resume", "sample", "reconstruct", "interpolate", "walk", "latent", "export", "evaluate",
    "compare", "runs", "show", "prune", "rm", "rename", "note", "plot", "cite",
    "data", "plugins", "provenance", "new", "check", "install", "uninstall", "doctor",
}  # fmt: skip
RESERVED = ("preset", "like", "config", "set", "json", "help")  # names that no option of a training can have
RESERVED_IN_SAMPLING = (
    "n", "count", "label", "labels", "seed", "out", "overwrite", "batch_size", "weights", "device", "run", "runs_dir",
    "progress", "json", "help", "features", "data", "data_dir", "html", "markdown",
    "fast", "measures",
)  # fmt: skip


def check_options(spec: GeneratorSpec, modality: ModalitySpec) -> None:
    """Raises `ValueError` or `TypeError` saying what is wrong with a model's options beside those of its modality."""
    training, options = options_of(modality.train_options), options_of(spec.config)
    writing = options_of(modality.write_options)
    if clash := [name for name in options if name in training or name in RESERVED]:
        raise ValueError(f"model {spec.name!r} has an option {clash[0]!r}, which every training has")
    if clash := [name for name in options_of(spec.sample_options) if name in (*RESERVED_IN_SAMPLING, *writing)]:
        raise ValueError(f"model {spec.name!r} has a sampling option {clash[0]!r}, which every sampling has")
    if isinstance(spec.example_length, str) and spec.example_length not in options:
        raise ValueError(f"model {spec.name!r} has no option {spec.example_length!r}, which example_length names")
    for values in (spec.defaults, *spec.presets.values()):
        for name, value in values.items():
            if name not in options and name not in training:
                raise ValueError(f"model {spec.name!r} gives a value to {name!r}, which is no option")
            if name == "batch_size" and not spec.mini_batches:
                raise ValueError(f"model {spec.name!r} gives a value to 'batch_size' and says mini_batches=False")
            (options.get(name) or training[name]).check(value, spec.name)


def check_write_options(spec: ModalitySpec) -> None:
    """Raises `ValueError` or `TypeError` saying what is wrong with the options of a modality."""
    options_of(spec.train_options)
    if clash := [name for name in options_of(spec.write_options) if name in RESERVED_IN_SAMPLING]:
        raise ValueError(f"modality {spec.name!r} has an option of writing {clash[0]!r}, which every sampling has")


def _manager() -> pluggy.PluginManager:
    manager = pluggy.PluginManager("genzoo")
    manager.add_hookspecs(hookspecs)
    return manager


def _fail(plugin: Plugin, error: BaseException) -> None:
    plugin.status, plugin.module, plugin.error = "failed", None, error
    plugin.problems.append(_reason(error))


def _names(text: str | None) -> set[str] | None:
    return None if text is None else {part.strip() for part in text.split(",") if part.strip()}


def _check_marks(module: object) -> None:
    for name in dir(module):
        function: Any = getattr(module, name, None) if name.startswith("genzoo_") else None
        if not callable(function):
            continue
        if not hasattr(function, "genzoo_impl"):
            raise UsageError(f"its function {name} is not marked @genzoo.hookimpl")
        if function.genzoo_impl["hookwrapper"]:
            raise UsageError(f"its hook {name} is a wrapper of the old style; mark it @genzoo.hookimpl(wrapper=True)")


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
    """The registry of this process, made at first use. A plugin that takes longer to load than GENZOO_SLOW_SECONDS, by
    default half a second, is warned of."""
    made = Registry()
    for plugin in made.plugins:
        if plugin.seconds > float(os.environ.get("GENZOO_SLOW_SECONDS", SLOW)):
            warnings.warn(
                f"plugin {plugin.name} of {plugin.distribution} takes {plugin.seconds:.1f} s to load, in every command;"
                f" GENZOO_BLOCK={plugin.name} leaves it out, GENZOO_SLOW_SECONDS={plugin.seconds * 2:.0f} says no more"
                " of it",
                GenzooWarning,
                stacklevel=2,
            )
    return made


def modality_of(name: str) -> Modality[Any]:
    """The modality of a name, as its plugin gives it; imports what is heavy. Raises `UsageError` for one that is not
    installed, `GenzooError` if it cannot be loaded."""
    known = registry()
    if name not in known.loaded:
        known.loaded[name] = _loaded(*known.modalities.get(name))
    return known.loaded[name]


def _loaded(plugin: Plugin, spec: ModalitySpec) -> Modality[Any]:
    from genzoo.interface.modality import Modality

    owner = f"modality {spec.name!r} of {plugin.distribution}"
    kind = load_target(spec.target, owner)
    if not (isinstance(kind, type) and issubclass(kind, Modality)):
        raise GenzooError(f"{owner}: {spec.target} is not a genzoo.Modality")
    modality = kind()
    modality.spec = spec
    return modality


def spec_of(model: str, distribution: str, owner: str, source: Json | None = None) -> tuple[GeneratorSpec, Plugin]:
    """A model as its plugin registers it now; `source` is what a run says of one that no distribution gave. Raises
    `UsageError` naming the `owner` if it does not."""
    for _, plugin, spec in registry().generators:
        if spec.name == model and plugin.distribution == distribution and source is None:
            return spec, plugin
    if source is not None:
        return _spec_of_source(model, source, owner)
    for plugin in registry().plugins:
        if plugin.distribution == distribution and plugin.status == "failed":
            raise UsageError(f"{owner} needs the plugin {distribution}, which failed: {'; '.join(plugin.problems)}")
    raise UsageError(f"{owner} needs the plugin {distribution} with model {model!r}; it is not installed")


def _spec_of_source(model: str, source: Json, owner: str) -> tuple[GeneratorSpec, Plugin]:
    """A model that was registered when `owner` was trained, as it is registered or installed now; it is warned of where
    that is not the same."""
    name, sha256 = str(source["name"]), source["sha256"]
    entries = [(plugin, spec) for _, plugin, spec in registry().generators if spec.name == model]
    for plugin, spec in entries:
        now = None if plugin.source is None else plugin.source.sha256
        if (now is None or now != sha256) and (owner, now) not in registry().warned_of:
            registry().warned_of.add((owner, now))
            text = f"{owner} was trained by another {model}, of {name} (SHA-256 {_short(sha256)}); this one is of"
            text += f" {plugin.distribution} " + (
                plugin.version if plugin.source is None else f"(SHA-256 {_short(now)})"
            )
            warnings.warn(text, GenzooWarning, stacklevel=4)
        return spec, plugin
    if source.get("file"):
        give = f"give that file: genzoo --plugin {name}, or genzoo.register({name!r})"
    else:
        give = "run the cell that has it, and its genzoo.register(...)"
    raise UsageError(f"{owner} is of model {model!r}, which {name} had (SHA-256 {_short(sha256)}); {give}")


def _short(sha256: str | None) -> str:
    return "unknown" if sha256 is None else sha256[:12]
