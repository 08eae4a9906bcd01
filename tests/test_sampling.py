"""Sample i is a function of (seed, i); what is written is what was drawn, and says where it came from."""

import json
import re
import threading

import numpy as np
import pytest
import torch
from PIL import Image

import genzoo
from genzoo import GenzooError, ImageWriteOptions, RandomStreams, UsageError, read_provenance
from genzoo.image import write
from genzoo.image.data import to_bytes, to_unit
from genzoo.registry.plugins import registry
from genzoo.runs import checkpoint
from genzoo.runs.data import load_data
from genzoo.sampling.latents import held_out, slerp

FACTS = {
    "generator": "genzoo", "version": genzoo.__version__, "model": "vae", "run": "vae-run", "seed": 3, "step": 7,
}  # fmt: skip


@pytest.fixture
def run(toy):
    return genzoo.train("toy", name="one")


def test_streams_are_functions_of_seed_and_position():
    all_at_once = RandomStreams(5, 6)
    normal, uniform = all_at_once.normal(3), all_at_once.uniform(2, 2)
    for start in (0, 2, 5):
        rest = RandomStreams(5, 6 - start, start=start)
        assert torch.equal(rest.normal(3), normal[start:])
        assert torch.equal(rest.uniform(2, 2), uniform[start:])
    assert not torch.equal(RandomStreams(6, 6).normal(3), normal)
    assert len(RandomStreams(0, 5000).normal(2).unique(dim=0)) == 5000
    assert RandomStreams(0, 0).normal(3).shape == (0, 3)


def test_streams_have_the_distributions_they_say():
    numbers = RandomStreams(1, 20_000)
    normal, uniform = numbers.normal(4), numbers.uniform(4)
    assert normal.mean().abs() < 0.02
    assert (normal.T @ normal / len(normal) - torch.eye(4)).abs().max() < 0.04  # no row, no column depends on another
    assert uniform.min() >= 0
    assert uniform.max() < 1
    assert (uniform.mean(0) - 0.5).abs().max() < 0.02


def test_generators_for_other_libraries_are_functions_of_seed_and_position():
    first = [torch.randn(3, generator=g) for g in RandomStreams(5, 4).generators()]
    rest = [torch.randn(3, generator=g) for g in RandomStreams(5, 2, start=2).generators()]
    assert torch.equal(torch.stack(first[2:]), torch.stack(rest))
    assert len(torch.stack(first).unique()) == 12


def test_how_far_sampling_is_can_be_watched(run, monkeypatch):
    model, seen = genzoo.load(run), []
    plain = model.sample

    def slowly(count, **arguments):
        model.report(1, 2)  # half of this batch
        return plain(count, **arguments)

    monkeypatch.setattr(model, "sample", slowly)
    genzoo.sample(model, 10, batch_size=4, progress=lambda what, done, total: seen.append((what, done, total)))
    assert seen == [("sampling (samples)", done, 10) for done in (2, 4, 6, 8, 9, 10)]
    model.report(1, 2)  # nobody watches now


def test_two_who_sample_from_one_model_at_once_are_told_of_their_own(run, monkeypatch):
    model, seen, both = genzoo.load(run), {"one": [], "other": []}, threading.Barrier(2, timeout=30)
    plain = model.sample

    def slowly(count, **arguments):
        both.wait()  # both are in it
        model.report(1, 2)
        both.wait()
        return plain(count, **arguments)

    monkeypatch.setattr(model, "sample", slowly)

    def draw(name, count):
        genzoo.sample(model, count, batch_size=100, progress=lambda what, done, total: seen[name].append((done, total)))

    threads = [threading.Thread(target=draw, args=arguments) for arguments in (("one", 10), ("other", 4))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {"one": [(5, 10), (10, 10)], "other": [(2, 4), (4, 4)]}


def test_more_samples_begin_with_the_same(run):
    eight = genzoo.sample(run, 8, seed=4, batch_size=4)
    assert torch.equal(genzoo.sample(run, 20, seed=4, batch_size=4)[:8], eight)
    assert torch.allclose(genzoo.sample(run, 8, seed=4, batch_size=3), eight, atol=1e-6)
    assert not torch.equal(genzoo.sample(run, 8, seed=5, batch_size=4), eight)
    assert (eight.shape, eight.dtype) == ((8, 1, 4, 4), torch.float32)
    assert genzoo.sample(run, 0).shape == (0, 1, 4, 4)


def test_a_model_a_folder_a_name_and_a_models_name_are_the_run(run):
    expected = genzoo.sample(run, 3)
    for way in (genzoo.load(run), run.path, str(run.path), "one", "toy"):
        assert torch.equal(genzoo.sample(way, 3), expected)
    assert not genzoo.load("toy").training


def test_a_models_own_sampling_options(run):
    assert not torch.equal(genzoo.sample(run, 3, shift=0.5), genzoo.sample(run, 3))
    with pytest.raises(UsageError, match="sampling toy: --shift is '?2'?; allowed is a number with -1 <= x <= 1"):
        genzoo.sample(run, 3, shift=2)
    with pytest.raises(UsageError, match="did you mean 'shift'"):
        genzoo.sample(run, 3, shifft=0.5)


@pytest.mark.parametrize(("name", "value"), [("n", -1), ("seed", -1), ("batch_size", 0)])
def test_counts_are_checked(run, name, value):
    with pytest.raises(UsageError, match=f"{name} is {value}; allowed"):
        genzoo.sample(run, **{name: value})


def test_a_device_that_is_not_there(run):
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match="--device is 'cuda'; this machine has cpu"):
            genzoo.load(run, device="cuda")


def test_the_average_is_what_samples(run):
    weights = genzoo.load(run).state_dict()
    state = checkpoint.load_newest(run)[1]
    average = state["tracked"]["average"]["average"]
    assert torch.equal(weights["mean.0.weight"], average[0])
    assert not torch.equal(weights["mean.0.weight"], state["model"]["mean.0.weight"])


def test_a_run_whose_plugin_is_gone(run, monkeypatch):
    monkeypatch.setenv("GENZOO_BLOCK", "toy")
    registry.cache_clear()
    with pytest.raises(UsageError, match="needs the plugin genzoo-toy with model 'toy'; it is not installed"):
        genzoo.load("one")


def test_a_model_that_breaks_its_promise_is_named(run, monkeypatch):
    model = genzoo.load(run)
    for wrong in (torch.zeros(2, 3), torch.full((3, 1, 4, 4), torch.nan)):
        monkeypatch.setattr(model, "sample", lambda *a, wrong=wrong, **k: wrong)
        with pytest.raises(GenzooError, match="promised are"):
            genzoo.sample(model, 3, progress=lambda *_: pytest.fail("nobody is told of a sampling that is over"))
        model.report(1, 2)


def test_what_a_model_cannot_do_is_said(run, tmp_path):
    with pytest.raises(UsageError, match="model 'toy' cannot be exported: no other library has its format"):
        genzoo.export(run, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(UsageError, match="model 'toy' cannot reconstruct"):
        genzoo.reconstruct(run)
    with pytest.raises(UsageError, match="model 'toy' cannot interpolate"):
        genzoo.interpolate(run)


def twice(images):
    return torch.cat([images[:, :, :2], images[:, :, :2]], dim=2)


def test_a_model_that_encodes_and_decodes_reconstructs(coder):
    run = genzoo.train("coder", name="one")
    assert not hasattr(genzoo.load(run), "reconstruct")
    originals, copies = genzoo.reconstruct(run, 6, seed=1)
    assert originals.shape == (6, 1, 4, 4)
    assert torch.equal(copies, twice(originals))
    assert not torch.equal(copies, originals)
    originals, copies = genzoo.reconstruct(genzoo.train("mirror", name="other"), 6, seed=1)
    assert torch.equal(copies, originals.flip(3))


def test_a_conditional_model_that_encodes_and_decodes_is_given_the_labels(coder):
    run = genzoo.train("coder", conditional=True)
    batch = held_out(run, 8, 2)
    originals, copies = genzoo.reconstruct(run, 8, seed=2)
    assert torch.equal(originals, batch.examples)
    assert set(batch.labels.tolist()) == {0, 1}
    assert torch.equal(copies, twice(originals) * (0.5 + 0.5 * batch.labels.view(-1, 1, 1, 1)))
    assert genzoo.interpolate(run, 2, num_steps=3).shape == (2, 3, 1, 4, 4)


def test_such_a_model_is_measured_and_shown_like_one_with_a_way_of_its_own(coder, genzoo_command, tmp_path):
    run = genzoo.train("coder", name="one")
    result = genzoo.evaluate(run)
    (measure,) = [measure for measure in result.measures if measure.name == "reconstruction_mse"]
    originals, copies = genzoo.reconstruct(run, 10)  # all test images
    assert measure.value == pytest.approx((originals - copies).square().mean().item(), rel=1e-6)
    done = genzoo_command("reconstruct", "one", "-n", 10, "--out", tmp_path / "a.png", "--json")
    assert done.status == 0, done.err
    assert json.loads(done.out)["mean_squared_error"] == pytest.approx(measure.value, abs=1e-6)
    assert opened(tmp_path / "a.png").size == (8 * 6 + 2, 4 * 6 + 2)


def test_what_is_reconstructed_and_interpolated_between_is_of_the_test_part_alone(coder):
    run = genzoo.train("coder")
    data, _ = load_data(run)
    test = {tuple(image.flatten().tolist()) for image in to_unit(data.test_images)}
    originals, _ = genzoo.reconstruct(run, 100)
    assert len(originals) == 10
    assert {tuple(image.flatten().tolist()) for image in originals} == test
    ends = genzoo.interpolate(run, 5, num_steps=2).flatten(0, 1)
    decoded = {tuple(image.flatten().tolist()) for image in twice(to_unit(data.test_images))}
    rounded = {tuple(np.round(row, 5)) for row in decoded}
    assert {tuple(np.round(image.flatten().tolist(), 5)) for image in ends} == rounded


@pytest.fixture
def conditional(toy):
    return genzoo.train("toy", name="by-class", conditional=True, sample_every=0)


def test_a_conditional_model_draws_each_class_in_turn_or_the_one_asked_for(conditional):
    first, second = torch.tensor(0.25), torch.tensor(0.75)
    in_turn = genzoo.sample(conditional, 5, batch_size=2)
    assert [image.mean() for image in in_turn] == [first, second, first, second, first]
    assert (genzoo.sample(conditional, 3, label="b") == second).all()
    assert (genzoo.sample(genzoo.load(conditional), 3, label="a") == first).all()
    assert genzoo.sample(conditional, 0, label="a").shape == (0, 1, 4, 4)


def test_classes_that_are_not_there(conditional, run, tmp_path):
    with pytest.raises(UsageError, match="--label is 'c'; the classes of run 'by-class' are a, b"):
        genzoo.sample(conditional, label="c")
    with pytest.raises(UsageError, match="--label is '0'; the classes of this toy are a, b"):
        genzoo.sample(genzoo.load(conditional), label=0)
    with pytest.raises(UsageError, match="run 'one' was not trained with labels, .* train with --conditional"):
        genzoo.sample(run, label="a")
    np.savez(tmp_path / "bare.npz", images=np.zeros((9, 4, 4), np.uint8))
    with pytest.raises(UsageError, match="toy: --conditional needs labels, and data 'bare' have none"):
        genzoo.train("toy", conditional=True, data=str(tmp_path / "bare.npz"), name="bare")
    assert not (run.path.parent / "bare").exists()


def opened(path):
    with Image.open(path) as picture:
        return picture.copy()


def test_a_grid_has_a_row_a_class(conditional, genzoo_command, tmp_path):
    whole = opened(conditional.samples()[-1])
    assert whole.size == (8 * 6 + 2, 2 * 6 + 2)  # 8 of each class
    assert [whole.getpixel((x, y)) for y in (3, 9) for x in (3, 45)] == [64, 64, 191, 191]
    assert genzoo_command("sample", "by-class", "-n", 5, "--out", tmp_path / "five.png").status == 0
    five = opened(tmp_path / "five.png")
    assert [five.getpixel((x, y)) for y in (3, 9) for x in (3, 9, 15)] == [64, 64, 64, 191, 191, 0]
    assert genzoo_command("sample", "by-class", "--label", "b", "--out", tmp_path / "b.png").status == 0
    assert opened(tmp_path / "b.png").size == (8 * 6 + 2, 8 * 6 + 2)
    assert read_provenance(tmp_path / "b.png")["genzoo"]["label"] == "b"
    assert genzoo_command("sample", "by-class", "-n", 3, "--out", tmp_path / "three.npz").status == 0
    with np.load(tmp_path / "three.npz") as archive:
        assert archive["labels"].tolist() == [0, 1, 0]
    refused = genzoo_command("sample", "by-class", "--label", "7")
    assert (refused.status, refused.err) == (2, "genzoo: --label is '7'; the classes of run 'by-class' are a, b\n")


def test_many_classes_have_no_rows(tmp_path):
    images = torch.rand(100, 1, 2, 2)
    write.write_grid(images, tmp_path / "a.png", FACTS, labels=torch.arange(100))
    assert opened(tmp_path / "a.png").size == (42, 42)


def test_pairs_of_a_class(toy):
    run = genzoo.train("toy", name="pairs")
    batch = held_out(run, 8, 0, pairs_of_a_class=True)
    assert len(batch.examples) == 8
    assert (batch.labels[0::2] == batch.labels[1::2]).all()
    assert set(batch.labels.tolist()) == {0, 1}


def test_slerp_turns_evenly():
    a, b = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 3.0]])
    assert torch.allclose(slerp(a, b, 0.0), a)
    assert torch.allclose(slerp(a, b, 1.0), b, atol=1e-6)
    half = slerp(a, b, 0.5)
    assert torch.allclose(half, torch.full((1, 2), 2 / 2**0.5))  # 45 degrees, length between 1 and 3
    assert torch.allclose(slerp(a, 2 * a, 0.5), 1.5 * a)
    assert torch.isfinite(slerp(a, -a, 0.5)).all()


def test_grids_have_every_image_where_it_belongs():
    images = torch.linspace(0, 1, 5).view(5, 1, 1, 1).expand(5, 1, 3, 4)
    whole = write.grid(images)  # 3 columns, 2 lines
    assert whole.shape == (1, 2 * 5 + 2, 3 * 6 + 2)
    assert whole[0, 2, 2] == 0
    assert whole[0, 2, 8] == 64
    assert whole[0, 9, 8] == 255
    assert whole[0, 9, 14] == 0  # an empty place
    assert write.grid(images, columns=5).shape == (1, 7, 32)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("suffix", ["png", "jpeg"])
def test_pictures_say_what_they_are(tmp_path, channels, suffix):
    images = torch.rand(4, channels, 8, 8)
    path = tmp_path / f"a.{suffix}"
    write.write_grid(images, path, FACTS)
    labels = read_provenance(path)
    assert labels["digital_source_type"] == "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
    assert labels["genzoo"] == FACTS
    assert labels["aigc"] == {
        "Label": "1", "ContentProducer": f"genzoo {genzoo.__version__}", "ProduceID": "vae-run-7-3",
        "ReservedCode1": "", "ContentPropagator": "", "PropagateID": "", "ReservedCode2": "",
    }  # fmt: skip
    with Image.open(path) as picture:
        assert picture.mode == ("L" if channels == 1 else "RGB")
        if suffix == "png":
            assert json.loads(picture.info["AIGC"]) == labels["aigc"]
            pixels = torch.from_numpy(np.array(picture)).view(20 + 2, 20 + 2, channels).permute(2, 0, 1)
            assert torch.equal(pixels, write.grid(images))


def test_metadata_do_not_change_the_pixels(tmp_path):
    images = torch.rand(4, 3, 8, 8)
    write.write_grid(images, tmp_path / "a.png", FACTS)
    with_metadata = opened(tmp_path / "a.png")
    bare = Image.fromarray(write.grid(images).permute(1, 2, 0).numpy())
    assert with_metadata.tobytes() == bare.tobytes()


def test_arrays_say_what_they_are_and_can_be_trained_on(tmp_path, toy):
    images = torch.rand(12, 3, 8, 8)
    path = tmp_path / "a.npz"
    write.write_arrays(images, path, FACTS)
    assert read_provenance(path)["genzoo"] == FACTS
    with np.load(path) as archive:
        assert torch.equal(torch.from_numpy(archive["images"]).permute(0, 3, 1, 2), to_bytes(images))
    assert genzoo.train("toy", data=str(path)).record["data_spec"]["shape"] == [3, 8, 8]


def test_separate_files_are_numbered(tmp_path):
    write.write_separate(torch.rand(3, 1, 8, 8), tmp_path / "many", FACTS, ".png")
    assert [p.name for p in sorted((tmp_path / "many").iterdir())] == ["00000.png", "00001.png", "00002.png"]
    assert read_provenance(tmp_path / "many" / "00002.png")["genzoo"]["sample"] == 2


def test_the_visible_label_leaves_the_picture_whole(tmp_path):
    images = torch.rand(4, 1, 28, 28)
    write.write_grid(images, tmp_path / "a.png", FACTS)
    write.write_grid(images, tmp_path / "b.png", FACTS, ImageWriteOptions(visible_label=True))
    plain, labelled = (np.array(opened(tmp_path / name)) for name in ("a.png", "b.png"))
    assert np.array_equal(labelled[: len(plain)], plain)
    assert labelled[len(plain) :].max() > 128


def test_the_same_request_writes_the_same_bytes(tmp_path, run):
    for name in ("a.png", "b.png"):
        write.write_grid(genzoo.sample(run, 4), tmp_path / name, run.provenance(0))
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_no_path_or_user_is_in_a_file(run, tmp_path):
    content = run.samples()[-1].read_bytes()
    for private in (str(tmp_path), str(run.path), str(tmp_path.parent.name)):
        assert private.encode() not in content


def test_grids_are_drawn_while_training_from_the_same_noise(toy):
    run = genzoo.train("toy", sample_every=4)
    names = [path.name for path in run.samples()]
    assert names == [f"step-{n:08d}.png" for n in (0, 4, 8, 12)]
    assert read_provenance(run.samples()[1])["genzoo"]["step"] == 4


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n\x1a\n broken"])
def test_files_that_cannot_be_read(tmp_path, content):
    for name in ("a.png", "a.npz"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UsageError, match="cannot be read"):
            read_provenance(tmp_path / name)
    with pytest.raises(UsageError, match="is not a file"):
        read_provenance(tmp_path)


def test_other_peoples_metadata_are_read_with_care(tmp_path):
    picture = Image.new("L", (4, 4))
    for number, packet in enumerate((b"<not xml", b"<!DOCTYPE x [<!ENTITY a 'b'>]><x>&a;</x>", b"<x/>")):
        picture.save(tmp_path / f"{number}.jpeg", xmp=packet)
        assert not any(read_provenance(tmp_path / f"{number}.jpeg").values())


def test_verbs_take_a_run_or_its_model_and_say_what_they_cannot(coder, tmp_path):
    run = genzoo.train("coder", name="one")
    model = genzoo.load(run)
    assert model.run == run.path
    of_run, of_model = (genzoo.reconstruct(source, 4, seed=1) for source in (run, model))
    assert all(map(torch.equal, of_run, of_model))
    assert torch.equal(genzoo.interpolate(run, 2, num_steps=3), genzoo.interpolate(model, 2, num_steps=3))
    for source in (model, run):
        with pytest.raises(UsageError, match="'coder' cannot be exported"):
            genzoo.export(source, to=tmp_path / "out")
    for verb in (genzoo.evaluate, genzoo.resume, genzoo.find_run, genzoo.load):
        with pytest.raises(
            UsageError, match=rf"^a run is needed, by its .* a Coder of the run {re.escape(str(run.path))}"
        ):
            verb(model)
    with pytest.raises(UsageError, match="^a run is needed, by its name or folder; this is a Coder of the run"):
        genzoo.compare([run, model])
    for name in ("like", "init_from"):
        with pytest.raises(UsageError, match="^a run is needed, by its name or folder; this is a Coder of the run"):
            genzoo.train("coder", **{name: model})
        assert genzoo.train("coder", **{name: run.path}).status == "finished"
    with pytest.raises(UsageError, match="^a model is needed, by its name; this is a Coder$"):
        genzoo.train(model)
    with pytest.raises(UsageError, match=r"^coder: --seed is a Coder; allowed is a whole number"):
        genzoo.train("coder", seed=model)
    for runs, kind in ((model, "a Coder"), ("one", "a str"), ([], "an empty one")):
        with pytest.raises(UsageError, match=f"^a list of runs is needed, each by its name or folder; this is {kind}$"):
            genzoo.compare(runs)
    model.run = None
    with pytest.raises(UsageError, match="is of no run, whose data are needed; give a run, or what load gave"):
        genzoo.reconstruct(model)
    with pytest.raises(UsageError, match="a run is needed, by its name or folder; this is a "):
        genzoo.evaluate(model)
