"""What the numbers of a run may depend on besides its options."""

from __future__ import annotations

import platform
import warnings
from importlib.metadata import PackageNotFoundError, version

import torch

from genzoo.interface.errors import GenzooWarning
from genzoo.interface.specs import Json
from genzoo.kernels.devices import peak_flops
from genzoo.kernels.linear import onednn_is_faster
from genzoo.training.processes import PRECISIONS, Processes


def environment(plugin: str, processes: Processes) -> dict[str, object]:
    """The machine, its device, and the versions of what computes, for `run.json`."""
    device = processes.device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    versions = {package: _version(package) for package in ("genzoo", plugin, "torch", "numpy", "accelerate")}
    return {
        "device": device.type,
        "device_name": name,
        "peak_flops": peak_flops(device),
        "precision": PRECISIONS[processes.dtype],
        "processes": processes.number,
        "threads": torch.get_num_threads(),
        "linear": "onednn" if device.type == "cpu" and onednn_is_faster() else "torch",
        "system": platform.system(),
        "python": platform.python_version(),
        **versions,
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


def warn_of_changes(record: Json, processes: Processes, sentence: str) -> dict[str, list[object]]:
    """Say what differs from when a run began, of which `record` is what it says of itself: what was and what is, by
    name."""
    before, now = record["environment"], environment(record["plugin"], processes)
    changed = {key: [before.get(key), value] for key, value in now.items() if before.get(key) != value}
    if changed and processes.is_main:
        pairs = ", ".join(f"{key} {was} -> {now}" for key, (was, now) in changed.items())
        warnings.warn(f"{sentence}: {pairs}", GenzooWarning, stacklevel=4)
    return changed
