"""What a check is, and what several of them look at."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from genzoo.interface.errors import GenzooError
from genzoo.testing.case import Case

if TYPE_CHECKING:
    from torch import Tensor

    from genzoo.runs.folder import RunFolder


@dataclass(frozen=True)
class Check:
    """A promise. `function` is given a `Case` and raises if it is not kept; it may return what it saw, in a line. The
    name stays from version to version."""

    name: str
    promise: str
    function: Callable[[Case], str | None]


CHECKS: list[Check] = []


def promised(function: Callable[[Case], str | None]) -> Callable[[Case], str | None]:
    """Take a function among the checks; its docstring is the promise."""
    CHECKS.append(Check(function.__name__, " ".join((function.__doc__ or "").split()), function))
    return function


def require(holds: bool, problem: str) -> None:
    """Fail, saying the problem, unless it holds."""
    if not holds:
        raise AssertionError(problem)


def require_samples(case: Case, samples: object, count: int, source: str) -> None:
    """Samples are as the modality promises them, strictly."""
    try:
        case.modality.check(samples, count, case.run.data_spec, strict=True)
    except GenzooError as error:
        raise AssertionError(f"{source}: {error}") from None


def hash_of(tree: object) -> str:
    """Of nested dictionaries and lists of tensors and plain values."""
    import torch

    digest = hashlib.sha256()

    def add(item: object) -> None:
        if isinstance(item, torch.Tensor):
            digest.update(repr((item.dtype, tuple(item.shape))).encode())
            digest.update(item.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
        elif isinstance(item, dict):
            for key in sorted(item, key=str):
                digest.update(str(key).encode())
                add(item[key])
        elif isinstance(item, (list, tuple)):
            for part in item:
                add(part)
        else:
            digest.update(repr(item).encode())

    add(tree)
    return digest.hexdigest()


def digest(samples: Tensor | list[str]) -> str:
    """The SHA-256 of samples."""
    return hash_of(samples)


def weights_of(run: RunFolder) -> str:
    """The SHA-256 of the weights that a run ended with."""
    from genzoo.sampling.model import load

    return hash_of(load(run, weights="last", device="cpu").state_dict())
