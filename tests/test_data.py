"""Data come as they are: sizes from the files, train and test apart, bad files named, the same batches either way."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

import genzoo
from genzoo import GenzooError, UsageError
from genzoo.data import files, locate
from genzoo.data.builtin import load
from genzoo.data.images import Order, batches, place
from genzoo.registry import registry
from genzoo.run_folder import RunFolder
from genzoo.spec import ImageTrainOptions


def read(data, **options):
    return load(ImageTrainOptions(data=str(data), **options), registry(), files.tick)


def picture(path, size=(6, 5), mode="RGB", seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (size[1], size[0], 3) if mode == "RGB" else (size[1], size[0])
    array = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    Image.fromarray(array).save(path)
    return array


@pytest.fixture
def folder(tmp_path):
    """Twenty colour pictures of each of two classes."""
    for kind in ("cat", "dog"):
        for i in range(20):
            picture(tmp_path / "pets" / kind / f"{i:02d}.png", seed=i)
    return tmp_path / "pets"


def test_mnist_5k_is_real_balanced_and_fixed():
    data, spec = read("mnist-5k")
    assert (spec.shape, spec.train_count, spec.test_count) == ((1, 28, 28), 4500, 500)
    assert torch.equal(data.train_labels.bincount(), torch.full((10,), 450))
    assert torch.equal(data.test_labels.bincount(), torch.full((10,), 50))
    assert spec.fingerprint == "82e08400664f5e9d95502a0da5f621f6a11ada376811bf8bdcc2c98c51de0582"
    both = torch.cat([data.train_images, data.test_images]).flatten(1)
    assert len(both.unique(dim=0)) == 5000  # no test image is a training image


@pytest.mark.parametrize("count", [1, 7, 40])
@pytest.mark.parametrize("size", [1, 3, 8, 64])
def test_batches_are_full_and_every_epoch_has_each_example_once(count, size):
    order = Order(count, size, seed=3)
    steps = [order(step) for step in range(2 * count)]
    assert {len(index) for index in steps} == {size}
    everything = torch.cat(steps)
    for epoch in range(2 * size):
        assert everything[epoch * count : (epoch + 1) * count].sort().values.tolist() == list(range(count))


def test_batch_k_is_a_function_of_seed_and_k():
    steps = [Order(40, 8, seed=3)(step) for step in range(20)]
    assert all(torch.equal(Order(40, 8, seed=3)(step), steps[step]) for step in (19, 0, 7))
    assert not torch.equal(Order(40, 8, seed=4)(0), steps[0])
    for step in range(20):  # two processes share the batch
        parts = [Order(40, 8, seed=3, rank=rank, world=2)(step) for rank in (0, 1)]
        assert torch.equal(torch.cat(parts), steps[step])
    with pytest.raises(UsageError, match="--batch-size is 7; with 2 processes allowed is a multiple of 2"):
        Order(40, 7, seed=3, world=2)


def test_memory_and_files_give_the_same_batches_and_fingerprint(folder):
    held, spec = read(folder, data_loading="memory")
    streamed, other = read(folder, data_loading="stream")
    assert isinstance(held.train_images, torch.Tensor)
    assert isinstance(streamed.train_images, files.ImageFiles)
    assert spec == other
    cpu = torch.device("cpu")
    state = torch.get_rng_state()
    pairs = [
        batches(data.train_images, data.train_labels, Order(36, 5, 0), range(3, 12), cpu) for data in (held, streamed)
    ]
    for one, two in zip(*pairs, strict=True):
        assert torch.equal(one.images, two.images)
        assert torch.equal(one.labels, two.labels)
        assert one.images.dtype == torch.float32
        assert 0 <= one.images.min() < one.images.max() <= 1
    assert torch.equal(torch.get_rng_state(), state)


def test_a_streamed_training_is_the_one_in_memory(folder, toy):
    runs = [genzoo.train("toy", name=way, data=str(folder), data_loading=way) for way in ("memory", "stream")]
    one, other = (genzoo.load(run).state_dict() for run in runs)
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_a_folder_gives_classes_size_channels_and_a_split(folder):
    data, spec = read(folder)
    assert (spec.name, spec.shape, spec.classes) == ("pets", (3, 5, 6), ("cat", "dog"))
    assert (spec.train_count, spec.test_count) == (36, 4)
    assert torch.equal(data.test_labels, torch.tensor([0, 0, 1, 1]))
    first = np.asarray(Image.open(folder / "cat" / "00.png"))
    assert torch.equal(data.train_images[0].permute(1, 2, 0), torch.from_numpy(first.copy()))


def test_train_and_test_folders_are_kept(tmp_path):
    for part, count in (("train", 5), ("test", 3)):
        for i in range(count):
            picture(tmp_path / "d" / part / "x" / f"{i}.png", mode="L", seed=i)
    _, spec = read(tmp_path / "d")
    assert (spec.train_count, spec.test_count, spec.shape, spec.classes) == (5, 3, (1, 5, 6), ("x",))


def test_pictures_without_classes_have_no_labels(tmp_path):
    for i in range(12):
        picture(tmp_path / "d" / f"{i}.png", seed=i)
    data, spec = read(tmp_path / "d")
    assert data.train_labels is None
    assert spec.classes == ()


def test_size_and_channels_are_options(folder):
    picture(folder / "cat" / "odd.png", size=(20, 10))
    with pytest.raises(UsageError, match="2 sizes, from 6x5 to 20x10; give --image-size"):
        read(folder)
    assert read(folder, image_size=8, channels=1)[1].shape == (1, 8, 8)


def test_modes_of_all_kinds_are_read(tmp_path):
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
    made = {
        "grey.png": Image.fromarray(grey), "palette.gif": Image.fromarray(grey).convert("P"),
        "alpha.png": Image.fromarray(grey).convert("RGBA"), "deep.png": Image.fromarray(grey.astype(np.uint16) * 256),
        "one.png": Image.fromarray(grey).convert("1"), "print.jpg": Image.fromarray(grey).convert("CMYK"),
    }  # fmt: skip
    (tmp_path / "d").mkdir()
    for name, image in made.items():
        image.save(tmp_path / "d" / name)
    assert read(tmp_path / "d")[1].shape == (3, 8, 8)
    for name in ("grey.png", "deep.png", "alpha.png"):
        assert torch.equal(files.read_image(tmp_path / "d" / name, (1, 8, 8))[0], torch.from_numpy(grey))


@pytest.fixture
def damaged(folder):
    """The folder with a file of each kind of damage."""
    (folder / "cat" / "empty.png").write_bytes(b"")
    (folder / "cat" / "text.png").write_text("hello")
    whole = (folder / "cat" / "00.png").read_bytes()
    (folder / "dog" / "cut.png").write_bytes(whole[:60])
    Image.new("1", (10_000, 10_000)).save(folder / "dog" / "bomb.png")
    (folder / "notes.txt").write_text("not a picture, and not taken for one")
    return folder


def test_bad_files_are_named(damaged):
    with pytest.raises(GenzooError) as caught:
        read(damaged)
    text = str(caught.value)
    assert "4 of 44 image files" in text
    for name in ("cat/empty.png (empty)", "cat/text.png (not an image)", "dog/bomb.png (too large)", "dog/cut.png ("):
        assert name in text
    assert "--skip-bad-files" in text


def test_a_truncated_file_is_named(folder):
    file = folder / "dog" / "00.png"
    picture(file, size=(6, 5))
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(GenzooError, match=r"1 of 40 image files .* dog/00.png \("):
        read(folder)


def test_bad_files_can_be_skipped_and_the_run_names_them(damaged, toy):
    run = genzoo.train("toy", data=str(damaged), skip_bad_files=True)
    skipped = json.loads((run.path / "run.json").read_text())["data_spec"]["skipped"]
    assert skipped == ["cat/empty.png", "cat/text.png", "dog/bomb.png", "dog/cut.png"]


def test_at_most_ten_bad_files_are_named(tmp_path):
    picture(tmp_path / "d" / "good.png")
    for i in range(15):
        (tmp_path / "d" / f"bad{i:02d}.png").write_text("x")
    with pytest.raises(GenzooError, match=r"15 of 16 image files.*bad09.png \(not an image\) and 5 more;"):
        read(tmp_path / "d")


def test_folders_without_enough_are_refused(tmp_path):
    (tmp_path / "d").mkdir()
    with pytest.raises(UsageError, match="holds no image file; looked for"):
        read(tmp_path / "d")
    (tmp_path / "d" / "bad.png").write_text("x")
    with pytest.raises(GenzooError, match="none of the 1 image files"):
        read(tmp_path / "d", skip_bad_files=True)
    picture(tmp_path / "d" / "good.png")
    with pytest.raises(GenzooError, match="training and test need one each"):
        read(tmp_path / "d", skip_bad_files=True)


@pytest.mark.parametrize("shape", [(20, 6, 5), (20, 6, 5, 3), (20, 3, 6, 5), (20, 1, 6, 5)])
def test_arrays_of_all_layouts(tmp_path, shape):
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    np.savez(tmp_path / "a.npz", images=images, labels=np.array(["b", "a"] * 10))
    data, spec = read(tmp_path / "a.npz")
    assert spec.shape == (3 if 3 in shape else 1, 6, 5)
    assert (spec.train_count, spec.test_count, spec.classes) == (18, 2, ("a", "b"))
    np.savez(tmp_path / "f.npz", images=images / 255)
    floats, other = read(tmp_path / "f.npz")
    assert torch.equal(floats.train_images, data.train_images)
    assert other.classes == ()


def test_arrays_with_a_test_part(tmp_path):
    x = np.zeros((4, 6, 5), np.uint8)
    np.savez(tmp_path / "a.npz", images=x, labels=np.arange(4), test_images=x[:2], test_labels=np.array([0, 3]))
    _, spec = read(tmp_path / "a.npz")
    assert (spec.train_count, spec.test_count, spec.classes) == (4, 2, ("0", "1", "2", "3"))


@pytest.mark.parametrize(
    ("arrays", "why"),
    [
        ({"x": np.zeros(3)}, "no array 'images'; it holds x"),
        ({"images": np.zeros((4, 5), np.uint8)}, r"shape \(4, 5\); allowed is"),
        ({"images": np.full((4, 5, 5), 2.0)}, "outside"),
        ({"images": np.full((4, 5, 5), np.nan)}, "outside"),
        ({"images": np.zeros((4, 5, 5), np.int64)}, "int64; allowed is uint8"),
        ({"images": np.zeros((1, 5, 5), np.uint8)}, "need one each"),
        ({"images": np.zeros((4, 5, 5), np.uint8), "labels": np.zeros(3)}, "4 images and 3 labels"),
        ({"images": np.array([{}] * 4)}, "cannot be read as .npz"),
    ],
)
def test_arrays_that_cannot_be_used(tmp_path, arrays, why):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(GenzooError, match=why):
        read(tmp_path / "a.npz")


def test_a_file_that_is_no_archive(tmp_path):
    (tmp_path / "a.npz").write_text("hello")
    with pytest.raises(GenzooError, match="cannot be read as .npz"):
        read(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ("mnits", "did you mean 'mnist'"), ("./nowhere", "does not exist"), ("x/y/z", "does not exist"),
        ("no.npz", "does not exist"), (__file__, "is a file; allowed is"), ("zzzzzz", "there is cifar10"),
    ],
)  # fmt: skip
def test_data_that_are_not_there(data, why):
    with pytest.raises(UsageError, match=why):
        locate(data, registry().datasets, "image")


def test_a_data_set_that_fails_is_named_in_one_line(toy):
    with pytest.raises(GenzooError, match="^data 'broken' cannot be loaded: ValueError: no such planet$"):
        read("broken")


def write_idx(folder, images, labels, part):
    folder.mkdir(parents=True, exist_ok=True)
    header = [0, 0, 8, 3, *b"".join(n.to_bytes(4, "big") for n in images.shape)]
    (folder / f"{part}-images-idx3-ubyte").write_bytes(bytes(header) + images.tobytes())
    header = [0, 0, 8, 1, *len(labels).to_bytes(4, "big")]
    (folder / f"{part}-labels-idx1-ubyte").write_bytes(bytes(header) + labels.tobytes())


@pytest.mark.parametrize(
    ("name", "folder"), [("mnist", "MNIST"), ("fashion-mnist", "FashionMNIST"), ("kmnist", "KMNIST")]
)
def test_files_in_the_data_folder_are_used_as_they_are(tmp_path, genzoo_command, name, folder):
    rng = np.random.default_rng(0)
    raw = tmp_path / "data" / folder / "raw"
    for part, count in (("train", 30), ("t10k", 20)):
        write_idx(
            raw, rng.integers(0, 256, (count, 28, 28), np.uint8), rng.integers(0, 10, count).astype(np.uint8), part
        )
    data, spec = read(name)
    assert (spec.shape, spec.train_count, spec.test_count, len(spec.classes)) == ((1, 28, 28), 30, 20, 10)
    assert data.train_images.dtype == torch.uint8
    listed = {d["name"]: d["on_disk"] for d in json.loads(genzoo_command("data", "--json").out)}
    assert listed[name]
    assert listed["mnist-5k"]
    assert not listed["cifar10"]
    (raw / "train-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03short")
    with pytest.raises(GenzooError, match="are damaged.*remove them"):
        read(name)


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_without_a_network_the_error_says_which_files_go_where(monkeypatch, tmp_path, name):
    from torchvision import datasets

    def no_network(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(datasets.mnist, "download_and_extract_archive", no_network)
    monkeypatch.setattr(datasets.cifar, "download_and_extract_archive", no_network)
    file = {"mnist": "MNIST/raw/t10k-labels-idx1-ubyte", "cifar10": "cifar-10-python.tar.gz"}[name]
    with pytest.raises(GenzooError, match=f"not in .*data and cannot be downloaded.*{file}.*--data mnist-5k"):
        read(name)


def test_a_torchvision_for_another_torch_is_said_in_one_line(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(GenzooError, match=r"torchvision [\d.]+ does not go with torch [\d.+a-z]+: install"):
        read("mnist")


def test_progress_is_told_while_files_are_read(folder):
    told = []
    load(ImageTrainOptions(data=str(folder)), registry(), lambda *a: told.append(a))
    assert told[-1] == ("reading images", 40, 40)


def test_data_are_placed_where_they_are_used():
    data, _ = read("mnist-5k")
    assert place(data, torch.device("cpu")).train_images.device.type == "cpu"


def test_one_picture_is_read_in_the_shape_asked_for(tmp_path):
    Image.fromarray(np.full((40, 20, 3), 51, np.uint8)).save(tmp_path / "a.png")
    image = genzoo.load_image(tmp_path / "a.png", (1, 8, 8))
    assert image.shape == (1, 8, 8)
    assert image.unique().tolist() == pytest.approx([0.2])
    (tmp_path / "b.png").write_text("text")
    for name, said in (("none.png", "is not a file"), ("b.png", "cannot be read as a picture: not an image")):
        with pytest.raises(UsageError, match=said):
            genzoo.load_image(tmp_path / name, (1, 8, 8))


def test_held_out_data_that_changed_are_refused(folder, toy):
    from genzoo.sampling import held_out

    run = genzoo.train("toy", data=str(folder))
    assert held_out(run, 3, 0)[0].shape == (3, 3, 5, 6)
    picture(folder / "cat" / "00.png", seed=99)
    with pytest.raises(GenzooError, match="no longer those that run"):
        held_out(RunFolder(run.path), 3, 0)
