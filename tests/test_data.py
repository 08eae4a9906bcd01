"""Data come as they are: sizes from the files, three parts apart, bad files named, the same batches either way."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

import genzoo
from genzoo import GenzooError, ImageData, ImageTrainOptions, RunFolder, Share, UsageError
from genzoo.image import files
from genzoo.interface.dataset import MOST_VALIDATION, silent, validation_cut
from genzoo.registry.data import locate, open_data
from genzoo.registry.plugins import registry

CPU = torch.device("cpu")


def image_spec():
    return registry().modalities.get("image")[1]


def read(data, progress=silent, **options):
    return open_data(image_spec(), ImageTrainOptions(data=str(data), **options), {}, progress)


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
    assert spec.shape == (1, 28, 28)
    assert (spec.train_count, spec.validation_count, spec.test_count) == (4050, 450, 500)
    assert torch.equal(data.train_labels.bincount(), torch.full((10,), 405))
    assert torch.equal(data.validation_labels.bincount(), torch.full((10,), 45))
    assert torch.equal(data.test_labels.bincount(), torch.full((10,), 50))
    assert spec.fingerprint == "c31fab1280d8308c905220ff4cc7f54c9c14c0f093d3456edf650503abc0b3c2"
    every = torch.cat([data.train_images, data.validation_images, data.test_images]).flatten(1)
    assert len(every.unique(dim=0)) == 5000  # no image is in two parts


# Three parts


@pytest.mark.parametrize("count", [2, 3, 10, 99, 1000])
@pytest.mark.parametrize("share", [0.001, 0.1, 0.25, 0.5])
def test_a_validation_cut_is_a_share_evenly_spaced_and_all_else_stays(count, share):
    train, validation = validation_cut(count, share)
    assert train.dtype == validation.dtype == torch.int64
    assert torch.cat([train, validation]).sort().values.tolist() == list(range(count))  # disjoint, and covers all
    assert train.equal(train.sort().values)
    size = len(validation)
    assert size == max(1, round(count * share))
    assert (validation * size // count).tolist() == list(range(size))  # one in each of as many equal stretches
    if size > 1:
        assert validation.diff().max() - validation.diff().min() <= 1


def test_a_validation_cut_has_at_most_10000_and_at_least_one():
    assert MOST_VALIDATION == 10_000
    train, validation = validation_cut(250_000, 0.1)
    assert (len(train), len(validation)) == (240_000, 10_000)
    assert validation.diff().unique().tolist() == [25]
    for share in (0.001, 0.5):
        train, validation = validation_cut(2, share)
        assert sorted([*train.tolist(), *validation.tolist()]) == [0, 1]
        assert len(validation) == 1
    for count, why in ((1, "there is 1 training example"), (0, "there is 0 training example")):
        with pytest.raises(GenzooError, match=f"{why}; training and validation need one each at least"):
            validation_cut(count, 0.1)


def test_a_validation_cut_takes_the_same_share_of_classes_that_lie_together():
    labels = torch.arange(10).repeat_interleave(50)
    for share, each in ((0.1, 5), (0.2, 10), (0.5, 25)):
        assert labels[validation_cut(500, share)[1]].bincount().tolist() == [each] * 10


def two_parts():
    images = torch.arange(50, dtype=torch.uint8).view(-1, 1, 1, 1).expand(50, 1, 2, 2).contiguous()
    labels = torch.arange(50) % 2
    return ImageData(
        train_images=images[:40], train_labels=labels[:40], test_images=images[40:], test_labels=labels[40:],
        classes=("a", "b"),
    )  # fmt: skip


def test_data_of_two_parts_are_cut_by_the_share_and_their_fingerprint_is_of_all():
    source = two_parts()
    fingerprints = set()
    for share, size in ((0.01, 1), (0.1, 4), (0.25, 10), (0.5, 20)):
        data = source.with_validation(share)
        spec = data.spec("x")
        fingerprints.add(spec.fingerprint)
        assert (spec.train_count, spec.validation_count, spec.test_count) == (40 - size, size, 10)
        pixels = {part: data.part(part)[0][:, 0, 0, 0] for part in ("train", "validation", "test")}
        assert torch.cat([pixels["train"], pixels["validation"]]).sort().values.tolist() == list(range(40))
        assert pixels["test"].tolist() == list(range(40, 50))
        for part in ("train", "validation", "test"):  # labels stay with their images
            assert torch.equal(data.part(part)[1], pixels[part].long() % 2)
        assert data.with_validation(0.3) is data  # which are cut already
    assert len(fingerprints) == 1
    assert len(source.train_images) == 40  # the source is as it was


def test_the_share_is_an_option_of_a_training(toy):
    assert read("dots")[1].validation_count == 4
    run = genzoo.train("toy", validation=0.25)
    assert run.training.validation == 0.25
    spec = run.data_spec
    assert (spec.train_count, spec.validation_count, spec.test_count) == (30, 10, 10)
    assert spec.fingerprint == read("dots")[1].fingerprint
    for share in (0, 0.6, -1):
        with pytest.raises(UsageError, match="--validation is .* 0 < x <= 0.5"):
            genzoo.train("toy", validation=share)


def test_a_single_training_image_is_refused(toy, tmp_path):
    x = np.zeros((2, 6, 5), np.uint8)
    np.savez(tmp_path / "a.npz", images=x[:1], test_images=x)
    with pytest.raises(GenzooError, match="there is 1 training example; training and validation need one each"):
        read(tmp_path / "a.npz")


@pytest.mark.parametrize("loading", ["memory", "stream"])
@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_train_validation_and_test_folders_are_three_parts(tmp_path, name, loading):
    counts = {"train": 5, name: 2, "test": 3}
    seed = 0
    for part, count in counts.items():
        for kind in ("x", "y"):
            for i in range(count):
                picture(tmp_path / "d" / part / kind / f"{i}.png", mode="L", seed=(seed := seed + 1))
    for share in (0.1, 0.5):  # they bring their own
        data, spec = read(tmp_path / "d", data_loading=loading, validation=share)
        assert (spec.train_count, spec.validation_count, spec.test_count) == (10, 4, 6)
        assert spec.classes == ("x", "y")
    for part, place in (("train", "train"), ("validation", name), ("test", "test")):
        assert data.part(part)[1].bincount().tolist() == [counts[place]] * 2
        for number, path in ((0, f"{place}/x/0.png"), (data.count(part) - 1, f"{place}/y/{counts[place] - 1}.png")):
            expected = torch.from_numpy(np.array(Image.open(tmp_path / "d" / path)))[None]
            assert torch.equal(data.part(part)[0][number], expected)


@pytest.mark.parametrize("name", ["val", "validation", "test"])
def test_of_two_folders_the_other_is_for_test_and_validation_is_cut(tmp_path, name):
    for number, (part, count) in enumerate((("train", 10), (name, 3))):
        for i in range(count):
            picture(tmp_path / "d" / part / f"{i}.png", mode="L", seed=100 * number + i)
    data, spec = read(tmp_path / "d", validation=0.2)
    assert (spec.train_count, spec.validation_count, spec.test_count) == (8, 2, 3)
    for i in range(3):
        expected = torch.from_numpy(np.array(Image.open(tmp_path / "d" / name / f"{i}.png")))[None]
        assert torch.equal(data.test_images[i], expected)


def test_arrays_with_a_validation_part_are_used_as_they_are(tmp_path):
    x = np.arange(9, dtype=np.uint8)[:, None, None] + np.zeros((9, 6, 5), np.uint8)
    parts = {"": (0, 4), "validation_": (4, 6), "test_": (6, 9)}
    arrays = {f"{name}images": x[start:stop] for name, (start, stop) in parts.items()}
    labels = {f"{name}labels": np.arange(start, stop) % 3 for name, (start, stop) in parts.items()}
    np.savez(tmp_path / "a.npz", **arrays, **labels)
    specs = []
    for share in (0.1, 0.5):
        data, spec = read(tmp_path / "a.npz", validation=share)
        specs.append(spec)
        assert (spec.train_count, spec.validation_count, spec.test_count) == (4, 2, 3)
        assert data.validation_images[:, 0, 0, 0].tolist() == [4, 5]
        assert data.validation_labels.tolist() == [1, 2]
        assert data.train_images[:, 0, 0, 0].tolist() == [0, 1, 2, 3]
    assert specs[0] == specs[1]
    np.savez(tmp_path / "b.npz", **{**arrays, "validation_images": x[:2]}, **labels)
    assert read(tmp_path / "b.npz")[1].fingerprint != specs[0].fingerprint  # which is of all three parts
    del labels["validation_labels"]
    np.savez(tmp_path / "c.npz", **arrays, **labels)
    with pytest.raises(GenzooError, match="has labels of train, test images and none of validation images"):
        read(tmp_path / "c.npz")


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_streamed_files_are_cut_as_those_in_memory(folder, share):
    held, streamed = (read(folder, data_loading=way, validation=share) for way in ("memory", "stream"))
    assert held[1] == streamed[1]
    assert held[1].validation_count == round(36 * share)
    assert held[1].fingerprint == read(folder)[1].fingerprint
    for part in ("train", "validation", "test"):
        for one, two in zip(held[0].examples(part, CPU), streamed[0].examples(part, CPU), strict=True):
            assert torch.equal(one.images, two.images)
            assert torch.equal(one.labels, two.labels)
    pairs = [data.batches(range(4), Share(7, seed=2), CPU) for data, _ in (held, streamed)]
    for one, two in zip(*pairs, strict=True):
        assert torch.equal(one.images, two.images)
        assert torch.equal(one.labels, two.labels)


# Batches


@pytest.mark.parametrize("count", [1, 7, 40])
@pytest.mark.parametrize("size", [1, 3, 8, 64])
def test_batches_are_full_and_every_epoch_has_each_example_once(count, size):
    share = Share(size, seed=3)
    steps = [share.index(step, count) for step in range(2 * count)]
    assert {len(index) for index in steps} == {size}
    everything = torch.cat(steps)
    for epoch in range(2 * size):
        assert everything[epoch * count : (epoch + 1) * count].sort().values.tolist() == list(range(count))


def test_batch_k_is_a_function_of_seed_and_k():
    steps = [Share(8, seed=3).index(step, 40) for step in range(20)]
    assert all(torch.equal(Share(8, seed=3).index(step, 40), steps[step]) for step in (19, 0, 7))
    assert not torch.equal(Share(8, seed=4).index(0, 40), steps[0])
    for step in range(20):  # two processes share the batch
        parts = [Share(8, seed=3, rank=rank, world=2).index(step, 40) for rank in (0, 1)]
        assert torch.equal(torch.cat(parts), steps[step])
    with pytest.raises(UsageError, match="--batch-size is 7; with 2 processes allowed is a multiple of 2"):
        Share(7, seed=3, world=2)


def test_memory_and_files_give_the_same_batches_and_fingerprint(folder):
    held, spec = read(folder, data_loading="memory")
    streamed, other = read(folder, data_loading="stream")
    assert spec == other
    assert isinstance(streamed.test_images, files.ImageFiles)
    for part in ("train", "validation", "test"):
        assert isinstance(held.part(part)[0], torch.Tensor)
        assert not isinstance(streamed.part(part)[0], torch.Tensor)
        every = torch.arange(held.count(part))
        assert torch.equal(held.pixels(part, every), streamed.pixels(part, every))
    state = torch.get_rng_state()
    pairs = [data.batches(range(3, 12), Share(5, seed=0), CPU) for data in (held, streamed)]
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


# Folders and arrays


def test_a_folder_gives_classes_size_channels_and_a_split(folder):
    data, spec = read(folder)
    assert (spec.name, spec.shape, spec.classes) == ("pets", (3, 5, 6), ("cat", "dog"))
    assert (spec.train_count, spec.validation_count, spec.test_count) == (32, 4, 4)
    assert torch.equal(data.test_labels, torch.tensor([0, 0, 1, 1]))
    assert torch.equal(data.validation_labels, torch.tensor([0, 0, 1, 1]))
    first = np.asarray(Image.open(folder / "cat" / "00.png"))
    assert torch.equal(data.train_images[0].permute(1, 2, 0), torch.from_numpy(first.copy()))


def test_train_and_test_folders_are_kept(tmp_path):
    for part, count in (("train", 5), ("test", 3)):
        for i in range(count):
            picture(tmp_path / "d" / part / "x" / f"{i}.png", mode="L", seed=i)
    _, spec = read(tmp_path / "d")
    assert (spec.train_count, spec.validation_count, spec.test_count) == (4, 1, 3)
    assert (spec.shape, spec.classes) == ((1, 5, 6), ("x",))


def test_pictures_without_classes_have_no_labels(tmp_path):
    for i in range(12):
        picture(tmp_path / "d" / f"{i}.png", seed=i)
    data, spec = read(tmp_path / "d")
    assert data.train_labels is data.validation_labels is data.test_labels is None
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
    (folder / "cat" / "text.png").write_text("hello", "utf-8")
    whole = (folder / "cat" / "00.png").read_bytes()
    (folder / "dog" / "cut.png").write_bytes(whole[:60])
    Image.new("1", (10_000, 10_000)).save(folder / "dog" / "bomb.png")
    (folder / "notes.txt").write_text("not a picture, and not taken for one", "utf-8")
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
    skipped = json.loads((run.path / "run.json").read_text("utf-8"))["data_spec"]["skipped"]
    assert skipped == ["cat/empty.png", "cat/text.png", "dog/bomb.png", "dog/cut.png"]


def test_at_most_ten_bad_files_are_named(tmp_path):
    picture(tmp_path / "d" / "good.png")
    for i in range(15):
        (tmp_path / "d" / f"bad{i:02d}.png").write_text("x", "utf-8")
    with pytest.raises(GenzooError, match=r"15 of 16 image files.*bad09.png \(not an image\) and 5 more;"):
        read(tmp_path / "d")


def test_folders_without_enough_are_refused(tmp_path):
    (tmp_path / "d").mkdir()
    with pytest.raises(UsageError, match="holds no image file; looked for"):
        read(tmp_path / "d")
    (tmp_path / "d" / "bad.png").write_text("x", "utf-8")
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
    assert (spec.train_count, spec.validation_count, spec.test_count) == (16, 2, 2)
    assert spec.classes == ("a", "b")
    np.savez(tmp_path / "f.npz", images=images / 255)
    floats, other = read(tmp_path / "f.npz")
    assert torch.equal(floats.train_images, data.train_images)
    assert other.classes == ()


def test_arrays_with_a_test_part(tmp_path):
    x = np.zeros((4, 6, 5), np.uint8)
    np.savez(tmp_path / "a.npz", images=x, labels=np.arange(4), test_images=x[:2], test_labels=np.array([0, 3]))
    _, spec = read(tmp_path / "a.npz")
    assert (spec.train_count, spec.validation_count, spec.test_count) == (3, 1, 2)
    assert spec.classes == ("0", "1", "2", "3")


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
    (tmp_path / "a.npz").write_text("hello", "utf-8")
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
        locate(data, image_spec())


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
    assert (spec.shape, len(spec.classes)) == ((1, 28, 28), 10)
    assert (spec.train_count, spec.validation_count, spec.test_count) == (27, 3, 20)
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
    calls = []
    read(folder, progress=lambda *call: calls.append(call))
    assert calls[-1] == ("reading (images)", 40, 40)


def test_data_are_placed_where_they_are_used():
    data, _ = read("mnist-5k")
    assert data.place(CPU).train_images.device.type == "cpu"


def test_one_picture_is_read_in_the_shape_asked_for(tmp_path):
    Image.fromarray(np.full((40, 20, 3), 51, np.uint8)).save(tmp_path / "a.png")
    image = files.load_image(tmp_path / "a.png", (1, 8, 8))
    assert image.shape == (1, 8, 8)
    assert image.unique().tolist() == pytest.approx([0.2])
    (tmp_path / "b.png").write_text("text", "utf-8")
    for name, why in (("none.png", "is not a file"), ("b.png", "cannot be read as a picture: not an image")):
        with pytest.raises(UsageError, match=why):
            files.load_image(tmp_path / name, (1, 8, 8))


def test_held_out_data_that_changed_are_refused(folder, toy):
    from genzoo.sampling.latents import held_out

    run = genzoo.train("toy", data=str(folder))
    assert held_out(run, 3, 0).examples.shape == (3, 3, 5, 6)
    picture(folder / "cat" / "00.png", seed=99)
    with pytest.raises(GenzooError, match="not those that run"):
        held_out(RunFolder(run.path), 3, 0)
