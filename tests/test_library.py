"""The public names, and the rules of the architecture that a test can read."""

import ast
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import genzoo
from genzoo.interface import hookspecs
from genzoo.registry.installed import CORE
from genzoo.registry.plugins import registry

ROOT = Path(__file__).parents[1]
HOUSE = ROOT / "genzoo"
MODALITIES = ("image", "text")  # genzoo's own, which come in as a stranger's would
ROOMS = {  # from the ground up: what each room may import, besides itself
    "interface": (),
    "registry": ("interface",),
    "kernels": ("interface",),
    "runs": ("interface", "registry"),
    "image": ("interface", "registry"),
    "text": ("interface", "registry"),
    "sampling": ("interface", "registry", "kernels", "runs"),
    "training": ("interface", "registry", "kernels", "runs", "sampling"),
    "evaluation": ("interface", "registry", "runs", "sampling"),
    "testing": ("interface", "registry", "runs", "sampling", "training"),
    "cli": ("interface", "registry", "kernels", "runs", "sampling", "training", "evaluation", "testing"),
}


def module_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {module_of(path): ast.parse(path.read_text("utf-8")) for path in sorted(HOUSE.rglob("*.py"))}


def imports_of(tree):
    """All that a file imports, wherever in it and for whatever: in functions and for types too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield (name if name in SOURCES else node.module), alias.name
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, None


def room_of(module):
    return module.split(".")[1] if "." in module else ""


def strings_in(tree):
    """The texts in a file that are no docstrings."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    docs = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    return [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in docs]


# What is public


def test_every_public_name_is_there_and_documented():
    for name in genzoo.__all__:
        value = getattr(genzoo, name)
        assert name in dir(genzoo)
        if callable(value) and name not in ("hookimpl", "Part", "Progress"):
            assert value.__doc__, name
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = genzoo.nothing


def test_every_hook_is_documented_with_an_example():
    hooks = [value for name, value in vars(hookspecs).items() if name.startswith("genzoo_")]
    assert len(hooks) == 9
    for hook in hooks:
        assert f"def {hook.__name__}(" in hook.__doc__
        assert "@genzoo.hookimpl" in hook.__doc__


def test_core_imports_no_plugin():
    for module, tree in SOURCES.items():
        assert not [name for name, _ in imports_of(tree) if name.startswith("genzoo_")], module


def test_plugins_import_only_public_names():
    paths = list(ROOT.glob("plugins/*/genzoo_*/*.py"))
    assert paths
    for path in paths:
        for module, name in imports_of(ast.parse(path.read_text("utf-8"))):
            if module == "genzoo" or module.startswith("genzoo."):
                public = name or module.partition(".")[2] or "__version__"
                assert public in genzoo.__all__, (path, module, name)


# Rooms


def test_the_listing_shows_the_architecture():
    """At most a dozen entries, besides the two files that Python asks for."""
    entries = {path.name for path in HOUSE.iterdir()} - {"__pycache__", "__main__.py", "py.typed"}
    assert entries == {"__init__.py", *ROOMS}
    assert len(entries) <= 12


def test_imports_between_rooms_run_one_way():
    for module, tree in SOURCES.items():
        room = room_of(module)
        if room in ("", "__main__"):
            continue
        for other, _ in imports_of(tree):
            if other == "genzoo" or other.startswith("genzoo."):
                assert room_of(other) in (room, *ROOMS[room]), f"{module} imports {other}"


def test_no_two_files_import_each_other():
    graph = {
        module: {other for other, _ in imports_of(tree) if other in SOURCES and other != module}
        for module, tree in SOURCES.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"a circle: {' -> '.join(error.args[1])}")


def test_the_order_of_rooms_is_no_circle_itself():
    assert tuple(TopologicalSorter(ROOMS).static_order())  # raises for one
    assert {room_of(module) for module in SOURCES} == {"", "__main__", *ROOMS}


def test_only_its_own_room_knows_a_modality():
    """Outside them no file of the core names a modality, or imports a thing of one's."""
    assert {spec.name for plugin, spec in _own(registry().modalities)} == set(MODALITIES)
    own = {name for room in MODALITIES for module in SOURCES if room_of(module) == room for name in _defined(module)}
    assert {"ImageData", "TokenData", "TextModality"} <= own
    for module, tree in SOURCES.items():
        if room_of(module) in MODALITIES or module == "genzoo":  # which has the public names
            continue
        assert not set(strings_in(tree)) & set(MODALITIES), module
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        names |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        assert not names & {name for name in own if name[0].isupper()}, module
        assert not [other for other, _ in imports_of(tree) if room_of(other) in MODALITIES], module


def _own(shelf):
    return [(plugin, spec) for _, plugin, spec in shelf if plugin.distribution == CORE]


def _defined(module):
    return {node.name for node in SOURCES[module].body if isinstance(node, (ast.ClassDef, ast.FunctionDef))}


def test_genzoos_own_modalities_are_made_of_what_a_stranger_has():
    for module, tree in SOURCES.items():
        if room_of(module) in MODALITIES:
            for other, name in imports_of(tree):
                if other.startswith("genzoo.") and room_of(other) != room_of(module):
                    assert (name or other.rpartition(".")[2]) in genzoo.__all__, (module, other, name)


# What some files alone do


def test_the_engine_alone_imports_accelerate():
    users = {module for module, tree in SOURCES.items() if any(n.startswith("accelerate") for n, _ in imports_of(tree))}
    assert {room_of(module) for module in users} == {"training"}


def test_one_file_alone_knows_the_names_in_a_run():
    names = ("run.json", "metrics.jsonl", "checkpoints", "evaluations", "run.lock", "show.png")
    for module, tree in SOURCES.items():
        if module == "genzoo.runs.folder":
            continue
        strings = [text for text in strings_in(tree) if isinstance(text, str) and " " not in text]
        assert not [text for text in strings if text.strip("/") in names], module


def test_nothing_prints_but_the_command_line():
    for module, tree in SOURCES.items():
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        prints = [node for node in calls if isinstance(node.func, ast.Name) and node.func.id == "print"]
        assert not prints or module in ("genzoo.cli.output", "genzoo.testing.child"), module


def test_no_pickle_is_written_or_read():
    for path in [*HOUSE.rglob("*.py"), *ROOT.glob("plugins/*/genzoo_*/*.py")]:
        names = {name.partition(".")[0] for name, _ in imports_of(ast.parse(path.read_text("utf-8")))}
        assert not names & {"pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}, path
        assert not re.search(r"torch\.(save|load)\(|allow_pickle=True", path.read_text("utf-8")), path


# Names


def test_names_say_what_they_hold():
    """These say nothing of what they hold; the conventions of the project name them."""
    silent = {"found", "given", "own", "what", "that", "said", "told", "beside", "chosen"}
    for module, tree in SOURCES.items():
        bound = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
        bound |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
        bound |= {node.name for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
        bound |= {
            alias.asname for n in ast.walk(tree) if isinstance(n, (ast.Import, ast.ImportFrom)) for alias in n.names
        }
        assert not bound & silent, (module, bound & silent)
