"""Folders of files that are an example each: read all at once, what is bad is named, the rest cut into parts and
classes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from genzoo.interface.errors import GenzooError, one_line, some_of

if TYPE_CHECKING:  # it is imported before torch, to look at data
    from torch import Tensor

    from genzoo.interface.dataset import Part, Progress

T = TypeVar("T")
VALIDATION = ("val", "valid", "validation")
AT_A_TIME = 4096  # files that are read before what is not kept is let go


def _in_one_line(error: Exception, _path: Path) -> str:
    return str(error) if isinstance(error, GenzooError) else one_line(error)


def read_files(
    paths: Sequence[Path],
    read: Callable[[Path], T],
    activity: str,
    progress: Progress,
    *,
    why: Callable[[Exception, Path], str] = _in_one_line,
    done: int = 0,
    total: int = 0,
) -> tuple[dict[Path, T], dict[Path, str]]:
    """What `read` gives for each path, by several threads, and why it failed for the others.

    Args:
        activity: what `progress` is told.
        why: says in a few words what an exception of `read` means.
        done, total: how many of how many were read before, where these are a part of more.
    """
    good: dict[Path, T] = {}
    bad: dict[Path, str] = {}
    total = total or len(paths)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for path, reading in [(path, pool.submit(read, path)) for path in paths]:
            try:
                good[path] = reading.result()
            except Exception as error:  # a decoder meets a broken file in its own way
                bad[path] = why(error, path)
            done += 1
            if done % 64 == 0 or done == total:
                progress(activity, done, total)
    return good, bad


@dataclass(kw_only=True)
class ReadExamples:
    """The files of a folder, each read once.

    Attributes:
        examples: what is in them, where it is kept.
        readable, bad: which can be read, in order, and why the others cannot.
        fingerprint: the SHA-256 of the names and contents of those that can.
    """

    examples: dict[Path, Tensor] = field(default_factory=dict)
    readable: list[Path] = field(default_factory=list)
    bad: dict[Path, str] = field(default_factory=dict)
    fingerprint: str = ""


def read_examples(
    paths: Sequence[Path],
    folder: Path,
    read: Callable[[Path], Tensor],
    activity: str,
    progress: Progress,
    *,
    keep: bool,
    first: str,
    why: Callable[[Exception, Path], str] = _in_one_line,
) -> ReadExamples:
    """Read every file once, so that a bad one is known before a training starts and not an hour later; what is read is
    kept or let go. `first` goes into the fingerprint besides: how files are made examples."""
    result, digest = ReadExamples(), hashlib.sha256(first.encode())
    for start in range(0, len(paths), AT_A_TIME):
        part = paths[start : start + AT_A_TIME]
        examples, bad = read_files(part, read, activity, progress, why=why, done=start, total=len(paths))
        for path, example in examples.items():
            digest.update(os.fsencode(path.relative_to(folder).as_posix()) + b"\0")
            digest.update(example.numpy().data)
        result.bad |= bad
        result.readable += examples
        result.examples |= examples if keep else {}
    result.fingerprint = digest.hexdigest()
    return result


def refuse_bad_files(bad: Mapping[Path, str], count: int, folder: Path, kind: str, *, skip: bool = False) -> None:
    """Raises `GenzooError` naming those of `count` files of a kind in a folder that cannot be read, and why, unless
    they are to be skipped or there are none."""
    if bad and not skip:
        raise GenzooError(
            f"{len(bad)} of {count} {kind} files in {folder} cannot be read: {named_files(bad, folder)};"
            " mend or remove them, or give --skip-bad-files"
        )


def named_files(bad: Mapping[Path, str], folder: Path) -> str:
    """The first ten files of `bad`, each with why it is."""
    return some_of([f"{path.relative_to(folder)} ({why})" for path, why in sorted(bad.items())])


def split_folder(paths: Sequence[Path], folder: Path, kind: str) -> tuple[dict[Part, dict[Path, int]], tuple[str, ...]]:
    """The files of each part with their labels, and the names of the classes, none where some lie in no subfolder.

    Subfolders `train` and `test` (and `val`, `valid` or `validation`) are the parts, and what is below them classes;
    else subfolders are classes, and every tenth file of each is for test. The validation part is empty where there is
    no folder of it. Raises `GenzooError` for fewer than two files of a `kind`.
    """
    part_of = _parts_by_folder({path.relative_to(folder).parts[0] for path in paths})
    depth = 1 if part_of else 0

    def label(path: Path) -> str:
        below = path.relative_to(folder).parts
        return below[depth] if len(below) > depth + 1 else ""

    names = sorted({label(path) for path in paths})
    number = {name: i for i, name in enumerate(names)}
    parts: dict[Part, dict[Path, int]] = {"train": {}, "validation": {}, "test": {}}
    seen = dict.fromkeys(names, 0)
    for path in paths:
        name = label(path)
        seen[name] += 1
        tenth: Part = "test" if seen[name] % 10 == 0 else "train"
        parts[part_of[path.relative_to(folder).parts[0]] if part_of else tenth][path] = number[name]
    train, test = parts["train"], parts["test"]
    if not test and len(train) > 1:  # fewer than ten of each class
        last = list(train)[-1]
        test[last] = train.pop(last)
    if not train or not test:
        raise GenzooError(f"--data {folder} holds {len(paths)} {kind}; training and test need one each at least")
    return parts, () if "" in names else tuple(names)


def _parts_by_folder(top: set[str]) -> dict[str, Part]:
    """The part that each folder at the top is, if they are `train` and others; none if they are classes. Of two, the
    other is for test, whatever its name."""
    others = top - {"train"}
    if "train" not in top or not others or not others <= {"test", *VALIDATION}:
        return {}
    if len(others) == 1:
        return {"train": "train", others.pop(): "test"}
    if "test" in others and len(others) == 2:
        return {"train": "train", **{name: "test" if name == "test" else "validation" for name in others}}
    return {}
