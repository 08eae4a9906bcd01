"""Differentiable augmentation (Zhao et al. 2020, arXiv:2006.10738): what the discriminator sees of real and of fake
images is changed at random alike, so that it cannot learn a few real images by heart. Gradients pass through."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def augment(images: Tensor, ways: Sequence[str]) -> Tensor:
    """Images (B, C, H, W), each changed in each of `ways` by random numbers of its own; of the same shape."""
    for way in ways:
        images = WAYS[way](images)
    return images


def color(images: Tensor) -> Tensor:
    """Brightness moved by up to 0.5, saturation scaled by 0 to 2, contrast by 0.5 to 1.5."""
    numbers = torch.rand(3, len(images), 1, 1, 1, device=images.device)
    brightness, saturation, contrast = numbers.unbind()
    images = images + (brightness - 0.5)
    grey = images.mean(1, keepdim=True)
    images = grey + (images - grey) * (2 * saturation)
    mean = images.mean((1, 2, 3), keepdim=True)
    return mean + (images - mean) * (contrast + 0.5)


def translation(images: Tensor) -> Tensor:
    """Moved by up to an eighth of the size either way; what comes in from outside is zero."""
    height, width = images.shape[2:]
    reach = (height + 4) // 8, (width + 4) // 8
    down, right = (_shifts(r, images) for r in reach)
    rows = (torch.arange(height, device=images.device) + reach[0] - down)[:, None, :, None]  # (B, 1, H, 1)
    columns = (torch.arange(width, device=images.device) + reach[1] - right)[:, None, None, :]
    padded = F.pad(images, (reach[1], reach[1], reach[0], reach[0]))
    batch = torch.arange(len(images), device=images.device)[:, None, None, None]
    channel = torch.arange(images.shape[1], device=images.device)[None, :, None, None]
    return padded[batch, channel, rows, columns]


def cutout(images: Tensor) -> Tensor:
    """A square of half the size, perhaps partly outside, set to zero."""
    height, width = images.shape[2:]
    top = torch.rand(len(images), 1, 1, 1, device=images.device) * (height + 1) - height / 4
    left = torch.rand(len(images), 1, 1, 1, device=images.device) * (width + 1) - width / 4
    row = torch.arange(height, device=images.device)[None, None, :, None]
    column = torch.arange(width, device=images.device)[None, None, None, :]
    inside = (row >= top) & (row < top + height // 2) & (column >= left) & (column < left + width // 2)
    return images * ~inside


def _shifts(reach: int, images: Tensor) -> Tensor:
    """A whole number in [-reach, reach] for each image, (B, 1)."""
    return torch.randint(-reach, reach + 1, (len(images), 1), device=images.device)


WAYS = {"color": color, "translation": translation, "cutout": cutout}
