"""Differentiable augmentation (Zhao et al. 2020, arXiv:2006.10738): the discriminator sees real and fake images under
the same random transformations, so that it cannot learn a few real images by heart. Gradients pass through them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def augment(images: Tensor, policies: Sequence[str]) -> Tensor:
    """Images (B, C, H, W) under each of the transformations in `policies`, drawn for every image; of the same shape."""
    for policy in policies:
        images = POLICIES[policy](images)
    return images


def color(images: Tensor) -> Tensor:
    """Brightness moved by up to 0.5, saturation scaled by 0 to 2, contrast by 0.5 to 1.5."""
    factors = torch.rand(3, len(images), 1, 1, 1, device=images.device)
    brightness, saturation, contrast = factors.unbind()  # (B, 1, 1, 1) each
    images = images + (brightness - 0.5)
    grey = images.mean(1, keepdim=True)  # (B, 1, H, W)
    images = grey + (images - grey) * (2 * saturation)
    mean = images.mean((1, 2, 3), keepdim=True)  # (B, 1, 1, 1)
    return mean + (images - mean) * (contrast + 0.5)


def translation(images: Tensor) -> Tensor:
    """Moved by up to an eighth of the size in each direction; what comes in from outside is zero."""
    height, width = images.shape[2:]
    max_down, max_right = (height + 4) // 8, (width + 4) // 8
    down, right = _shifts(max_down, images), _shifts(max_right, images)  # (B, 1) each
    rows = (torch.arange(height, device=images.device) + max_down - down)[:, None, :, None]  # (B, 1, H, 1)
    columns = (torch.arange(width, device=images.device) + max_right - right)[:, None, None, :]  # (B, 1, 1, W)
    padded = F.pad(images, (max_right, max_right, max_down, max_down))
    batch = torch.arange(len(images), device=images.device)[:, None, None, None]
    channel = torch.arange(images.shape[1], device=images.device)[None, :, None, None]
    return padded[batch, channel, rows, columns]  # (B, C, H, W)


def cutout(images: Tensor) -> Tensor:
    """A square of half the size, which may lie partly outside, set to zero."""
    height, width = images.shape[2:]
    top = torch.rand(len(images), 1, 1, 1, device=images.device) * (height + 1) - height / 4
    left = torch.rand(len(images), 1, 1, 1, device=images.device) * (width + 1) - width / 4
    row = torch.arange(height, device=images.device)[None, None, :, None]
    column = torch.arange(width, device=images.device)[None, None, None, :]
    inside = (row >= top) & (row < top + height // 2) & (column >= left) & (column < left + width // 2)  # (B, 1, H, W)
    return images * ~inside


def _shifts(maximum: int, images: Tensor) -> Tensor:
    """An integer in [-maximum, maximum] for each image, (B, 1)."""
    return torch.randint(-maximum, maximum + 1, (len(images), 1), device=images.device)


POLICIES = {"color": color, "translation": translation, "cutout": cutout}
