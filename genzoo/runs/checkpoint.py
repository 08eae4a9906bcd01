"""State to and from disk: safetensors and JSON, no pickle; a manifest with the SHA-256 of every file."""

from __future__ import annotations

import json
import math
import shutil
import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from genzoo.interface.errors import GenzooError, GenzooWarning
from genzoo.interface.files import write_folder
from genzoo.interface.parsing import parse_json
from genzoo.interface.run import State
from genzoo.interface.specs import Json
from genzoo.runs.folder import FORMAT, MANIFEST, STATE, TENSORS, RunFolder, sealed, sha256_of, unsealed

MARK = "$type"


def save(run: RunFolder, step: int, state: State, keep: int) -> Path:
    """Write the state after `step` steps, with the options that led to it; remove all but the newest `keep`."""
    folder = run.checkpoint_folder(step)
    _write(folder, {"step": step, **{key: run.record[key] for key in ("options", "training")}}, state)
    for old in run.checkpoints()[keep:]:
        shutil.rmtree(old, ignore_errors=True)
    return folder


def load_newest(run: RunFolder) -> tuple[int, State]:
    """The step and state of the newest checkpoint that is whole; warns of newer ones that are not.

    Raises `GenzooError` if there is none.
    """
    damaged = []
    for folder in run.checkpoints():
        try:
            manifest, state = _read(folder)
        except GenzooError as error:
            damaged.append(str(error))
            continue
        for problem in damaged:
            warnings.warn(f"{problem}; going on from step {manifest['step']}", GenzooWarning, stacklevel=2)
        return manifest["step"], state
    if damaged:
        raise GenzooError(f"run {run.name!r} has no whole checkpoint: {'; '.join(damaged)}")
    raise GenzooError(f"run {run.name!r} stopped before its first checkpoint; train it anew")


def save_model(folder: Path, facts: Json, weights: dict[str, Tensor]) -> None:
    """Write `model/` or `best/`: what sampling needs. `facts` are JSON: the model's name, options and data."""
    _write(folder, facts, weights)


def load_model(run: RunFolder, weights: str = "best") -> tuple[Json, dict[str, Tensor]]:
    """The facts and weights of `best/` where the run keeps it, else of `model/`; or with "last" of `model/`. Raises
    `GenzooError` if there is none, or if it is damaged."""
    folder = run.best_folder if weights == "best" and run.best_folder.exists() else run.model_folder
    if not folder.exists():
        raise GenzooError(f"run {run.name!r} has no model yet: it stopped before its first checkpoint")
    return _read(folder)


def _write(folder: Path, facts: Json, state: State) -> None:
    tensors: dict[str, Tensor] = {}
    tree = _take_apart(state, "", tensors, set())

    def fill(aside: Path) -> None:
        save_file(tensors, aside / TENSORS)
        (aside / STATE).write_text(json.dumps(tree), "utf-8", newline="\n")
        files = {p.name: {"sha256": sha256_of(p), "bytes": p.stat().st_size} for p in sorted(aside.iterdir())}
        manifest = sealed({"format": FORMAT, **facts, "files": files})
        (aside / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", "utf-8", newline="\n")

    try:
        write_folder(folder, fill)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise GenzooError(f"cannot write {folder}: {reason}; what was saved before is untouched") from error


def _read(folder: Path) -> tuple[Json, State]:
    try:
        manifest = parse_json((folder / MANIFEST).read_bytes())
        if not unsealed(manifest):
            raise GenzooError(f"{folder.name} is damaged: its {MANIFEST} does not have its SHA-256")
        if not isinstance(manifest["step"], int):
            raise ValueError("its step is no number")
        if manifest["format"] != FORMAT:
            raise GenzooError(f"{folder} is of a format that this genzoo does not know; upgrade genzoo")
        for name in (STATE, TENSORS):
            if sha256_of(folder / name) != manifest["files"][name]["sha256"]:
                raise GenzooError(f"{folder.name} is damaged: {name} does not have the SHA-256 of its manifest")
        tree = parse_json((folder / STATE).read_bytes())
        # copies: while a tensor lies in the mapped file, Windows lets nobody replace that file
        tensors = {name: tensor.clone() for name, tensor in load_file(folder / TENSORS).items()}
        return manifest, _put_together(tree, tensors)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError, SafetensorError) as error:
        raise GenzooError(f"{folder.name} is damaged: {type(error).__name__}: {error}") from None


def _take_apart(value: object, path: str, tensors: dict[str, Tensor], seen: set[int]) -> object:
    """`value` as JSON, its tensors put into `tensors` under their paths."""

    def part(name: object, item: object) -> object:
        return _take_apart(item, f"{path}.{name}" if path else str(name), tensors, seen)

    if isinstance(value, Tensor):
        tensor = value.detach().cpu().contiguous()
        storage = tensor.untyped_storage().data_ptr()
        tensors[path] = (
            tensor.clone() if storage in seen or tensor.untyped_storage().nbytes() != tensor.nbytes else tensor
        )
        seen.add(storage)
        return {MARK: "tensor", "key": path}
    if isinstance(value, dict):
        if all(isinstance(key, str) for key in value) and MARK not in value:
            return {key: part(key, item) for key, item in value.items()}
        return {MARK: "dict", "items": [[part("key", key), part(key, item)] for key, item in value.items()]}
    if isinstance(value, (list, tuple)):
        items = [part(i, item) for i, item in enumerate(value)]
        return items if isinstance(value, list) else {MARK: "tuple", "items": items}
    if isinstance(value, float) and not math.isfinite(value):
        return {MARK: "float", "value": str(value)}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise GenzooError(
        f"a checkpoint cannot hold {path}, which is a {type(value).__name__}: give tensors, numbers, texts"
    )


def _put_together(tree: object, tensors: dict[str, Tensor]) -> Any:
    """The inverse of `_take_apart`."""
    if isinstance(tree, list):
        return [_put_together(item, tensors) for item in tree]
    if not isinstance(tree, dict):
        return tree
    match tree.get(MARK):
        case "tensor":
            return tensors[tree["key"]]
        case "tuple":
            return tuple(_put_together(item, tensors) for item in tree["items"])
        case "dict":
            return {_put_together(key, tensors): _put_together(item, tensors) for key, item in tree["items"]}
        case "float":
            return float(tree["value"])
    return {key: _put_together(item, tensors) for key, item in tree.items()}


def all_finite(state: dict[str, Tensor]) -> bool:
    """Whether every floating-point tensor holds finite numbers only."""
    return all(bool(torch.isfinite(t).all()) for t in state.values() if t.is_floating_point())
