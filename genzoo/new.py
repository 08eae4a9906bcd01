"""A plugin of one's own to begin with: a whole distribution that builds, installs, passes the checks and trains."""

from __future__ import annotations

import keyword
from importlib.resources import files
from pathlib import Path
from string import Template

from genzoo import __version__
from genzoo.errors import GenzooError, UsageError
from genzoo.registry import RESERVED_COMMANDS, registry
from genzoo.run_folder import holds_something
from genzoo.spec import MODALITIES, NAME

FILES = {  # of the template, by where they go
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    "genzoo_$module/__init__.py": "$modality/init.py",
    "genzoo_$module/model.py": "$modality/model.py",
    "tests/test_$module.py": "test_plugin.py",
    ".github/workflows/test.yml": "ci.yml",
    ".gitignore": "gitignore",
}


def new(name: str, modality: str = "image", folder: str | Path | None = None) -> Path:
    """Write a plugin distribution with a small model that works.

    Args:
        name: of the model; the distribution is `genzoo-NAME`.
        modality: "image" or "text".
        folder: where it goes; must not exist, or be empty. None: `genzoo-NAME`, here.

    Raises:
        UsageError: a name that cannot be used or is taken, or a folder that holds something.
        GenzooError: the folder cannot be written.
    """
    check_name(name)
    if modality not in MODALITIES:
        raise UsageError(f"modality is {modality!r}; allowed is {' or '.join(MODALITIES)}")
    target = Path(f"genzoo-{name}" if folder is None else folder).expanduser()
    if holds_something(target):
        raise UsageError(f"{target} exists and is not an empty folder; choose another with --to")
    major, minor = __version__.split(".")[:2]
    values = {
        "name": name, "module": name.replace("-", "_"), "modality": modality, "version": f"{major}.{minor}",
        "Class": class_name(name), "next_version": f"{major}.{int(minor) + 1}",
    }  # fmt: skip
    template = files("genzoo") / "template"
    try:
        for where, source in FILES.items():
            path = target / Template(where).substitute(values)
            path.parent.mkdir(parents=True, exist_ok=True)
            text = (template / f"{Template(source).substitute(values)}.in").read_text("utf-8")
            path.write_text(Template(text).substitute(values), "utf-8")
        (target / f"genzoo_{values['module']}" / "py.typed").touch()
    except OSError as error:
        raise GenzooError(f"cannot write {error.filename or target}: {error.strerror}") from None
    return target


def class_name(name: str) -> str:
    """`my-model` is `MyModel`."""
    return "".join(word.capitalize() for word in name.split("-"))


def check_name(name: str) -> None:
    """Raises `UsageError` if a new model cannot have a name."""
    if not NAME.fullmatch(name):
        raise UsageError(f"{name!r} cannot name a model; allowed are lower-case letters, digits and single hyphens")
    if keyword.iskeyword(name) or keyword.iskeyword(class_name(name)) or name in RESERVED_COMMANDS:
        raise UsageError(f"{name!r} is a word of Python's or genzoo's own; choose another name")
    found = registry()
    taken = {spec.name: plugin.distribution for _, plugin, spec in found.generators}
    taken |= {plugin.distribution.removeprefix("genzoo-"): plugin.distribution for plugin in found.plugins}
    if name in taken:
        raise UsageError(f"{name!r} is taken by {taken[name]}; choose another name")
