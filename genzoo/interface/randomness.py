"""Random numbers that are functions of what they are for: a seed, a purpose, a position."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor


def derive_seed(seed: int, *purpose: str | int) -> int:
    """A number in [0, 2**63) that is a function of `seed` and `purpose` alone, on every machine."""
    text = "/".join(map(str, (seed, *purpose)))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def permutation(seed: int, epoch: int, count: int) -> Tensor:
    """The order of `count` examples in an epoch: a function of (seed, epoch, count), int64 of shape (count,)."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(derive_seed(seed, "order", epoch)))


class RandomStreams:
    """One independent stream of random numbers for each sample of a request.

    Sample i draws from the stream (seed, i) alone, so that it does not depend on how many samples are asked for,
    on the batch it is drawn in, or on the device. The streams are counter-based (Philox, keyed by (seed, i):
    Salmon et al. 2011).

    Args:
        seed: of the request.
        count: how many streams.
        start: the number i of the first.
        device: where the drawn numbers go.
    """

    def __init__(self, seed: int, count: int, *, start: int = 0, device: torch.device | str = "cpu") -> None:
        self.count, self.device = count, torch.device(device)
        key = derive_seed(seed, "samples")
        self._streams = [
            np.random.Generator(np.random.Philox(key=np.array([key, i], dtype=np.uint64)))
            for i in range(start, start + count)
        ]

    def normal(self, *shape: int) -> Tensor:
        """Standard normal float32 numbers of shape `(count, *shape)`; row i continues stream i."""
        rows = [stream.standard_normal(shape, dtype=np.float32) for stream in self._streams]
        return self._stack(rows, shape)

    def uniform(self, *shape: int) -> Tensor:
        """Uniform float32 numbers in [0, 1) of shape `(count, *shape)`; row i continues stream i."""
        rows = [stream.random(shape, dtype=np.float32) for stream in self._streams]
        return self._stack(rows, shape)

    def generators(self) -> list[torch.Generator]:
        """A torch generator on the CPU for each stream, for libraries that draw by themselves; generator i is seeded by
        the next number of stream i."""
        seeds = [int(stream.integers(2**63)) for stream in self._streams]
        return [torch.Generator().manual_seed(seed) for seed in seeds]

    def _stack(self, rows: list[npt.NDArray[np.float32]], shape: tuple[int, ...]) -> Tensor:
        array = np.stack(rows) if rows else np.empty((0, *shape), np.float32)
        return torch.from_numpy(array).to(self.device)


def random_state(device: torch.device) -> dict[str, Any]:
    """The state of every global source of random numbers that a training on `device` may use."""
    numpy_state = np.random.get_state(legacy=False)
    version, internal, gauss = random.getstate()
    state = {
        "torch": torch.get_rng_state(),
        "python": {"version": version, "internal": torch.tensor(internal, dtype=torch.int64), "gauss": gauss},
        "numpy": {
            "key": torch.from_numpy(numpy_state["state"]["key"].astype(np.int64)),
            "pos": int(numpy_state["state"]["pos"]),
            "has_gauss": int(numpy_state["has_gauss"]),
            "gauss": float(numpy_state["gauss"]),
        },
    }
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        state["mps"] = torch.mps.get_rng_state()
    return state


def restore_random_state(state: dict[str, Any], device: torch.device) -> None:
    """The inverse of `random_state`. What another kind of device had saved of its own is left out."""
    torch.set_rng_state(state["torch"])
    python = state["python"]
    random.setstate((python["version"], tuple(python["internal"].tolist()), python["gauss"]))
    key = state["numpy"]["key"].numpy().astype(np.uint32)
    inner = {"key": key, "pos": state["numpy"]["pos"]}
    rest = {"has_gauss": state["numpy"]["has_gauss"], "gauss": state["numpy"]["gauss"]}
    np.random.set_state({"bit_generator": "MT19937", "state": inner, **rest})
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)
    elif device.type == "mps" and "mps" in state:
        torch.mps.set_rng_state(state["mps"])


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Within, every global source of random numbers is seeded; afterwards all are as they were. For code of models that
    draws from global ones, where the same numbers are wanted each time."""
    state = random_state(device)
    seed_everything(seed)
    try:
        yield
    finally:
        restore_random_state(state, device)


def seed_everything(seed: int) -> None:
    """Seed torch (every device), numpy and Python: where a run begins, and nowhere else."""
    torch.manual_seed(derive_seed(seed, "torch"))
    np.random.seed(derive_seed(seed, "numpy") % 2**32)
    random.seed(derive_seed(seed, "python"))
