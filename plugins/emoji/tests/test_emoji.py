"""All emoji are there, each with its name and class; variants stay together; they are drawn once."""

import re

import numpy as np
import pytest

import genzoo
from genzoo_emoji import data as emoji

PARTS = ("train", "validation", "test")
VARIANT = r"^(wo)?m[ae]n|^(person|people)|(light|medium-light|medium|medium-dark|dark) skin tone|facing right|[:, ]"


@pytest.fixture(scope="module")
def arrays():
    return emoji.drawn(32)


@pytest.fixture
def load(arrays, tmp_path, monkeypatch):
    """Loads the set from a data folder, with how often it was drawn."""
    sizes = []
    monkeypatch.setattr(emoji, "drawn", lambda size: sizes.append(size) or arrays)
    return lambda: (emoji.load_emoji(tmp_path), sizes)


def test_every_emoji_is_drawn_with_its_name_and_class(arrays):
    images, labels, names = (
        np.concatenate([arrays[f"{prefix}{what}"] for prefix in emoji.PREFIXES])
        for what in ("images", "labels", "names")
    )
    assert images.shape == (4495, 3, 32, 32)
    assert len(set(names)) > 4450
    assert set(labels) == set(emoji.CLASSES)
    assert len(emoji.CLASSES) == 12
    marked = (images < 250).any(1).mean((1, 2))  # the share of pixels that are not white
    assert marked.min() > 0.005
    assert (images[:, :, 0, 0] == 255).mean() > 0.95  # corners are white
    known = {"red square": (214, 50, 45), "blue square": (146, 211, 245), "flag: Japan": (214, 50, 45)}
    for name, colour in known.items():
        (number,) = np.flatnonzero(names == name)
        assert np.abs(images[number, :, 16, 16].astype(int) - colour).max() < 30, name
    assert dict(zip(names, labels, strict=True))["flag: Japan"] == "flags"


def test_variants_of_an_emoji_are_in_one_part(arrays):
    part_of, pictures = {}, {}
    for prefix in emoji.PREFIXES:
        for name, image in zip(arrays[f"{prefix}names"], arrays[f"{prefix}images"], strict=True):
            part_of.setdefault(re.sub(VARIANT, "", str(name)), set()).add(prefix)
            pictures.setdefault(image.tobytes(), set()).add(prefix)
    assert [name for name, parts in part_of.items() if len(parts) > 1] == []
    assert all(len(parts) == 1 for parts in pictures.values())


def test_every_part_has_every_class(load):
    data, _ = load()
    for part in PARTS:
        counts = data.part(part)[1].bincount(minlength=12)
        assert counts.min() >= 7, (part, counts)


def test_it_is_drawn_once_and_again_where_the_file_is_damaged(load, tmp_path):
    first, sizes = load()
    again, _ = load()
    assert sizes == [32]
    assert again.spec("emoji") == first.spec("emoji")
    (file,) = tmp_path.glob("emoji/*.npz")
    assert "CC BY-SA 4.0" in (file.parent / "NOTICE.txt").read_text("utf-8")
    file.write_bytes(file.read_bytes()[:1000])
    assert load()[0].spec("emoji") == first.spec("emoji")
    assert sizes == [32, 32]


@pytest.mark.slow
def test_a_model_trains_on_it_by_its_name(load, tmp_path):
    run = genzoo.train("gan", data="emoji", data_dir=str(tmp_path), steps=2, eval_every=0, runs_dir=str(tmp_path))
    assert genzoo.sample(run, 2).shape == (2, 3, 32, 32)
