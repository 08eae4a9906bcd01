"""Measures have known answers; the protocol is the same for all; what cannot be measured is said."""

import json
import math
import random

import numpy as np
import pytest
import torch
from prdc import compute_prdc

import genzoo
from genzoo import GenzooError, UsageError, provenance
from genzoo.evaluation import METRICS, features, measures, report, text
from genzoo.evaluation import images as of
from genzoo.registry import registry

# Of two sets


def normal(count, dim=8, seed=0, mean=0.0, scale=1.0):
    rows = torch.randn(count, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return rows * scale + mean


def test_the_frechet_distance_of_two_gaussians_is_its_closed_form():
    scale = torch.linspace(0.5, 2, 8, dtype=torch.float64)
    one, other = normal(200_000), normal(200_000, seed=1, mean=0.7, scale=scale)
    exact = 8 * 0.7**2 + float((1 - scale).square().sum())  # commuting covariances: |m|^2 + sum (s_1 - s_2)^2
    assert of.frechet_distance(one, other) == pytest.approx(exact, rel=0.01)
    turn, _ = torch.linalg.qr(normal(8, seed=2))
    assert of.frechet_distance(one @ turn, other @ turn) == pytest.approx(of.frechet_distance(one, other), rel=1e-9)


def test_identical_sets_are_at_no_distance():
    rows = normal(500)
    assert of.frechet_distance(rows, rows) == pytest.approx(0, abs=1e-9)
    assert of.precision(rows, rows).mean() == of.recall(rows, rows).mean() == of.coverage(rows, rows).mean() == 1


def test_the_frechet_distance_of_singular_covariances_is_finite():
    flat = normal(100)
    flat[:, 3] = 0.0
    assert of.frechet_distance(flat, flat) == pytest.approx(0, abs=1e-6)
    assert of.frechet_distance(flat[:5], flat[:5]) == pytest.approx(0, abs=1e-6)


def test_the_kernel_distance_agrees_with_torchmetrics_and_has_no_bias():
    from torchmetrics.image.kid import poly_mmd

    one, other = normal(300), normal(300, seed=1, mean=0.3)
    assert of.kernel_distance(one, other) == pytest.approx(float(poly_mmd(one, other)), rel=1e-9)
    alike = [of.kernel_distance(normal(100, seed=s), normal(100, seed=s + 1000)) for s in range(100)]
    assert abs(np.mean(alike)) < 3 * np.std(alike) / 10


@pytest.mark.parametrize("counts", [(1000, 1000), (300, 200)])
def test_precision_recall_density_and_coverage_agree_with_the_reference(counts):
    real, fake = normal(counts[0], 16), normal(counts[1], 16, seed=1, mean=0.2)
    theirs = compute_prdc(real.numpy(), fake.numpy(), nearest_k=5)
    for name, value in theirs.items():
        assert getattr(of, name)(real, fake, 5).mean().item() == pytest.approx(value, abs=1e-6), name


def test_a_mode_that_is_missing_lowers_recall_and_coverage_and_not_precision():
    real = torch.cat([normal(300), normal(300, seed=1, mean=8)])
    whole = torch.cat([normal(300, seed=2), normal(300, seed=3, mean=8)])
    half = torch.cat([normal(300, seed=2), normal(300, seed=4)])
    for measure in (of.recall, of.coverage):
        assert measure(real, whole).mean() > 0.85
        assert measure(real, half).mean() < 0.6
    assert of.precision(real, half).mean() > of.precision(real, whole).mean() - 0.05


def test_samples_of_the_data_cannot_be_told_from_them():
    assert of.told_apart(normal(2000), normal(2000, seed=1)).mean() == pytest.approx(0.5, abs=0.03)
    assert of.told_apart(normal(500), normal(500, seed=1, mean=10)).mean() == 1


def test_neighbours_leave_out_what_an_image_is_itself():
    rows = normal(50)
    found, which = of.nearest(rows, rows, torch.arange(50))
    assert (which != torch.arange(50)).all()
    assert torch.allclose(found, of.nearest_of_its_own(rows))
    brute = torch.cdist(rows, rows).fill_diagonal_(torch.inf)
    assert torch.allclose(found, brute.min(1).values)
    assert torch.allclose(of.radii(rows, 3), brute.sort(1).values[:, 2])


def test_the_gaussian_baseline_has_the_mean_and_covariance_of_the_pixels():
    rng = np.random.default_rng(0)
    mix = torch.randn(6, 6, generator=torch.Generator().manual_seed(0)) * 10
    images = (128 + torch.randn(5000, 6, generator=torch.Generator().manual_seed(1)) @ mix).round().clamp(0, 255)
    drawn = of.gaussian(images.to(torch.uint8).view(-1, 1, 2, 3), 20_000, rng).flatten(1).double()
    assert torch.allclose(drawn.mean(0), images.double().mean(0), atol=1)
    wanted = images.double().T.cov()
    assert (drawn.T.cov() - wanted).abs().max() < 0.06 * wanted.abs().max()


# Of runs

DATA = """
    import torch, genzoo
    from genzoo import DatasetSpec, GeneratorSpec, MetricSpec, FeatureSpec, option
    from dataclasses import dataclass

    @dataclass(frozen=True, kw_only=True)
    class Options:
        kind: str = option("copies", help="What it gives.", choices=("copies", "fresh", "half", "one", "bad"))
        conditional: bool = option(False, help="By label.")

    @dataclass(frozen=True, kw_only=True)
    class SampleOptions:
        gain: float = option(1.0, help="Brightness.", minimum=0, maximum=1)

    def bars(count, seed, size=12):
        g = torch.Generator().manual_seed(seed)
        images = torch.randint(0, 60, (count, 1, size, size), generator=g)
        place, width = torch.randint(0, size - 3, (2, count), generator=g)
        for i in range(count):
            a = int(place[i]); b = a + 2 + int(width[i]) % 2
            if i % 2: images[i, 0, a:b] += 180
            else: images[i, 0, :, a:b] += 180
        return images.to(torch.uint8), torch.arange(count) % 2

    def load(data_dir):
        (a, x), (b, y) = bars(400, 0), bars(200, 1)
        return genzoo.ImageData(train_images=a, train_labels=x, test_images=b, test_labels=y, classes=("up", "across"))

    def load_plain(data_dir):
        return genzoo.ImageData(train_images=bars(60, 0)[0], test_images=bars(40, 1)[0])

    class Model(genzoo.Generator):
        likelihood_kind = "exact"
        pixel_values = 256
        def __init__(self, config, data):
            super().__init__(config, data)
            count = data.train_count if config.kind in ("copies", "bad") else 20_000
            self.memory = torch.nn.Parameter(torch.zeros(count, *data.shape))
        def fit(self, run):
            for _ in run.steps():
                run.log(loss=1.0)
            kind = self.config.kind
            if kind == "copies" or kind == "bad":
                self.memory.data = torch.cat([b.images for b in run.training_images(10**6)])
            else:
                fresh, labels = bars(40_000 if kind == "half" else 20_000, 7)
                if kind == "half":
                    fresh = fresh[labels == 0]
                if kind == "one":
                    fresh = fresh[:1].expand(len(fresh), -1, -1, -1)
                self.memory.data = fresh.float() / 255
        def sample(self, count, *, options, rng, labels=None):
            n = len(self.memory)
            which = (rng.uniform(1)[:, 0] * n).long().clamp_max(n - 1)
            if labels is not None:
                which = which // 2 * 2 + labels
            return self.memory[which] * options.gain
        def log_likelihood(self, images, labels=None):
            if self.config.kind == "bad":
                raise RuntimeError("no idea")
            return torch.full((len(images),), -float(torch.tensor(256.0).log() * images[0].numel()))
        def reconstruct(self, images, labels=None):
            return images

    @genzoo.hookimpl
    def genzoo_generators():
        return [GeneratorSpec(
            name="mem", summary="-", modality="image", target="zoo_eval:Model", config=Options,
            sample_options=SampleOptions, defaults={"steps": 1, "data": "bars", "sample_every": 0, "eval_every": 0},
        )]

    @genzoo.hookimpl
    def genzoo_datasets():
        return [DatasetSpec(name="bars", summary="-", modality="image", target="zoo_eval:load"),
                DatasetSpec(name="plain", summary="-", modality="image", target="zoo_eval:load_plain")]

    def brightness(subject):
        return genzoo.Estimate(subject.samples.pixels.mean().item())

    def thirds(data, spec, folder, progress):
        network = lambda images: images.flatten(1)[:, :9]
        return genzoo.Features(network, "first-pixels", "0" * 64)

    @genzoo.hookimpl
    def genzoo_metrics():
        target = "zoo_eval:brightness"
        return [MetricSpec(name="brightness", summary="-", modality="image", better="higher", target=target),
                FeatureSpec(name="first-pixels", summary="-", target="zoo_eval:thirds")]
"""


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(features, "STEPS", 40)


@pytest.fixture
def zoo(install):
    install("zoo_eval", DATA)


def values(result):
    return {measure.name: measure for measure in result.measures}


def test_an_evaluation_is_the_same_twice_and_kept_in_the_run(zoo):
    run = genzoo.train("mem", kind="fresh", name="one")
    first, again = genzoo.evaluate(run), genzoo.evaluate(run)
    assert first.measures == again.measures
    assert first.protocol == again.protocol
    assert first.protocol["samples"] == 400
    assert genzoo.Evaluation.read(first.path) == again
    assert run.evaluations() == [first.path]
    for name in ("samples.png", "neighbours.png"):
        assert all(provenance.read(first.path.with_name(name)).values())
    other = genzoo.evaluate(run, seed=1)
    assert other.measures != first.measures
    assert len(run.evaluations()) == 2


def test_fresh_samples_score_as_real_data_do_and_better_than_the_baselines(zoo):
    found = values(genzoo.evaluate(genzoo.train("mem", kind="fresh")))
    own = [m.name for m in METRICS if m.modality == "image" and m.name != "label_accuracy"]
    assert list(found) == [*own, "brightness"]
    for measure in found.values():
        if measure.floor is None or measure.name == "brightness":
            continue
        sign = 1 if measure.better == "lower" else -1
        error = measure.uncertainty or 0
        assert sign * (measure.value - measure.floor) < 5 * error + 0.03, measure
        if measure.name in ("frechet_distance", "kernel_distance", "recall", "coverage", "two_sample_accuracy"):
            assert sign * (measure.baseline - measure.value) > 0, measure
    assert found["nll"].value == pytest.approx(144 * math.log(256), rel=1e-6)
    assert found["bits_per_dim"].value == pytest.approx(8, rel=1e-6)
    assert 0 < found["bits_per_dim"].baseline < 8
    assert found["reconstruction_mse"].value == 0
    assert found["reconstruction_mse"].baseline > 0.01
    assert found["reconstruction_ssim"].value == pytest.approx(1, abs=1e-5)


def test_a_copy_machine_is_flagged(zoo):
    found = genzoo.evaluate(genzoo.train("mem", kind="copies"))
    assert values(found)["copies"].value == 1
    assert values(found)["copies"].floor < 0.1
    assert values(found)["train_test_ratio"].value < values(found)["train_test_ratio"].floor - 0.1
    assert any("copies of training images" in note for note in report.notes([found]))
    fresh = genzoo.evaluate(genzoo.train("mem", kind="fresh"))
    assert values(fresh)["copies"].value < 0.1
    assert not [note for note in report.notes([fresh]) if "copies of training" in note]


def test_a_missing_class_and_a_single_picture_show(zoo):
    half = values(genzoo.evaluate(genzoo.train("mem", kind="half")))
    assert half["class_distance"].value > 0.3
    assert half["class_distance"].floor < 0.1
    found = genzoo.evaluate(genzoo.train("mem", kind="one"))
    assert values(found)["duplicates"].value == 1
    assert values(found)["pair_ssim"].value == pytest.approx(1, abs=1e-5)
    assert any("copies of one another" in note for note in report.notes([found]))
    assert values(found)["recall"].value < 0.1


def test_a_conditional_model_is_asked_for_its_classes(zoo):
    found = values(genzoo.evaluate(genzoo.train("mem", kind="fresh", conditional=True)))
    assert found["label_accuracy"].value > 0.9
    assert found["nll"].of == "8-bit images given their class"


def test_a_measure_that_fails_leaves_the_others_and_says_why(zoo):
    found = genzoo.evaluate(genzoo.train("mem", kind="bad"))
    assert found.left_out["nll"] == "failed: RuntimeError: no idea"
    assert "precision" in values(found)


def test_data_without_labels_have_random_features(zoo):
    run = genzoo.train("mem", data="plain", kind="fresh")
    found = genzoo.evaluate(run)
    assert found.protocol["features"] == "random-v1"
    assert found.protocol["features_accuracy"] is None
    assert found.left_out["frechet_distance"] == "it takes more than 64 samples and test images; there are 40"
    assert found.left_out["mean_confidence"] == "the features random-v1 know no classes"
    assert found.left_out["duplicates"].startswith("it takes 100 samples")
    assert "precision" in values(found)
    assert "class_shares" not in found.facts
    with pytest.raises(UsageError, match="data 'plain' have no labels; allowed is random"):
        genzoo.evaluate(run, features="classifier")


def test_too_few_samples_are_no_number(zoo):
    found = genzoo.evaluate(genzoo.train("mem", kind="fresh"), 4)
    assert found.left_out["precision"] == "it takes more than 5 samples and test images; there are 4"
    assert "mean_confidence" in values(found)
    one = genzoo.evaluate(genzoo.train("mem", kind="fresh"), 1)
    assert one.left_out["pair_ssim"] == "it takes two samples"


def test_wrong_requests_are_said(zoo):
    run = genzoo.train("mem", kind="fresh")
    with pytest.raises(UsageError, match="n is 401; allowed is 400 or fewer"):
        genzoo.evaluate(run, 401)
    with pytest.raises(UsageError, match="n is 0; allowed is 1 or more"):
        genzoo.evaluate(run, 0)
    with pytest.raises(UsageError, match="unknown features 'randm'; did you mean 'random'"):
        genzoo.evaluate(run, features="randm")
    with pytest.raises(UsageError, match="gain"):
        genzoo.evaluate(run, gain=2.0)
    with pytest.raises(GenzooError, match="torch-fidelity|needs the weights"):
        genzoo.evaluate(run, features="inception")


def test_data_that_changed_are_not_measured_against(zoo):
    run = genzoo.train("mem", kind="fresh")
    run.update(data_spec=run.record["data_spec"] | {"fingerprint": "0" * 64})
    with pytest.raises(GenzooError, match="are no longer those that run"):
        genzoo.evaluate(run)


def test_the_classifier_is_trained_once_and_a_damaged_one_is_refused(zoo, tmp_path, monkeypatch):
    run = genzoo.train("mem", kind="fresh")
    sha = genzoo.evaluate(run, 20).protocol["features_sha256"]
    monkeypatch.setattr(features, "_trained", lambda *_: pytest.fail("trained again"))
    assert genzoo.evaluate(run, 20).protocol["features_sha256"] == sha
    (weights,) = (tmp_path / "data" / "features").glob("*/classifier.safetensors")
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(GenzooError, match="is damaged .* remove that folder and it is made anew"):
        genzoo.evaluate(run, 20)


def test_the_classifier_is_kept_elsewhere_if_the_data_folder_is_not_writable(zoo, tmp_path, monkeypatch):
    run = genzoo.train("mem", kind="fresh")
    (tmp_path / "file").touch()  # a folder that cannot be made
    own = tmp_path / "own"
    monkeypatch.setattr(features, "data_folder", lambda _: own)
    monkeypatch.setenv("GENZOO_DATA_DIR", str(tmp_path / "file"))
    genzoo.evaluate(run, 20)
    assert len(list((own / "features").glob("*/classifier.json"))) == 1


def test_features_of_a_plugin(zoo):
    found = genzoo.evaluate(genzoo.train("mem", kind="fresh"), features="first-pixels")
    assert found.protocol["features"] == "first-pixels"
    assert "frechet_distance" in values(found)
    assert found.left_out["class_distance"] == "the features first-pixels know no classes"


def test_evaluation_leaves_random_numbers_and_the_run_alone(zoo):
    run = genzoo.train("mem", kind="fresh")
    torch.manual_seed(3)
    before = torch.get_rng_state(), (run.path / "run.json").read_bytes()
    others = random.getstate(), np.random.get_state()[1].tolist()
    genzoo.evaluate(run, 50)
    assert (random.getstate(), np.random.get_state()[1].tolist()) == others
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (run.path / "run.json").read_bytes() == before[1]


# Side by side


def test_compare_measures_once_and_marks_the_best(zoo, monkeypatch):
    good, bad = genzoo.train("mem", kind="fresh", name="good"), genzoo.train("mem", kind="one", name="bad")
    first = genzoo.compare([good, "bad"])
    monkeypatch.setattr("genzoo.evaluation.compare.hold_against", lambda *_: pytest.fail("measured again"))
    again = genzoo.compare([good, bad.path, first[0].path])
    assert [result.run for result in again] == ["good", "bad", "good"]
    assert again[0] == first[0]
    table = {row[0].split()[0]: row for row in report.rows(first)}
    assert table["MEASURE"][1:3] == ("good", "bad")
    assert table["recall"][1].endswith("*")
    assert not table["recall"][2].endswith("*")


def test_results_of_two_protocols_do_not_compare(zoo):
    run, other = genzoo.train("mem", kind="fresh", name="a"), genzoo.train("mem", data="plain", name="b", kind="fresh")
    with pytest.raises(UsageError, match="a and b do not compare.*data 'bars' and 'plain'"):
        genzoo.compare([run, other])
    few = genzoo.evaluate(run, 50)
    many = genzoo.evaluate(run)
    with pytest.raises(UsageError, match="samples 50 and 400"):
        genzoo.compare([few.path, many.path])


def test_weights_that_changed_are_measured_anew(zoo, monkeypatch):
    run = genzoo.train("mem", kind="fresh", name="a")
    old = genzoo.evaluate(run)
    assert genzoo.compare([run])[0] == old
    assert old.facts["weights_sha256"] == run.weights()["sha256"]
    manifest = run.model_folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace(run.weights()["sha256"], "0" * 64))
    asked = []
    monkeypatch.setattr("genzoo.evaluation.compare.hold_against", lambda *given: asked.append(given) or old)
    genzoo.compare([run])
    assert len(asked) == 1


def test_the_commands_print_a_table_json_markdown_and_a_page(zoo, genzoo_command, tmp_path):
    genzoo.train("mem", kind="fresh", name="one")
    page = tmp_path / "page.html"
    done = genzoo_command("evaluate", "one", "-n", 100, "--gain", "0.9", "--html", page)
    assert done.status == 0, done.err
    assert "frechet_distance ↓" in done.out
    assert "REAL DATA" in done.out
    text = page.read_text()
    assert text.count("data:image/png;base64,") == 3
    assert "http" not in text  # nothing from elsewhere
    told = json.loads(genzoo_command("evaluate", "one", "-n", 100, "--json").out)
    assert {"run", "protocol", "measures"} <= told.keys()
    keys = {"name", "value", "unit", "better", "uncertainty", "floor", "baseline"}
    assert all(keys <= measure.keys() for measure in told["measures"])
    assert {measure["better"] for measure in told["measures"]} == {"lower", "higher"}
    done = genzoo_command("compare", "one", "one", "-n", 100, "--markdown")
    assert done.out.splitlines()[2].startswith("| Measure | one | one | Real data | Gaussian | Noisy data |")
    assert genzoo_command("evaluate", "one", "--json", "--markdown").status == 2
    assert genzoo_command("evaluate", "one", "--html", "x.pdf").status == 2
    assert genzoo_command("evaluate", "one", "--html", tmp_path / "nowhere" / "x.html").status == 2
    assert "exists; give --overwrite" in genzoo_command("evaluate", "one", "--html", page).err
    assert genzoo_command("compare", "one", "-n", 100, "--html", page, "--overwrite").status == 0
    assert "allowed is 400 or fewer" in genzoo_command("evaluate", "one", "-n", 500).err
    assert genzoo_command("compare").status == 2


def test_every_measure_is_told_in_the_docs_of_its_function():
    assert len({(metric.modality, metric.name) for metric in METRICS}) == len(METRICS)
    for metric in METRICS:
        assert metric.summary
        assert hasattr({"image": measures, "text": text}[metric.modality], metric.name)
    assert [spec.name for _, _, spec in registry().features] == ["classifier", "inception", "random"]


@pytest.mark.slow
def test_the_classifier_of_mnist_5k_is_96_percent_right(monkeypatch):
    monkeypatch.setattr(features, "STEPS", 2000)
    run = genzoo.train("vae", steps=20)
    assert genzoo.evaluate(run, 200).protocol["features_accuracy"] >= 0.96


def test_the_quick_distance_of_a_training_falls_as_samples_come_near_to_the_data(zoo):
    from zoo_eval import bars, load

    data = load(None)
    distance = features.quick_distance(data, data.spec("bars"))
    fresh = bars(300, 3)[0].float() / 255
    found = [distance(fresh), distance((fresh + 0.3 * torch.randn_like(fresh)).clamp(0, 1)), distance(fresh * 0)]
    assert 0 <= found[0] < found[1] < found[2]
    assert distance(fresh) == found[0]
