"""The plugins that are installed: entry points, read from the metadata of distributions."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from genzoo.interface.hookspecs import API_VERSION

GROUP = "genzoo"  # of entry points for plugin API 1; those for API N are in `genzoo.vN`
CORE = "genzoo"  # the distribution whose plugins come first, and whose names others cannot take


@dataclass(frozen=True)
class PluginSource:
    """What a plugin without a distribution is written in.

    Attributes:
        name: of the file, or "session" for what was typed.
        sha256: of the text; None where that is not known.
        path: of the file.
    """

    name: str
    sha256: str | None
    path: Path | None


@dataclass
class Plugin:
    """One entry point: its name, its distribution, and what became of it; or what `genzoo.register` was given, with
    its `source`.

    `status` is "loaded", "blocked" or "failed"; `problems` says in words what is wrong, one text each; `seconds` is
    how long importing it and calling its hooks took; `error` is what it raised; `api` is the plugin API that it is for.
    """

    name: str
    distribution: str
    version: str
    status: str = "loaded"
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0
    module: object = None
    api: int = 1
    error: BaseException | None = None
    source: PluginSource | None = None


def installed() -> Iterator[tuple[Plugin, str]]:
    """The entry points of the groups `genzoo` and `genzoo.vN` and the modules they name, from the distributions on
    `sys.path`. Of one that stands in several groups, the one for the newest plugin API that this genzoo has; if it has
    none of them, the oldest.

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
            for entry in dict.fromkeys(entry for entry, _, _ in entries):
                apis = {api: target for name, api, target in entries if name == entry}
                api = max((api for api in apis if api <= API_VERSION), default=min(apis))
                yield Plugin(entry, distribution, headers.get("Version", ""), api=api), apis[api]


def _entries(text: str) -> Iterator[tuple[str, int, str]]:
    """Names, plugin APIs and modules in our groups of an `entry_points.txt`; extras (`name = module [extra]`) are left
    out."""
    api = None
    for line in text.splitlines():
        line = line.strip()
        if line.startswith("["):
            group = re.fullmatch(rf"\[{GROUP}(?:\.v(\d+))?\]", line)
            api = int(group[1] or 1) if group else None
        elif api is not None and (match := re.match(r"([^#;=\s][^=]*?)\s*=\s*([\w.]+)", line)):
            yield match[1], api, match[2]


def _text(folder: str, name: str) -> str:
    try:
        with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
