"""Measures have known answers; the protocol is the same for all; what cannot be measured is said."""

import json
import math
import random
import re
import sys

import numpy as np
import pytest
import torch
from prdc import compute_prdc

import genzoo
from genzoo import GenzooError, ImageData, UsageError, read_provenance
from genzoo.evaluation import evaluate as evaluating
from genzoo.evaluation import report, time_left
from genzoo.evaluation.evaluate import HeldOut, Sampling
from genzoo.evaluation.time_left import TimeLeft
from genzoo.image import features, measures, reference
from genzoo.interface import distances
from genzoo.interface.dataset import silent
from genzoo.interface.specs import load_target
from genzoo.registry.data import data_folder, shipped_classifiers
from genzoo.registry.plugins import registry
from genzoo.sampling.draw import draw

# Of two sets


def normal(count, dim=8, seed=0, mean=0.0, scale=1.0):
    rows = torch.randn(count, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return rows * scale + mean


def test_the_frechet_distance_of_two_gaussians_is_its_closed_form():
    scale = torch.linspace(0.5, 2, 8, dtype=torch.float64)
    one, other = normal(200_000), normal(200_000, seed=1, mean=0.7, scale=scale)
    exact = 8 * 0.7**2 + float((1 - scale).square().sum())  # commuting covariances: |m|^2 + sum (s_1 - s_2)^2
    assert distances.frechet_distance(one, other) == pytest.approx(exact, rel=0.01)
    turn, _ = torch.linalg.qr(normal(8, seed=2))
    assert distances.frechet_distance(one @ turn, other @ turn) == pytest.approx(
        distances.frechet_distance(one, other), rel=1e-9
    )


def test_identical_sets_are_at_no_distance():
    rows = normal(500)
    assert distances.frechet_distance(rows, rows) == pytest.approx(0, abs=1e-9)
    assert (
        distances.precision(rows, rows).mean()
        == distances.recall(rows, rows).mean()
        == distances.coverage(rows, rows).mean()
        == 1
    )


def test_the_frechet_distance_of_singular_covariances_is_finite():
    flat = normal(100)
    flat[:, 3] = 0.0
    assert distances.frechet_distance(flat, flat) == pytest.approx(0, abs=1e-6)
    assert distances.frechet_distance(flat[:5], flat[:5]) == pytest.approx(0, abs=1e-6)


def test_the_kernel_distance_agrees_with_torchmetrics_and_has_no_bias():
    from torchmetrics.image.kid import poly_mmd

    one, other = normal(300), normal(300, seed=1, mean=0.3)
    assert distances.kernel_distance(one, other) == pytest.approx(float(poly_mmd(one, other)), rel=1e-9)
    alike = [distances.kernel_distance(normal(100, seed=s), normal(100, seed=s + 1000)) for s in range(100)]
    assert abs(np.mean(alike)) < 3 * np.std(alike) / 10


@pytest.mark.parametrize("shape", [(600, 1, 28, 28), (3, 3, 11, 17)])
def test_structural_similarity_agrees_with_torchmetrics(shape):
    from torchmetrics.functional.image import structural_similarity_index_measure

    images, noise = torch.rand(2, *shape, generator=torch.Generator().manual_seed(0))
    near = (images + 0.1 * noise).clamp(0, 1)
    flat = torch.full(shape, 0.25)
    for other in (noise, near, flat, images):
        theirs = structural_similarity_index_measure(images, other, data_range=1.0, reduction="none")
        torch.testing.assert_close(measures.ssim(images, other), theirs.view(-1), atol=1e-5, rtol=0)
    torch.testing.assert_close(measures.ssim(flat, flat), torch.ones(shape[0]))
    with pytest.raises(genzoo.NotMeasurable, match="it takes images of 11 pixels a side; these have 10"):
        measures.ssim(images[..., :10], images[..., :10])


@pytest.mark.parametrize("counts", [(1000, 1000), (300, 200)])
def test_precision_recall_density_and_coverage_agree_with_the_reference(counts):
    real, fake = normal(counts[0], 16), normal(counts[1], 16, seed=1, mean=0.2)
    theirs = compute_prdc(real.numpy(), fake.numpy(), nearest_k=5)
    for name, value in theirs.items():
        assert getattr(distances, name)(real, fake, 5).mean().item() == pytest.approx(value, abs=1e-6), name


def test_a_mode_that_is_missing_lowers_recall_and_coverage_and_not_precision():
    real = torch.cat([normal(300), normal(300, seed=1, mean=8)])
    whole = torch.cat([normal(300, seed=2), normal(300, seed=3, mean=8)])
    half = torch.cat([normal(300, seed=2), normal(300, seed=4)])
    for measure in (distances.recall, distances.coverage):
        assert measure(real, whole).mean() > 0.85
        assert measure(real, half).mean() < 0.6
    assert distances.precision(real, half).mean() > distances.precision(real, whole).mean() - 0.05


def test_samples_of_the_data_cannot_be_told_from_them():
    assert distances.told_apart(normal(2000), normal(2000, seed=1)).mean() == pytest.approx(0.5, abs=0.03)
    assert distances.told_apart(normal(500), normal(500, seed=1, mean=10)).mean() == 1


@pytest.mark.parametrize("count", [99, 150, 450])
def test_of_values_alike_no_more_than_the_share_are_below_the_conformal_quantile_of_the_others(count):
    values = normal(count + 1)[:, 0]
    below = [value < distances.conformal_quantile(values[values != value], 0.01) for value in values]
    assert sum(below) == (count + 1) // 100
    with pytest.raises(ValueError, match="98 values do not say"):
        distances.conformal_quantile(values[:98], 0.01)


def test_neighbours_leave_out_what_an_image_is_itself():
    rows = normal(50)
    distance, index = distances.nearest(rows, rows, torch.arange(50))
    assert (index != torch.arange(50)).all()
    assert torch.allclose(distance, distances.nearest_of_its_own(rows))
    brute = torch.cdist(rows, rows).fill_diagonal_(torch.inf)
    assert torch.allclose(distance, brute.min(1).values)
    assert torch.allclose(distances.radii(rows, 3), brute.sort(1).values[:, 2])


def test_the_gaussian_baseline_has_the_mean_and_covariance_of_the_pixels():
    rng = np.random.default_rng(0)
    mix = torch.randn(6, 6, generator=torch.Generator().manual_seed(0)) * 10
    images = (128 + torch.randn(5000, 6, generator=torch.Generator().manual_seed(1)) @ mix).round().clamp(0, 255)
    drawn = reference.gaussian(images.to(torch.uint8).view(-1, 1, 2, 3), 20_000, rng).flatten(1).double()
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
        (a, x), (b, y), (c, z) = bars(400, 0), bars(200, 1), bars(120, 2)
        return genzoo.ImageData(train_images=a, train_labels=x, validation_images=c, validation_labels=z,
            test_images=b, test_labels=y, classes=("up", "across"))

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
                self.memory.data = torch.cat([b.images for b in run.training_examples(10**6)])
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

    class Words(genzoo.Generator):
        def fit(self, run):
            for _ in run.batches(length=4):
                run.log(loss=1.0)
        def sample(self, count, *, options, rng):
            return ["a word"] * count

    @genzoo.hookimpl
    def genzoo_generators():
        defaults = {"steps": 1, "sample_every": 0, "eval_every": 0}
        return [GeneratorSpec(
            name="mem", summary="-", modality="image", target="zoo_eval:Model", config=Options,
            sample_options=SampleOptions, defaults=defaults | {"data": "bars"},
        ), GeneratorSpec(name="words", summary="-", modality="text", target="zoo_eval:Words", defaults=defaults)]

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
                FeatureSpec(name="first-pixels", summary="-", modality="image", target="zoo_eval:thirds")]
"""


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(features, "STEPS", 40)


@pytest.fixture
def zoo(install):
    install("zoo_eval", DATA)


def values(result):
    return {measure.name: measure for measure in result.measures}


def measures_of(modality):
    """Names of genzoo's own measures, in the order of a report."""
    return [spec.name for plugin, spec in registry().metrics.of_modality(modality) if plugin.distribution == "genzoo"]


def test_an_evaluation_is_the_same_twice_and_kept_in_the_run(zoo):
    run = genzoo.train("mem", kind="fresh", name="one")
    first, again = genzoo.evaluate(run), genzoo.evaluate(run)
    assert first.measures == again.measures
    assert first.protocol == again.protocol
    assert first.protocol["samples"] == 400
    assert genzoo.Evaluation.read(first.path) == again
    assert run.evaluations() == [first.path]
    for name in ("samples.png", "neighbours.png"):
        assert all(read_provenance(first.path.with_name(name)).values())
    other = genzoo.evaluate(run, seed=1)
    assert other.measures != first.measures
    assert len(run.evaluations()) == 2


def test_fresh_samples_score_as_real_data_do_and_better_than_the_baselines(zoo):
    scores = values(genzoo.evaluate(genzoo.train("mem", kind="fresh")))
    assert list(scores) == [*(name for name in measures_of("image") if name != "label_accuracy"), "brightness"]
    for measure in scores.values():
        if "floor" not in measure.references or measure.name == "brightness":
            continue
        sign = 1 if measure.better == "lower" else -1
        error = measure.uncertainty or 0
        assert sign * (measure.value - measure.references["floor"]) < 5 * error + 0.03, measure
        if measure.name in ("frechet_distance", "kernel_distance", "recall", "coverage", "two_sample_accuracy"):
            assert sign * (measure.references["baseline"] - measure.value) > 0, measure
    assert scores["nll"].value == pytest.approx(144 * math.log(256), rel=1e-6)
    assert scores["bits_per_dim"].value == pytest.approx(8, rel=1e-6)
    assert 0 < scores["bits_per_dim"].references["baseline"] < 8
    assert scores["reconstruction_mse"].value == 0
    assert scores["reconstruction_mse"].references["baseline"] > 0.01
    assert scores["reconstruction_ssim"].value == pytest.approx(1, abs=1e-5)


def test_a_copy_machine_is_flagged(zoo):
    result = genzoo.evaluate(genzoo.train("mem", kind="copies"))
    scores = values(result)
    assert scores["copies"].value == 1
    assert scores["copies"].references["floor"] < 0.1
    assert scores["train_test_ratio"].value < scores["train_test_ratio"].references["floor"] - 0.1
    assert any("copies of training examples" in note for note in report.notes([result]))
    fresh = genzoo.evaluate(genzoo.train("mem", kind="fresh"))
    assert values(fresh)["copies"].value < 0.1
    assert not [note for note in report.notes([fresh]) if "copies of training" in note]


def test_a_missing_class_and_a_single_picture_show(zoo):
    half = values(genzoo.evaluate(genzoo.train("mem", kind="half")))
    assert half["class_distance"].value > 0.3
    assert half["class_distance"].references["floor"] < 0.1
    result = genzoo.evaluate(genzoo.train("mem", kind="one"))
    one = values(result)
    assert one["duplicates"].value == 1
    assert one["pair_ssim"].value == pytest.approx(1, abs=1e-5)
    assert any("copies of one another" in note for note in report.notes([result]))
    assert one["recall"].value < 0.1


def test_a_conditional_model_is_asked_for_its_classes(zoo):
    scores = values(genzoo.evaluate(genzoo.train("mem", kind="fresh", conditional=True)))
    assert scores["label_accuracy"].value > 0.9
    assert scores["nll"].of == "8-bit images given their class"


def test_a_measure_that_fails_leaves_the_others_and_says_why(zoo):
    result = genzoo.evaluate(genzoo.train("mem", kind="bad"))
    assert result.left_out["nll"] == "failed: RuntimeError: no idea"
    assert "precision" in values(result)


def test_data_without_labels_have_random_features(zoo):
    run = genzoo.train("mem", data="plain", kind="fresh")
    result = genzoo.evaluate(run)
    assert result.protocol["features"] == "random-v1"
    assert result.protocol["features_accuracy"] is None
    assert result.left_out["frechet_distance"] == "it takes more than 64 samples and test images; there are 40"
    assert result.left_out["mean_confidence"] == "the features random-v1 know no classes"
    assert result.left_out["duplicates"].startswith("it takes 100 samples")
    assert result.left_out["copies"] == "it takes 100 validation images; there are 6"
    assert "precision" in values(result)
    assert "class_shares" not in result.facts
    with pytest.raises(UsageError, match="data 'plain' have no labels; allowed is random"):
        genzoo.evaluate(run, features="classifier")


def test_too_few_samples_are_no_number(zoo):
    result = genzoo.evaluate(genzoo.train("mem", kind="fresh"), 4)
    assert result.left_out["precision"] == "it takes more than 5 samples and test images; there are 4"
    assert "mean_confidence" in values(result)
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
    with pytest.raises(GenzooError, match="are not those that run"):
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
    folder = tmp_path / "elsewhere"
    monkeypatch.setattr(features, "data_folder", lambda _: folder)
    monkeypatch.setenv("GENZOO_DATA_DIR", str(tmp_path / "file"))
    genzoo.evaluate(run, 20)
    assert len(list((folder / "features").glob("*/classifier.json"))) == 1


def test_a_plugin_ships_the_classifier_of_its_data(zoo, install, tmp_path, monkeypatch, genzoo_command):
    """Written by one command, into a package, it is the protocol's on another machine, and nothing is trained there."""
    shipped = tmp_path / "site" / "zoo_shipped"
    printed = genzoo_command("data", "bars", "--classifier", shipped / "classifiers")
    (folder,) = (shipped / "classifiers").iterdir()
    assert printed.out.startswith(f"{folder}  "), printed.err
    assert printed.out.endswith("% of the test part right\n")
    (shipped / "__init__.py").touch()
    monkeypatch.delitem(sys.modules, "zoo_eval")
    install(
        "zoo_eval",
        DATA.replace('target="zoo_eval:load")', 'target="zoo_eval:load", classifier="zoo_shipped:classifiers")'),
    )
    monkeypatch.setenv("GENZOO_DATA_DIR", str(tmp_path / "another machine"))
    monkeypatch.setattr(features, "_trained", lambda *_: pytest.fail("trained"))
    result = genzoo.evaluate(genzoo.train("mem", kind="fresh"), 20)
    facts = json.loads((folder / "classifier.json").read_text("utf-8"))
    assert result.protocol["features_sha256"] == facts["sha256"]
    assert (facts["classes"], facts["fingerprint"]) == (["up", "across"], result.protocol["fingerprint"])
    facts["fingerprint"] = "0" * 64
    (folder / "classifier.json").write_text(json.dumps(facts), "utf-8")
    with pytest.raises(GenzooError, match="is damaged .it is of other data"):
        genzoo.evaluate(genzoo.train("mem", kind="fresh"), 20)


@pytest.mark.parametrize(("data", "accuracy"), [("mnist-5k", 0.99), ("digits-8x8", 0.99), ("emoji", 0.5)])
def test_the_classifiers_of_built_in_data_are_shipped_and_are_those_of_the_data(monkeypatch, data, accuracy, tmp_path):
    monkeypatch.setattr(features, "_trained", lambda *_: pytest.fail("trained"))
    spec = registry().datasets.get(data)[1]
    loaded = load_target(spec.target, data)(data_folder(None)).with_validation(0.1)
    kept = features.classifier_features(loaded, loaded.spec(data), tmp_path, silent)
    assert kept.accuracy > accuracy
    assert kept.kept.parent in shipped_classifiers(data)
    assert (kept.kept / "classifier.safetensors").stat().st_size < 1_000_000
    batch = loaded.take("test", torch.arange(loaded.count("test")), torch.device("cpu"))
    right = (kept.head(kept.network(batch.examples)).argmax(1) == batch.labels).double().mean()
    assert right == pytest.approx(kept.accuracy, abs=0.005)


def test_features_of_a_plugin(zoo):
    result = genzoo.evaluate(genzoo.train("mem", kind="fresh"), features="first-pixels")
    assert result.protocol["features"] == "first-pixels"
    assert "frechet_distance" in values(result)
    assert result.left_out["class_distance"] == "the features first-pixels know no classes"


def test_evaluation_leaves_random_numbers_and_the_run_alone(zoo):
    run = genzoo.train("mem", kind="fresh")
    torch.manual_seed(3)
    before = torch.get_rng_state(), (run.path / "run.json").read_bytes()
    others = random.getstate(), np.random.get_state()[1].tolist()
    genzoo.evaluate(run, 50)
    assert (random.getstate(), np.random.get_state()[1].tolist()) == others
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (run.path / "run.json").read_bytes() == before[1]


# Blind to the test part

SMALL = {"steps": 6, "batch_size": 16, "log_every": 1, "eval_every": 1, "sample_every": 0}
GAN = {"generator_sizes": (8,), "discriminator_sizes": (8,), "latent_dim": 4, "learning_rate": 0.1, "ema_decay": 0.5}


@pytest.fixture
def twins(zoo, tmp_path):
    """Two data sets that differ in their test images alone: those of the second are black."""
    from zoo_eval import bars

    (images, labels), (test_images, test_labels) = bars(1200, 0), bars(100, 1)
    paths = []
    for name, scale in (("plain", 1), ("black", 0)):
        paths.append(tmp_path / f"{name}.npz")
        arrays = {"images": images, "labels": labels, "test_images": test_images * scale, "test_labels": test_labels}
        np.savez(paths[-1], **{key: value.numpy() for key, value in arrays.items()})
    return paths


def validation_scores(run):
    """What was scored at each step."""
    lines = [{key: value for key, value in line.items() if "/" in key} for line in run.metrics()]
    assert all(key.startswith("validation/") for line in lines for key in line)
    return lines


@pytest.mark.parametrize(
    ("model", "options", "score"),
    [("gan", GAN, "frechet_distance"), ("vae", {"architecture": "mlp"}, "bound"), ("toy", {}, "loss")],
)
def test_scores_and_the_best_weights_do_not_depend_on_test_images(twins, toy, model, options, score):
    runs = [genzoo.train(model, data=str(path), name=path.stem, **SMALL, **options) for path in twins]
    assert runs[0].data_spec.fingerprint != runs[1].data_spec.fingerprint
    one, other = map(validation_scores, runs)
    assert one == other  # bit for bit
    values = [line[f"validation/{score}"] for line in one]
    assert len(set(values)) == SMALL["steps"]
    assert torch.equal(*(genzoo.sample(run, 5) for run in runs))
    if model != "gan":
        return
    best, other_best = (run.best() for run in runs)
    keys = ("step", "score_name", "score", "files")  # the last with the SHA-256 of the weights
    assert [best[key] for key in keys] == [other_best[key] for key in keys]
    assert (best["score"], best["step"]) == (min(values), 1 + values.index(min(values)))
    assert 1 < best["step"] < SMALL["steps"]  # there was a choice, and it was not the last


def test_no_test_image_is_looked_at_while_training(twins, monkeypatch):
    plain = ImageData.pixels

    def guarded(self, part, index):
        assert part != "test", "a training asks for test images"
        return plain(self, part, index)

    monkeypatch.setattr(ImageData, "pixels", guarded)
    run = genzoo.train("gan", data=str(twins[0]), **SMALL, **GAN)
    assert len(run.metrics()) == SMALL["steps"]
    with pytest.raises(AssertionError, match="a training asks for test images"):
        genzoo.evaluate(run, 10)


@pytest.mark.filterwarnings("ignore:the classifier of the evaluation is right in")  # of the images that are all black
def test_the_classifier_and_what_counts_as_a_copy_do_not_depend_on_test_images(twins):
    results, thresholds = [], []
    for path in twins:
        run = genzoo.train("mem", data=str(path), kind="copies", name=path.stem)
        results.append(genzoo.evaluate(run, 300))
        floor = HeldOut({run: Sampling(None, 64, "cpu")}, 300, 0, "auto", TimeLeft(silent)).reference.floor
        thresholds.append(floor.once(measures._usual_distance, of_data=True))
        assert len(floor.validation) == 120
    assert thresholds[0] > 0
    assert torch.equal(*thresholds)
    plain, black = map(values, results)
    assert results[0].protocol["features_sha256"] == results[1].protocol["features_sha256"]
    assert results[0].protocol["features_accuracy"] > results[1].protocol["features_accuracy"]
    for name in ("copies", "duplicates", "mean_confidence", "pair_ssim"):
        assert plain[name] == black[name]
    assert plain["frechet_distance"].value < black["frechet_distance"].value  # which is of the test images


# Side by side


def test_compare_measures_once_and_marks_the_best(zoo, monkeypatch):
    good, bad = genzoo.train("mem", kind="fresh", name="good"), genzoo.train("mem", kind="one", name="bad")
    first = genzoo.compare([good, "bad"])
    monkeypatch.setattr(HeldOut, "evaluation_of", lambda *_: pytest.fail("measured again"))
    again = genzoo.compare([good, bad.path, first[0].path])
    assert [result.run for result in again] == ["good", "bad", "good"]
    assert again[0] == first[0]
    table = {row[0].split()[0]: row for row in report.rows(first)}
    assert table["MEASURE"][1:3] == ("good", "bad")
    assert table["recall"][1].endswith("*")
    assert not table["recall"][2].endswith("*")


def test_a_comparison_that_is_stopped_keeps_what_it_has_measured(zoo, monkeypatch):
    runs = [genzoo.train("mem", kind="fresh", name=name) for name in ("one", "two")]
    drawn = []

    def stopped(model, *arguments, **more):
        drawn.append(model)
        if len(drawn) == 2:
            raise KeyboardInterrupt
        return draw(model, *arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr(evaluating, "draw", stopped)
        with pytest.raises(KeyboardInterrupt):
            genzoo.compare(runs, 30)
    assert [len(run.evaluations()) for run in runs] == [1, 0]
    kept = genzoo.Evaluation.read(runs[0].evaluations()[0])
    assert genzoo.compare(runs, 30)[0] == kept


# How long it takes


class Clock:
    """A clock that is set by hand."""

    now = 0.0

    def perf_counter(self):
        return self.now


def test_the_time_of_the_whole_is_told_from_what_its_parts_took(monkeypatch):
    clock, told = Clock(), []
    monkeypatch.setattr(time_left, "time", clock)
    whole = TimeLeft(lambda *facts: told.append(facts))
    whole.to_come = ["references", "sampling a", "measures a", "sampling a", "measures a"]
    with whole.part("data") as tell:
        clock.now = 10
        tell("training (steps)", 0, 100)
        assert told[-1] == ("training (steps)", 0, 100)  # nothing is known of the rest yet
        whole.seconds |= {"measures": 20.0, "references": 50.0, "sampling a": 5.0}  # as a rehearsal says
        clock.now = 12
        tell("training (steps)", 10, 100)  # 90 more take 18 seconds; then 50 + 2 * (5 + 20)
        assert told[-1] == ("evaluating, training (seconds)", 12, 12 + 18 + 50 + 2 * (5 + 20))
    with whole.part("sampling a", "run 1 of 2") as tell:
        clock.now = 14
        tell("sampling (samples)", 1, 4)
        assert told[-1] == ("evaluating, run 1 of 2: sampling (seconds)", 14, 14 + 3 + 50 + 5 + 2 * 20)
        clock.now = 22  # which took 10 seconds
    with whole.part("references"):
        clock.now = 82
    with whole.part("measures a"):
        clock.now = 122
    with whole.part("sampling a") as tell:
        tell("sampling (samples)", 0, 4)
    assert told[-1][1:] == (122, 122 + 10 + 40)  # as the first run of its kind took


def test_what_a_run_takes_is_told_from_a_few_samples_and_test_images():
    class Folder:
        model, record = "mem", {"options": {}}

    whole = TimeLeft(lambda *_: None)
    whole.seconds["measures"] = 20.0
    whole.rehearse_runs([Folder(), Folder()], 160, 64, lambda _, some: (some / 5, 7.0))  # 10 samples are drawn
    assert whole.expected(time_left.sampling_of(Folder())) == pytest.approx(160 / 5)
    assert whole.expected(time_left.measures_of(Folder())) == 20 + 7


def test_a_comparison_tells_the_whole_before_the_classifier_is_trained(zoo):
    runs = [genzoo.train("mem", kind="fresh", name=name) for name in ("one", "two")]
    told = []
    genzoo.compare(runs, progress=lambda *facts: told.append(facts))
    activities = [activity for activity, _, _ in told]
    training = "evaluating, training the classifier of the evaluation (seconds)"
    assert activities.count(training) == 2  # each 20 of 40 steps
    assert not [
        activity for activity in activities[activities.index(training) :] if not activity.startswith("evaluating, ")
    ]
    assert "evaluating, run 2 of 2: sampling (seconds)" in activities
    told.clear()
    genzoo.compare(runs, progress=lambda *facts: told.append(facts))
    assert not told  # all is kept


def test_results_of_two_protocols_do_not_compare(zoo):
    run, other = genzoo.train("mem", kind="fresh", name="a"), genzoo.train("mem", data="plain", name="b", kind="fresh")
    with pytest.raises(UsageError, match="a and b do not compare.*data 'bars' and 'plain'"):
        genzoo.compare([run, other])
    few = genzoo.evaluate(run, 50)
    many = genzoo.evaluate(run)
    with pytest.raises(UsageError, match="samples 50 and 400"):
        genzoo.compare([few.path, many.path])


def test_runs_on_different_data_are_refused_before_anything_is_read_or_drawn(
    zoo, genzoo_command, monkeypatch, tmp_path
):
    (tmp_path / "a.txt").write_text("a text of some words\n" * 50, "utf-8")
    bars, twin = (genzoo.train("mem", kind="fresh", name=name) for name in ("bars", "twin"))
    plain = genzoo.train("mem", data="plain", kind="fresh", name="plain")
    other_share = genzoo.train("mem", data="plain", kind="fresh", name="other-share", validation=0.2)
    text = genzoo.train("words", data=str(tmp_path / "a.txt"), name="text")
    result = genzoo.evaluate(plain, 20)
    kept = [run.evaluations() for run in (bars, twin, plain, other_share, text)]

    for name in ("draw", "load", "load_data"):
        monkeypatch.setattr(f"genzoo.evaluation.evaluate.{name}", lambda *_, **__: pytest.fail("it went to work"))
    for runs, why in (
        ((bars, plain), "bars and plain do not compare, .*data 'bars' and 'plain'; fingerprint '"),
        ((bars, twin, plain), "bars and plain do not compare, .*data 'bars' and 'plain'"),
        ((plain, other_share), "plain and other-share do not compare, .*: validation 0.1 and 0.2$"),
        ((bars, text), "bars and text do not compare, .*modality 'image' and 'text'"),
        ((text, bars), "text and bars do not compare, .*modality 'text' and 'image'"),
        ((bars, result.path), "bars and plain do not compare, .*data 'bars' and 'plain'"),
        ((result.path, other_share), "plain and other-share do not compare, .*: validation 0.1 and 0.2$"),
    ):
        with pytest.raises(UsageError, match=why):
            genzoo.compare(runs)
    done = genzoo_command("compare", "bars", "plain")
    assert (done.status, done.out) == (2, "")
    assert "data 'bars' and 'plain'" in done.err
    assert [run.evaluations() for run in (bars, twin, plain, other_share, text)] == kept
    with pytest.raises(pytest.fail.Exception, match="it went to work"):  # those on the same data are not refused
        genzoo.compare([bars, twin])


def test_weights_that_changed_are_measured_anew(zoo, monkeypatch):
    run = genzoo.train("mem", kind="fresh", name="a")
    old = genzoo.evaluate(run)
    assert genzoo.compare([run])[0] == old
    assert old.facts["weights_sha256"] == run.weights()["sha256"]
    manifest = run.model_folder / "manifest.json"
    manifest.write_text(manifest.read_text("utf-8").replace(run.weights()["sha256"], "0" * 64), "utf-8")
    calls = []
    monkeypatch.setattr(HeldOut, "evaluation_of", lambda *call: calls.append(call) or old)
    genzoo.compare([run])
    assert len(calls) == 1


def test_names_do_nothing_in_markdown():
    measured = genzoo.Measured(name="gap", value=1.0, unit="", better="lower", uncertainty=None, references={}, of="")
    raw = "<img src=x onerror=y> [a](javascript:b) c|d `e` f\ng\x1b[31m"
    evaluation = genzoo.Evaluation(
        run=raw, model="m", protocol={"modality": "image"}, heading=raw, columns={}, legend="", measures=(measured,),
        left_out={"other": raw}, facts={},
    )  # fmt: skip
    text = report.markdown([evaluation, evaluation])
    assert not re.search(r"(?<!\\)[<>\[`]", text)
    assert "\x1b" not in text
    assert {line.count("|") - line.count("\\|") for line in text.splitlines() if line.startswith("|")} == {4}


def test_the_commands_print_a_table_json_markdown_and_a_page(zoo, genzoo_command, tmp_path):
    genzoo.train("mem", kind="fresh", name="one")
    page = tmp_path / "page.html"
    done = genzoo_command("evaluate", "one", "-n", 100, "--gain", "0.9", "--html", page)
    assert done.status == 0, done.err
    assert re.search("frechet_distance [↓v]", done.out)  # v where standard output has no arrows
    assert "REAL DATA" in done.out
    text = page.read_text("utf-8")
    drawn = len(genzoo.find_run("one").training_samples())
    assert text.count("data:image/png;base64,") == 2 + drawn > 2
    assert text.count("<svg ") == len(re.findall(r'aria-label="curve of [^"]+"', text)) > 0
    assert "http" not in text  # nothing from elsewhere
    printed = json.loads(genzoo_command("evaluate", "one", "-n", 100, "--json").out)
    assert {"run", "protocol", "measures", "columns"} <= printed.keys()
    keys = {"name", "value", "unit", "better", "uncertainty", "references"}
    assert all(keys <= measure.keys() for measure in printed["measures"])
    assert list(printed["columns"]) == ["floor", "baseline", "noise"]
    (recall,) = [measure for measure in printed["measures"] if measure["name"] == "recall"]
    assert recall["references"].keys() == printed["columns"].keys()
    assert {measure["better"] for measure in printed["measures"]} == {"lower", "higher"}
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
    for modality in ("image", "text"):
        names = measures_of(modality)
        assert len(names) == len(set(names)) > 5
        for _, metric in registry().metrics.of_modality(modality):
            assert metric.summary
            assert callable(load_target(metric.target, metric.name))
    images = [spec.name for _, _, spec in registry().features if spec.modality == "image"]
    assert sorted(images) == ["classifier", "emoji", "inception", "random"]


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
    scores = [distance(fresh), distance((fresh + 0.3 * torch.randn_like(fresh)).clamp(0, 1)), distance(fresh * 0)]
    assert 0 <= scores[0] < scores[1] < scores[2]
    assert distance(fresh) == scores[0]
