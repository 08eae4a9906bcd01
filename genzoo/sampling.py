"""The story of one sampling: from a run, or a model, to images or text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from genzoo import checkpoint
from genzoo.data.builtin import load_images
from genzoo.data.files import Progress, tick
from genzoo.data.images import to_unit
from genzoo.data.tokens import Tokenizer
from genzoo.errors import GenzooError, UsageError
from genzoo.generator import Encodes, Exports, Generator, Reconstructs, Streams
from genzoo.options import build
from genzoo.randomness import RandomStreams, permutation
from genzoo.registry import Plugin, registry
from genzoo.run_folder import RunFolder, check_empty, find_run, write_folder
from genzoo.spec import DataSpec, GeneratorSpec, ImageTrainOptions, class_number, load_target

T = TypeVar("T")
GRID = 64
IN_A_ROW = 8
BATCH = 64
WEIGHTS = ("best", "last")


def choose_device(device: str) -> torch.device:
    """The device of a name; "auto" is CUDA, then MPS, then the CPU. Raises `UsageError` for one that is not there."""
    there = ["cpu"]
    if torch.backends.mps.is_available():
        there.insert(0, "mps")
    if torch.cuda.is_available():
        there.insert(0, "cuda")
    if device == "auto":
        return torch.device(there[0])
    kind, _, number = device.partition(":")
    if kind not in there or (number and int(number) >= torch.cuda.device_count()):
        raise UsageError(f"--device is {device!r}; this machine has {', '.join(reversed(there))}")
    return torch.device(device)


def class_of(spec: GeneratorSpec) -> type[Generator]:
    """The class of a model. Raises `GenzooError` if the plugin gives none."""
    kind = load_target(spec.target, f"model {spec.name!r}")
    if not (isinstance(kind, type) and issubclass(kind, Generator)):
        raise GenzooError(f"model {spec.name!r}: {spec.target} is not a genzoo.Generator")
    return kind


def build_model(
    spec: GeneratorSpec, config: Any, data: DataSpec, device: torch.device, tokenizer: Tokenizer | None = None
) -> Generator:
    """A model of a plugin, with fresh weights, on `device`. Raises `GenzooError` if the plugin gives none."""
    try:
        model = class_of(spec)(config, data)
    except ValueError as error:  # options that do not go with these data
        raise UsageError(f"{spec.name}: {error}") from error
    model.spec = spec
    if tokenizer is not None:
        model.tokenizer = tokenizer
    return model.to(device)


def load(
    run: str | Path | RunFolder, *, weights: str = "best", device: str = "auto", runs_dir: str | None = None
) -> Generator:
    """The model of a run, ready to sample.

    Args:
        run: a run's folder or name, or a model's name for its newest finished run.
        weights: "best", by the score that the model chose, if the run keeps them, else the last; or "last".
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".

    Raises:
        UsageError: there is no such run.
        GenzooError: its files are damaged, or its plugin is not installed.
    """
    if weights not in WEIGHTS:
        raise UsageError(f"weights is {weights!r}; allowed is {' or '.join(WEIGHTS)}")
    folder = find_run(run, runs_dir)
    spec, plugin = spec_of(folder)
    facts, state = checkpoint.load_model(folder, weights)
    config: Any = build(spec.config, facts["options"], f"{spec.name} ({plugin.distribution} {plugin.version})")
    data = DataSpec.from_json(facts["data_spec"])
    model = build_model(spec, config, data, choose_device(device), tokenizer_of(folder))
    for name in model.training_only:
        delattr(model, name)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        first = str(error).splitlines()[0]
        raise GenzooError(f"run {folder.name!r} does not fit {plugin.distribution} {plugin.version}: {first}") from None
    return model.eval()


def tokenizer_of(folder: RunFolder) -> Tokenizer | None:
    """The tokeniser of a run on text; None for another. Raises `GenzooError` if it is not as it was."""
    if folder.data_spec.modality != "text":
        return None
    try:
        found = Tokenizer(folder.tokenizer_file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise GenzooError(f"run {folder.name!r}: cannot read its tokenizer.json: {error}") from None
    if found.sha256 != folder.record["tokenizer_sha256"]:
        raise GenzooError(f"run {folder.name!r} is damaged: its tokenizer.json is not the one that it began with")
    return found


def spec_of(folder: RunFolder) -> tuple[GeneratorSpec, Plugin]:
    """The model of a run as its plugin registers it now. Raises `UsageError` if it does not."""
    shelf, distribution = registry().generators, folder.record["plugin"]
    for _, plugin, spec in shelf:
        if spec.name == folder.model and plugin.distribution == distribution:
            return spec, plugin
    raise UsageError(
        f"run {folder.name!r} needs the plugin {distribution} with model {folder.model!r}; it is not installed"
    )


def grid_size(data: DataSpec | None = None) -> int:
    """How many samples a grid has: 64, or 8 of each class for a conditional model of `data`."""
    return IN_A_ROW * min(len(data.classes), GRID) if data else GRID


def labels_of_samples(count: int, data: DataSpec, label: int | None = None) -> Tensor:
    """The classes of samples 0 to `count` - 1 of a conditional model, int64 (count,): `label`, or each in turn."""
    each = torch.arange(count) % max(len(data.classes), 1)
    return each if label is None else torch.full_like(each, label)


def _part_of(progress: Progress, start: int, size: int, count: int, done: int, total: int) -> None:
    progress("sampling", start + size * done // total, count)


def _given(model: Generator, labels: Tensor | None) -> dict[str, Tensor]:
    """What a conditional model's methods take besides."""
    return {"labels": labels.to(model.device)} if model.conditional and labels is not None else {}


def draw(
    model: Generator, count: int, *, seed: int, options: Any, batch_size: int = BATCH, label: int | None = None,
    progress: Progress = tick,
) -> Tensor:  # fmt: skip
    """Samples 0 to `count` - 1 of a seed, on the CPU: (count, C, H, W) in [0, 1]. Raises `GenzooError` for others."""
    labels = labels_of_samples(count, model.data, label)

    def part(start: int, size: int, rng: RandomStreams) -> Tensor:
        images = model.sample(size, options=options, rng=rng, **_given(model, labels[start : start + size]))
        assert isinstance(images, Tensor), "the model is of images"
        if tuple(images.shape) != (size, *model.data.shape) or not bool(torch.isfinite(images).all()):
            raise GenzooError(
                f"model {type(model).__name__} gave {tuple(images.shape)} for {size} samples, or numbers that"
                f" are not finite; promised are {(size, *model.data.shape)} in [0, 1]"
            )
        return images.float().clamp(0, 1).cpu()

    parts = _in_parts(model, count, seed, batch_size, progress, part)
    return torch.cat(parts) if parts else torch.empty(0, *model.data.shape)


def draw_texts(
    model: Generator, count: int, *, seed: int, options: Any, batch_size: int = BATCH, progress: Progress = tick
) -> list[str]:
    """Samples 0 to `count` - 1 of a seed, of a model of text. Raises `GenzooError` for what is no text."""

    def part(_start: int, size: int, rng: RandomStreams) -> list[str]:
        texts = model.sample(size, options=options, rng=rng)
        if len(texts) != size or not all(isinstance(text, str) for text in texts):
            raise GenzooError(f"model {type(model).__name__} gave {len(texts)} things for {size} texts")
        return [str(text) for text in texts]

    return [text for texts in _in_parts(model, count, seed, batch_size, progress, part) for text in texts]


def _in_parts(
    model: Generator, count: int, seed: int, batch_size: int, progress: Progress,
    part: Callable[[int, int, RandomStreams], T],
) -> list[T]:  # fmt: skip
    """What `part(start, size, rng)` gives for each part of a request, while `progress` is told."""
    parts = []
    try:
        with torch.no_grad():
            for start in range(0, count, batch_size):
                size = min(batch_size, count - start)
                model.watch = partial(_part_of, progress, start, size, count)
                parts.append(part(start, size, RandomStreams(seed, size, start=start, device=model.device)))
                progress("sampling", start + size, count)
    finally:
        model.watch = None
    return parts


def stream(
    run: str | Path | RunFolder | Generator,
    *,
    seed: int = 0,
    weights: str = "best",
    device: str = "auto",
    runs_dir: str | None = None,
    **options: Any,
) -> Iterator[str]:
    """Draw one text and give it piece by piece, as it comes: the text of `sample(run, 1, ...)`.

        for piece in genzoo.stream("transformer", prompt="To be"):
            print(piece, end="", flush=True)

    The arguments are those of `sample`. Raises `UsageError` as `sample` does, and for a model that cannot stream.
    """
    model = run if isinstance(run, Generator) else load(run, weights=weights, device=device, runs_dir=runs_dir)
    if seed < 0:
        raise UsageError(f"seed is {seed}; allowed is 0 or more")
    own: Any = build(model.spec.sample_options, options, f"sampling {model.spec.name}")
    if not isinstance(model, Streams):
        raise UsageError(f"model {model.spec.name!r} cannot stream; use sample")
    return _without_gradients(model.stream(options=own, rng=RandomStreams(seed, 1, device=model.device)))


def _without_gradients(pieces: Iterator[str]) -> Iterator[str]:
    while True:
        with torch.no_grad():  # between two pieces the caller's own setting holds
            piece = next(pieces, None)
        if piece is None:
            return
        yield piece


def sample(
    run: str | Path | RunFolder | Generator,
    n: int | None = None,
    *,
    seed: int = 0,
    label: str | int | None = None,
    batch_size: int = BATCH,
    weights: str = "best",
    device: str = "auto",
    runs_dir: str | None = None,
    progress: Progress = tick,
    **options: Any,
) -> Tensor | list[str]:
    """Draw samples from a run, or from a model that `load` gave.

    Sample i is a function of (seed, i): asking for more leaves the first as they are (to float rounding; bit for
    bit at one `batch_size`).

    Args:
        run: a model, a run's folder or name, or a model's name for its newest finished run.
        n: how many; None: 64 images, or 1 text.
        seed: 0 or more.
        label: the name of the class to draw, for a model trained with `conditional`; None: sample i is of class
            i modulo their number.
        weights: as for `load`.
        progress: called with ("sampling", done, n) while samples are drawn.
        options: the model's own sampling options, such as `temperature`.

    Returns:
        Images as float32 in [0, 1], shape (n, C, H, W), on the CPU; or n texts, each with the prompt that it goes on
        from.

    Raises:
        UsageError: no such run, option or class, or a value out of bounds.
    """
    for name, value, least in (("n", n or 0, 0), ("seed", seed, 0), ("batch_size", batch_size, 1)):
        if value < least:
            raise UsageError(f"{name} is {value}; allowed is {least} or more")
    if isinstance(run, Generator):
        model, owner = run, f"this {run.spec.name}"
        number = None if label is None else class_number(label, run.data, run.conditional, owner)
    else:
        folder = find_run(run, runs_dir)
        number = None if label is None else folder.class_number(label)
        model = load(folder, weights=weights, device=device)
    own: Any = build(model.spec.sample_options, options, f"sampling {model.spec.name}")
    if model.spec.modality == "text":
        return draw_texts(
            model, 1 if n is None else n, seed=seed, options=own, batch_size=batch_size, progress=progress
        )
    return draw(
        model, GRID if n is None else n, seed=seed, options=own, batch_size=batch_size, label=number, progress=progress
    )


def reconstruct(
    run: str | Path | RunFolder,
    n: int = 32,
    *,
    seed: int = 0,
    device: str = "auto",
    runs_dir: str | None = None,
) -> tuple[Tensor, Tensor]:
    """Held-out images of a run's data, and what its model makes of them.

    Returns:
        Two tensors of images in [0, 1], shape (n, C, H, W), on the CPU; fewer if the held-out data have fewer.

    Raises:
        UsageError: the model cannot reconstruct, or there is no such run.
    """
    folder = find_run(run, runs_dir)
    model = load(folder, device=device)
    if not isinstance(model, Reconstructs):
        raise UsageError(f"model {model.spec.name!r} cannot reconstruct: it has no encoder")
    images, labels = held_out(folder, n, seed)
    with torch.no_grad():
        return images, model.reconstruct(images.to(model.device), **_given(model, labels)).float().clamp(0, 1).cpu()


def interpolate(
    run: str | Path | RunFolder,
    n: int = 8,
    *,
    num_steps: int = 10,
    seed: int = 0,
    device: str = "auto",
    runs_dir: str | None = None,
) -> Tensor:
    """Ways between pairs of held-out images through the latent space, along the sphere (Shoemake 1985). A conditional
    model's pairs are of one class.

    Returns:
        Images in [0, 1], shape (n, num_steps, C, H, W), on the CPU.

    Raises:
        UsageError: the model has no latent space to encode to, or there is no such run.
    """
    folder = find_run(run, runs_dir)
    model = load(folder, device=device)
    if not isinstance(model, Encodes):
        raise UsageError(f"model {model.spec.name!r} cannot interpolate: it has no encoder and decoder")
    ends, labels = held_out(folder, 2 * n, seed, pairs_of_a_class=model.conditional)
    pairs = len(ends) // 2
    ends = ends[: 2 * pairs]
    with torch.no_grad():
        latents = model.encode(ends.to(model.device), **_given(model, None if labels is None else labels[: 2 * pairs]))
        ways = [slerp(latents[0::2], latents[1::2], t) for t in torch.linspace(0, 1, num_steps).tolist()]
        own = _given(model, None if labels is None else labels[: 2 * pairs : 2].repeat_interleave(num_steps))
        images = model.decode(torch.stack(ways, dim=1).flatten(0, 1), **own).float().clamp(0, 1).cpu()
    return images.view(pairs, num_steps, *images.shape[1:])


def export(run: str | Path | RunFolder, folder: str | Path, *, runs_dir: str | None = None) -> str:
    """Write a run's model in a format that other libraries read.

    Args:
        folder: where to; must not exist, or be empty.

    Returns:
        The line of Python that reads it.

    Raises:
        UsageError: the model has no such format, there is no such run, or the folder holds something.
        GenzooError: the folder cannot be written.
    """
    found, target = find_run(run, runs_dir), Path(folder).expanduser()
    check_empty(target)
    model = load(found, device="cpu")
    if not isinstance(model, Exports):
        raise UsageError(f"model {model.spec.name!r} cannot be exported: no other library has its format")
    says: list[str] = []
    try:
        write_folder(target, lambda aside: says.append(model.export(aside).replace(str(aside), str(target))))
    except OSError as error:
        raise GenzooError(f"cannot write {target}: {error.strerror}") from None
    return says[0]


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


def held_out(folder: RunFolder, n: int, seed: int, *, pairs_of_a_class: bool = False) -> tuple[Tensor, Tensor | None]:
    """Up to `n` held-out images of a run's data in an order that `seed` makes, (n, C, H, W) in [0, 1], and their labels
    (n,) or None, on the CPU. With `pairs_of_a_class` each two that follow one another have one label."""
    options = folder.training
    assert isinstance(options, ImageTrainOptions), "only models of images reconstruct"
    dataset, spec = load_images(options, registry(), tick)
    if spec.fingerprint != folder.record["data_spec"]["fingerprint"]:
        raise GenzooError(f"data {options.data!r} are no longer those that run {folder.name!r} was trained on")
    chosen, images, labels = permutation(seed, 0, spec.test_count), dataset.test_images, dataset.test_labels
    if pairs_of_a_class and labels is not None:
        own = [chosen[labels[chosen] == number] for number in range(len(spec.classes))]
        pairs = torch.cat([part[: len(part) // 2 * 2] for part in own]).view(-1, 2)
        chosen = pairs[permutation(seed, 1, len(pairs))].flatten()
    chosen = chosen[:n]
    parts = images[chosen] if isinstance(images, Tensor) else torch.stack([images[int(i)] for i in chosen])
    return to_unit(parts), None if labels is None else labels[chosen]
