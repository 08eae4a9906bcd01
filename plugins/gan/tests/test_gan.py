"""The mathematics of the GAN's losses, its layouts, its health, and that each of its forms trains and resumes."""

import math
import shutil
import warnings

import pytest
import torch
from torch import nn

import genzoo
from genzoo import DataSpec, GenzooWarning, RandomStreams, UsageError
from genzoo_gan import GANOptions, genzoo_generators
from genzoo_gan.augment import augment
from genzoo_gan.health import spread
from genzoo_gan.losses import discriminator_loss, generator_loss, gradient_penalty, r1_penalty
from genzoo_gan.model import GAN

LOSSES = ("non-saturating", "minimax", "least-squares", "hinge", "wasserstein-gp")


def data(shape=(1, 28, 28), classes=()):
    return DataSpec(
        name="d", modality="image", shape=shape, classes=classes, train_count=9, validation_count=9, test_count=9,
        fingerprint="0",
    )  # fmt: skip


def gan(shape=(1, 28, 28), **options):
    return GAN(GANOptions(**options), data(shape))


def test_the_discriminators_losses_are_those_of_the_papers():
    torch.manual_seed(0)
    real, fake = torch.randn(50, 1), torch.randn(50, 1)
    d_real, d_fake = real.sigmoid(), fake.sigmoid()
    expected = {
        "non-saturating": -(d_real.log() + (1 - d_fake).log()).mean(),
        "minimax": -(d_real.log() + (1 - d_fake).log()).mean(),
        "least-squares": 0.5 * ((real - 1) ** 2 + fake**2).mean(),
        "hinge": ((1 - real).clamp_min(0) + (1 + fake).clamp_min(0)).mean(),
        "wasserstein-gp": (fake - real).mean(),
    }
    for kind in LOSSES:
        assert torch.allclose(discriminator_loss(kind, real, fake), expected[kind], atol=1e-6), kind
    smoothed = -(0.9 * d_real.log() + 0.1 * (1 - d_real).log() + (1 - d_fake).log()).mean()
    assert torch.allclose(discriminator_loss("minimax", real, fake, 0.1), smoothed, atol=1e-6)


def test_the_generators_losses_are_those_of_the_papers():
    torch.manual_seed(0)
    fake = torch.randn(50, 1)
    expected = {
        "non-saturating": -fake.sigmoid().log().mean(),
        "minimax": (1 - fake.sigmoid()).log().mean(),
        "least-squares": 0.5 * ((fake - 1) ** 2).mean(),
        "hinge": -fake.mean(),
        "wasserstein-gp": -fake.mean(),
    }
    for kind in LOSSES:
        assert torch.allclose(generator_loss(kind, fake), expected[kind], atol=1e-6), kind


def test_at_the_optimum_the_value_is_minus_log_4():
    """Goodfellow et al. 2014, theorem 1: where p_g = p_data, D = 1/2 does best, with the value -log 4."""
    values = [-discriminator_loss("minimax", s, s) for s in torch.linspace(-3, 3, 13)]
    assert max(values).item() == pytest.approx(-math.log(4))
    assert values[6] == max(values)


@pytest.mark.parametrize("shape", [(5,), (2, 3, 4)])
def test_penalties_of_a_linear_discriminator_are_known(shape):
    torch.manual_seed(0)
    weight = torch.randn(shape, requires_grad=True)
    real, fake = torch.randn(6, *shape), torch.randn(6, *shape)

    def critic(x):
        return (x * weight).flatten(1).sum(1, keepdim=True)

    length = weight.norm()
    penalty = gradient_penalty(critic, real, fake)
    assert torch.allclose(penalty, (length - 1) ** 2, atol=1e-5)
    assert torch.allclose(r1_penalty(critic, real), 0.5 * length**2, atol=1e-5)
    (gradient,) = torch.autograd.grad(penalty, weight)
    assert torch.allclose(gradient, 2 * (length - 1) * weight.detach() / length, atol=1e-4)


def widths(network):
    layers = [layer for layer in network if isinstance(layer, nn.Linear)]
    return [layers[0].in_features, *(layer.out_features for layer in layers)]


@pytest.mark.parametrize(
    ("preset", "generator", "discriminator", "output", "rate", "batch"),
    [
        ("article-128", [100, 128, 256, 784], [784, 512, 256, 1], nn.Tanh, 1e-4, None),
        ("article-512", [100, 128, 256, 512, 784], [784, 512, 256, 128, 1], nn.Tanh, 1e-4, 128),
        ("article-1024", [100, 256, 512, 1024, 784], [784, 512, 256, 1], nn.Sigmoid, 1e-3, 32),
    ],
)
def test_the_layouts_of_the_tutorials(preset, generator, discriminator, output, rate, batch):
    values = genzoo_generators()[0].presets[preset]
    model = gan(**{k: v for k, v in values.items() if k in GANOptions.__dataclass_fields__})
    assert widths(model.generator) == generator
    assert [*widths(model.discriminator.features), model.discriminator.head.out_features] == discriminator
    assert any(isinstance(layer, output) for layer in model.generator)
    assert values["learning_rate"] == rate
    assert values.get("batch_size") == batch


def test_spectral_norm_bounds_every_layer():
    model = gan(spectral_norm=True, discriminator_sizes=(64, 32))
    for _ in range(200):  # one power iteration at each forward pass
        model.discriminator(torch.rand(2, 1, 28, 28))
    for layer in model.discriminator.modules():
        if isinstance(layer, nn.Linear):
            assert torch.linalg.matrix_norm(layer.weight, 2).item() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("way", ["color", "translation", "cutout"])
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 16, 16)])
def test_augmentations_are_differentiable_and_each_images_own(way, shape):
    torch.manual_seed(0)
    image = torch.rand(shape) * 2 - 1
    many = image.expand(64, *shape).clone().requires_grad_()
    changed = augment(many, (way,))
    assert changed.shape == many.shape
    assert len(changed.detach().flatten(1).unique(dim=0)) > 16
    changed.sum().backward()
    assert torch.isfinite(many.grad).all()
    assert many.grad.abs().sum() > 0
    assert augment(many, ()) is many


def test_a_translation_moves_the_whole_picture():
    torch.manual_seed(0)
    image = torch.rand(1, 16, 16) + 1
    reach = 2  # an eighth of 16, rounded
    padded = nn.functional.pad(image, (2 * reach,) * 4)
    places = {
        (y, x): padded[:, 2 * reach - y :, 2 * reach - x :][:, :16, :16] for y in range(-2, 3) for x in range(-2, 3)
    }
    moved = augment(image.expand(200, 1, 16, 16), ("translation",))
    seen = {place for one in moved for place, expected in places.items() if torch.equal(one, expected)}
    assert seen == set(places)
    assert all(any(torch.equal(one, expected) for expected in places.values()) for one in moved)


def test_cutout_hides_at_most_a_quarter_and_colour_keeps_the_differences_sign():
    torch.manual_seed(0)
    images = torch.rand(500, 3, 16, 16) + 1
    hidden = (augment(images, ("cutout",)) == 0).float().mean((1, 2, 3))
    assert hidden.max() == 0.25
    assert hidden.min() < 0.1
    steps = torch.linspace(-1, 1, 64).view(1, 1, 8, 8).expand(500, 1, 8, 8)
    changed = augment(steps, ("color",)).flatten(1)
    assert (changed.diff(dim=1) > 0).all()


def test_the_score_of_a_pair_is_that_of_the_projection_discriminator():
    """Miyato & Koyama 2018, equation 3: f(x, y) = y' V phi(x) + psi(phi(x))."""
    config = GANOptions(conditional=True, discriminator_dropout=0.0)
    model = GAN(config, data(classes=("a", "b", "c")))
    images, labels = torch.rand(6, 1, 28, 28), torch.tensor([0, 1, 2, 0, 1, 2])
    features = model.discriminator.features(images)
    one_hot = nn.functional.one_hot(labels, 3).float()
    product = ((one_hot @ model.discriminator.classes.weight) * features).sum(1, keepdim=True)
    expected = model.discriminator.head(features) + product
    assert torch.allclose(model.discriminator(images, labels), expected, atol=1e-6)


def test_the_generator_takes_noise_a_category_and_a_label():
    model = GAN(GANOptions(latent_dim=3, latent_categories=4, conditional=True), data(classes=("a", "b")))
    z, categories, labels = torch.randn(8, 3), torch.arange(8) % 4, torch.arange(8) % 2
    latents = model.latents(z, categories, labels)
    assert latents.shape == (8, model.inputs) == (8, 3 + 4 + 2)
    assert torch.equal(latents[:, :3], z)
    assert torch.equal(latents[:, 3:7].argmax(1), categories)
    assert torch.equal(latents[:, 7:].argmax(1), labels)
    assert torch.equal(gan().latents(z, categories, None), z)
    seen = []
    model.latents = lambda z, category, labels: seen.append(category) or latents[:1].expand(len(z), -1)
    model.sample(4000, options=None, rng=RandomStreams(0, 4000))
    assert (seen[0].bincount(minlength=4) / 4000 - 0.25).abs().max() < 0.03  # each as likely as another


def test_categories_are_learnt_so_that_they_can_be_told():
    """The category is told from pictures far better than by chance (1/4), which the loss is for."""
    options = {"latent_categories": 4, "generator_sizes": (64,), "discriminator_sizes": (64,), "sample_every": 0}
    model = genzoo.load(genzoo.train("gan", steps=150, category_loss=1.0, name="told", **options))
    z, categories = torch.randn(400, 64), torch.arange(400) % 4
    images = model.generator(model.latents(z, categories, None))
    spread_within = torch.stack([spread(images[categories == c]) for c in range(4)]).mean()
    assert spread_within < 0.9 * spread(images)
    assert GAN(model.config, data()).discriminator(images).shape == (400, 1 + 4)


def test_labels_cannot_be_smoothed_where_there_are_none():
    with pytest.raises(UsageError, match="--label-smoothing has no meaning with --loss hinge"):
        genzoo.train("gan", loss="hinge", label_smoothing=0.1)


def test_spread_is_the_mean_distance_of_pairs():
    images = torch.rand(5, 1, 3, 3)
    flat = images.flatten(1)
    pairs = [(flat[i] - flat[j]).square().sum() for i in range(5) for j in range(5) if i != j]
    assert torch.allclose(spread(images), torch.stack(pairs).mean(), atol=1e-5)


FORMS = {
    **{loss: {"loss": loss} for loss in LOSSES},
    "r1 and spectral norm": {"r1": 1.0, "r1_every": 2, "spectral_norm": True},
    "three discriminator steps": {"discriminator_steps": 3, "loss": "wasserstein-gp"},
    "label smoothing": {"label_smoothing": 0.1, "discriminator_learning_rate": 1e-4},
    "article": {"preset": "article-1024"},
    "conditional": {"conditional": True, "augment": ("color", "translation", "cutout"), "r1": 1.0},
    "categories": {"latent_categories": 5, "learning_rate_schedule": "cosine"},
    "conditional critic": {"conditional": True, "loss": "wasserstein-gp", "spectral_norm": True},
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_trains_and_resumes_exactly(form):
    options = {"batch_size": 32, "log_every": 4, "sample_every": 0, "eval_every": 0, **FORMS[form]}
    whole = genzoo.train("gan", steps=12, name="whole", **options)
    run = genzoo.train("gan", steps=12, name="cut", save_every=5, keep=9, **options)
    for folder in run.checkpoints():
        if folder.name > "step-00000005":
            shutil.rmtree(folder)  # as after a kill
    run.update(status="interrupted", step=5)
    resumed = genzoo.resume("cut")
    one, other = genzoo.load(whole).state_dict(), genzoo.load(resumed).state_dict()
    assert all(torch.equal(one[key], other[key]) for key in one)
    assert {key.partition(".")[0] for key in one} == {"generator"}  # sampling needs no discriminator
    names = ("generator_loss", "discriminator_loss", "real_accuracy", "fake_accuracy", "diversity")
    assert [[x[n] for n in names] for x in resumed.metrics()] == [[x[n] for n in names] for x in whole.metrics()]
    images = genzoo.sample(resumed, 3)
    assert images.shape == (3, 1, 28, 28)
    assert images.min() >= 0
    assert images.max() <= 1
    fresh = GAN(genzoo.load(whole).config, whole.data_spec).generator.state_dict()
    assert not torch.equal(fresh["0.weight"], one["generator.0.weight"])


def test_the_generator_has_its_turn_every_nth_step():
    run = genzoo.train("gan", steps=6, discriminator_steps=3, log_every=1, sample_every=0, eval_every=0)
    assert [line["step"] for line in run.metrics() if "generator_loss" in line] == [3, 6]


SMALL = {"generator_sizes": (32,), "discriminator_sizes": (32,), "batch_size": 64, "sample_every": 0, "save_every": 0}


def alarms(**options):
    """What a training warns of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        genzoo.train("gan", **SMALL, **options)
    return [str(warning.message) for warning in caught if warning.category is GenzooWarning]


def test_a_generator_that_makes_one_picture_raises_the_alarm(monkeypatch):
    monkeypatch.setattr(GAN, "sample", lambda self, count, **_: torch.full((count, *self.data.shape), 0.5))
    warned = [text for text in alarms(steps=2200) if "collapsed" in text]
    assert len(warned) == 1  # once, and with what to try
    assert "their diversity is 0.00 of the data's. Try --loss wasserstein-gp" in warned[0]


def test_a_discriminator_that_has_won_raises_the_alarm():
    texts = alarms(steps=2200, learning_rate=1e-7, discriminator_learning_rate=1e-3, discriminator_dropout=0.0)
    won = [text for text in texts if "the discriminator has won, since step 1050" in text]
    assert len(won) == 1
    assert "--discriminator-learning-rate below --learning-rate" in won[0]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_healthy_trainings_raise_no_alarm(seed):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run = genzoo.train("gan", seed=seed, steps=6000, sample_every=0)
    assert run.metrics()[-1]["diversity"] > 0.4


def test_the_best_step_is_kept_by_the_distance_from_validation_images():
    run = genzoo.train("gan", steps=30, eval_every=10, **SMALL)
    name = "validation/frechet_distance"
    lines = {line["step"]: line[name] for line in run.metrics() if name in line}
    assert list(lines) == [10, 20, 30]
    best = run.best()
    assert best["score_name"] == name
    assert best["score"] == min(lines.values())
    assert lines[best["step"]] == best["score"]
