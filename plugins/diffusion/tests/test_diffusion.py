"""The mathematics of diffusion, that what is exported is the same model, and that each form trains and resumes."""

import json
import math
import shutil
import sys

import numpy as np
import pytest
import torch
from PIL import Image

import genzoo
from genzoo import DataSpec, RandomStreams, UsageError, kernels
from genzoo.cli import main
from genzoo_diffusion import DiffusionOptions, DiffusionSampleOptions, genzoo_generators
from genzoo_diffusion.model import Diffusion
from genzoo_diffusion.process import unet

TINY = {
    "width": 8, "channel_multipliers": (1, 1), "num_timesteps": 50, "prediction": "noise", "schedule": "linear",
    "min_snr_gamma": 0.0,
}  # fmt: skip


def diffusion(shape=(1, 8, 8), classes=(), **options):
    torch.manual_seed(0)
    spec = DataSpec(
        name="d", modality="image", shape=shape, classes=classes, train_count=9, validation_count=9, test_count=9,
        fingerprint="0",
    )  # fmt: skip
    return Diffusion(DiffusionOptions(**TINY | options), spec).eval()


def knowing(model, clean):
    """The model with a network that knows the clean images, and so predicts without error."""

    def predict(noisy, t, labels, guidance=1.0):
        t = torch.as_tensor(t).expand(len(noisy))
        kept = model.signal[t][:, None, None, None]
        noise = (noisy - kept.sqrt() * clean) / (1 - kept).sqrt()
        return model.target(clean.expand_as(noisy), noise, t)

    model.predict = predict
    return model


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_noise_at_once_is_noise_step_by_step(schedule):
    model = diffusion(schedule=schedule)
    kept = model.signal.double()
    betas = 1 - kept / torch.cat([torch.ones(1).double(), kept[:-1]])
    mean, variance = 1.0, 0.0
    for t, beta in enumerate(betas.tolist()):  # x_t = sqrt(1 - beta) x_{t-1} + sqrt(beta) noise
        mean, variance = mean * math.sqrt(1 - beta), variance * (1 - beta) + beta
        assert mean == pytest.approx(kept[t].sqrt().item(), rel=1e-6)
        assert variance == pytest.approx(1 - kept[t].item(), abs=1e-6)
    assert (betas > 0).all()
    assert kept[-1] < 0.7
    images, noise = torch.rand(2, 1, 8, 8), torch.randn(2, 1, 8, 8)
    t = torch.tensor([3, 40])
    expected = kept[t].sqrt()[:, None, None, None] * images + (1 - kept[t]).sqrt()[:, None, None, None] * noise
    assert torch.allclose(model.noisy(images, noise, t), expected.float(), atol=1e-6)


@pytest.mark.parametrize("prediction", ["noise", "v", "sample"])
def test_a_perfect_prediction_gives_the_clean_image_back(prediction):
    model = diffusion(prediction=prediction)
    clean, noise, t = torch.rand(4, 1, 8, 8) * 2 - 1, torch.randn(4, 1, 8, 8), torch.tensor([0, 10, 30, 49])
    noisy = model.noisy(clean, noise, t)
    assert torch.allclose(model.clean(noisy, model.target(clean, noise, t), t), clean, atol=1e-4)


@pytest.mark.parametrize("prediction", ["noise", "v", "sample"])
def test_a_bounded_prediction_guesses_an_image_and_leaves_one_that_does_alone(prediction):
    model = diffusion(prediction=prediction)
    t, noise = torch.tensor([0, 10, 30, 49]), torch.randn(4, 1, 8, 8)
    clean = torch.rand(4, 1, 8, 8) * 2 - 1
    noisy, right = model.noisy(clean, noise, t), model.target(clean, noise, t)
    assert torch.allclose(model.bounded(noisy, right, t), right, atol=1e-3)
    wrong = model.target(3 * clean, noise, t)
    guess = model.clean(noisy, wrong, t)
    assert torch.allclose(model.clean(noisy, model.bounded(noisy, wrong, t), t), guess.clamp(-1, 1), atol=1e-4)


def test_training_keeps_the_memory_layout_of_images_and_drops_what_it_should():
    model = diffusion(dropout=0.5)
    model.train()
    seen = []
    hooks = [
        m.register_forward_hook(lambda m, x, y: seen.append(y)) for m in model.modules() if type(m).__name__ == "Conv2d"
    ]
    x, t = torch.randn(2, 1, 8, 8).contiguous(memory_format=torch.channels_last), torch.tensor([3, 4])
    first, again = model.unet(x, t).sample, model.unet(x, t).sample
    assert not torch.equal(first, again)  # dropout is on
    assert seen
    assert all(y.is_contiguous(memory_format=torch.channels_last) for y in seen)
    for hook in hooks:
        hook.remove()
    model.eval()
    assert torch.equal(model.unet(x, t).sample, model.unet(x, t).sample)


@pytest.mark.parametrize("sampler", ["ddpm", "ddim", "dpm-solver++", "unipc"])
@pytest.mark.parametrize("prediction", ["noise", "v", "sample"])
def test_every_sampler_with_a_perfect_network_ends_at_the_image(sampler, prediction):
    clean = torch.rand(1, 1, 8, 8) * 2 - 1
    model = knowing(diffusion(prediction=prediction), clean)
    options = DiffusionSampleOptions(sampler=sampler, num_steps=25)
    samples = model.sample(3, options=options, rng=RandomStreams(0, 3))
    assert torch.allclose(samples, (clean * 0.5 + 0.5).expand(3, 1, 8, 8), atol=0.02)


def test_v_is_between_the_noise_and_the_image():
    """Salimans & Ho 2022: with alpha = cos, sigma = sin, v = alpha noise - sigma x; noise = sigma x_t + alpha v."""
    model = diffusion(prediction="v")
    clean, noise, t = torch.rand(4, 1, 8, 8) * 2 - 1, torch.randn(4, 1, 8, 8), torch.tensor([0, 10, 30, 49])
    v, noisy = model.target(clean, noise, t), model.noisy(clean, noise, t)
    alpha, sigma = (x[t][:, None, None, None] for x in (model.signal.sqrt(), (1 - model.signal).sqrt()))
    assert torch.allclose(sigma * noisy + alpha * v, noise, atol=1e-4)
    assert torch.allclose(alpha * noisy - sigma * v, clean, atol=1e-4)
    as_noise = diffusion(prediction="noise").clean(noisy, sigma * noisy + alpha * v, t)
    assert torch.allclose(model.clean(noisy, v, t), as_noise, atol=1e-3)


def test_ddim_without_noise_is_deterministic_and_with_all_steps_and_noise_has_the_variance_of_ddpm():
    model = diffusion()
    all_steps = model.config.num_timesteps
    ddpm, ddim = model.scheduler("ddpm", all_steps), model.scheduler("ddim", all_steps)
    clean, prediction = torch.rand(1, 1, 8, 8) - 0.5, torch.randn(1, 1, 8, 8)  # a guess that need not be clipped
    for t in (5, 20, 49):
        state = model.noisy(clean, prediction, torch.tensor([t]))
        zero = [
            ddim.step(prediction, t, state, eta=0.0, generator=torch.Generator(), return_dict=False)[0] for _ in "12"
        ]
        assert torch.equal(zero[0], zero[1])
        spread = ddim._get_variance(t, t - 1)
        assert spread == pytest.approx(ddpm._get_variance(t).item(), rel=1e-4)
        steps = [
            scheduler.step(prediction, t, state, generator=torch.Generator().manual_seed(1), return_dict=False, **more)[
                0
            ]
            for scheduler, more in ((ddpm, {}), (ddim, {"eta": 1.0}))
        ]
        assert torch.allclose(steps[0], steps[1], atol=1e-3)  # the mean is the same too


@pytest.mark.parametrize("prediction", ["noise", "v", "sample"])
def test_min_snr_weighs_the_error_of_the_clean_image(prediction):
    """Hang et al. 2023: the loss is min(SNR, gamma) |x_0 - guess|^2, whatever is predicted."""
    model = diffusion(prediction=prediction, min_snr_gamma=5.0)
    clean, noise, t = torch.rand(3, 1, 8, 8), torch.randn(3, 1, 8, 8), torch.tensor([1, 20, 49])
    noisy, target = model.noisy(clean, noise, t), model.target(clean, noise, t)
    wrong = target + 0.1 * torch.randn_like(target)
    error = (wrong - target).square().flatten(1).mean(1)
    of_clean = (model.clean(noisy, wrong, t) - clean).square().flatten(1).mean(1)
    snr = model.signal[t] / (1 - model.signal[t])
    assert torch.allclose(model.weights(t) * error, snr.clamp(max=5.0) * of_clean, rtol=1e-2)
    assert (diffusion(prediction=prediction).weights(t) == 1).all()


def test_timesteps_are_uniform_and_stratified_ones_are_spread():
    uniform, stratified = diffusion(timestep_sampling="uniform"), diffusion(timestep_sampling="stratified")
    for model in (uniform, stratified):
        t = torch.cat([model.timesteps(25, torch.device("cpu")) for _ in range(2000)])
        assert t.bincount(minlength=50).float().div(1000).sub(1).abs().max() < 0.2
    assert all(len((stratified.timesteps(25, torch.device("cpu")) // 2).unique()) == 25 for _ in range(20))


def test_the_bound_is_that_of_the_gaussians_it_is_made_of():
    """The weight of |x_0 - guess|^2 is the KL of two Gaussians with the posterior's means and variance."""
    model = diffusion()
    kept = model.signal.double()
    snr = kept / (1 - kept)
    for t in (1, 10, 49):
        alpha = kept[t] / kept[t - 1]
        variance = (1 - alpha) * (1 - kept[t - 1]) / (1 - kept[t])
        mean = kept[t - 1].sqrt() * (1 - alpha) / (1 - kept[t])  # of x_0 in the posterior's mean
        assert 0.5 * (snr[t - 1] - snr[t]) == pytest.approx((mean**2 / (2 * variance)).item(), rel=1e-3)


def test_the_bound_of_a_perfect_network_is_the_prior_term_and_the_first():
    images = (torch.rand(2, 1, 8, 8) * 255).round() / 255
    model = knowing(diffusion(), images * 2 - 1)
    clean = images * 2 - 1
    parts = model.prior_term(clean) + model.first_term(clean, None, RandomStreams(0, 2))
    assert torch.allclose(-model.log_likelihood(images), parts.float(), atol=1e-2)
    variance = 1 - model.signal[-1]
    closed = 0.5 * (variance + model.signal[-1] * clean**2 - 1 - variance.log()).flatten(1).sum(1)
    assert torch.allclose(model.prior_term(clean).float(), closed, rtol=1e-3)


def test_the_first_term_is_a_distribution_over_256_values():
    model = knowing(diffusion((1, 2, 2)), torch.full((1, 1, 2, 2), 0.1))
    values = torch.arange(256) / 255 * 2 - 1
    total = torch.zeros(1).double()
    for value in values.tolist():
        total += (-model.first_term(torch.full((1, 1, 2, 2), value), None, RandomStreams(0, 1)) / 4).exp()
    assert total.item() == pytest.approx(1, abs=1e-3)


def test_some_timesteps_estimate_all_of_them():
    torch.manual_seed(0)
    model = diffusion()
    images = (torch.rand(1, 1, 8, 8) * 255).round() / 255
    whole = model.log_likelihood(images.expand(30, 1, 8, 8), num_timesteps=49)
    few = model.log_likelihood(images.expand(300, 1, 8, 8), num_timesteps=5, rng=RandomStreams(1, 300))
    error = (few.var() / len(few) + whole.var() / len(whole)).sqrt()
    assert (few.mean() - whole.mean()).abs() < 4 * error


def test_guidance_goes_from_what_is_said_without_the_label_through_what_is_said_with_it():
    model = diffusion(conditional=True, classes=("a", "b"))
    torch.nn.init.normal_(model.unet.conv_out.weight)
    noisy, t, labels = torch.randn(2, 1, 8, 8), torch.tensor([5, 5]), torch.tensor([0, 1])
    with torch.no_grad():
        labelled, unlabelled = model.predict(noisy, t, labels), model.predict(noisy, t, torch.tensor([2, 2]))
        assert torch.allclose(model.predict(noisy, t, labels, 3.0), unlabelled + 3 * (labelled - unlabelled), atol=1e-4)
        assert torch.allclose(model.predict(noisy, t, labels, 0.0), unlabelled, atol=1e-5)


@pytest.mark.parametrize(("size", "inner"), [(28, 32), (32, 32), (64, 64), (30, 32), (128, 128)])
@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_padded_inside_and_cropped_outside(size, inner, channels):
    model = diffusion((channels, size, size), channel_multipliers=(1, 1, 1), width=4)
    images = torch.rand(2, channels, size, size)
    inside = model.to_inner(images)
    assert inside.shape == (2, channels, inner, inner)
    assert torch.allclose(model.to_images(inside), images, atol=1e-6)
    if size < 128:
        options = DiffusionSampleOptions(num_steps=1)
        assert model.sample(1, options=options, rng=RandomStreams(0, 1)).shape == (1, channels, size, size)


def test_the_published_layout():
    values = genzoo_generators()[0].presets["cifar10"]
    options = {k: v for k, v in values.items() if k in DiffusionOptions.__dataclass_fields__}
    with torch.device("meta"):
        model = Diffusion(DiffusionOptions(**options), diffusion((3, 32, 32)).data)
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(35.7e6, rel=0.01)  # Ho et al. 2020, appendix B
    assert model.unet.config.down_block_types == ("DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D")


FORMS = {
    "default": {},
    "v, cosine, min-SNR": {"prediction": "v", "schedule": "cosine", "min_snr_gamma": 5.0, "ema_decay": 0.0},
    "sample, uniform, constant": {
        "prediction": "sample", "timestep_sampling": "uniform", "learning_rate_schedule": "constant", "dropout": 0.1,
    },
    "conditional": {"conditional": True},
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_forms_train_sample_and_resume_exactly(form):
    options = {
        **TINY,
        "batch_size": 8,
        "log_every": 2,
        "sample_every": 0,
        "eval_every": 0,
        "warmup_steps": 2,
        **FORMS[form],
    }
    whole = genzoo.train("diffusion", steps=6, name="whole", **options)
    run = genzoo.train("diffusion", steps=6, name="cut", save_every=3, keep=9, **options)
    for folder in run.checkpoints():
        if folder.name > "step-00000003":
            shutil.rmtree(folder)  # as after a kill
    run.update(status="interrupted", step=3)
    resumed = genzoo.resume("cut")
    one, other = genzoo.load(whole).state_dict(), genzoo.load(resumed).state_dict()
    assert all(torch.equal(one[key], other[key]) for key in one)
    assert [x["loss"] for x in resumed.metrics()] == [x["loss"] for x in whole.metrics()]
    for sampler in ("ddpm", "ddim", "dpm-solver++", "unipc"):
        images = genzoo.sample(resumed, 3, sampler=sampler, num_steps=5, batch_size=3)
        assert images.shape == (3, 1, 28, 28)
        first = genzoo.sample(resumed, 1, sampler=sampler, num_steps=5)
        assert torch.allclose(images[:1], first, atol=1e-4)  # sample 0 depends on nothing but (seed, 0)
    assert genzoo.sample(resumed, 0).shape == (0, 1, 28, 28)


@pytest.mark.slow
def test_it_learns():
    run = genzoo.train(
        "diffusion", steps=120, batch_size=16, width=8, warmup_steps=10, sample_every=0, eval_every=0, log_every=20
    )
    lines = run.metrics()
    assert lines[-1]["loss"] < 0.4 * lines[0]["loss"]


def test_what_is_refused():
    with pytest.raises(UsageError, match="--eta has a meaning with --sampler ddim alone, not with unipc"):
        genzoo.sample(
            genzoo.train("diffusion", steps=1, sample_every=0, eval_every=0, **TINY), sampler="unipc", eta=0.5
        )
    with pytest.raises(UsageError, match="--num-steps is 51; allowed is 50 at most, which the model learnt"):
        genzoo.sample("diffusion", 1, num_steps=51)
    with pytest.raises(UsageError, match="--width is 30; allowed is a multiple of 4"):
        genzoo.train("diffusion", width=30)


@pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated")  # diffusers gives it, Pillow 11.3 warns
@pytest.mark.parametrize(("levels", "size"), [(2, 28), (3, 32)])
def test_an_export_draws_what_the_run_draws(tmp_path, monkeypatch, levels, size):
    import diffusers
    from diffusers.utils import dynamic_modules_utils

    monkeypatch.setattr(dynamic_modules_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.syspath_prepend(str(tmp_path / "modules"))
    layout = {**TINY, "channel_multipliers": (1,) * levels}
    run = genzoo.train("diffusion", steps=3, sample_every=0, eval_every=0, **layout)
    line = genzoo.export(run, tmp_path / "out")
    assert genzoo.load(run, device="cpu").inner_shape == (1, size, size)
    assert (tmp_path / "out" / "pipeline.py").exists() == (size != 28)
    assert not list((tmp_path / "out").rglob("*.bin"))
    pipeline = eval(line, {"diffusers": diffusers})
    pipeline.set_progress_bar_config(disable=True)
    ours = genzoo.sample(run, 2, seed=7, sampler="ddpm", num_steps=10)
    generators = RandomStreams(7, 2).generators()
    theirs = pipeline(batch_size=2, generator=generators, num_inference_steps=10, output_type="np").images
    assert torch.allclose(torch.from_numpy(theirs).permute(0, 3, 1, 2), ours, atol=1e-5)
    assert pipeline(num_inference_steps=2).images[0].size == (28, 28)


def test_a_conditional_export_keeps_the_labels(tmp_path):
    from diffusers import UNet2DModel

    run = genzoo.train("diffusion", steps=2, conditional=True, sample_every=0, eval_every=0, **TINY)
    genzoo.export(run, tmp_path / "out")
    network, model = UNet2DModel.from_pretrained(tmp_path / "out" / "unet").eval(), genzoo.load(run)
    noisy, labels = torch.randn(2, 1, 32, 32), torch.tensor([3, 4])
    with torch.no_grad():
        assert torch.allclose(network(noisy, 5, labels).sample, model.predict(noisy, 5, labels), atol=1e-5)


@pytest.mark.parametrize("prediction", ["noise", "v"])
def test_known_pixels_come_back_unchanged_and_the_rest_goes_with_them(prediction):
    clean = torch.rand(1, 1, 8, 8)
    model = knowing(diffusion(prediction=prediction), clean * 2 - 1)
    known = torch.rand(3, 1, 8, 8) < 0.5
    images = torch.where(known, clean, torch.rand(3, 1, 8, 8))
    filled = model.inpaint(images, known, rng=RandomStreams(0, 3), num_steps=25, resamplings=2)
    assert torch.equal(filled[known], images[known])
    assert torch.allclose(filled, clean.expand(3, 1, 8, 8), atol=0.05)


def call(monkeypatch, capfd, *arguments):
    monkeypatch.setattr(sys, "argv", ["genzoo", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capfd.readouterr()
    return ended.value.code or 0, out, err


def test_the_commands(tmp_path, monkeypatch, capfd):
    genzoo.train("diffusion", steps=2, name="d", sample_every=0, eval_every=0, **TINY)
    genzoo.train("diffusion", steps=2, name="c", sample_every=0, eval_every=0, conditional=True, **TINY)
    picture = np.random.default_rng(0).integers(0, 256, (28, 28), np.uint8)
    Image.fromarray(picture).save(tmp_path / "a.png")
    mask = np.zeros((28, 28), np.uint8)
    Image.fromarray(mask).save(tmp_path / "none.png")
    mask[:, 14:] = 255
    Image.fromarray(mask).save(tmp_path / "half.png")
    request = ["--image", tmp_path / "a.png", "--mask", tmp_path / "half.png", "-n", 2, "--num-steps", 5]
    status, out, err = call(monkeypatch, capfd, "inpaint", "d", *request)
    assert (status, err) == (0, "")
    with Image.open(out.strip()) as shown:
        pixels = np.array(shown)
    for column in (0, 1, 2):
        assert np.array_equal(pixels[2:30, 2 + 30 * column :][:, :14], picture[:, :14])
    assert call(monkeypatch, capfd, "inpaint", "c", *request, "--label", 3)[0] == 0
    status, out, _ = call(monkeypatch, capfd, "trajectory", "c", "-n", 3, "--num-steps", 4, "--label", 3)
    assert status == 0
    with Image.open(out.strip()) as shown:
        assert shown.size == (5 * 30 + 2, 3 * 30 + 2)
    refused = {
        ("inpaint", "d", *request[:3], tmp_path / "none.png"): "is all black; it should be white where",
        ("inpaint", "d", "--image", tmp_path / "no.png", "--mask", tmp_path / "half.png"): "no.png is not a file",
        ("inpaint", "d", *request, "--label", 3): "was not trained with labels",
        ("inpaint", "d", *request[:-1], 51): "--num-steps is 51; allowed is 50 at most",
        ("trajectory", "d", "--out", tmp_path / "a.png"): "exists; give --overwrite to replace it",
        ("trajectory", "d", "--out", tmp_path / "a.txt"): "allowed is a file that ends in .png, .jpg or .jpeg",
    }
    for arguments, message in refused.items():
        status, _, err = call(monkeypatch, capfd, *arguments)
        assert (status, err.count("\n")) == (2, 1)
        assert message in err


def test_export_loses_nothing(tmp_path, monkeypatch, capfd):
    genzoo.train("diffusion", steps=1, name="d", sample_every=0, eval_every=0, **TINY)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine", "utf-8")
    status, _, err = call(monkeypatch, capfd, "export", "d", "--to", tmp_path / "full")
    assert (status, "exists and is not an empty folder" in err) == (2, True)
    status, out, _ = call(monkeypatch, capfd, "export", "d", "--to", tmp_path / "new", "--json")
    assert (status, json.loads(out)["run"]) == (0, "d")
    assert (tmp_path / "new" / "model_index.json").exists()


def test_upsampling_in_one_convolution_is_that_of_diffusers_in_values_and_gradients():
    from diffusers.models.upsampling import Upsample2D

    theirs = Upsample2D(5, use_conv=True)
    ours = kernels.Upsample(theirs.conv)
    x, gradient = torch.randn(2, 5, 6, 7, requires_grad=True), torch.randn(2, 5, 12, 14)
    results = []
    for module in (theirs, ours):
        y = module(x)
        results.append([y, *torch.autograd.grad(y, (x, theirs.conv.weight, theirs.conv.bias), gradient)])
    for one, other in zip(*results, strict=True):
        assert torch.allclose(one, other, atol=1e-5)
    model, plain = diffusion(), unet(DiffusionOptions(**TINY), 1, (8, 8), 0)
    assert model.unet.state_dict().keys() == plain.state_dict().keys()
