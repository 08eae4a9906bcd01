"""Held-out examples through a model, and ways between them through its latent space."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genzoo.interface.dataset import Batch
from genzoo.interface.errors import UsageError
from genzoo.interface.generator import Encodes, Generator, ability
from genzoo.interface.randomness import permutation
from genzoo.registry.plugins import modality_of
from genzoo.runs.data import load_data
from genzoo.runs.folder import RunFolder
from genzoo.sampling.draw import with_labels
from genzoo.sampling.model import run_and_model

CPU = torch.device("cpu")


def reconstruct(
    run: str | Path | RunFolder | Generator,
    n: int = 32,
    *,
    seed: int = 0,
    device: str = "auto",
    runs_dir: str | None = None,
) -> tuple[Any, Any]:
    """Held-out test examples of a run's data, and what its model makes of them.

    Args:
        run: a run's folder or name, a model's name for its newest finished run, or a model that `load` gave.
        n: how many.
        seed: which.

    Returns:
        Two sets of samples as the modality has them: images in [0, 1], shape (n, C, H, W), on the CPU; fewer if the
        held-out data have fewer.

    Raises:
        UsageError: the model cannot reconstruct, or there is no such run.
    """
    folder, model = run_and_model(run, device, runs_dir)
    method = ability(model, "reconstruct")
    if method is None:
        raise UsageError(f"model {model.spec.name!r} cannot reconstruct: it has no encoder")
    originals = held_out(folder, n, seed)
    labels = with_labels(model, originals.labels)
    modality = modality_of(model.spec.modality)
    with torch.no_grad():
        copies = method(originals.examples.to(model.device), **labels)
    checked = modality.check(copies, len(originals), model.data)
    return modality.samples_of(originals, model.data), checked


def interpolate(
    run: str | Path | RunFolder | Generator,
    n: int = 8,
    *,
    num_steps: int = 10,
    seed: int = 0,
    device: str = "auto",
    runs_dir: str | None = None,
) -> Any:
    """Ways between pairs of held-out test examples through the latent space, along the sphere (Shoemake 1985). A
    conditional model's pairs are of one class.

    Args:
        run: as for `reconstruct`.
        n: how many pairs.
        num_steps: samples on each way, its ends among them.
        seed: which examples.

    Returns:
        Images in [0, 1], shape (n, num_steps, C, H, W), on the CPU; of a modality whose samples are lists, a list of n.

    Raises:
        UsageError: the model has no latent space to encode to, or there is no such run.
    """
    folder, model = run_and_model(run, device, runs_dir)
    if not isinstance(model, Encodes):
        raise UsageError(f"model {model.spec.name!r} cannot interpolate: it has no encoder and decoder")
    ends = held_out(folder, 2 * n, seed, pairs_of_a_class=model.conditional)
    pairs = len(ends) // 2
    labels = None if ends.labels is None else ends.labels[: 2 * pairs]
    with torch.no_grad():
        latents = model.encode(ends.examples[: 2 * pairs].to(model.device), **with_labels(model, labels))
        ways = [slerp(latents[0::2], latents[1::2], t) for t in torch.linspace(0, 1, num_steps).tolist()]
        of_pairs = None if labels is None else labels[::2].repeat_interleave(num_steps)
        decoded = model.decode(torch.stack(ways, dim=1).flatten(0, 1), **with_labels(model, of_pairs))
    samples = modality_of(model.spec.modality).check(decoded, pairs * num_steps, model.data)
    if isinstance(samples, Tensor):
        return samples.view(pairs, num_steps, *samples.shape[1:])
    return [samples[start : start + num_steps] for start in range(0, pairs * num_steps, num_steps)]


def slerp(start: Tensor, end: Tensor, t: float) -> Tensor:
    """Spherical interpolation between rows (N, D): the angle goes evenly from `start` (t = 0) to `end` (t = 1), the
    length too. Rows that point the same or opposite ways are interpolated linearly."""
    lengths = start.norm(dim=1, keepdim=True), end.norm(dim=1, keepdim=True)
    a, b = start / lengths[0].clamp_min(1e-12), end / lengths[1].clamp_min(1e-12)
    angle = (a * b).sum(1, keepdim=True).clamp(-1, 1).acos()
    sine = angle.sin()
    flat = sine.abs() < 1e-4
    sine = torch.where(flat, 1, sine)
    way = (((1 - t) * angle).sin() * a + (t * angle).sin() * b) / sine
    way = way * ((1 - t) * lengths[0] + t * lengths[1])
    return torch.where(flat, (1 - t) * start + t * end, way)


def held_out(folder: RunFolder, n: int, seed: int, *, pairs_of_a_class: bool = False) -> Batch:
    """Up to `n` test examples of a run's data, on the CPU, in an order that `seed` makes. With `pairs_of_a_class` each
    two that follow one another have one label."""
    dataset, data = load_data(folder)
    count = dataset.count("test")
    order = permutation(seed, 0, count)
    if pairs_of_a_class:
        parts = [batch.labels for batch in dataset.examples("test", CPU)]
        labels = torch.cat([part for part in parts if part is not None])
        of_class = [order[labels[order] == number] for number in range(len(data.classes))]
        pairs = torch.cat([part[: len(part) // 2 * 2] for part in of_class]).view(-1, 2)
        order = pairs[permutation(seed, 1, len(pairs))].flatten()
    return dataset.take("test", order[:n], CPU)


def mean_squared_error(originals: object, copies: object) -> float | None:
    """The mean squared difference of samples that are tensors; None for others."""
    if not isinstance(originals, Tensor) or not isinstance(copies, Tensor):
        return None
    return (originals.float() - copies.float()).square().mean().item()
