"""A model that has learnt fifty pictures by heart is told from one that has not, by the measure `copies`."""

import pytest
import torch

import genzoo
from genzoo.interface import distances
from genzoo.registry.data import open_data
from genzoo.registry.plugins import registry

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("toy")]
MODELS = """
    import torch, genzoo
    from dataclasses import dataclass
    from genzoo import GeneratorSpec

    @dataclass(frozen=True, kw_only=True)
    class NoOptions:
        "None."

    class ByHeart(genzoo.Generator):
        def __init__(self, config, data):
            super().__init__(config, data)
            self.table = torch.nn.Parameter(torch.full((50, *data.shape), 0.5))
        def fit(self, run):
            images = torch.cat([batch.images for batch in run.training_examples(50)])
            optimizer = torch.optim.Adam(self.parameters(), 0.1)
            model, optimizer = run.prepare(self, optimizer)
            for _ in run.steps():
                loss = (self.table - images).square().mean()
                optimizer.zero_grad()
                run.backward(loss)
                optimizer.step()
                run.log(loss=loss.detach())
        def sample(self, count, *, options, rng):
            which = (rng.uniform(1)[:, 0] * 50).long()
            return (self.table[which] + 0.03 * rng.normal(*self.data.shape)).clamp(0, 1)

    @genzoo.hookimpl
    def genzoo_generators():
        defaults = {"steps": 150, "data": "mnist-5k", "sample_every": 0, "eval_every": 0}
        return [GeneratorSpec(name="by-heart", summary="-", modality="image", target="zoo_heart:ByHeart",
            config=NoOptions, defaults=defaults, mini_batches=False)]
"""


def share_of_copies(run):
    (copies,) = [m for m in genzoo.evaluate(run, 1000, features="random").measures if m.name == "copies"]
    return copies.value, copies.references["floor"]


def test_fifty_pictures_that_were_learnt_by_heart_are_flagged(install):
    install("zoo_heart", MODELS)
    by_heart, real = share_of_copies(genzoo.train("by-heart"))
    healthy, _ = share_of_copies(genzoo.train("gan", steps=600, eval_every=0, sample_every=0))
    print(
        f"copies: {by_heart:.1%} of a model that learnt 50 images by heart, {healthy:.1%} of a GAN, {real:.1%} of data"
    )
    assert by_heart >= 0.9
    assert healthy <= 0.01
    assert real <= 0.01


SPLITS = 100


@pytest.mark.parametrize("name", ["digits-8x8", "emoji", "mnist-5k"])
def test_one_in_a_hundred_unseen_images_is_flagged_at_most_on_average_over_splits(name):
    spec = registry().modalities.get("image")[1]
    data, _ = open_data(spec, spec.train_options(data=name), {}, lambda *_: None)
    counts = {part: data.count(part) for part in ("train", "validation", "test")}
    rows = torch.cat([data.pixels(part, torch.arange(count)) for part, count in counts.items()]).flatten(1) / 255
    apart, shares = torch.cdist(rows, rows), []
    for seed in range(SPLITS):
        order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))
        train, validation, test = order.split(list(counts.values()))
        threshold = distances.conformal_quantile(apart[validation][:, train].min(1).values, 0.01)
        shares.append((apart[test][:, train].min(1).values < threshold).double().mean())
    mean, deviation = float(torch.stack(shares).mean()), float(torch.stack(shares).std())
    print(f"copies: {mean:.2%} of unseen images of {name}, mean of {SPLITS} splits; deviation {deviation:.2%}")
    assert mean <= 0.01 + 2 * deviation / SPLITS**0.5
