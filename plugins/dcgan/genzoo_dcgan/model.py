"""The deep convolutional GAN (Radford et al. 2015, arXiv:1511.06434): a GAN whose networks are convolutions.

The generator takes noise through a dense layer to a small feature map of many channels, and from there by transposed
convolutions to the image; the discriminator goes the other way. Losses and training are the GAN's.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import nn

from genzoo import DataSpec, kernels
from genzoo_dcgan import DCGANOptions
from genzoo_gan.model import GAN


def activation(name: str) -> nn.Module:
    return nn.ReLU() if name == "relu" else nn.LeakyReLU(0.2)


def halvings(size: int, smallest: int) -> list[int]:
    """The sizes from an image's down to `smallest` or less, each half of the one before, rounded up."""
    sizes = [size]
    while sizes[-1] > smallest:
        sizes.append(-(-sizes[-1] // 2))
    return sizes


def channels_by_width(config: DCGANOptions, size: int) -> list[int]:
    """The channels after each halving of an image."""
    return [config.width * 2**i for i in range(len(halvings(size, config.smallest_size)) - 1)]


def generator_network(config: DCGANOptions, inputs: int, shape: tuple[int, ...]) -> nn.Sequential:
    """(B, inputs) -> (B, C, H, W): a dense layer to a small feature map, then transposed convolutions. The last of them
    double the size until it is the image's; any before them keep it."""
    sizes = halvings(shape[1], config.smallest_size)[::-1]
    channels = list(config.generator_channels or channels_by_width(config, shape[1])[::-1])
    if len(channels) < (minimum := len(sizes) - 1):
        numbers = "1 number" if len(channels) == 1 else f"{len(channels)} numbers"
        raise ValueError(f"--generator-channels has {numbers}; images of {shape[1]} pixels need {minimum} or more")
    sizes = [sizes[0]] * (len(channels) - len(sizes) + 1) + sizes  # (B, channels[i], sizes[i], sizes[i]) into layer i
    bias, first_shape = not config.batch_norm, (channels[0], sizes[0], sizes[0])
    layers: list[nn.Module] = [kernels.Linear(inputs, math.prod(first_shape), bias=bias)]
    layers += [nn.BatchNorm1d(math.prod(first_shape))] if config.batch_norm else []
    layers += [activation(config.generator_activation), nn.Unflatten(1, first_shape)]
    kernel = config.generator_kernel_size
    for i, (in_channels, out_channels) in enumerate(pairwise([*channels, shape[0]])):
        stride = 1 if sizes[i] == sizes[i + 1] else 2
        output_padding = sizes[i + 1] - ((sizes[i] - 1) * stride + 1)  # to 2n, or to 2n - 1
        is_last = i == len(channels) - 1
        layers.append(
            nn.ConvTranspose2d(
                in_channels, out_channels, kernel, stride, kernel // 2, output_padding, bias=bias or is_last
            )
        )
        if not is_last:
            layers += [nn.BatchNorm2d(out_channels)] if config.batch_norm else []
            layers.append(activation(config.generator_activation))
    return nn.Sequential(*layers, nn.Tanh() if config.generator_output == "tanh" else nn.Sigmoid())


def discriminator_features(config: DCGANOptions, shape: tuple[int, ...]) -> tuple[nn.Sequential, int]:
    """(B, C, H, W) -> (B, width) by strided convolutions, and the width."""
    size, kernel = shape[1], config.discriminator_kernel_size
    channels = [shape[0], *(config.discriminator_channels or channels_by_width(config, size))]
    layers: list[nn.Module] = []
    for in_channels, out_channels in pairwise(channels):
        layers.append(nn.Conv2d(in_channels, out_channels, kernel, config.discriminator_stride, kernel // 2))
        layers.append(activation(config.discriminator_activation))
        layers += [kernels.Dropout(config.discriminator_dropout)] if config.discriminator_dropout else []
        size = -(-size // config.discriminator_stride)  # (B, out_channels, size, size)
    return nn.Sequential(*layers, nn.Flatten()), channels[-1] * size * size


class DCGAN(GAN):
    """A DCGAN for square images of 16 to 128 pixels, of any number of channels; its options are `DCGANOptions`."""

    def __init__(self, config: DCGANOptions, data: DataSpec) -> None:
        _, height, width = data.shape
        if height != width or not 16 <= height <= 128:
            raise ValueError(
                f"data {data.name!r} are {height}x{width}; allowed are square images of 16 to 128 pixels (--image-size)"
            )
        super().__init__(config, data)
        self.to(memory_format=torch.channels_last)

    def networks(self, inputs: int, shape: tuple[int, ...]) -> tuple[nn.Module, nn.Sequential, int]:
        return generator_network(self.config, inputs, shape), *discriminator_features(self.config, shape)
