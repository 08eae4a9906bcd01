"""Files put in place whole: written aside, synced, renamed. Imports nothing heavy."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from genzoo.interface import provenance
from genzoo.interface.errors import GenzooError, UsageError
from genzoo.interface.parsing import parse_json
from genzoo.interface.specs import OF_WINDOWS, Json, check_file_name


def write_file(path: Path, content: bytes, facts: provenance.Facts | None = None) -> Path:
    """Write a file aside and put it in place.

    Args:
        path: where to; folders on the way are made.
        facts: what `RunFolder.provenance` gives, for a file that cannot say inside that it was generated. It is then
            said in a JSON file beside it that has the same name with `.json` behind, with the file's SHA-256.

    Raises `GenzooError` if it cannot be written.
    """
    if facts is not None:
        labels = provenance.labels({**facts, "sha256": hashlib.sha256(content).hexdigest()})
        write_file(provenance.sidecar(path), as_json(labels))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _put(path, content, synced=False)
    except OSError as error:
        raise GenzooError(f"cannot write {path}: {error.strerror}") from None
    return path


def write_synced(path: Path, content: bytes) -> None:
    """Write a file aside, sync it, put it in place, and sync its folder. Raises `OSError` with the file's name."""
    _put(path, content, synced=True)
    _sync(path.parent)


def write_json(path: Path, content: object) -> None:
    """Write JSON with `write_synced`."""
    write_synced(path, as_json(content))


def as_json(content: object) -> bytes:
    """JSON as UTF-8, with an escape for what that does not have: parts of a file's name that are not Unicode."""
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")


def _put(path: Path, content: bytes, *, synced: bool) -> None:
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(aside, "wb") as file:
            file.write(content)
            if synced:
                file.flush()
                os.fsync(file.fileno())
        os.replace(aside, path)
    except BaseException as error:
        aside.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise


def read_json(path: Path) -> Json | None:
    """The object in a file of JSON; None where there is none that can be read."""
    try:
        content = parse_json(path.read_bytes())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def write_folder(folder: Path, fill: Callable[[Path], None]) -> None:
    """Put a folder in place whole: `fill` writes it aside, all is synced, and it takes the place of what was there."""
    aside = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        fill(aside)
        for path in (*aside.iterdir(), aside):
            _sync(path)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    before = _before(folder)
    if folder.exists():
        shutil.rmtree(before, ignore_errors=True)
        os.rename(folder, before)
    os.rename(aside, folder)
    _sync(folder.parent)
    shutil.rmtree(before, ignore_errors=True)


def whole_folder(folder: Path) -> Path:
    """The folder that `write_folder` put in place; what was there before if a crash came between its two renames."""
    before = _before(folder)
    return before if before.exists() and not folder.exists() else folder


def _before(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.old")


def _sync(path: Path) -> None:
    is_folder = path.is_dir()
    try:
        descriptor = os.open(path, os.O_RDONLY if is_folder else os.O_RDWR)  # Windows syncs only what can be written
    except PermissionError:
        if is_folder:  # Windows opens none
            return
        raise
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_new_folder(path: str | Path) -> Path:
    """The path of a folder that is to be written. Raises `UsageError` for one that is there and not empty, or that no
    Windows can have."""
    check_file_name("--to", str(path))
    folder = Path(path).expanduser()
    if holds_something(folder):
        raise UsageError(f"--to {path} exists and is not an empty folder; choose another")
    return folder


def holds_something(path: Path) -> bool:
    """Whether there is a file at `path`, or a folder that is not empty."""
    return path.exists() and not (path.is_dir() and not any(path.iterdir()))


def class_folders(names: Iterable[str]) -> dict[str, str]:
    """The name of each class as that of a folder that every system can have: `T-shirt/top` is `T-shirt-top`, and
    `aux`, which Windows cannot have, `_aux`. None differs from another in case alone, which is one on Windows."""
    folders: dict[str, str] = {}
    for name in sorted(set(names)):
        folder = re.sub(r"[^\w .()+-]", "-", name).strip(" .") or "-"
        folder = f"_{folder}" if OF_WINDOWS.fullmatch(folder) else folder
        taken = {folder.lower() for folder in folders.values()}
        while folder.lower() in taken:
            folder += "-"
        folders[name] = folder
    return folders
