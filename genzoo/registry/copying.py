"""The sources of a plugin made of sources that are there: of a model in one file, or of an installed plugin's."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import packages_distributions, requires
from pathlib import Path

from genzoo.interface.errors import UsageError, some_of
from genzoo.interface.specs import GeneratorSpec, ModalitySpec
from genzoo.registry.installed import CORE
from genzoo.registry.plugins import registry
from genzoo.registry.session import register

HEAVY = ("torch", "torchvision", "numpy", "scipy", "sklearn", "matplotlib", "PIL", "transformers", "diffusers")
BROUGHT = {"genzoo", "torch", "numpy", "pillow", "matplotlib", "safetensors"}  # by genzoo
INDENT = " " * 12


@dataclass(frozen=True)
class PackageSources:
    """The files of a package by name, and what its distribution needs besides genzoo."""

    files: Mapping[str, str]
    needs: tuple[str, ...]


@dataclass(frozen=True)
class Statement:
    """One at the top of a file, with the comments above it."""

    node: ast.stmt
    text: str

    @property
    def is_import(self) -> bool:
        return isinstance(self.node, (ast.Import, ast.ImportFrom))

    @property
    def defines(self) -> set[str]:
        """The names that are bound."""
        if isinstance(self.node, (ast.Import, ast.ImportFrom)):
            return {alias.asname or alias.name.partition(".")[0] for alias in self.node.names}
        if isinstance(self.node, (ast.FunctionDef, ast.ClassDef)):
            return {self.node.name}
        return {n.id for n in ast.walk(self.node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}

    @property
    def uses(self) -> set[str]:
        """The names that are read."""
        return names_in(self.node)

    def importing(self, names: set[str]) -> str:
        """An import of these names alone; empty if it is of none."""
        assert isinstance(self.node, (ast.Import, ast.ImportFrom)), "an import is asked for its names"
        kept = [alias for alias in self.node.names if (alias.asname or alias.name.partition(".")[0]) in names]
        if len(kept) == len(self.node.names):
            return self.text.strip()
        if isinstance(self.node, ast.Import):
            return ast.unparse(ast.Import(kept)) if kept else ""
        return ast.unparse(ast.ImportFrom(self.node.module, kept, self.node.level)) if kept else ""


def names_in(node: ast.AST) -> set[str]:
    """The names in a piece of a program, also those in annotations that are texts."""
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}


@dataclass(frozen=True)
class Module:
    """A file of Python, taken apart."""

    document: str
    statements: tuple[Statement, ...]
    text: str

    @classmethod
    def of(cls, text: str) -> Module:
        tree, lines, end = ast.parse(text), text.splitlines(keepends=True), 0
        statements = []
        for node in tree.body:
            statements.append(Statement(node, "".join(lines[end : node.end_lineno]).strip("\n")))
            end = node.end_lineno or end
        document = ast.get_docstring(tree) or ""
        return cls(document, tuple(statements[1:] if document else statements), text)

    def needed(self, names: Iterable[str], without: Iterable[str] = ()) -> set[str]:
        """All that is defined here and needed for `names`, also by what these need; but not `without`."""
        reached, ahead, without = set[str](), set(names), set(without)
        while ahead := ahead - reached - without:
            reached |= ahead
            ahead = {name for s in self.statements if not s.is_import and s.defines & ahead for name in s.uses}
        return reached

    def written(
        self, document: str, names: set[str], definitions: set[str], *, and_rest: bool, between: str = ""
    ) -> str:
        """A module with the imports that bind `names`, and `definitions`, or with `and_rest` all others than these."""
        imports = [line for s in self.statements if s.is_import and not _is_future(s) and (line := s.importing(names))]
        body = [
            s.text.strip("\n") for s in self.statements if not s.is_import and bool(s.defines & definitions) != and_rest
        ]
        head = ['"""' + document + '"""', "from __future__ import annotations"]
        lines = dict.fromkeys([*imports, *([between] if between else [])])
        groups = ["\n".join(line for line in lines if _group(line) == group) for group in range(3)]
        imported = "\n\n".join(group for group in groups if group)
        return "\n\n".join([*head, imported, *("\n" + part for part in body)]).rstrip() + "\n"


def _group(line: str) -> int:
    """Where an import stands: Python's own, others', genzoo's."""
    module = line.split()[1].partition(".")[0]
    return 0 if module in sys.stdlib_module_names else 2 if module.startswith(CORE) else 1


def _is_future(statement: Statement) -> bool:
    return isinstance(statement.node, ast.ImportFrom) and statement.node.module == "__future__"


def facts_of(module: Module, model: str) -> dict[str, str]:
    """What a file says of a model where it is registered: the text of each argument, by name. Raises `UsageError`."""
    for call in (node for s in module.statements for node in ast.walk(s.node) if isinstance(node, ast.Call)):
        called = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        arguments = {k.arg: _segment(module.text, k.value) for k in call.keywords if k.arg}
        if called == "GeneratorSpec" and arguments.get("name", "").strip("\"'") == model:
            return arguments
        if called == "register" and call.args:
            return arguments
    raise UsageError(f"model {model!r} is not registered there with its name written out")


def _segment(text: str, node: ast.expr) -> str:
    """The text of an argument, indented as it is to stand."""
    segment = ast.get_source_segment(text, node) or ast.unparse(node)
    first, *rest = segment.splitlines()
    if not rest or '"""' in segment:
        return segment
    return "\n".join([first, textwrap.indent(textwrap.dedent("\n".join(rest)), INDENT)])


def _hook(facts: Mapping[str, str]) -> str:
    arguments = "\n".join(f"{INDENT}{name}={text}," for name, text in facts.items())
    return (
        textwrap.dedent('''
        @genzoo.hookimpl
        def genzoo_generators() -> list[genzoo.GeneratorSpec]:
            """What `genzoo list` shows."""
            return [
                genzoo.GeneratorSpec(
        ''')
        + f"{arguments}\n        )\n    ]\n"
    )


def _light(
    module: Module, facts: Mapping[str, str], more: Iterable[str], without: set[str], document: str
) -> tuple[str, set[str]]:
    """The top module: what the facts need, and `more`, with the hook behind; and what is defined in it."""
    wanted = {name for text in facts.values() for name in names_in(ast.parse(f"({text})", mode="eval"))} | set(more)
    needed = module.needed(wanted, without)
    defined = {name for s in module.statements if not s.is_import for name in s.defines & needed}
    text = module.written(document, needed | {"genzoo"}, defined, and_rest=False, between="import genzoo")
    heavy = sorted(
        {line.split()[1].partition(".")[0] for line in text.splitlines() if re.match(r"(import|from) ", line)}
        & set(HEAVY)
    )
    if heavy:
        raise UsageError(
            f"what registers the model needs {some_of(heavy)}; options may not, as every command reads them"
        )
    return text.rstrip() + "\n\n" + _hook(facts), defined


def model_in(path: str | Path, name: str | None = None) -> GeneratorSpec:
    """The model that a file registers, or the one of a name. Raises `UsageError` if there is none, or several."""
    specs = register(path)
    matching = [spec for spec in specs if name in (None, spec.name)] or (specs if len(specs) == 1 else [])
    if len(matching) != 1:
        raise UsageError(f"{path} registers {some_of([s.name for s in specs]) or 'no model'}; name one of them")
    return matching[0]


def of_file(path: Path, name: str, package: str) -> PackageSources:
    """The sources of a package that has the model of one file: its options and hook apart from the model."""
    spec = model_in(path, name)
    module = Module.of(path.read_text("utf-8"))
    kind = spec.target.__name__ if isinstance(spec.target, type) else spec.target.partition(":")[2]
    facts = {
        "name": _quoted(name), "summary": _quoted(spec.summary), "modality": _quoted(spec.modality),
        "target": _quoted(f"{package}.model:{kind}"),
    }  # fmt: skip
    facts = {**facts, **{key: text for key, text in facts_of(module, spec.name).items() if key not in facts}}
    heavy = {s.node.name for s in module.statements if isinstance(s.node, ast.ClassDef) and s.node.name == kind}
    light, defined = _light(module, facts, (), heavy, f"{name} for genzoo: options and registration. Imports no torch.")
    rest = [s for s in module.statements if not s.is_import and not s.defines & defined and not _registers(s)]
    used = {name for s in rest for name in s.uses}
    between = f"from {package} import {', '.join(sorted(defined & used))}" if defined & used else ""
    apart = Module(module.document, tuple(s for s in module.statements if s.is_import or s in rest), module.text)
    model = apart.written(module.document or f"The model {name}.", used, set(), and_rest=True, between=between)
    imported = {n.partition(".")[0] for s in module.statements if s.is_import for n in _imported(s.node)}
    return PackageSources({"__init__.py": light, "model.py": model}, tuple(_distributions(imported)))


def _quoted(text: str) -> str:
    """A text as Python has it, in double quotes."""
    return json.dumps(text, ensure_ascii=False)


def _registers(statement: Statement) -> bool:
    """Whether a statement is a hook, calls `genzoo.register`, or is run by a script alone."""
    node = statement.node
    if isinstance(node, ast.FunctionDef):
        return node.name.startswith("genzoo_") and bool(node.decorator_list)
    is_script = isinstance(node, ast.If) and "__name__" in names_in(node.test)
    return is_script or (
        isinstance(node, ast.Expr) and re.match(r"(genzoo\.)?register\(", ast.unparse(node)) is not None
    )


def _imported(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.ImportFrom):
        yield node.module or ""
    elif isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)


def _distributions(modules: Iterable[str]) -> list[str]:
    """The distributions that bring modules, but those that genzoo brings."""
    known = packages_distributions()
    names = {name for module in modules if module not in sys.stdlib_module_names for name in known.get(module, [])[:1]}
    return sorted(name for name in names if name.lower() not in BROUGHT)


def of_plugin(model: str, name: str, package: str) -> PackageSources:
    """The sources of a package that is a copy of the plugin of a model, with that model alone: called otherwise, and
    without the measures, commands and data sets that the plugin brings besides. Raises `UsageError` for a model that
    cannot be copied alone."""
    plugin, spec = registry().generators.get(model)
    if plugin.source is not None:
        raise UsageError(f"model {model!r} is in {plugin.source.name}; give that: genzoo new {name} --from FILE")
    if any(owner is plugin and isinstance(entry, ModalitySpec) for _, owner, entry in registry().modalities):
        raise UsageError(
            f"model {model!r} comes with its kind of data and cannot be copied alone; begin with a small one: genzoo"
            f" new {name} --modality {spec.modality}"
        )
    assert isinstance(spec.target, str), "what a distribution gives names its class"
    original, _, target = spec.target.partition(":")[0].partition(".")
    located = importlib.util.find_spec(original)
    if located is None or not located.submodule_search_locations:
        raise UsageError(f"the plugin of model {model!r} is one file, {original}.py; give that: --from FILE")
    folder = Path(next(iter(located.submodule_search_locations)))
    modules = _reached(folder, original, target)
    from_top = {name for text in modules.values() for name in _from_top(text, original)}
    top = Module.of((folder / "__init__.py").read_text("utf-8"))
    facts = facts_of(top, spec.name) | {"name": _quoted(name), "target": _quoted(spec.target)}
    submodules = set(modules)
    light, _ = _light(top, facts, from_top - submodules, set(), top.document)
    files = {"__init__.py": light, **{f"{module.replace('.', '/')}.py": text for module, text in modules.items()}}
    renamed = {where: re.sub(rf"\b{original}\b", package, text) for where, text in files.items()}
    needs = [need for need in requires(plugin.distribution) or [] if "extra ==" not in need]
    return PackageSources(renamed, tuple(need for need in needs if not re.match(rf"{CORE}(?![\w.-])", need)))


def _reached(folder: Path, package: str, first: str) -> dict[str, str]:
    """The modules of a package that one of them needs, and itself, by name."""
    reached: dict[str, str] = {}
    ahead = [first]
    while ahead:
        module = ahead.pop()
        path = folder / f"{module.replace('.', '/')}.py"
        if module in reached or not path.is_file():
            continue
        reached[module] = path.read_text("utf-8")
        for node in ast.walk(ast.parse(reached[module])):
            for imported in _imported(node) if isinstance(node, ast.stmt) else ():
                if imported == package and isinstance(node, ast.ImportFrom):
                    ahead += [alias.name for alias in node.names]
                elif imported.startswith(f"{package}."):
                    ahead.append(imported.removeprefix(f"{package}."))
    return reached


def _from_top(text: str, package: str) -> set[str]:
    """The names that a module takes of its package's top module."""
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom) and node.module == package]
    return {alias.name for node in nodes for alias in node.names}
