"""What is looked at in a process of its own. Prints one line of JSON."""

from __future__ import annotations

import importlib
import json
import os
import runpy
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

HEAVY = (
    "torch", "torchvision", "numpy", "scipy", "sklearn", "pandas", "matplotlib", "PIL", "transformers", "diffusers",
    "accelerate", "tensorflow", "jax", "tensorboard",
)  # fmt: skip


def import_plugin(module: str) -> dict[str, object]:
    """Import a plugin's module and say what heavy things came along."""
    importlib.import_module(module)
    return {"heavy": [name for name in HEAVY if name in sys.modules]}


def refuse(model: str, flag: str, value: str) -> dict[str, object]:
    """Ask for a training with a value that is not allowed; the exit status, and whether torch was imported for it."""
    sys.argv = ["genzoo", "train", model, flag, value]
    try:
        runpy.run_module("genzoo", run_name="__main__")
    except SystemExit as ended:
        return {"status": ended.code, "torch": "torch" in sys.modules}
    return {"status": 0, "torch": "torch" in sys.modules}


def observe(target: str, model: str, run: str, options: str) -> dict[str, object]:
    """Import a model and see whether global state changed; sample a run; train, and note what is written or called."""
    import torch

    from genzoo.registry.session import register
    from genzoo.sampling.draw import sample
    from genzoo.testing.check import digest
    from genzoo.training.train import train

    before = _state(torch)
    if target.endswith(".py"):
        register(target)
    else:
        importlib.import_module(target.partition(":")[0])
    after = _state(torch)
    changed = [name for name in before if before[name] != after[name]]
    drawn = digest(sample(run, 2, seed=5, weights="last", device="cpu"))
    training = json.loads(options)
    allowed = (
        Path(training["runs_dir"]).resolve(),
        Path(sys.prefix),
        Path(sys.base_prefix),
        Path("/dev"),
        Path("/proc"),
    )
    written, called, on = set(), set(), True

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if not on:
            return
        if event in ("socket.connect", "socket.getaddrinfo"):
            called.add(str(arguments[-1] if event == "socket.connect" else arguments[0]))
        elif event == "open" and isinstance(arguments[0], (str, bytes)) and _writes(arguments):
            written.add(os.fsdecode(arguments[0]))
        elif event in ("os.mkdir", "os.rename", "os.remove", "os.rmdir"):
            path = os.fsdecode(arguments[0])
            if os.path.isabs(path) or arguments[-1] == -1:  # else it is relative to a folder that was opened
                written.add(path)

    sys.addaudithook(watch)
    train(model, **training)
    on = False
    outside = sorted(p for p in written if not any(Path(p).resolve().is_relative_to(root) for root in allowed))
    return {
        "changed": changed,
        "drawn": drawn,
        "outside": [path for path in outside if "__pycache__" not in path and "torchinductor" not in path],  # torch's
        "called": sorted(called),
    }


def _writes(arguments: tuple[Any, ...]) -> bool:
    _, mode, flags = arguments
    if isinstance(mode, str):
        return any(letter in mode for letter in "wax+")
    return bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


def _state(torch: ModuleType) -> dict[str, object]:
    import random

    import numpy as np

    return {
        "default dtype": str(torch.get_default_dtype()),
        "threads": torch.get_num_threads(),
        "torch's random state": torch.get_rng_state().sum().item(),
        "Python's random state": hash(random.getstate()),
        "numpy's random state": int(np.random.get_state()[1].sum()),  # type: ignore[index]
        "deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        "gradients": torch.is_grad_enabled(),
        "CUDA": torch.cuda.is_initialized(),
    }


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](*sys.argv[2:])))
