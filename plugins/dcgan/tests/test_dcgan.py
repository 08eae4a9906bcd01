"""The layouts of the DCGAN, its sizes, and that its forms train, sample and resume."""

import shutil

import numpy as np
import pytest
import torch
from torch import nn

import genzoo
from genzoo import DataSpec, UsageError
from genzoo.training.run import TrainingRun
from genzoo_dcgan import DCGANOptions, genzoo_generators
from genzoo_dcgan.model import DCGAN, halvings


def dcgan(shape=(1, 28, 28), classes=(), **options):
    spec = DataSpec(
        name="d", modality="image", shape=shape, classes=classes, train_count=9, validation_count=9, test_count=9,
        fingerprint="0",
    )  # fmt: skip
    return DCGAN(DCGANOptions(**options), spec)


def of_preset(name):
    values = genzoo_generators()[0].presets[name]
    return dcgan(**{k: v for k, v in values.items() if k in DCGANOptions.__dataclass_fields__}), values


def layers(network, *kinds):
    return [layer for layer in network.modules() if isinstance(layer, kinds)]


def convolutions(network):
    every = layers(network, nn.Conv2d, nn.ConvTranspose2d)
    return [(c.in_channels, c.out_channels, c.kernel_size[0], c.stride[0]) for c in every]


def test_the_layout_of_article_256():
    model, values = of_preset("article-256")
    dense = layers(model.generator, nn.Linear)
    assert [(d.in_features, d.out_features, d.bias) for d in dense] == [(100, 7 * 7 * 256, None)]
    assert convolutions(model.generator) == [(256, 128, 5, 1), (128, 64, 5, 2), (64, 1, 5, 2)]
    assert [n.num_features for n in layers(model.generator, nn.BatchNorm1d, nn.BatchNorm2d)] == [12544, 128, 64]
    assert len(layers(model.generator, nn.LeakyReLU)) == 3
    assert isinstance(model.generator[-1], nn.Tanh)
    assert convolutions(model.discriminator) == [(1, 64, 5, 2), (64, 128, 5, 2)]
    assert [d.p for d in layers(model.discriminator, nn.Dropout)] == [0.3, 0.3]
    assert len(layers(model.discriminator, nn.LeakyReLU)) == 2
    assert (model.discriminator.head.in_features, model.discriminator.head.out_features) == (7 * 7 * 128, 1)
    assert (values["learning_rate"], values["batch_size"]) == (1e-4, 64)


def test_the_layout_of_article_128():
    model, values = of_preset("article-128")
    assert [(d.in_features, d.out_features) for d in layers(model.generator, nn.Linear)] == [(100, 7 * 7 * 128)]
    assert convolutions(model.generator) == [(128, 64, 5, 2), (64, 1, 5, 2)]
    assert not layers(model.generator, nn.BatchNorm1d, nn.BatchNorm2d, nn.LeakyReLU)
    assert len(layers(model.generator, nn.ReLU)) == 2
    assert isinstance(model.generator[-1], nn.Tanh)
    assert [c[:3] for c in convolutions(model.discriminator)] == [(1, 32, 3), (32, 64, 3)]
    assert len(layers(model.discriminator, nn.ReLU)) == 2
    assert not layers(model.discriminator, nn.Dropout)
    assert model.discriminator.head.out_features == 1
    assert (values["learning_rate"], values["batch_size"]) == (1e-3, 32)


@pytest.mark.parametrize("size", [16, 17, 28, 32, 45, 64, 100, 128])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_any_square_size_and_any_channels(size, channels):
    model = dcgan((channels, size, size), width=2)
    images = model.generator(torch.randn(2, model.inputs))
    assert images.shape == (2, channels, size, size)
    assert model.discriminator(images).shape == (2, 1 + 40)
    assert 3 <= halvings(size, 4)[-1] <= 4


@pytest.mark.parametrize("shape", [(1, 15, 15), (3, 129, 129), (1, 28, 32)])
def test_other_sizes_are_refused(shape):
    with pytest.raises(ValueError, match="allowed are square images of 16 to 128 pixels"):
        dcgan(shape)


def test_layouts_that_cannot_be():
    with pytest.raises(ValueError, match="--generator-channels has 1 number; images of 64 pixels need 4 or more"):
        dcgan((3, 64, 64), generator_channels=(8,))
    with pytest.raises(UsageError, match="dcgan: --generator-kernel-size is 4; allowed is an odd number"):
        genzoo.train("dcgan", generator_kernel_size=4)


def test_transposed_convolutions_go_back_where_convolutions_came_from():
    """The generator's map of sizes is the discriminator's, reversed, also where a size is odd."""
    model = dcgan((3, 45, 45), width=2)
    seen = []
    for layer in layers(model.generator, nn.ConvTranspose2d) + layers(model.discriminator, nn.Conv2d):
        layer.register_forward_hook(lambda _layer, _inputs, output: seen.append(output.shape[-1]))
    model.discriminator(model.generator(torch.randn(2, model.inputs)))
    assert seen == [6, 12, 23, 45, 23, 12, 6, 3]


FORMS = {
    "default": {},
    "conditional": {"conditional": True, "augment": ("translation", "color"), "r1": 1.0, "r1_every": 3},
    "no category": {"latent_categories": 0},
    "critic": {"loss": "wasserstein-gp", "discriminator_steps": 2, "spectral_norm": True, "conditional": True},
    "article-128": {"preset": "article-128"},
    "32x32 colour": {"size": 32, "width": 8},
    "64x64 colour": {"size": 64, "width": 4},
}


def pictures(folder, size):
    """A data set of coloured squares, size x size."""
    rng = np.random.default_rng(0)
    images = np.zeros((64, size, size, 3), np.uint8)
    for image in images:
        y, x = rng.integers(0, size // 2, 2)
        image[y : y + size // 2, x : x + size // 2] = rng.integers(64, 256, 3)
    np.savez(folder / f"squares-{size}.npz", images=images)
    return str(folder / f"squares-{size}.npz")


SLOW = ("no category", "article-128", "64x64 colour")


@pytest.mark.parametrize("form", [pytest.param(f, marks=pytest.mark.slow if f in SLOW else ()) for f in FORMS])
def test_forms_train_sample_and_resume_exactly(form, tmp_path):
    options = {"width": 8, "batch_size": 16, "log_every": 2, "sample_every": 0, **FORMS[form]}
    if size := options.pop("size", None):
        options["data"] = pictures(tmp_path, size)
    whole = genzoo.train("dcgan", steps=6, name="whole", **options)
    run = genzoo.train("dcgan", steps=6, name="cut", save_every=3, keep=9, **options)
    for folder in run.checkpoints():
        if folder.name > "step-00000003":
            shutil.rmtree(folder)  # as after a kill
    run.update(status="interrupted", step=3)
    resumed = genzoo.resume("cut")
    one, other = genzoo.load(whole).state_dict(), genzoo.load(resumed).state_dict()
    assert all(torch.equal(one[key], other[key]) for key in one)
    losses = [[line["discriminator_loss"] for line in r.metrics()] for r in (whole, resumed)]
    assert losses[0] == losses[1]
    images = genzoo.sample(resumed, 3)
    assert images.shape == (3, *whole.data_spec.shape)
    assert 0 <= images.min() <= images.max() <= 1
    assert torch.equal(genzoo.sample(resumed, 3, seed=1), genzoo.sample(resumed, 3, seed=1))
    if options.get("conditional"):
        assert not torch.equal(genzoo.sample(resumed, 1, label="1"), genzoo.sample(resumed, 1, label="2"))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the compiler's own
@pytest.mark.parametrize("loss", ["non-saturating", "wasserstein-gp"])
def test_a_compiled_training_is_the_eager_one(loss, monkeypatch):
    """What `run.compile` does on CUDA, done on the CPU."""
    options = {"width": 4, "batch_size": 8, "steps": 4, "loss": loss, "log_every": 1, "sample_every": 0}
    eager = genzoo.train("dcgan", **options).metrics()
    monkeypatch.setattr(TrainingRun, "compile", lambda self, function: torch.compile(function))
    compiled = genzoo.train("dcgan", **options).metrics()
    for one, other in zip(eager, compiled, strict=True):
        for name in ("discriminator_loss", "generator_loss"):
            assert other[name] == pytest.approx(one[name], rel=1e-3, abs=1e-4)
