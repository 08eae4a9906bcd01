"""Plugins of this process alone, without a distribution: a file, a model's class, or an object with hooks."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import linecache
import re
import sys
import traceback
from dataclasses import fields
from pathlib import Path
from typing import Any

from genzoo.interface.errors import GenzooError, UsageError, one_line, unknown
from genzoo.interface.specs import GeneratorSpec
from genzoo.registry.installed import Plugin, PluginSource
from genzoo.registry.plugins import registry

SESSION = "session"  # in place of a distribution, of what no file has
OF_A_CLASS = [field.name for field in fields(GeneratorSpec) if field.name != "target"]


def register(plugin: object, **facts: Any) -> list[GeneratorSpec]:
    """Let a model be known that no installed distribution gives, until this process ends: one that was written in a
    cell, in a script, or in a file. What was registered of the same name before is replaced.

        genzoo.register(Mine, name="mine", config=MineOptions, defaults={"steps": 300})
        run = genzoo.train("mine")

    Args:
        plugin: a model's class (`genzoo.Generator`); an object with hooks, as pluggy takes it; or a file of Python that
            has hooks or calls `register` itself, as `genzoo --plugin FILE`.
        **facts: of a class, what `GeneratorSpec` takes. `name` is by default that of the class, `summary` the first
            line of its docstring, `modality` genzoo's first.

    Returns:
        The models that are known by it.

    Raises:
        UsageError: a name that is taken or cannot be, or facts that no model has.
        GenzooError: the file cannot be read, or fails when it runs; or the hooks give something that is not valid.
    """
    if isinstance(plugin, (str, Path)):
        return _register_file(Path(plugin).expanduser())
    if _is_model(plugin):
        spec = _spec(plugin, facts)
        return _add(Plugin(spec.name, "", "", source=source_of(plugin)), [spec])
    if facts:
        raise UsageError(f"{next(iter(facts))} is of a model's class; an object with hooks says all itself")
    return _add_hooks(plugin)


def _is_model(plugin: object) -> bool:
    """Whether it is a model's class; without torch, no such class can be."""
    interface = sys.modules.get("genzoo.interface.generator")
    return interface is not None and isinstance(plugin, type) and issubclass(plugin, interface.Generator)


def _spec(kind: Any, facts: dict[str, Any]) -> GeneratorSpec:
    for name in facts:
        if name not in OF_A_CLASS:
            raise unknown("fact of a model", name, OF_A_CLASS)
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", kind.__name__)
    document = (inspect.getdoc(kind) if "__doc__" in vars(kind) else None) or kind.__name__
    defaults = {
        "name": "-".join(words).lower(), "summary": document.splitlines()[0].rstrip("."),
        "modality": registry().modalities.first()[1].name,
    }  # fmt: skip
    return GeneratorSpec(target=kind, **{**defaults, **facts})


def _add_hooks(plugin: Any) -> list[GeneratorSpec]:
    """Register an object with hooks."""
    if not any(hasattr(getattr(plugin, name, None), "genzoo_impl") for name in dir(plugin)):
        raise UsageError(
            f"{one_line_of(plugin)} is no plugin; allowed is a genzoo.Generator, an object with functions that are"
            " marked @genzoo.hookimpl, or a file of Python"
        )
    name = getattr(plugin, "__name__", type(plugin).__name__).rpartition(".")[2]
    try:
        specs = registry().offered(plugin)
    except Exception as error:
        raise GenzooError(f"plugin {name!r}: {one_line(error)}") from error
    kinds = [spec.target for spec in specs if isinstance(spec, GeneratorSpec) and isinstance(spec.target, type)]
    return _add(Plugin(name, "", "", module=plugin, source=source_of(plugin, *kinds)), specs)


def one_line_of(value: object) -> str:
    """What a value is, for an error."""
    return f"the class {value.__name__}" if isinstance(value, type) else f"a {type(value).__name__}"


def _add(plugin: Plugin, specs: list[Any]) -> list[GeneratorSpec]:
    assert plugin.source is not None, "a plugin of a session has a source"
    plugin.distribution = plugin.source.name
    try:
        registry().add(plugin, specs)
    except (TypeError, ValueError) as error:
        raise UsageError(str(error)) from error
    return [spec for spec in specs if isinstance(spec, GeneratorSpec)]


def _register_file(path: Path) -> list[GeneratorSpec]:
    """Run a file as a module of its own name, and register what it has."""
    if path.suffix != ".py" or not path.stem.isidentifier():
        raise UsageError(f"{str(path)!r} is no plugin; allowed is a file of Python with a name like my_model.py")
    path = path.resolve()
    if not path.is_file():
        raise UsageError(f"plugin {path} does not exist")
    other = sys.modules.get(path.stem) or importlib.util.find_spec(path.stem)
    if (
        other is not None
        and Path(getattr(other, "__file__", None) or getattr(other, "origin", None) or "").resolve() != path
    ):
        raise UsageError(f"{path.name} is called as a module that is installed; give the file another name")
    before = {id(plugin) for plugin in registry().plugins}
    located = importlib.util.spec_from_file_location(path.stem, path)
    assert located is not None, "a file that ends in .py can be imported"
    assert located.loader is not None, "and has a loader"
    module = sys.modules[path.stem] = importlib.util.module_from_spec(located)
    try:
        located.loader.exec_module(module)
    except GenzooError:
        del sys.modules[path.stem]
        raise
    except Exception as error:
        del sys.modules[path.stem]
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        where = f", line {lines[-1]}" if lines else ""
        raise GenzooError(f"plugin {path.name}{where}: {one_line(error)}") from error
    models = [
        spec for _, plugin, spec in registry().generators if plugin.source is not None and plugin.source.path == path
        and id(plugin) not in before
    ]  # fmt: skip
    if any(hasattr(value, "genzoo_impl") for value in vars(module).values()):
        models += _add_hooks(module)
    elif not models:
        raise UsageError(f"plugin {path.name} gives nothing: it calls no genzoo.register(...) and has no hook")
    return models


def source_of(*things: Any) -> PluginSource:
    """The file that classes or modules are written in, or of what has none the cells, as far as Python knows them."""
    first = things[0]
    module = first if inspect.ismodule(first) else sys.modules.get(getattr(first, "__module__", ""))
    if file := getattr(module, "__file__", None):
        path = Path(file).resolve()
        return PluginSource(path.name, hashlib.sha256(path.read_bytes()).hexdigest(), path)
    classes = [thing if isinstance(thing, type) else type(thing) for thing in things]
    functions = [inspect.unwrap(value) for kind in classes for value in vars(kind).values() if callable(value)]
    cells = dict.fromkeys(code.co_filename for function in functions if (code := getattr(function, "__code__", None)))
    text = "".join(line for cell in cells for line in linecache.getlines(cell))
    return PluginSource(SESSION, hashlib.sha256(text.encode()).hexdigest() if text else None, None)
