"""The mathematics of the VAE, and that each of its forms trains, samples and resumes."""

import math
import shutil
import signal
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.distributions import Bernoulli, MultivariateNormal, Normal, kl_divergence

import genzoo
from genzoo import DataSpec, RandomStreams
from genzoo.image.builtin import load_mnist_5k
from genzoo.interface.specs import load_target
from genzoo.registry.plugins import registry
from genzoo_vae import VAEOptions, VAESampleOptions, measures, mixture
from genzoo_vae.model import VAE, gaussian_kl


def data(shape=(1, 5, 4)):
    return DataSpec(
        name="d", modality="image", shape=shape, train_count=100, validation_count=10, test_count=10, fingerprint="0"
    )


def vae(shape=(1, 5, 4), seed=0, **options):
    torch.manual_seed(seed)
    return VAE(
        VAEOptions(**{"architecture": "mlp", "prior": "gaussian", "hidden_sizes": (16,), "latent_dim": 3} | options),
        data(shape),
    )


def test_kl_in_closed_form_is_that_of_monte_carlo():
    torch.manual_seed(0)
    mu, log_var = torch.randn(6), torch.randn(6)
    q, p = Normal(mu, (0.5 * log_var).exp()), Normal(0.0, 1.0)
    assert torch.allclose(gaussian_kl(mu, log_var), kl_divergence(q, p), atol=1e-6)
    z = q.sample((200_000,))
    difference = q.log_prob(z) - p.log_prob(z)
    error = difference.std(0) / len(z) ** 0.5
    assert ((gaussian_kl(mu, log_var) - difference.mean(0)).abs() < 4 * error).all()
    assert (gaussian_kl(torch.zeros(2), torch.zeros(2)) == 0).all()


def test_reconstruction_losses_are_the_distributions_they_name():
    torch.manual_seed(0)
    images, output = torch.rand(4, 1, 5, 4), torch.randn(4, 1, 5, 4)
    binary = images.round()
    expected = -Bernoulli(logits=output).log_prob(binary).flatten(1).sum(1)
    assert torch.allclose(vae().reconstruction_loss(binary, output), expected, atol=1e-4)
    model = vae(likelihood="gaussian")
    expected = -Normal(output.sigmoid(), model.log_scale.exp()).log_prob(images).flatten(1).sum(1)
    assert torch.allclose(model.reconstruction_loss(images, output), expected, atol=1e-4)


def test_mse_loss_is_the_articles_and_its_likelihood_goes_with_it():
    model = vae(likelihood="mse", beta=0.01)
    torch.manual_seed(0)
    images, kl = torch.rand(4, 1, 5, 4), torch.rand(4, 3)
    output = model.decoder(torch.randn(4, 3))
    loss, _, rate = model.objective(model.reconstruction_loss(images, output), kl, 0.01)
    assert rate == kl.sum(1).mean()
    expected = (images - output.sigmoid()).square().mean() + 0.01 * kl.sum(1).mean()
    assert torch.allclose(loss, expected, atol=1e-5)
    scale = math.sqrt(0.01 * 20 / 2)
    nats = -Normal(output.sigmoid(), scale).log_prob(images).flatten(1).sum(1)
    assert torch.allclose(model.reconstruction_loss(images, output), nats, atol=1e-4)


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian", "mse"])
def test_the_bound_is_below_the_importance_weighted_estimate_which_grows_with_k(likelihood):
    model = vae(likelihood=likelihood, beta=0.1 if likelihood == "mse" else 1.0)
    images = torch.rand(20, 1, 5, 4).round()
    torch.manual_seed(0)

    def mean_and_error(values):
        means = torch.stack(values).mean(1)
        return means.mean(), means.std() / len(means) ** 0.5

    def estimate(k):
        streams = (RandomStreams(seed, len(images)) for seed in range(200))
        return mean_and_error([model.log_likelihood(images, num_samples=k, rng=rng) for rng in streams])

    with torch.no_grad():
        draws = [model(images) for _ in range(200)]
    bound, error = mean_and_error([-(reconstruction + kl.sum(1)) for reconstruction, kl in draws])
    one, error_of_one = estimate(1)
    assert (bound - one).abs() < 4 * (error + error_of_one)  # k = 1 is the bound, in expectation
    few, many = estimate(5)[0], estimate(100)[0]
    assert bound < few < many


def test_a_linear_gaussian_model_has_its_exact_likelihood():
    """p(x|z) = N(Wz + b, s^2 I) gives p(x) = N(b, W W^T + s^2 I); with orthogonal columns q(z|x) can be exact too."""
    model = vae(likelihood="gaussian", hidden_sizes=(), latent_dim=3)
    model.mean_image = lambda output: output  # linear as the rest
    torch.manual_seed(1)
    weight = torch.linalg.qr(torch.randn(20, 3)).Q * torch.tensor([2.0, 1.0, 0.5])
    bias, scale = torch.randn(20), 0.3
    encoder, decoder = model.encoder[1], model.decoder[0]
    precision = 1 + weight.square().sum(0) / scale**2  # of the posterior, diagonal
    with torch.no_grad():
        model.log_scale.fill_(math.log(scale))
        decoder.weight.copy_(weight)
        decoder.bias.copy_(bias)
        mean = weight.T / scale**2 / precision[:, None]
        encoder.weight.copy_(torch.cat([mean, torch.zeros(3, 20)]))
        encoder.bias.copy_(torch.cat([-mean @ bias, -precision.log()]))
    images = torch.randn(8, 1, 5, 4)
    exact = MultivariateNormal(bias, weight @ weight.T + scale**2 * torch.eye(20)).log_prob(images.flatten(1))
    assert torch.allclose(model.log_likelihood(images, num_samples=1), exact, atol=1e-3)  # no variance at all
    with torch.no_grad():
        reconstruction, kl = model(images.repeat(4000, 1, 1, 1))
        encoder.bias[:3] += 0.1  # a posterior that is not exact: the bound falls by the KL between the two
    bound = -(reconstruction + kl.sum(1)).view(4000, 8).mean(0)
    assert torch.allclose(bound, exact, atol=0.1)
    many = model.log_likelihood(images, num_samples=20_000)
    assert torch.allclose(many, exact, atol=0.1)
    with torch.no_grad():
        reconstruction, kl = model(images.repeat(4000, 1, 1, 1))
    worse = -(reconstruction + kl.sum(1)).view(4000, 8).mean(0)
    gap = 0.5 * (0.1**2 * precision).sum()
    assert torch.allclose(exact - worse, gap.expand(8), atol=0.1)


def test_free_bits_are_free():
    model = vae(free_bits=0.5)
    kl = torch.tensor([[0.1, 0.2, 3.0]])
    assert model.objective(torch.zeros(1), kl, 1.0)[0] == pytest.approx(0.5 + 0.5 + 3.0)
    assert vae().objective(torch.zeros(1), kl, 2.0)[0] == pytest.approx(6.6)


def test_the_likelihood_is_chosen_by_the_data(tmp_path):
    assert (vae().likelihood, vae((3, 8, 8)).likelihood) == ("bernoulli", "gaussian")
    for name, likelihood in (("mnist-5k", "bernoulli"), ("digits-8x8", "bernoulli"), ("emoji", "gaussian")):
        spec = registry().datasets.get(name)[1]
        loaded = load_target(spec.target, name)(genzoo.data_folder(None)).with_validation(0.1)
        assert VAE(VAEOptions(), loaded.spec(name)).likelihood == likelihood, name
    assert vae((3, 8, 8), likelihood="bernoulli").likelihood == "bernoulli"
    assert (vae().pixel_values, vae((3, 8, 8)).pixel_values) == (2, None)


def pictures(path, *shape):
    """Smooth grey levels, or colours, without many blacks and whites."""
    rng = np.random.default_rng(0)
    np.savez(path, images=rng.integers(90, 170, (120, *shape), dtype=np.uint8))
    return {"data": str(path), "steps": 2, "sample_every": 0, "eval_every": 0, "prior": "gaussian", **SMALL}


@pytest.mark.parametrize(("shape", "reason"), [((8, 8, 3), "leaves eight colours"), ((8, 8), "adds more noise than")])
def test_a_bernoulli_likelihood_that_does_not_suit_is_said_before_the_first_step(tmp_path, shape, reason):
    steps = []

    class Watcher:
        def genzoo_run_logged(self, step):
            steps.append(step)

    with pytest.warns(genzoo.GenzooWarning, match=f"does not suit these images.*{reason}") as warned:
        genzoo.train("vae", **pictures(tmp_path / "x.npz", *shape), likelihood="bernoulli", watchers=[Watcher()])
    assert len(warned) == 1
    assert steps == [2]
    run = genzoo.train("vae", **pictures(tmp_path / "x.npz", *shape))  # warnings are errors
    assert genzoo.load(run).likelihood == "gaussian"


def test_posterior_collapse_is_said_once_while_it_trains():
    options = {"steps": 220, "log_every": 10, "sample_every": 0, "eval_every": 0, "prior": "gaussian", **SMALL}
    with pytest.warns(
        genzoo.GenzooWarning, match="posterior has collapsed .*, 0 of 16 .* Try a smaller --beta"
    ) as warned:
        run = genzoo.train("vae", beta=1e4, learning_rate=0.01, **options)
    assert len(warned) == 1
    assert run.metrics()[-1]["active_units"] == 0
    healthy = genzoo.train("vae", **options)  # warnings are errors
    assert healthy.metrics()[-1]["active_units"] > 0


def test_log_variance_is_clamped():
    model = vae(max_log_variance=0.5)
    with torch.no_grad():
        model.encoder[-1].bias.fill_(100.0)
    assert model.posterior(torch.rand(2, 1, 5, 4))[1].max() == 0.5


def test_a_mixture_prior_samples_its_components():
    model = vae(prior="mixture", prior_components=2, latent_dim=2)
    seen = []
    model.decode = lambda z, labels: seen.append(z)
    model.mixture_weights[0] = torch.tensor([0.25, 0.75])
    model.mixture_means[0] = torch.tensor([[10.0, 0.0], [-10.0, 0.0]])
    cholesky = torch.tensor([[1.0, 0.0], [0.8, 0.6]])
    model.mixture_cholesky[0] = cholesky
    model.sample(20_000, options=VAESampleOptions(), rng=RandomStreams(0, 20_000))
    first = seen[0][seen[0][:, 0] > 0]
    assert len(first) / 20_000 == pytest.approx(0.25, abs=0.02)
    assert torch.allclose(first.T.cov(), cholesky @ cholesky.T, atol=0.06)
    model.sample(50, options=VAESampleOptions(temperature=0.0), rng=RandomStreams(0, 50))
    assert set(seen[1][:, 0].tolist()) == {10.0, -10.0}


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (3, 17, 30), (1, 1, 1)])
@pytest.mark.parametrize("architecture", ["mlp", "conv"])
def test_networks_are_sized_from_the_data(shape, architecture):
    model = vae(shape, architecture=architecture, conv_channels=(4, 6, 8)).eval()
    images = torch.rand(2, *shape)
    assert model.encode(images).shape == (2, 3)
    assert model.decode(torch.randn(2, 3)).shape == images.shape
    assert model.reconstruct(images).shape == images.shape


def test_the_published_layouts():
    from genzoo_vae import genzoo_generators

    presets = genzoo_generators()[0].presets
    options = {k: v for k, v in presets["binarized"].items() if k in VAEOptions.__dataclass_fields__}
    model = VAE(VAEOptions(**options), data((1, 28, 28)))
    shapes = [tuple(p.shape) for p in model.parameters() if p.ndim == 2]
    assert shapes == [(400, 784), (80, 400), (400, 40), (784, 400)]


FORMS = {
    "default": {},
    "mlp": {"architecture": "mlp"},
    "gaussian": {"likelihood": "gaussian"},
    "article": {"preset": "article"},
    "binarized": {"preset": "binarized"},
    "conditional": {"conditional": True, "prior_components": 20},
    "conditional mlp": {"conditional": True, "architecture": "mlp", "prior": "gaussian"},
    "warm-up and free bits": {"kl_warmup_steps": 10, "free_bits": 0.1, "ema_decay": 0.9},
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_trains_and_samples(form):
    options = {"steps": 30, "batch_size": 32, "log_every": 10, "sample_every": 0, "prior_components": 3} | FORMS[form]
    options |= {"steps": 30, "batch_size": 32, "log_every": 10}
    run = genzoo.train("vae", **options)
    lines = run.metrics()
    assert lines[-1]["reconstruction"] < lines[0]["reconstruction"]
    assert lines[-1]["validation/bound"] > -700 or form in ("gaussian", "article")
    images = genzoo.sample(run, 3)
    assert images.shape == (3, 1, 28, 28)
    originals, copies = genzoo.reconstruct(run, 4)
    assert originals.shape == copies.shape == (4, 1, 28, 28)
    ways = genzoo.interpolate(run, 2, num_steps=5)
    assert ways.shape == (2, 5, 1, 28, 28)
    model = genzoo.load(run)
    labels = {"labels": torch.arange(4)} if model.conditional else {}
    assert torch.isfinite(model.log_likelihood(originals, **labels, num_samples=3)).all()
    assert isinstance(model, genzoo.Reconstructs)
    assert isinstance(model, genzoo.Encodes)
    assert isinstance(model, genzoo.HasLikelihood)
    assert isinstance(model, genzoo.Evaluates)


def test_a_conditional_vae_uses_the_label_and_has_a_mixture_a_class():
    small = {"architecture": "mlp", "hidden_sizes": (64,), "eval_every": 0, "sample_every": 0}
    run = genzoo.train("vae", conditional=True, steps=400, prior_components=20, **small)
    model = genzoo.load(run)
    assert model.mixture_means.shape == (10, 2, 16)
    images = genzoo.sample(model, 200)  # each class in turn
    digits = torch.stack([images[label::10].mean(0) for label in range(10)])
    assert torch.allclose(genzoo.sample(model, 1, label=3), genzoo.sample(model, 1, label="3"))
    train = load_mnist_5k(Path())
    means = torch.stack([train.train_images[train.train_labels == label].float().mean(0) / 255 for label in range(10)])
    nearest = torch.cdist(digits.flatten(1), means.flatten(1)).argmin(1)
    assert (nearest == torch.arange(10)).all()


def test_interpolations_begin_and_end_at_reconstructions():
    run = genzoo.train("vae", steps=20, sample_every=0, prior="gaussian")
    _, copies = genzoo.reconstruct(run, 4)
    ways = genzoo.interpolate(run, 2, num_steps=3)
    assert torch.allclose(ways[:, 0], copies[0::2], atol=1e-4)
    assert torch.allclose(ways[:, 2], copies[1::2], atol=1e-4)


def test_the_mixture_is_fitted_to_the_encoded_training_data():
    run = genzoo.train("vae", steps=40, sample_every=0, prior_components=4)
    model = genzoo.load(run)
    assert model.mixture_weights.sum() == pytest.approx(1, abs=1e-5)
    codes = model.mixture_weights[0] @ model.mixture_means[0]  # the mean of all codes
    assert (model.mixture_means[0] - codes).abs().max() > 0.1
    again = genzoo.train("vae", steps=40, sample_every=0, prior_components=4)
    assert torch.equal(genzoo.load(again).mixture_means, model.mixture_means)


SMALL = {"architecture": "mlp", "hidden_sizes": (16,)}


class Sweeps:
    """What a fit needs of a run."""

    def sweeps(self, activity, most):
        yield from range(most)


def test_the_fit_finds_the_mixture_that_the_points_are_from():
    torch.manual_seed(0)
    factors = torch.tensor([[[1.0, 0.0], [0.8, 0.6]], [[0.5, 0.0], [0.0, 2.0]]])
    means, second = torch.tensor([[4.0, 0.0], [-4.0, 1.0]]), torch.rand(20_000) < 0.7
    points = means[second.long()] + (factors[second.long()] @ torch.randn(20_000, 2, 1))[:, :, 0]
    fitted = mixture.fit(points, 2, 0, Sweeps())
    order = fitted.means[:, 0].argsort(descending=True)
    assert torch.allclose(fitted.weights[order], torch.tensor([0.3, 0.7]).double(), atol=0.02)
    assert torch.allclose(fitted.means[order], means.double(), atol=0.1)
    covariances = (fitted.cholesky @ fitted.cholesky.mT)[order]
    assert torch.allclose(covariances, (factors @ factors.mT).double(), atol=0.15)
    truth = torch.stack(
        [MultivariateNormal(m, scale_tril=f).log_prob(points) for m, f in zip(means, factors, strict=True)], 1
    )
    truth = (truth + torch.tensor([0.3, 0.7]).log()).logsumexp(1).mean()
    assert fitted.log_joint(points.double()).logsumexp(1).mean() > truth - 0.001


def test_the_likelihood_of_the_points_rises_with_every_sweep():
    torch.manual_seed(0)
    points = torch.randn(500, 3).double() ** 3
    responsibilities, scores = torch.rand(500, 4).double().softmax(1), []
    for _ in range(20):
        log_joint = mixture.maximised(points, responsibilities).log_joint(points)
        scores.append(log_joint.logsumexp(1).mean().item())
        responsibilities = log_joint.softmax(1)
    assert all(after > before - 1e-4 for before, after in pairwise(scores))
    assert scores[-1] > scores[0] + 0.1


def test_the_fit_is_bounded_in_data_and_sweeps():
    counts = []

    class Counting(Sweeps):
        def sweeps(self, activity, most):
            counts.append(most)
            yield from range(2)

    wide = mixture.fit(torch.randn(3000, 512), 50, 0, Counting())
    assert (len(wide.weights), counts[0] <= 200) == (2, True)  # two points a dimension, at least, for a component
    assert counts[0] * len(wide.weights) * 3000 * 512**2 <= 2 * mixture.BUDGET


def test_a_stop_while_the_mixture_is_fitted_is_answered_and_the_run_goes_on(monkeypatch):
    options = {"steps": 20, "sample_every": 0, "eval_every": 0, "prior_components": 3, **SMALL}
    whole = genzoo.train("vae", name="whole", **options)
    asked, maximised = [], mixture.maximised

    def asking(*arguments):
        asked.append(1)
        if len(asked) == 2:
            signal.raise_signal(signal.SIGINT)
        return maximised(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(mixture, "maximised", asking)
        with pytest.raises(genzoo.Interrupted, match="stopped after step 20 of 20.*genzoo resume cut"):
            genzoo.train("vae", name="cut", **options)
    assert len(asked) == 2
    resumed = genzoo.resume("cut")
    one, other = genzoo.load(whole).state_dict(), genzoo.load(resumed).state_dict()
    assert resumed.status == "finished"
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_the_bar_tells_of_the_fit():
    told = []
    genzoo.train("vae", steps=5, sample_every=0, **SMALL, progress=lambda *facts: told.append(facts))
    sweeps = [done for activity, done, _ in told if activity == "fitting the prior (sweeps)"]
    assert sweeps == list(range(len(sweeps)))
    assert sweeps


def test_data_too_few_for_a_mixture_leave_the_prior_as_it_is(tmp_path):
    np.savez(tmp_path / "three.npz", images=np.zeros((3, 8, 8), np.uint8))  # one for each part
    with pytest.warns(genzoo.GenzooWarning, match=r"mixture prior cannot be fitted, so samples come from N\(0, I\)"):
        run = genzoo.train("vae", data=str(tmp_path / "three.npz"), steps=3)
    assert run.status == "finished"
    assert torch.equal(genzoo.load(run).mixture_means, torch.zeros(1, 50, 16))


def test_a_resumed_vae_is_the_uninterrupted_one(monkeypatch):
    options = {"batch_size": 16, "ema_decay": 0.9, "prior_components": 3, "log_every": 5}
    whole = genzoo.train("vae", steps=20, name="whole", **options)
    run = genzoo.train("vae", steps=20, name="cut", save_every=8, keep=9, **options)
    for folder in run.checkpoints():
        if folder.name > "step-00000008":
            shutil.rmtree(folder)  # as after a kill at step 15
    run.update(status="interrupted", step=8)
    resumed = genzoo.resume("cut")
    one, other = genzoo.load(whole).state_dict(), genzoo.load(resumed).state_dict()
    assert all(torch.equal(one[key], other[key]) for key in one)
    assert [x["loss"] for x in resumed.metrics() if "loss" in x] == [x["loss"] for x in whole.metrics() if "loss" in x]


def subject_of(model, images):
    """What a measure sees of a model, with these test images (N, C, H, W) in [0, 1]."""
    test = genzoo.ImageSet((images * 255).round().to(torch.uint8), None)
    return genzoo.ImageSubject(
        data=model.data, seed=0, model=model, samples=test, train=test, validation=test, test=test
    )


class Known(VAE):
    """A VAE whose posterior is known: each image its own mean, far from the others or in one place."""

    apart = 100.0

    def posterior(self, images, labels=None):
        mu = torch.zeros(len(images), self.config.latent_dim)
        mu[:, 0] = self.apart * torch.arange(len(images))
        return mu, torch.zeros_like(mu)


def test_mutual_information_and_active_units_are_those_of_known_posteriors():
    images = torch.rand(50, 1, 28, 28)
    model = Known(VAEOptions(latent_dim=4), data((1, 28, 28)))
    subject = subject_of(model, images)
    assert measures.active_units(subject).value == 1
    assert measures.mutual_information(subject).value == pytest.approx(math.log(50))  # each z says which image it was
    model.apart = 0.0
    subject = subject_of(model, images)
    assert measures.active_units(subject).value == 0
    assert measures.mutual_information(subject).value == pytest.approx(0, abs=1e-9)


def test_a_trained_vae_is_evaluated_with_what_only_it_has():
    small = {"architecture": "mlp", "hidden_sizes": (64,), "eval_every": 0, "sample_every": 0}
    run = genzoo.train("vae", steps=300, **small)
    evaluation = genzoo.evaluate(run, 300, features="random")
    names = {measure.name: measure for measure in evaluation.measures}
    assert names["nll"].of == "binarised images, a bound"
    assert names["nll"].value < 300
    assert names["nll"].references["baseline"] == pytest.approx(207, abs=3)  # independent pixels
    assert 0 < names["active_units"].value <= 20
    assert 0 < names["mutual_information"].value < math.log(500)
    assert "floor" not in names["active_units"].references
