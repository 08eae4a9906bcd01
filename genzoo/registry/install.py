"""Plugins into and out of the environment that runs: by uv if it is there, else by pip."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys

from genzoo.interface.errors import GenzooError, UsageError
from genzoo.registry.installed import CORE, installed
from genzoo.registry.plugins import registry


def install(packages: list[str], *, editable: bool = False, upgrade: bool = False) -> list[str]:
    """Install distributions: names, wheels or folders, as pip takes them; give back the plugins that are new.

    Raises `GenzooError` if that fails, with the installer's last words.
    """
    before = {plugin.distribution for plugin, _ in installed()}
    flags = ["--upgrade"] if upgrade else []
    for package in packages:
        flags += ["--editable", package] if editable else [package]
    _call("install", flags)
    return sorted({plugin.distribution for plugin, _ in installed()} - before)


def uninstall(names: list[str]) -> list[str]:
    """Remove the distributions of plugins, each named by itself, its plugin or its model; give back which.

    Raises `UsageError` for a name that none has, `GenzooError` if removing fails.
    """
    distributions = sorted({distribution_of(name) for name in names})
    _call("uninstall", distributions)
    return distributions


def distribution_of(name: str) -> str:
    """The distribution of a plugin, broken or not, that has a name or gives a model of it. Raises `UsageError`."""
    plugins = registry().plugins
    for plugin in plugins:
        if name in (plugin.distribution, plugin.name):
            if plugin.distribution == CORE:
                raise UsageError(f"{name!r} is genzoo's own, and is not removed alone")
            return plugin.distribution
    for model, plugin, _ in registry().generators:
        if name == model:
            return plugin.distribution
    known = ", ".join(sorted({plugin.distribution for plugin in plugins} - {CORE})) or "none"
    raise UsageError(f"no plugin is called {name!r}; installed are {known}")


def _call(verb: str, arguments: list[str]) -> None:
    done = subprocess.run(
        [*_installer(verb), *arguments], stdout=sys.stderr, stderr=subprocess.PIPE, encoding="utf-8", errors="replace"
    )
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        raise GenzooError(f"{verb} failed: {lines[-1] if lines else f'exit status {done.returncode}'}")


def _installer(verb: str) -> list[str]:
    if uv := shutil.which("uv"):
        return [uv, "pip", verb, "--quiet", "--python", sys.executable]
    if importlib.util.find_spec("pip"):
        yes = ["--yes"] if verb == "uninstall" else ["--disable-pip-version-check"]
        return [sys.executable, "-m", "pip", verb, "--quiet", *yes]
    raise GenzooError("neither uv nor pip is here; install uv, or pip into this environment")
