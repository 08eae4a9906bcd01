"""Generative adversarial networks (Goodfellow et al. 2014) for genzoo: options and registration. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

import genzoo
from genzoo import GeneratorSpec, option


@dataclass(frozen=True, kw_only=True)
class AdversarialOptions:
    """Options of adversarial training, whatever the networks."""

    conditional: bool = option(False, help="Learn from labels, so that samples of a class can be drawn.")
    latent_dim: int = option(64, help="Size of the noise vector z.", minimum=1, maximum=4096)
    latent_categories: int = option(
        0,
        help="Categories of a one-hot latent variable besides z, for data of several kinds (Chen 2016); 0: none.",
        minimum=0,
        maximum=4096,
    )
    category_loss: float = option(
        0.3, help="Weight of the mutual information of category and image, for both networks (Chen 2016).", minimum=0
    )
    loss: str = option(
        "non-saturating",
        help="Non-saturating or minimax (Goodfellow 2014), least squares (Mao 2017), hinge (Lim & Ye 2017), or"
        " Wasserstein with gradient penalty (Gulrajani 2017).",
        choices=("non-saturating", "minimax", "least-squares", "hinge", "wasserstein-gp"),
    )
    label_smoothing: float = option(
        0.0, help="Real images' label is 1 minus this, fakes' stays 0 (Salimans 2016).", minimum=0, below=0.5
    )
    gradient_penalty: float = option(10.0, help="Weight of the penalty of wasserstein-gp.", minimum=0)
    r1: float = option(0.0, help="Weight gamma of the R1 penalty on real images (Mescheder 2018); 0: none.", minimum=0)
    r1_every: int = option(16, help="Take the R1 penalty this often (lazy, Karras 2020).", unit="steps", minimum=1)
    spectral_norm: bool = option(False, help="Spectral normalisation of the discriminator (Miyato 2018).")
    augment: tuple[str, ...] = option(
        (),
        help="Transform what the discriminator sees, real and fake, in these ways (differentiable, Zhao 2020).",
        choices=("color", "translation", "cutout"),
    )
    discriminator_steps: int = option(
        1,
        help="Discriminator updates for each of the generator's; a step is one of the discriminator's.",
        minimum=1,
        maximum=100,
    )
    learning_rate: float = option(2e-4, help="Adam's step size.", above=0, maximum=1)
    learning_rate_schedule: str = option(
        "constant", help="Constant, or falling to zero along a cosine.", choices=("constant", "cosine")
    )
    discriminator_learning_rate: float | None = option(
        None, help="Adam's step size for the discriminator. Default: the same.", above=0, maximum=1
    )
    beta1: float = option(0.5, help="Adam's decay of the mean of gradients.", minimum=0, below=1)
    beta2: float = option(0.999, help="Adam's decay of the mean of squares.", minimum=0, below=1)
    ema_decay: float = option(
        0.999, help="Sample with an exponential moving average of the generator; 0: with itself.", minimum=0, below=1
    )

    def __post_init__(self) -> None:
        if self.label_smoothing and self.loss not in ("non-saturating", "minimax", "least-squares"):
            raise ValueError(f"--label-smoothing has no meaning with --loss {self.loss}, which has no labels")


@dataclass(frozen=True, kw_only=True)
class GANOptions(AdversarialOptions):
    """Networks and training of a GAN."""

    generator_sizes: tuple[int, ...] = option(
        (256, 512), help="Widths of the generator's hidden layers.", minimum=1, maximum=65536
    )
    discriminator_sizes: tuple[int, ...] = option(
        (512, 256), help="Widths of the discriminator's hidden layers.", minimum=1, maximum=65536
    )
    generator_output: str = option(
        "tanh", help="Activation of the generator's last layer.", choices=("tanh", "sigmoid")
    )
    discriminator_dropout: float = option(0.3, help="Dropout in the discriminator.", minimum=0, below=1)


def _article(
    generator_sizes: tuple[int, ...], discriminator_sizes: tuple[int, ...], learning_rate: float, **options: object
) -> dict[str, object]:
    """The preset of a tutorial's networks, without stabilisers."""
    return {
        "latent_dim": 100,
        "discriminator_dropout": 0.0,
        "ema_decay": 0.0,
        "beta1": 0.9,
        "generator_sizes": generator_sizes,
        "discriminator_sizes": discriminator_sizes,
        "learning_rate": learning_rate,
        **options,
    }


BIBTEX = """
@inproceedings{goodfellow2014generative,
  title = {Generative Adversarial Nets},
  author = {Goodfellow, Ian and Pouget-Abadie, Jean and Mirza, Mehdi and Xu, Bing and Warde-Farley, David
            and Ozair, Sherjil and Courville, Aaron and Bengio, Yoshua},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2014},
  eprint = {1406.2661}, archivePrefix = {arXiv}
}
"""


@genzoo.hookimpl
def genzoo_generators() -> list[GeneratorSpec]:
    """The GAN."""
    return [
        GeneratorSpec(
            name="gan",
            summary="Generative adversarial network of dense layers: a generator against a discriminator",
            modality="image",
            target="genzoo_gan.model:GAN",
            config=GANOptions,
            schedule="learning_rate_schedule",
            defaults={"steps": 20000, "batch_size": 128, "sample_every": 1000, "save_every": 1000, "eval_every": 1000},
            presets={
                "article-128": _article((128, 256), (512, 256), 1e-4),
                "article-512": _article((128, 256, 512), (512, 256, 128), 1e-4, batch_size=128),
                "article-1024": _article((256, 512, 1024), (512, 256), 1e-3, generator_output="sigmoid", batch_size=32),
            },
            paper="Goodfellow et al. 2014, Generative Adversarial Networks, arXiv:1406.2661",
            bibtex=BIBTEX,
        )
    ]
