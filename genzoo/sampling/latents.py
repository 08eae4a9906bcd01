"""Held-out examples through a model, and ways between them through its latent space."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from genzoo.interface.dataset import Batch
from genzoo.interface.errors import GenzooError, UsageError
from genzoo.interface.generator import Encodes, Generator, HasLatents, ability
from genzoo.interface.randomness import RandomStreams, permutation
from genzoo.registry.plugins import modality_of
from genzoo.runs.data import load_data
from genzoo.runs.folder import RunFolder
from genzoo.sampling.draw import BATCH, labels_of_samples, with_labels
from genzoo.sampling.model import load, run_and_model

CPU = torch.device("cpu")


def reconstruct(
    run: str | Path | RunFolder | Generator,
    n: int = 32,
    *,
    examples: Tensor | Sequence[str | Path] | None = None,
    label: str | int | None = None,
    seed: int = 0,
    device: str = "auto",
    data: object = None,
    data_dir: str | None = None,
    runs_dir: str | None = None,
) -> tuple[Any, Any]:
    """Held-out test examples of a run's data, or others, and what its model makes of them.

    Args:
        run: a run's folder or name, a model's name for its newest finished run, or a model that `load` gave.
        n: how many.
        examples: those to take instead, as a batch has them (images: (n, C, H, W) in [0, 1]), or files that have one
            each.
        label: the class of these, for a model trained with `conditional`.
        seed: which.
        data, data_dir: as for `evaluate`.

    Returns:
        Two sets of samples as the modality has them: images in [0, 1], shape (n, C, H, W), on the CPU; fewer if the
        held-out data have fewer.

    Raises:
        UsageError: the model cannot reconstruct, there is no such run, or the examples are none.
    """
    folder, model = run_and_model(run, device, runs_dir, needs_data=examples is None)
    method = ability(model, "reconstruct")
    if method is None:
        raise UsageError(f"model {model.spec.name!r} cannot reconstruct: it has no encoder")
    originals = _examples(folder, n, seed, examples, label, model, data, data_dir)
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
    examples: Tensor | Sequence[str | Path] | None = None,
    label: str | int | None = None,
    seed: int = 0,
    device: str = "auto",
    data: object = None,
    data_dir: str | None = None,
    runs_dir: str | None = None,
) -> Any:
    """Ways between pairs of held-out test examples through the latent space, along the sphere (Shoemake 1985); of a
    model without an encoder, between pairs of vectors that it draws. A conditional model's pairs are of one class.

    Args:
        run: as for `reconstruct`.
        n: how many pairs.
        num_steps: samples on each way, its ends among them.
        examples, label: as for `reconstruct`; each two that follow one another are a pair.
        seed: which examples.
        data, data_dir: as for `reconstruct`.

    Returns:
        Images in [0, 1], shape (n, num_steps, C, H, W), on the CPU; of a modality whose samples are lists, a list of n.

    Raises:
        UsageError: the model has no latent space, or none to encode examples to; or there is no such run.
    """
    model = run if isinstance(run, Generator) else load(run, device=device, runs_dir=runs_dir)
    if not isinstance(model, Encodes) and (examples is not None or not isinstance(model, HasLatents)):
        raise UsageError(f"model {model.spec.name!r} cannot interpolate: it has no encoder and decoder")
    if examples is not None and (len(examples) < 2 or len(examples) % 2):
        raise UsageError(f"there are {len(examples)} examples to interpolate between; allowed are pairs")
    with torch.no_grad():
        if isinstance(model, Encodes):
            folder, _ = run_and_model(model, device, runs_dir, needs_data=examples is None)
            ends = _examples(
                folder, 2 * n, seed, examples, label, model, data, data_dir, pairs_of_a_class=model.conditional
            )
            count = len(ends) // 2 * 2
            labels = None if ends.labels is None else ends.labels[:count]
            latents = model.encode(ends.examples[:count].to(model.device), **with_labels(model, labels))
        else:
            latents, labels = _drawn(model, 2 * n, seed, label, in_a_row=2)
        return _ways(model, latents[0::2], latents[1::2], None if labels is None else labels[::2], num_steps)


def walk(
    run: str | Path | RunFolder | Generator,
    n: int = 6,
    *,
    num_steps: int = 24,
    seed: int = 0,
    label: str | int | None = None,
    device: str = "auto",
    runs_dir: str | None = None,
) -> Any:
    """A closed walk through a latent space, from one drawn vector along the sphere to the next and back to the first.

    Args:
        run: as for `reconstruct`; of a model that draws from a latent vector (`HasLatents`).
        n: how many vectors.
        num_steps: samples from each to the next.
        label: the class, for a model trained with `conditional`; None: the first.

    Returns:
        Images in [0, 1], shape (n * num_steps, C, H, W), on the CPU; the first follows the last. Of a modality whose
        samples are lists, such a list.

    Raises:
        UsageError: the model has no latent vectors, or there is no such run or class.
    """
    model = run if isinstance(run, Generator) else load(run, device=device, runs_dir=runs_dir)
    if not isinstance(model, HasLatents):
        raise UsageError(f"model {model.spec.name!r} cannot walk: it does not draw from a latent vector")
    if model.conditional and label is None:
        label = model.data.classes[0]
    with torch.no_grad():
        latents, labels = _drawn(model, n, seed, label)
        legs = _ways(model, latents, latents.roll(-1, 0), labels, num_steps + 1)
    parts = [leg[:num_steps] for leg in legs]
    return modality_of(model.spec.modality).join(parts, model.data)


def _drawn(
    model: Generator, count: int, seed: int, label: str | int | None, *, in_a_row: int = 1
) -> tuple[Tensor, Tensor | None]:
    """Latent vectors that a model draws, (count, D), and their classes: `label`, or each in turn for so many."""
    owner = f"this {model.spec.name}"
    classes = [] if label is None else [model.data.class_number(label, model.conditional, owner)]
    labels = None
    if model.conditional:
        labels = labels_of_samples(-(-count // in_a_row), model.data, classes).repeat_interleave(in_a_row)[:count]
    rng = RandomStreams(seed, count, device=model.device)
    drawn: Tensor = cast(HasLatents, model).draw_latents(count, rng=rng, **with_labels(model, labels))
    return drawn, labels


def _ways(model: Generator, starts: Tensor, ends: Tensor, labels: Tensor | None, num_steps: int) -> Any:
    """Decoded ways from each of `starts` (N, D) to each of `ends`: (N, num_steps, ...), or a list of N."""
    pairs = len(starts)
    ways = [slerp(starts, ends, t) for t in torch.linspace(0, 1, num_steps).tolist()]
    latents = torch.stack(ways, dim=1).flatten(0, 1)
    of_samples = None if labels is None else labels.repeat_interleave(num_steps)
    parts, modality = [], modality_of(model.spec.modality)
    for start in range(0, len(latents), BATCH):
        part = latents[start : start + BATCH]
        of_part = None if of_samples is None else of_samples[start : start + BATCH]
        decoded = cast(HasLatents, model).decode(part, **with_labels(model, of_part))
        parts.append(modality.check(decoded, len(part), model.data))
    samples = modality.join(parts, model.data)
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


def _examples(
    folder: RunFolder | None,
    n: int,
    seed: int,
    examples: Tensor | Sequence[str | Path] | None,
    label: str | int | None,
    model: Generator,
    data: object,
    data_dir: str | None,
    *,
    pairs_of_a_class: bool = False,
) -> Batch:
    """Those examples that are given, or held-out ones of the run."""
    if not isinstance(n, int) or n < 1:
        raise UsageError(f"n is {n if isinstance(n, int) else type(n).__name__}; allowed is a number, 1 or more")
    if examples is not None:
        return examples_as_batch(model, examples, label)
    if label is not None:
        raise UsageError("--label is of examples that are given; give them with --from")
    assert folder is not None, "a model without a run has no data"
    return held_out(folder, n, seed, data, data_dir, pairs_of_a_class=pairs_of_a_class)


def examples_as_batch(model: Generator, examples: Tensor | Sequence[str | Path], label: str | int | None) -> Batch:
    """Examples as they are, or as files have them, as a batch on the CPU. Raises `UsageError`."""
    modality, labels = modality_of(model.spec.modality), None
    if model.conditional and label is None:
        raise UsageError(f"--label is needed: this {model.spec.name} was trained with labels")
    if label is not None:
        number = model.data.class_number(label, model.conditional, f"this {model.spec.name}")
        labels = torch.full((len(examples),), number)
    if not isinstance(examples, Tensor):
        examples = modality.join([modality.read(Path(path), model.data) for path in examples], model.data)
    try:
        return Batch(modality.check(examples, len(examples), model.data), labels)
    except GenzooError as error:
        raise UsageError(str(error).replace("the model gave", "the examples are")) from None


def held_out(
    folder: RunFolder,
    n: int,
    seed: int,
    data: object = None,
    data_dir: str | None = None,
    *,
    pairs_of_a_class: bool = False,
) -> Batch:
    """Up to `n` test examples of a run's data, on the CPU, in an order that `seed` makes. With `pairs_of_a_class` each
    two that follow one another have one label."""
    dataset, spec = load_data(folder, data, data_dir)
    count = dataset.count("test")
    order = permutation(seed, 0, count)
    if pairs_of_a_class:
        parts = [batch.labels for batch in dataset.examples("test", CPU)]
        labels = torch.cat([part for part in parts if part is not None])
        of_class = [order[labels[order] == number] for number in range(len(spec.classes))]
        pairs = torch.cat([part[: len(part) // 2 * 2] for part in of_class]).view(-1, 2)
        order = pairs[permutation(seed, 1, len(pairs))].flatten()
    return dataset.take("test", order[:n], CPU)


def mean_squared_error(originals: object, copies: object) -> float | None:
    """The mean squared difference of samples that are tensors; None for others."""
    if not isinstance(originals, Tensor) or not isinstance(copies, Tensor):
        return None
    return (originals.float() - copies.float()).square().mean().item()
