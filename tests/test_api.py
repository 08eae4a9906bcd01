"""The public names have the signatures that they had. After a wanted change: `uv run python tests/test_api.py`."""

import ast
import inspect
import re
import typing
import warnings
from pathlib import Path

import pytest

import genzoo
import genzoo.testing
from genzoo.interface import hookspecs
from genzoo.registry.plugins import registry

SNAPSHOT = Path(__file__).with_name("api.txt")


def lines_of(name, value):
    """A line for a function or a class, and one for each of a class's own public methods, properties and fields."""
    if inspect.ismodule(value):
        for key, member in sorted(vars(value).items()):
            home = getattr(member, "__module__", "")
            if not key.startswith("_") and callable(member) and home.startswith(value.__name__):
                yield from lines_of(f"{name}.{key}", member)
    elif typing.get_origin(value):  # a type that has a name
        yield f"{name} = {value}"
    elif inspect.isclass(value):
        bases = ", ".join(base.__name__ for base in value.__bases__ if base not in (object, typing.Generic))
        yield f"class {name}({bases})"
        if not issubclass(value, BaseException):
            try:
                yield f"{name}{inspect.signature(value)}"
            except (ValueError, TypeError):
                pass
        for key, member in sorted(vars(value).items()):
            if key.startswith("_"):
                continue
            if isinstance(member, (staticmethod, classmethod)):
                member = member.__func__
            if inspect.isfunction(member):
                yield f"{name}.{key}{inspect.signature(member)}"
            elif isinstance(member, property) or inspect.isdatadescriptor(member):
                yield f"{name}.{key}"
    elif callable(value):
        yield f"{name}{inspect.signature(value)}"
    else:
        yield f"{name}: {type(value).__name__}"


def api():
    """All that is public, as lines."""
    found = []
    for name in sorted(set(genzoo.__all__) - {"__version__"}):
        found += lines_of(name, getattr(genzoo, name))
    for name in sorted(genzoo.testing.__all__):
        found += lines_of(f"testing.{name}", getattr(genzoo.testing, name))
    for name, hook in sorted(vars(hookspecs).items()):
        if name.startswith("genzoo_"):
            found.append(f"hook {name}{inspect.signature(hook)}")
    text = "\n".join(line.replace("typing.", "") for line in found) + "\n"
    text = re.sub(r"ForwardRef\('([^']*)'\)", r"\1", text)  # of a NamedTuple, before Python 3.14
    return re.sub(r" at 0x[0-9a-f]+", "", text)  # where a default lies in memory


def test_nothing_public_changed_unseen():
    assert api() == SNAPSHOT.read_text("utf-8"), "a wanted change: uv run python tests/test_api.py"


def defined_in_genzoo():
    """Names of the classes and type aliases of all modules."""
    for path in Path(genzoo.__file__).parent.rglob("*.py"):
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef):
                yield node.name
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                name, variable = (
                    node.targets[0].id,
                    isinstance(node.value, ast.Call) and "TypeVar" in ast.dump(node.value),
                )
                if name[:1].isupper() and not name.isupper() and not variable:
                    yield name


def signatures(name, value):
    """Public functions, and classes with their public methods and properties: a name, and the annotations of each."""
    if inspect.isfunction(value):
        yield name, inspect.get_annotations(value), inspect.signature(value)
    elif inspect.isclass(value):
        yield name, {k: a for k, a in inspect.get_annotations(value).items() if not k.startswith("_")}, None
        protocol = getattr(value, "_is_protocol", False)
        for key, member in vars(value).items():
            function = getattr(member, "__func__", None) or getattr(member, "fget", None) or member
            if inspect.isfunction(function) and (not key.startswith("_") or (key == "__init__" and not protocol)):
                yield f"{name}.{key}", inspect.get_annotations(function), inspect.signature(function)


def test_every_type_in_a_public_signature_is_public_and_every_signature_is_typed():
    public, internal = {*genzoo.__all__, *genzoo.testing.__all__}, set(defined_in_genzoo())
    missing = set()
    for name in public:
        for owner, annotations, signature in signatures(
            name, getattr(genzoo, name, None) or getattr(genzoo.testing, name)
        ):
            for parameter, annotation in annotations.items():
                text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", repr(annotation))
                names = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
                missing |= {(owner, parameter, hidden) for hidden in names & internal - public}
            if signature is not None:
                untyped = {p for p in signature.parameters if p not in annotations} - {"self", "cls"}
                missing |= {(owner, parameter, "untyped") for parameter in untyped}
                if not owner.endswith("__init__") and "return" not in annotations:
                    missing.add((owner, "return", "untyped"))
    assert missing == set()


def test_plugin_api_1_is_promised():
    assert genzoo.API_VERSION == 1
    assert "**Plugin API 1**" in (Path(__file__).parents[1] / "docs" / "stability.md").read_text("utf-8")


def test_a_deprecated_hook_warns_with_the_plugins_name(install, monkeypatch):
    """As it would be deprecated: by pluggy's own means."""

    @hookspecs.hookspec(warn_on_impl=DeprecationWarning("genzoo_generators is no longer needed"))
    def genzoo_generators():
        """Deprecated for this test."""

    monkeypatch.setattr(hookspecs, "genzoo_generators", genzoo_generators)
    install("old_plugin", """
        import genzoo
        @genzoo.hookimpl
        def genzoo_generators():
            return []
    """)  # fmt: skip
    monkeypatch.setenv("GENZOO_PLUGINS", "old_plugin")
    with pytest.warns(DeprecationWarning, match="no longer needed"):
        found = registry().plugins
    assert {plugin.name: plugin.status for plugin in found}["old_plugin"] == "loaded"


if __name__ == "__main__":
    with warnings.catch_warnings():
        SNAPSHOT.write_text(api(), "utf-8")
