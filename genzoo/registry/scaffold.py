"""A plugin of one's own to begin with: a whole distribution that builds, installs, passes the checks and trains."""

from __future__ import annotations

import keyword
from importlib.resources import files
from pathlib import Path
from string import Template

from genzoo.interface.errors import GenzooError, UsageError
from genzoo.interface.files import check_new_folder
from genzoo.interface.specs import NAME, OF_WINDOWS
from genzoo.interface.version import __version__
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


def new(name: str, modality: str | None = None, folder: str | Path | None = None) -> Path:
    """Write a plugin distribution with a small model that works.

    Args:
        name: of the model; the distribution is `genzoo-NAME`.
        modality: one that is installed and has a template; None: genzoo's first.
        folder: where it goes; must not exist, or be empty. None: `genzoo-NAME`, here.

    Raises:
        UsageError: a name that cannot be used or is taken, or a folder that holds something.
        GenzooError: the folder cannot be written.
    """
    check_name(name)
    plugin, spec = registry().modalities.first() if modality is None else registry().modalities.get(modality)
    if not spec.template:
        raise UsageError(f"modality {spec.name!r} of {plugin.distribution} has no template")
    target = check_new_folder(f"genzoo-{name}" if folder is None else folder)
    package, _, inside = spec.template.partition(":")
    sources = {files("genzoo.registry") / "template": FILES, files(package) / inside: OF_MODALITY}
    values = _values(name, plugin.distribution)
    try:
        for template, paths in sources.items():
            for where, source in paths.items():
                path = target / Template(where).substitute(values)
                path.parent.mkdir(parents=True, exist_ok=True)
                text = (template / f"{source}.in").read_text("utf-8")
                path.write_text(Template(text).substitute(values), "utf-8", newline="\n")
        (target / f"genzoo_{values['module']}" / "py.typed").touch()
    except OSError as error:
        raise GenzooError(f"cannot write {error.filename or target}: {error.strerror}") from None
    return target


def _values(name: str, modality_distribution: str) -> dict[str, str]:
    """What a template may name."""
    major, minor = __version__.split(".")[:2]
    needs = [f"genzoo>={major}.{minor},<{major}.{int(minor) + 1}"]
    needs += [modality_distribution] if modality_distribution != CORE else []
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
    taken = {spec.name: plugin.distribution for _, plugin, spec in registry().generators}
    taken |= {plugin.distribution.removeprefix("genzoo-"): plugin.distribution for plugin in registry().plugins}
    if name in taken:
        raise UsageError(f"{name!r} is taken by {taken[name]}; choose another name")
