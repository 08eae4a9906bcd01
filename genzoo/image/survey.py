"""A look at a folder of images before a training does: all that is in it, and all that is wrong with it, at once."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

from genzoo.image.data import ImageData, to_unit
from genzoo.image.files import load_npz, read_image
from genzoo.image.sources import GREY, header, image_files, why_unreadable
from genzoo.image.write import grid
from genzoo.interface import folders
from genzoo.interface.dataset import Part, Progress
from genzoo.interface.errors import GenzooError, some_of
from genzoo.interface.modality import DataSurvey

SIDES = (16, 32, 64, 128, 256, 512)  # that are suggested
SHOWN, IN_A_ROW = 64, 8  # examples on a sheet


def survey_npz(path: Path) -> DataSurvey:
    """What is in an `.npz`, or why it is no data."""
    try:
        data = load_npz(path)
    except GenzooError as error:
        return DataSurvey(problems=[str(error)])
    parts: list[Part] = ["train", "test"] if data.validation_images is None else ["train", "validation", "test"]
    digests: dict[str, str] = {}
    classes: dict[str, dict[str, int]] = {}
    for part in parts:
        images, labels = data.part(part)
        digests |= {f"{part} {i}": _digest(images[i]) for i in range(len(images))}
        if labels is not None:
            counts = torch.bincount(labels, minlength=len(data.classes)).tolist()
            classes[part] = dict(zip(data.classes, counts, strict=True))
    counts_of_parts = {part: data.count(part) for part in parts}
    facts = {"images": len(digests), "shape": list(data.train_images[0].shape), "parts": counts_of_parts}
    problems = _duplicates(digests, {name: name.partition(" ")[0] for name in digests})
    options = ["--conditional"] if data.classes else []
    return DataSurvey(facts=facts | {"classes": classes}, problems=problems, options=options, sheet=_of_data(data))


def survey_folder(folder: Path, progress: Progress) -> DataSurvey:
    """What is in a folder of images: sizes, modes, classes and parts; what cannot be read and why; what is there twice.
    Raises `UsageError` if it holds no image file."""
    paths = image_files(folder)
    headers, bad = folders.read_files(paths, header, "looking at image files", progress, why=why_unreadable)
    sizes = Counter(size for size, _ in headers.values())
    modes = Counter(mode for _, mode in headers.values())
    facts: dict[str, object] = {
        "files": len(paths),
        "sizes": {f"{width}x{height}": count for (width, height), count in sizes.most_common()},
        "modes": dict(modes.most_common()),
    }
    options, problems = [], []
    if len(sizes) > 1:
        middle = median(min(size) for size in sizes.elements())
        side = max([side for side in SIDES if side <= middle], default=SIDES[0])
        problems.append(f"there are {len(sizes)} sizes, and a training takes one; --image-size scales and crops")
        options.append(f"--image-size {side}")
    width, height = next(iter(sizes), (1, 1))
    shape = (1 if modes.keys() <= set(GREY) else 3, height, width)
    digests, worse = folders.read_files(
        list(headers), lambda path: _digest(read_image(path, shape)), "reading (images)", progress, why=why_unreadable
    )
    bad |= worse
    if bad:
        lines = [f"{path.relative_to(folder).as_posix()} ({why})" for path, why in sorted(bad.items())]
        problems.append(f"{len(bad)} files cannot be read: {some_of(lines)}")
        options.append("--skip-bad-files")
    try:
        parts, classes = folders.split_folder(sorted(digests), folder, "image")
    except GenzooError as error:
        return DataSurvey(facts=facts | {"readable": len(digests)}, problems=[*problems, str(error)], options=options)
    counts = {part: Counter(labels.values()) for part, labels in parts.items() if labels}
    facts |= {"readable": len(digests), "parts": {part: sum(count.values()) for part, count in counts.items()}}
    if classes:
        of_class = {part: {name: count[i] for i, name in enumerate(classes)} for part, count in counts.items()}
        facts["classes"] = of_class
        options.append("--conditional")
        none = [f"{name} in {part}" for part, counted in of_class.items() for name, n in counted.items() if not n]
        problems += [f"classes without an image: {some_of(none)}"] if none else []
    part_of = {path: part for part, labels in parts.items() for path in labels}
    names = {path.relative_to(folder).as_posix(): path for path in digests}
    problems += _duplicates({n: digests[p] for n, p in names.items()}, {n: part_of[p] for n, p in names.items()})
    shown = [path for part in parts.values() for path in _spread(part)][:SHOWN]
    return DataSurvey(facts=facts, problems=problems, options=options, sheet=_sheet(shown, shape))


def _digest(image: Tensor) -> str:
    return hashlib.sha256(image.contiguous().numpy().tobytes()).hexdigest()


def _duplicates(digests: Mapping[str, str], part_of: Mapping[str, str]) -> list[str]:
    """What to say of images that are there more than once, above all in two parts."""
    same: dict[str, list[str]] = {}
    for name, digest in digests.items():
        same.setdefault(digest, []).append(name)
    groups = [names for names in same.values() if len(names) > 1]
    between = [" = ".join(names) for names in groups if len({part_of[name] for name in names}) > 1]
    within = sum(len(names) - 1 for names in groups)
    lines = [f"{within} images are there again: {some_of([' = '.join(names) for names in groups])}"] if groups else []
    if between:
        lines.append(f"{len(between)} of these are in two parts, so that what is tested was seen: {some_of(between)}")
    return lines


def _spread(labels: Mapping[Path, int]) -> list[Path]:
    """Files of each class in turn."""
    rank: Counter[int] = Counter()
    order = {}
    for path, label in labels.items():
        order[path] = (rank[label], label)
        rank[label] += 1
    return sorted(labels, key=lambda path: order[path])[:SHOWN]


def _sheet(paths: list[Path], shape: tuple[int, int, int]) -> Tensor:
    return grid(to_unit(torch.stack([read_image(path, shape) for path in paths])), IN_A_ROW)


def _of_data(data: ImageData) -> Tensor:
    return grid(to_unit(data.pixels("train", torch.arange(min(SHOWN, data.count("train"))))), IN_A_ROW)
