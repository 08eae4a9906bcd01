"""Data that Python has in memory: taken by the modality, split and fingerprinted as files are, never kept."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

import genzoo
from genzoo import GenzooError, ImageTrainOptions, TextTrainOptions, UsageError
from genzoo.interface.dataset import silent
from genzoo.registry.data import IN_MEMORY, open_data
from genzoo.registry.plugins import registry

OPTIONS = {"image": ImageTrainOptions, "text": TextTrainOptions}
SMALL = {"steps": 2, "batch_size": 4, "sample_every": 0, "eval_every": 0, "device": "cpu"}
IMAGES = np.random.default_rng(0).integers(0, 256, (40, 6, 5), dtype=np.uint8)
LABELS = np.arange(40) % 3
SENTENCES = [f"The number {number} is a number.\n" for number in range(60)]


def read(modality, data, **options):
    spec = registry().modalities.get(modality)[1]
    return open_data(spec, OPTIONS[modality](data=IN_MEMORY, **options), {}, silent, data)


@pytest.fixture
def from_file(tmp_path):
    """What the same images and labels are as an .npz."""
    np.savez(tmp_path / "these.npz", images=IMAGES, labels=LABELS)
    return open_data(
        registry().modalities.get("image")[1], ImageTrainOptions(data=str(tmp_path / "these.npz")), {}, silent
    )


class Items(torch.utils.data.Dataset):
    """A data set of torch, as torchvision's are."""

    classes = ("zero", "one", "two")

    def __init__(self, item):
        self.item = item

    def __len__(self):
        return len(IMAGES)

    def __getitem__(self, number):
        return self.item(number)


FORMS = {
    "an array with labels": lambda: (IMAGES, LABELS),
    "floats": lambda: (IMAGES / 255, LABELS),
    "a tensor": lambda: (torch.from_numpy(IMAGES)[:, None], torch.from_numpy(LABELS)),
    "a dictionary": lambda: {"images": IMAGES[..., None], "labels": LABELS.tolist()},
    "a TensorDataset": lambda: torch.utils.data.TensorDataset(
        torch.from_numpy(IMAGES)[:, None], torch.from_numpy(LABELS)
    ),
    "a list of pictures": lambda: [(Image.fromarray(IMAGES[i]), int(LABELS[i])) for i in range(40)],
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_images_in_memory_are_what_the_same_file_gives(form, from_file):
    data, spec = read("image", FORMS[form]())
    expected, of_file = from_file
    assert spec.fingerprint == of_file.fingerprint
    assert spec.name == "in-memory"
    for part in ("train", "validation", "test"):
        assert torch.equal(data.part(part)[0], expected.part(part)[0])
        assert torch.equal(data.part(part)[1], expected.part(part)[1])
    assert spec.classes == of_file.classes == ("0", "1", "2")


def test_a_torch_dataset_names_its_classes_and_may_give_pictures_or_tensors():
    pictures = read("image", Items(lambda i: (Image.fromarray(IMAGES[i]), int(LABELS[i]))))[1]
    tensors = read("image", Items(lambda i: (torch.from_numpy(IMAGES[i])[None] / 255, torch.tensor(LABELS[i]))))[1]
    plain = read("image", Items(lambda i: Image.fromarray(IMAGES[i])))[1]
    assert pictures == tensors
    assert pictures.classes == ("one", "two", "zero")
    assert plain.classes == ()


def test_parts_that_are_named_are_kept_apart():
    data, spec = read("image", {"train": (IMAGES[:30], LABELS[:30]), "test": (IMAGES[30:], LABELS[30:])})
    assert (spec.train_count, spec.validation_count, spec.test_count) == (27, 3, 10)
    assert torch.equal(data.test_images[:, 0], torch.from_numpy(IMAGES[30:]))


def test_a_datasets_dataset_is_taken_by_its_columns():
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {"picture": datasets.Image(), "kind": datasets.ClassLabel(names=["zero", "one", "two"])}
    )
    rows = {"picture": [Image.fromarray(image) for image in IMAGES], "kind": LABELS.tolist()}
    whole = datasets.Dataset.from_dict(rows, features=features)
    spec = read("image", whole)[1]
    assert spec.classes == ("one", "two", "zero")
    assert (
        spec.fingerprint == read("image", Items(lambda i: (Image.fromarray(IMAGES[i]), int(LABELS[i]))))[1].fingerprint
    )
    split = datasets.DatasetDict({"train": whole.select(range(30)), "test": whole.select(range(30, 40))})
    assert torch.equal(read("image", split)[0].test_images[:, 0], torch.from_numpy(IMAGES[30:]))
    text = datasets.Dataset.from_dict({"text": SENTENCES, "number": list(range(60))})
    assert read("text", text)[1] == read("text", SENTENCES)[1]


WRONG = [
    (IMAGES[0], r"images have shape \(6, 5\); allowed is"),
    (IMAGES.astype(np.int32), "images are int32; allowed is uint8"),
    (IMAGES / 100, r"floats outside \[0, 1\]"),
    ((IMAGES, LABELS[:7]), "40 images and 7 labels"),
    ({"pictures": IMAGES}, "a dictionary without 'images'; allowed is an array"),
    ({"test": IMAGES}, "have the parts test, and no 'train'"),
    ([Image.new("L", (3, 3)), Image.new("L", (4, 4))], r"differ in shape: \(3, 3\) and \(4, 4\); resize them"),
    (["a", "b"], "item 0 of the data has a str for an image"),
    ([], "hold no image"),
    (5, "a int is no data set of images; allowed is"),
    (iter([]), "is no data set of images"),
]


@pytest.mark.parametrize(("data", "message"), WRONG, ids=[message for _, message in WRONG])
def test_what_is_no_images_is_refused(data, message):
    with pytest.raises(GenzooError, match=message) as error:
        read("image", data)
    assert "\n" not in str(error.value)


def test_strings_are_the_text_that_the_same_rows_in_a_file_are(tmp_path):
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"text": text}) + "\n" for text in SENTENCES), "utf-8")
    spec = registry().modalities.get("text")[1]
    data, of_file = open_data(spec, TextTrainOptions(data=str(rows)), {}, silent)
    for given in (SENTENCES, tuple(SENTENCES), [{"text": text} for text in SENTENCES]):
        in_memory, of_memory = read("text", given)
        assert of_memory.fingerprint == of_file.fingerprint
        assert np.array_equal(in_memory.tokens["train"], data.tokens["train"])


def test_conversations_in_memory_have_the_tokens_of_their_roles():
    chat = [{"messages": [{"role": "user", "content": "Hello?"}, {"role": "assistant", "content": "Yes."}]}] * 20
    data, _ = read("text", chat)
    assert {"<|user|>", "<|assistant|>", "<|end|>"} <= set(data.text.special_tokens)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([1, 2], "item 0 of the data is a int; allowed is a list of strings"),
        ([{"body": "x"}], "item 0 of the data: no text in the field 'text'; there is body; see --text-field"),
        ({"train": SENTENCES}, "a dictionary of train; give one of them"),
        (7, "a int is no text; allowed is a list of strings"),
        ([], "the data hold no text"),
        (["\ud800abc"], "half of a character"),
    ],
)
def test_what_is_no_text_is_refused(data, message):
    with pytest.raises(GenzooError, match=message):
        read("text", data)


# A run


def test_a_run_says_that_its_data_were_given_and_asks_for_them(toy, genzoo_command, tmp_path):
    run = genzoo.train("toy", data=(IMAGES, LABELS), name="given", **SMALL)
    assert run.record["training"]["data"] == "<in memory>"
    assert run.record["data_spec"]["name"] == "in-memory"
    assert len(genzoo.sample(run, 3)) == 3
    ask = "the data of run 'given' were given in memory, and are not kept; give them again: data=..., or --data"
    for verb in (genzoo.evaluate, lambda run: genzoo.resume(run, steps=4)):
        with pytest.raises(UsageError, match=ask):
            verb(run)
    outcome = genzoo_command("resume", "given", "--steps", 4)
    assert (outcome.status, ask in outcome.err) == (2, True)
    others = IMAGES.copy()
    others[0, 0, 0] ^= 1
    with pytest.raises(GenzooError, match="these data are not those that run 'given' was trained on"):
        genzoo.resume(run, steps=4, data=(others, LABELS))
    resumed = genzoo.resume(run, steps=4, data=(IMAGES, LABELS))
    whole = genzoo.train("toy", data=(IMAGES, LABELS), name="whole", **(SMALL | {"steps": 4}))
    weights = [genzoo.load(r, weights="last").state_dict() for r in (resumed, whole)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[1])
    assert genzoo.evaluate(run, 8, features="random", data=(IMAGES, LABELS)).protocol["data"] == "in-memory"
    np.savez(tmp_path / "these.npz", images=IMAGES, labels=LABELS)
    assert genzoo.resume(run, steps=6, data=str(tmp_path / "these.npz")).step == 6  # the same, from a file
    assert genzoo.resume(genzoo.find_run("given"), steps=8).step == 8  # which the run remembers


def test_a_run_of_a_file_goes_on_with_the_same_data_in_memory_and_keeps_its_place(toy, tmp_path):
    np.savez(tmp_path / "these.npz", images=IMAGES, labels=LABELS)
    run = genzoo.train("toy", data=tmp_path / "these.npz", **SMALL)
    assert genzoo.resume(run, steps=4, data=(IMAGES, LABELS)).step == 4
    assert genzoo.find_run(run.name).training.data == str(tmp_path / "these.npz")


def test_a_group_and_a_training_again_take_data_in_memory(toy):
    runs = genzoo.train_seeds("toy", 2, data=(IMAGES, LABELS), **SMALL)
    assert runs[0].name.startswith("toy-in-memory-")
    again = genzoo.train_seeds("toy", 2, data=(IMAGES, LABELS), name=runs[0].group, **SMALL)
    assert [run.path for run in again] == [run.path for run in runs]
    with pytest.raises(UsageError, match="the data of run .* were given in memory"):
        genzoo.train(like=runs[0])
    assert genzoo.train(like=runs[0], data=(IMAGES, LABELS)).record["like"] == runs[0].name


def test_the_name_of_data_in_memory_is_no_name_of_data(toy, genzoo_command):
    outcome = genzoo_command("train", "toy", "--data", "<in memory>")
    assert (outcome.status, "the data of this training were given in memory" in outcome.err) == (2, True)
