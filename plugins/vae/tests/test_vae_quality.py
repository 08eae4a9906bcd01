"""What the defaults are for: digits that can be read. Takes minutes: `uv run pytest -m slow`."""

import pytest
import torch
from torch import nn

import genzoo
from genzoo.image.builtin import load_mnist_5k


def digit_classifier(data):
    """A small convolutional network trained on the training digits, and its accuracy on the held-out ones."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 5, padding=2), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(0.5), nn.Linear(64 * 49, 10),
    )  # fmt: skip
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    for _ in range(15):
        for index in torch.randperm(len(data.train_images)).split(64):
            loss = nn.functional.cross_entropy(network(data.train_images[index] / 255), data.train_labels[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    network.eval()
    with torch.no_grad():
        digits = network(data.test_images / 255).argmax(1)
    return network, (digits == data.test_labels).float().mean().item()


@pytest.mark.slow
def test_the_defaults_make_digits_that_a_classifier_reads(tmp_path, monkeypatch):
    monkeypatch.setenv("GENZOO_RUNS_DIR", str(tmp_path))
    network, accuracy = digit_classifier(load_mnist_5k(tmp_path))
    assert accuracy > 0.95
    run = genzoo.train("vae")
    with torch.no_grad():
        confidence, digit = network(genzoo.sample(run, 1000)).softmax(1).max(1)
    share = digit.bincount(minlength=10) / len(digit)
    assert (confidence > 0.9).float().mean() > 0.8
    assert share.min() > 0.04
