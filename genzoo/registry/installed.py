"""The plugins that are installed: entry points, read from the metadata of distributions."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import ModuleType

GROUP = "genzoo"
CORE = "genzoo"  # the distribution whose plugins come first, and whose names others cannot take


@dataclass
class Plugin:
    """One entry point: its name, its distribution, and what became of it.

    `status` is "loaded", "blocked" or "failed"; `problems` says in words what is wrong, one text each; `seconds` is
    how long importing it and calling its hooks took.
    """

    name: str
    distribution: str
    version: str
    status: str = "loaded"
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0
    module: ModuleType | None = None


def installed() -> Iterator[tuple[Plugin, str]]:
    """The entry points of the group `genzoo` and the modules they name, from the distributions on `sys.path`.

    What `importlib.metadata.entry_points` would give; importing that takes a fifth of the time of `genzoo list`.
    """
    seen = set()
    for folder in sys.path:
        try:
            names = sorted(os.listdir(folder or "."))
        except OSError:
            continue
        for name in names:
            if not name.endswith((".dist-info", ".egg-info")):
                continue
            path = os.path.join(folder, name)
            entries = list(_entries(_text(path, "entry_points.txt")))
            if not entries:
                continue
            about = _text(path, "METADATA") or _text(path, "PKG-INFO")
            headers = dict(re.findall(r"^(Name|Version): *(.+?)\s*$", about.partition("\n\n")[0], flags=re.MULTILINE))
            distribution = re.sub(r"[-_.]+", "-", headers.get("Name", name.partition("-")[0])).lower()
            if distribution in seen:  # the first on the path is the one that is imported
                continue
            seen.add(distribution)
            for entry, target in entries:
                yield Plugin(entry, distribution, headers.get("Version", "")), target


def _entries(text: str) -> Iterator[tuple[str, str]]:
    """Names and modules in our group of an `entry_points.txt`; extras (`name = module [extra]`) are left out."""
    inside = False
    for line in text.splitlines():
        line = line.strip()
        if line.startswith("["):
            inside = line == f"[{GROUP}]"
        elif inside and (match := re.match(r"([^#;=\s][^=]*?)\s*=\s*([\w.]+)", line)):
            yield match[1], match[2]


def _text(folder: str, name: str) -> str:
    try:
        with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
