"""Which device there is, and how fast it is sold to be."""

from __future__ import annotations

import psutil
import torch

from genzoo.interface.errors import UsageError

PEAKS = {  # by a part of the device's name, from the makers' data sheets, without sparsity
    "H200": 989e12, "H100 NVL": 835e12, "H100 PCIe": 756e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12,
    "L4": 121e12, "RTX 4090": 165e12, "RTX 3090": 71e12,
}  # fmt: skip


def choose_device(device: str) -> torch.device:
    """The device of a name; "auto" is CUDA, then MPS, then the CPU. Raises `UsageError` for one that is not there."""
    available = ["cpu"]
    if torch.backends.mps.is_available():
        available.insert(0, "mps")
    if torch.cuda.is_available():
        available.insert(0, "cuda")
    if device == "auto":
        return torch.device(available[0])
    kind, _, number = device.partition(":")
    if kind not in available or (number and int(number) >= torch.cuda.device_count()):
        raise UsageError(f"--device is {device!r}; this machine has {', '.join(reversed(available))}")
    return torch.device(device)


def peak_flops(device: torch.device) -> float | None:
    """The dense bfloat16 operations a second that a CUDA device is sold with; None for one that is not known."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((peak for part, peak in PEAKS.items() if part in name), None)


def free_memory(device: torch.device) -> int:
    """The bytes that a device has free: of a GPU its own, of others those of the machine."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available
