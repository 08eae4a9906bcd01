"""The story of one sampling: from a run, or a model, to samples; and the real ones that they are set beside."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genzoo.interface.dataset import Progress, silent
from genzoo.interface.errors import UsageError
from genzoo.interface.generator import Generator, Streams, watching
from genzoo.interface.options import build
from genzoo.interface.randomness import RandomStreams
from genzoo.interface.specs import DataSpec
from genzoo.registry.plugins import modality_of
from genzoo.runs.data import load_data
from genzoo.runs.find import find_run
from genzoo.runs.folder import RunFolder
from genzoo.runs.progress import Watched
from genzoo.sampling.model import load

BATCH = 64


def labels_of_samples(count: int, data: DataSpec, classes: Sequence[int] = ()) -> Tensor:
    """The classes of samples 0 to `count` - 1 of a conditional model, int64 (count,): each of `classes` in turn, or of
    all."""
    in_turn = torch.tensor(classes or range(max(len(data.classes), 1)))
    return in_turn[torch.arange(count) % len(in_turn)]


def with_labels(model: Generator, labels: Tensor | None) -> dict[str, Tensor]:
    """What a conditional model's methods take besides."""
    return {"labels": labels.to(model.device)} if model.conditional and labels is not None else {}


def draw(
    model: Generator, count: int, *, seed: int, options: object, batch_size: int = BATCH,
    classes: Sequence[int] = (), progress: Progress = silent,
) -> Any:  # fmt: skip
    """Samples 0 to `count` - 1 of a seed, on the CPU, as the model's modality has them. Raises `GenzooError` for what
    the modality does not take."""
    modality = modality_of(model.spec.modality)
    labels, parts = labels_of_samples(count, model.data, classes), []
    for start in range(0, count, batch_size):
        size = min(batch_size, count - start)
        rng = RandomStreams(seed, size, start=start, device=model.device)
        with torch.no_grad(), watching(partial(_part_of, progress, start, size, count)):
            samples = model.sample(size, options=options, rng=rng, **with_labels(model, labels[start : start + size]))
        parts.append(modality.check(samples, size, model.data))
        progress("sampling (samples)", start + size, count)
    return modality.join(parts, model.data)


def _part_of(progress: Progress, start: int, size: int, count: int, done: int, total: int) -> None:
    progress("sampling (samples)", start + size * done // total, count)


def sample(
    run: str | Path | RunFolder | Generator,
    n: int | None = None,
    *,
    seed: int = 0,
    label: str | int | Sequence[str | int] | None = None,
    batch_size: int = BATCH,
    weights: str = "best",
    device: str = "auto",
    runs_dir: str | None = None,
    progress: Progress | bool | None = None,
    **options: object,
) -> Any:
    """Draw samples from a run, or from a model that `load` gave.

    Sample i is a function of (seed, i): asking for more leaves the first as they are (to float rounding; bit for
    bit at one `batch_size`).

    Args:
        run: a model, a run's folder or name, or a model's name for its newest finished run.
        n: how many; None: 64 images, 1 text, or what another modality says.
        seed: 0 or more.
        label: the name of the class to draw, for a model trained with `conditional`, or several: sample i is of each in
            turn; None: of all.
        weights: as for `load`.
        progress: as for `train`.
        options: the model's own sampling options, such as `temperature`.

    Returns:
        What the modality's samples are. Images: float32 in [0, 1], shape (n, C, H, W), on the CPU. Texts: a list of n,
        each with the prompt that it goes on from.

    Raises:
        UsageError: no such run, option or class, or a value out of bounds.
    """
    for name, value, least in (("n", n or 0, 0), ("seed", seed, 0), ("batch_size", batch_size, 1)):
        if value < least:
            raise UsageError(f"{name} is {value}; allowed is {least} or more")
    model, classes = _model_and_classes(run, label, weights, device, runs_dir)
    sample_options: object = build(model.spec.sample_options, options, f"sampling {model.spec.name}")
    count = modality_of(model.spec.modality).spec.count if n is None else n
    with Watched(progress) as watched:
        return draw(
            model, count, seed=seed, options=sample_options, batch_size=batch_size, classes=classes,
            progress=watched.data,
        )  # fmt: skip


def real_samples(
    run: str | Path | RunFolder,
    n: int | None = None,
    *,
    seed: int = 0,
    like: Any = None,
    data: str | None = None,
    data_dir: str | None = None,
    runs_dir: str | None = None,
) -> Any:
    """Held-out test examples of the data of a run, in the form of samples, to be set beside what its model draws.

    Args:
        n: how many; None: as for `sample`. Fewer are given where there are fewer.
        seed: which.
        like: samples that they should be as long as, where the modality's differ in length.
        data, data_dir: as for `reconstruct`.

    Raises:
        UsageError: there is no such run.
        GenzooError: its data are gone or changed.
    """
    folder = find_run(run, runs_dir)
    dataset, spec = load_data(folder, data, data_dir)
    modality = modality_of(spec.modality)
    return modality.real_samples(dataset, spec, modality.spec.count if n is None else n, seed=seed, like=like)


def _model_and_classes(
    run: str | Path | RunFolder | Generator,
    label: str | int | Sequence[str | int] | None,
    weights: str,
    device: str,
    runs_dir: str | None,
) -> tuple[Generator, list[int]]:
    """The model of a run, or the one that is given, and the positions of classes by their names."""
    if isinstance(run, Generator):
        owner = f"this {run.spec.name}"
        return run, [] if label is None else run.data.class_numbers(label, run.conditional, owner)
    folder = find_run(run, runs_dir)
    classes = [] if label is None else folder.class_numbers(label)
    return load(folder, weights=weights, device=device), classes


def stream(
    run: str | Path | RunFolder | Generator,
    *,
    seed: int = 0,
    label: str | int | None = None,
    weights: str = "best",
    device: str = "auto",
    runs_dir: str | None = None,
    **options: object,
) -> Iterator[str]:
    """Draw one text and give it piece by piece, as it comes: the text of `sample(run, 1, ...)`, behind the prompt.

        for piece in genzoo.stream("transformer", prompt="To be"):
            print(piece, end="", flush=True)

    The arguments are those of `sample`. Raises `UsageError` as `sample` does, and for a model that cannot stream.
    """
    if seed < 0:
        raise UsageError(f"seed is {seed}; allowed is 0 or more")
    model, classes = _model_and_classes(run, label, weights, device, runs_dir)
    sample_options: object = build(model.spec.sample_options, options, f"sampling {model.spec.name}")
    if not isinstance(model, Streams):
        raise UsageError(f"model {model.spec.name!r} cannot stream; use sample")
    labels = with_labels(model, labels_of_samples(1, model.data, classes))
    rng = RandomStreams(seed, 1, device=model.device)
    return _without_gradients(model.stream(options=sample_options, rng=rng, **labels))


def _without_gradients(pieces: Iterator[str]) -> Iterator[str]:
    while True:
        with torch.no_grad():  # between two pieces the caller's own setting holds
            piece = next(pieces, None)
        if piece is None:
            return
        yield piece
