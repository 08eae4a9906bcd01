"""What is here, and what is wrong with it: versions, device, plugins, folders, disk."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import Distribution, PackageNotFoundError, distributions, requires, version
from importlib.util import find_spec
from pathlib import Path

from genzoo.interface.errors import GenzooError, one_line, traceback_of
from genzoo.registry.data import data_folder
from genzoo.registry.plugins import registry
from genzoo.runs.find import check_writable, runs_folder

PACKAGES = ("genzoo", "torch", "torchvision", "numpy", "accelerate", "transformers", "diffusers", "click", "pluggy")
ENOUGH = 2 * 2**30  # bytes of free disk


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; `advice` says what to do if it is not `ok`, `traceback` where it failed."""

    subject: str
    state: str
    ok: bool = True
    advice: str = ""
    traceback: str = ""


def examine(runs_dir: str | None = None, data_dir: str | None = None) -> Iterator[Finding]:
    """Look at everything that a training needs."""
    yield Finding("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    for package in PACKAGES:
        yield _package(package)
    yield from _torch()
    for plugin in registry().plugins:
        text = f"{plugin.version} {plugin.status}" + "".join(f"; {problem}" for problem in plugin.problems)
        wrong = plugin.status == "failed" or bool(plugin.problems)
        advice = f"mend it, or: genzoo uninstall {plugin.distribution}" if wrong else ""
        yield Finding(f"plugin {plugin.distribution}", text, not wrong, advice, traceback_of(plugin.error))
    for name, folder in (("runs", runs_folder(runs_dir)), ("data", data_folder(data_dir))):
        yield _folder(name, folder)


def _package(name: str) -> Finding:
    try:
        return Finding(name, version(name))
    except PackageNotFoundError:
        needed = name in _needed()
        return Finding(name, "not installed", not needed, f"pip install {name}" if needed else "")


def _needed() -> set[str]:
    try:
        lines = requires("genzoo") or []
    except PackageNotFoundError:
        lines = []
    return {line.split(";")[0].split(">")[0].split("=")[0].strip() for line in lines if "extra" not in line}


def _torch() -> Iterator[Finding]:
    """Whether torch works, goes with torchvision, and on which device trainings run."""
    try:
        import torch
    except Exception as error:
        yield Finding("torch", f"cannot be imported: {one_line(error)}", False, "install torch anew")
        return
    try:
        import torchvision.ops  # noqa: F401  (its operators fail to register with another torch)

        yield Finding("torch and torchvision", "go together")
    except ModuleNotFoundError:
        pass  # an extra
    except Exception as error:
        yield Finding(
            "torch and torchvision",
            f"do not go together: {one_line(error)}",
            False,
            f"install the torchvision built for torch {torch.__version__}",
        )
    yield from _torchaudio(torch.__version__)
    yield from _diffusers()
    from genzoo.kernels.devices import choose_device

    device = choose_device("auto")
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        text = f"cuda: {torch.cuda.get_device_name(device)}, {free / 2**30:.0f} of {total / 2**30:.0f} GiB free"
    else:
        text = f"{device.type}, {torch.get_num_threads()} threads"
    yield Finding("device", text)
    size = sum(map(_size, distributions())) if device.type != "cuda" else 0
    if size > 2**30:
        text = f"{size / 1e9:.1f} GB of them, for no GPU; 'Getting started' in the docs says how to do without"
        yield Finding("CUDA's libraries", text)


def _size(distribution: Distribution) -> int:
    """The bytes of a distribution that only CUDA needs; 0 of any other."""
    is_cuda = distribution.name.startswith(("nvidia-", "triton"))
    return sum(file.size or 0 for file in distribution.files or ()) if is_cuda else 0


def _torchaudio(torch_version: str) -> Iterator[Finding]:
    """Named where it is there: its wheels are built for one torch each, and genzoo does not use it."""
    if find_spec("torchaudio") is None:
        return
    try:
        import_module("torchaudio")
        yield Finding("torchaudio", "goes with torch; genzoo does not use it")
    except Exception as error:
        state = f"does not go with torch {torch_version}: {one_line(error)}"
        yield Finding("torchaudio", state, False, "pip uninstall torchaudio; genzoo does not use it")


def _diffusers() -> Iterator[Finding]:
    """Whether diffusers can be imported beside the transformers that is here: its metadata allow what breaks it."""
    from packaging.version import Version

    try:
        diffusers, transformers = Version(version("diffusers")), Version(version("transformers"))
    except PackageNotFoundError:
        return
    if diffusers < Version("0.36") and transformers >= Version("5"):
        state = f"diffusers {diffusers} cannot be imported beside transformers {transformers}"
        yield Finding("diffusers and transformers", state, False, "pip install --upgrade diffusers")


def _folder(name: str, folder: Path) -> Finding:
    try:
        check_writable(folder)
    except GenzooError:
        return Finding(f"{name} folder", f"{folder} cannot be written", False, f"choose another with --{name}-dir")
    free = shutil.disk_usage(folder).free
    text = f"{folder}, {free / 2**30:,.1f} GiB free"
    return Finding(f"{name} folder", text, free > ENOUGH, "" if free > ENOUGH else "make room on the disk")
