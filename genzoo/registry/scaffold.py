"""A plugin of one's own to begin with: a whole distribution that builds, installs, passes the checks and trains."""

from __future__ import annotations

import keyword
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template

from genzoo.interface.errors import GenzooError, UsageError
from genzoo.interface.files import check_new_folder
from genzoo.interface.specs import NAME, OF_WINDOWS
from genzoo.interface.version import __version__
from genzoo.registry.copying import of_file, of_plugin
from genzoo.registry.installed import CORE
from genzoo.registry.plugins import RESERVED_COMMANDS, registry

FILES = {  # of the template, by where they go; those of the model are the modality's own
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    "tests/test_$module.py": "test_plugin.py",
    ".github/workflows/test.yml": "ci.yml",
    ".gitignore": "gitignore",
}
OF_MODALITY = {"genzoo_$module/__init__.py": "init.py", "genzoo_$module/model.py": "model.py"}


def new(
    name: str,
    modality: str | None = None,
    folder: str | Path | None = None,
    *,
    from_file: str | Path | None = None,
    copy: str | None = None,
) -> Path:
    """Write a plugin distribution with a small model that works, or with one that is there already.

    Args:
        name: of the model; the distribution is `genzoo-NAME`.
        modality: one that is installed and has a template; None: genzoo's first.
        folder: where it goes; must not exist, or be empty. None: `genzoo-NAME`, here.
        from_file: a file of Python that registers the model, as `genzoo.register` takes it.
        copy: the name of an installed model, whose plugin's sources are copied.

    Raises:
        UsageError: a name that cannot be used or is taken, or a folder that holds something.
        GenzooError: the folder cannot be written.
    """
    if sum(source is not None for source in (modality, from_file, copy)) > 1:
        raise UsageError("--modality, --from and --copy each say what the plugin begins with; give one")
    check_name(name)
    module = name.replace("-", "_")
    if from_file is not None or copy is not None:
        package = f"genzoo_{module}"
        sources = of_plugin(copy, name, package) if copy is not None else of_file(Path(str(from_file)), name, package)
        target, needs = check_new_folder(f"genzoo-{name}" if folder is None else folder), list(sources.needs)
        package_files = {f"{package}/{where}": text for where, text in sources.files.items()}
    else:
        plugin, spec = registry().modalities.first() if modality is None else registry().modalities.get(modality)
        if not spec.template:
            raise UsageError(f"modality {spec.name!r} of {plugin.distribution} has no template")
        target = check_new_folder(f"genzoo-{name}" if folder is None else folder)
        needs = [plugin.distribution] if plugin.distribution != CORE else []
        source, _, inside = spec.template.partition(":")
        package_files = dict(_filled(files(source) / inside, OF_MODALITY, _values(name, needs)))
    try:
        values = _values(name, needs)
        for where, text in {
            **dict(_filled(files("genzoo.registry") / "template", FILES, values)),
            **package_files,
        }.items():
            path = target / where
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8", newline="\n")
        (target / f"genzoo_{module}" / "py.typed").touch()
    except OSError as error:
        raise GenzooError(f"cannot write {error.filename or target}: {error.strerror}") from None
    return target


def _filled(template: Traversable, paths: Mapping[str, str], values: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The files of a template, each where it goes, with `values` in place of names."""
    for where, source in paths.items():
        text = (template / f"{source}.in").read_text("utf-8")
        yield Template(where).substitute(values), Template(text).substitute(values)


def _values(name: str, needs_besides: Sequence[str]) -> dict[str, str]:
    """What a template may name; `needs_besides` are distributions besides genzoo."""
    major, minor = __version__.split(".")[:2]
    needs = [f"genzoo>={major}.{minor},<{major}.{int(minor) + 1}"]
    needs += needs_besides
    return {
        "name": name, "module": name.replace("-", "_"), "Class": class_name(name),
        "dependencies": ", ".join(f'"{need}"' for need in needs),
    }  # fmt: skip


def class_name(name: str) -> str:
    """`my-model` is `MyModel`."""
    return "".join(word.capitalize() for word in name.split("-"))


def check_name(name: str) -> None:
    """Raises `UsageError` if a new model cannot have a name."""
    if not NAME.fullmatch(name):
        raise UsageError(f"{name!r} cannot name a model; allowed are lower-case letters, digits and single hyphens")
    if OF_WINDOWS.fullmatch(name):
        raise UsageError(f"{name!r} cannot name a file on Windows; choose another name")
    if keyword.iskeyword(name) or keyword.iskeyword(class_name(name)) or name in RESERVED_COMMANDS:
        raise UsageError(f"{name!r} is a word of Python's or genzoo's own; choose another name")
    taken = {spec.name: plugin.distribution for _, plugin, spec in registry().generators if plugin.source is None}
    taken |= {
        plugin.distribution.removeprefix("genzoo-"): plugin.distribution
        for plugin in registry().plugins
        if plugin.source is None
    }
    if name in taken:
        raise UsageError(f"{name!r} is taken by {taken[name]}; choose another name")
