"""Deep convolutional GANs (Radford et al. 2015) for genzoo: options and registration. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

import genzoo
from genzoo import GeneratorSpec, option
from genzoo_gan import AdversarialOptions


@dataclass(frozen=True, kw_only=True)
class DCGANOptions(AdversarialOptions):
    """Networks and training of a DCGAN."""

    latent_categories: int = option(
        40,
        help="Categories of a one-hot latent variable besides z, for data of several kinds (Chen 2016); 0: none.",
        minimum=0,
        maximum=4096,
    )
    width: int = option(
        32, help="Channels at the first halving of the image; each further one doubles them.", minimum=1, maximum=4096
    )
    smallest_size: int = option(
        4, help="Images are halved until a side is this or below.", unit="pixels", minimum=1, maximum=16
    )
    generator_channels: tuple[int, ...] | None = option(
        None, help="Channels of the generator's hidden layers, the dense one first. Default: by --width.", minimum=1
    )
    discriminator_channels: tuple[int, ...] | None = option(
        None, help="Channels of the discriminator's convolutions. Default: by --width.", minimum=1
    )
    generator_kernel_size: int = option(5, help="Size of the transposed convolutions.", minimum=3, maximum=9)
    discriminator_kernel_size: int = option(5, help="Size of the convolutions.", minimum=3, maximum=9)
    discriminator_stride: int = option(2, help="Stride of the discriminator's convolutions.", minimum=1, maximum=2)
    generator_activation: str = option(
        "leaky-relu", help="Activation between the generator's layers.", choices=("relu", "leaky-relu")
    )
    discriminator_activation: str = option(
        "leaky-relu", help="Activation between the discriminator's layers.", choices=("relu", "leaky-relu")
    )
    batch_norm: bool = option(True, help="Batch normalisation between the generator's layers (Ioffe & Szegedy 2015).")
    generator_output: str = option(
        "tanh", help="Activation of the generator's last layer.", choices=("tanh", "sigmoid")
    )
    discriminator_dropout: float = option(0.0, help="Dropout in the discriminator.", minimum=0, below=1)

    learning_rate: float = option(1e-3, help="Adam's step size.", above=0, maximum=1)
    learning_rate_schedule: str = option(
        "cosine", help="Constant, or falling to zero along a cosine.", choices=("constant", "cosine")
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("generator_kernel_size", "discriminator_kernel_size"):
            if getattr(self, name) % 2 == 0:
                raise ValueError(f"--{name.replace('_', '-')} is {getattr(self, name)}; allowed is an odd number")


BIBTEX = """
@inproceedings{radford2016unsupervised,
  title = {Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks},
  author = {Radford, Alec and Metz, Luke and Chintala, Soumith},
  booktitle = {International Conference on Learning Representations},
  year = {2016},
  eprint = {1511.06434}, archivePrefix = {arXiv}
}
"""


@genzoo.hookimpl
def genzoo_generators() -> list[GeneratorSpec]:
    """The DCGAN."""
    return [
        GeneratorSpec(
            name="dcgan",
            summary="Deep convolutional GAN: sharper images than dense layers, in minutes",
            modality="image",
            target="genzoo_dcgan.model:DCGAN",
            config=DCGANOptions,
            schedule="learning_rate_schedule",
            defaults={"steps": 12000, "batch_size": 64, "sample_every": 1000, "save_every": 1000, "eval_every": 1000},
            presets={
                "article-256": {
                    "latent_dim": 100,
                    "latent_categories": 0,
                    "smallest_size": 8,
                    "generator_channels": (256, 128, 64),
                    "discriminator_channels": (64, 128),
                    "discriminator_dropout": 0.3,
                    "learning_rate": 1e-4,
                    "learning_rate_schedule": "constant",
                    "beta1": 0.9,
                    "ema_decay": 0.0,
                    "batch_size": 64,
                },
                "article-128": {
                    "latent_dim": 100,
                    "latent_categories": 0,
                    "smallest_size": 8,
                    "generator_channels": (128, 64),
                    "discriminator_channels": (32, 64),
                    "discriminator_kernel_size": 3,
                    "discriminator_stride": 1,
                    "generator_activation": "relu",
                    "discriminator_activation": "relu",
                    "batch_norm": False,
                    "learning_rate": 1e-3,
                    "learning_rate_schedule": "constant",
                    "beta1": 0.9,
                    "ema_decay": 0.0,
                    "batch_size": 32,
                },
            },
            paper="Radford et al. 2015, Unsupervised Representation Learning with DCGANs, arXiv:1511.06434",
            bibtex=BIBTEX,
        )
    ]
