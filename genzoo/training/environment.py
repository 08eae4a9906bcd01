"""What the numbers of a run may depend on besides its options."""

from __future__ import annotations

import platform
import warnings
from importlib.metadata import PackageNotFoundError, version

import torch

from genzoo.interface.errors import GenzooWarning
from genzoo.kernels.devices import peak_flops
from genzoo.kernels.linear import onednn_is_faster
from genzoo.runs.folder import RunFolder
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


def warn_of_changes(folder: RunFolder, processes: Processes) -> None:
    """Say what differs from when a run began."""
    before, now = folder.record["environment"], environment(folder.record["plugin"], processes)
    changed = [f"{key} {before.get(key)} -> {value}" for key, value in now.items() if before.get(key) != value]
    if changed and processes.is_main:
        warnings.warn(
            f"going on under other conditions, so not bit for bit as it would have: {', '.join(changed)}",
            GenzooWarning,
            stacklevel=4,
        )
