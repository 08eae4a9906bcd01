"""A measure: how much ink the samples have."""

import torch

from genzoo import Estimate


def ink_distance(subject):
    """The Wasserstein-1 distance between the mean grey levels of samples and of as many test images."""
    count = min(len(subject.samples.pixels), len(subject.test.pixels))
    samples, test = (images.pixels[:count].mean(1).sort().values for images in (subject.samples, subject.test))
    return Estimate(float(torch.abs(samples - test).mean()))
