"""The model and the data of the toy plugin."""

import random
import time

import click
import numpy as np
import torch
from torch import nn

import genzoo


class Toy(genzoo.Generator):
    """Two networks with an optimiser each, an average, a tracked tensor, and every source of random numbers."""

    def __init__(self, config, data):
        super().__init__(config, data)
        pixels = int(np.prod(data.shape))
        self.mean = nn.Sequential(
            nn.Linear(3, config.width, config.bias), nn.Dropout(0.5), nn.Linear(config.width, pixels)
        )
        self.critic = nn.Linear(pixels, 1)

    def fit(self, run):
        first = torch.optim.Adam(self.mean.parameters(), self.config.rate)
        second = torch.optim.SGD(self.critic.parameters(), self.config.rate, momentum=0.9)
        mean, critic, first, second = run.prepare(self.mean, self.critic, first, second)
        average = genzoo.EMA(self, 0.9)
        total = torch.zeros(())
        run.track(average=average, total=total)
        for batch in run.batches():
            time.sleep(self.config.pause)
            noise = random.random() + np.random.random() + torch.rand(())
            images = batch.images.flatten(1)
            loss = (mean(torch.randn(len(images), 3)) - images).square().mean() + 0.01 * noise
            first.zero_grad()
            run.backward(loss)
            first.step()
            score = (critic(images) - 1).square().mean()
            second.zero_grad()
            run.backward(score)
            second.step()
            average.update()
            total += loss.detach()
            if run.step + 1 == self.config.break_weights:
                self.mean[0].weight.data.fill_(torch.inf)
            broken = run.step + 1 == self.config.break_at
            run.log(loss=loss.detach() * torch.nan if broken else loss, score=score, total=total.clone())

    def sample(self, count, *, options, rng, labels=None):
        if labels is not None:  # a plain picture, darker for the first class
            return (0.25 + 0.5 * labels.float()).view(count, 1, 1, 1).expand(count, *self.data.shape)
        return self.mean(rng.normal(3) + options.shift).sigmoid().view(count, *self.data.shape)

    def evaluate(self, batch):
        return {"loss": (self.mean(torch.randn(len(batch), 3)) - batch.images.flatten(1)).square().mean(1)}


def load_dots(data_dir):
    images = torch.randint(0, 256, (50, 1, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    labels = torch.arange(50) % 2
    return genzoo.ImageData(
        train_images=images[:40],
        train_labels=labels[:40],
        test_images=images[40:],
        test_labels=labels[40:],
        classes=("a", "b"),
    )


def load_broken(data_dir):
    raise ValueError("no such planet\nat all")


@click.command()
@click.option("--name", default="you")
def greet(name):
    click.echo(f"hello {name}")
