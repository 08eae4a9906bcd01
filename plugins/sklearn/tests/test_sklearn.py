"""The digits are all there, and a model trains on them by their name."""

import torch
from sklearn import datasets

import genzoo
from genzoo_sklearn.data import load_digits


def test_the_digits_are_those_of_scikit_learn(tmp_path):
    data, theirs = load_digits(tmp_path), datasets.load_digits()
    assert len(data.train_images) + len(data.test_images) == len(theirs.images) == 1797
    assert data.train_images.max() == 255
    counts = data.test_labels.bincount()
    assert counts.min() >= 17
    every = torch.cat([data.train_images, data.test_images]).sum(dtype=torch.int64).item()
    assert abs(every - theirs.images.sum() * 255 / 16) < 1797 * 64 / 2


def test_a_model_trains_on_them(tmp_path):
    run = genzoo.train("vae", data="digits-8x8", steps=3, hidden_sizes=(8,), runs_dir=str(tmp_path))
    assert genzoo.sample(run, 2).shape == (2, 1, 8, 8)
