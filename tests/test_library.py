"""The public names, and the rules of the architecture that a test can read."""

import ast
import re
from pathlib import Path

import pytest

import genzoo
from genzoo import hookspecs

ROOT = Path(__file__).parents[1]
CORE = ROOT / "genzoo"


def imports_of(path):
    """The genzoo modules that a file imports anywhere, and those it imports when it is itself imported."""
    tree = ast.parse(path.read_text())
    top = {node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))}
    every, first = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names = {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
        elif isinstance(node, ast.Import):
            names = {alias.name for alias in node.names}
        else:
            continue
        every |= names
        first |= names if node in top else set()
    return every, first


def modules_in(names):
    return {match[1] for name in names if (match := re.match(r"genzoo\.(\w+)", name))}


def name_of(path):
    """A module of the core, or the package that it is in."""
    return path.stem if path.parent == CORE else path.parent.name


def test_every_public_name_is_there_and_documented():
    for name in genzoo.__all__:
        value = getattr(genzoo, name)
        assert name in dir(genzoo)
        if callable(value) and name != "hookimpl":
            assert value.__doc__, name
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = genzoo.nothing


def test_every_hook_is_documented_with_an_example():
    hooks = [value for name, value in vars(hookspecs).items() if name.startswith("genzoo_")]
    assert len(hooks) == 8
    for hook in hooks:
        assert f"def {hook.__name__}(" in hook.__doc__
        assert "@genzoo.hookimpl" in hook.__doc__


def test_core_imports_no_plugin():
    for path in CORE.rglob("*.py"):
        every, _ = imports_of(path)
        assert not {name for name in every if name.startswith("genzoo_")}, path


def test_plugins_import_only_public_names():
    found = list(ROOT.glob("plugins/*/genzoo_*/*.py"))
    assert found
    for path in found:
        every, _ = imports_of(path)
        for name in (n for n in every if n == "genzoo" or n.startswith("genzoo.")):
            assert name == "genzoo" or name.removeprefix("genzoo.") in genzoo.__all__, (path, name)


def test_imports_run_one_way():
    """errors, options -> specs -> registry, data -> checkpoint, run -> training, sampling -> cli."""
    order = [
        "errors", "options", "spec", "hookspecs", "run_folder", "data", "registry", "randomness", "average", "linear",
        "dropout", "logbook", "generator", "checkpoint", "provenance", "samples", "show", "plan", "sampling",
        "evaluation", "run", "training", "testing", "new", "install", "doctor", "arguments", "progress", "cli",
        "tools", "streaming", "__main__",
    ]  # fmt: skip
    files = {name_of(path) for path in CORE.rglob("*.py")} - {"__init__"}
    assert files == set(order)
    for path in CORE.rglob("*.py"):
        if (own := name_of(path)) == "__init__":
            continue
        _, first = imports_of(path)
        for other in modules_in(first) & set(order):
            allowed = order.index(other) <= order.index(own) or own == "data"
            assert allowed, f"{own} imports {other}"
    data = {m for path in (CORE / "data").glob("*.py") for m in modules_in(imports_of(path)[1])} & set(order)
    assert data <= {"data", "errors", "options", "spec", "run_folder", "registry", "randomness"}


def test_only_two_files_import_accelerate():
    users = {path.name for path in CORE.rglob("*.py") if any(n.startswith("accelerate") for n in imports_of(path)[0])}
    assert users == {"run.py", "training.py"}


def test_nothing_prints_but_the_command_line():
    for path in CORE.rglob("*.py"):
        calls = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)]
        prints = [n for n in calls if isinstance(n.func, ast.Name) and n.func.id == "print"]
        assert not prints or path.name in ("cli.py", "progress.py", "child.py"), path


def test_no_pickle_is_written_or_read():
    for path in [*CORE.rglob("*.py"), *ROOT.glob("plugins/*/genzoo_*/*.py")]:
        every, _ = imports_of(path)
        assert not every & {"pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}, path
        assert not re.search(r"torch\.(save|load)\(|allow_pickle=True", path.read_text()), path
