"""Data and numbers that cannot be: one line that says what is allowed."""

import os
import sys

import numpy as np
import pytest
from PIL import Image

import genzoo
from genzoo import GenzooError, UsageError

pytestmark = pytest.mark.usefixtures("toy")
IMAGES = np.arange(40 * 16, dtype=np.uint32).astype(np.uint8).reshape(40, 4, 4)
LABELS = np.arange(40) % 2


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": IMAGES, "labels": np.zeros((40, 2))}, r"labels have shape \(40, 2\); allowed is \(N,\)"),
        ({"images": IMAGES, "labels": np.where(LABELS, np.nan, 1.0)}, "labels are not all numbers"),
        ({"images": IMAGES[:, :0]}, "none of these may be 0"),
        ({"images": IMAGES[:0].astype(float)}, "none of these may be 0"),
        ({"images": IMAGES[:0]}, "none of these may be 0"),
    ],
)
def test_arrays_that_are_no_images_or_labels(tmp_path, arrays, message):
    np.savez(tmp_path / "data.npz", **arrays)
    with pytest.raises(GenzooError, match=message):
        genzoo.train("toy", data=str(tmp_path / "data.npz"))


@pytest.mark.parametrize(
    ("option", "value"), [("steps", 10**23), ("epochs", 1e300), ("epochs", float("nan")), ("batch_size", 10**12)]
)
def test_more_than_can_be_is_refused(option, value):
    with pytest.raises(UsageError, match=f"--{option.replace('_', '-')} is .*; allowed is a"):
        genzoo.train("toy", **{option: value})


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="there all names are Unicode")
def test_names_that_are_no_unicode_are_taken(tmp_path):
    for number in range(20):
        folder = os.fsencode(tmp_path / "data") + b"/c\xfe%d" % (number % 2)
        os.makedirs(folder, exist_ok=True)
        Image.fromarray(IMAGES[number]).save(tmp_path / "one.png")
        os.rename(tmp_path / "one.png", folder + b"/p\xff%d.png" % number)
    run = genzoo.train("toy", data=str(tmp_path / "data"), name="one", steps=2, sample_every=0, eval_every=0)
    assert genzoo.RunFolder(run.path).data_spec.classes == ("c\udcfe0", "c\udcfe1")
    assert genzoo.resume("one", steps=4).status == "finished"
