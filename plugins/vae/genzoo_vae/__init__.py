"""Variational autoencoders (Kingma & Welling 2014) for genzoo: options and registration. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

import genzoo
from genzoo import FeatureSpec, GeneratorSpec, MetricSpec, option


@dataclass(frozen=True, kw_only=True)
class VAEOptions:
    """Networks, likelihood, prior and training of a VAE."""

    conditional: bool = option(False, help="Learn from labels, so that samples of a class can be drawn.")
    architecture: str = option("conv", help="Convolutional or fully connected networks.", choices=("conv", "mlp"))
    latent_dim: int = option(16, help="Size of the latent vector z.", minimum=1, maximum=4096)
    hidden_sizes: tuple[int, ...] = option(
        (256,),
        help="Widths of the encoder's dense layers; the decoder mirrors them.",
        minimum=1,
        maximum=65536,
    )
    conv_channels: tuple[int, ...] = option(
        (16, 32),
        help="Channels of the encoder's stride-2 convolutions (conv); the decoder mirrors them.",
        minimum=1,
    )
    likelihood: str = option(
        "auto",
        help="p(x|z): Bernoulli on binarised pixels, Gaussian with a learned scale, or mean squared error + beta * KL;"
        " auto: Bernoulli of grey images that are mostly black and white, else Gaussian.",
        choices=("auto", "bernoulli", "gaussian", "mse"),
    )
    beta: float = option(1.0, help="Weight of the KL divergence (lambda, with mse).", above=0)
    kl_warmup_steps: int = option(
        0, help="Raise the KL's weight linearly from 0 to beta over this many steps.", minimum=0
    )
    free_bits: float = option(
        0.0, help="KL below which a latent dimension is not penalised (Kingma 2016).", unit="nats", minimum=0
    )
    max_log_variance: float = option(10.0, help="Clamp the encoder's log variance to +- this.", above=0, maximum=30)
    prior: str = option(
        "mixture",
        help="Prior of z for sampling: N(0, I), or a Gaussian mixture fitted to the encoded training data.",
        choices=("mixture", "gaussian"),
    )
    prior_components: int = option(
        50,
        help="Components of the mixture, over all classes; at most one for every 50 images.",
        minimum=1,
        maximum=1000,
    )
    learning_rate: float = option(1e-3, help="Adam's step size at the start.", above=0, maximum=1)
    learning_rate_schedule: str = option(
        "cosine",
        help="Constant, or falling to zero along a cosine.",
        choices=("constant", "cosine"),
    )
    ema_decay: float = option(
        0.0,
        help="Sample with an exponential moving average of the weights; 0: with the weights.",
        minimum=0,
        below=1,
    )


@dataclass(frozen=True, kw_only=True)
class VAESampleOptions:
    """How a trained VAE is sampled."""

    temperature: float = option(1.0, help="Scale of the prior's spread around its mean.", minimum=0, maximum=10)


BIBTEX = """
@inproceedings{kingma2014auto,
  title = {Auto-Encoding Variational {B}ayes},
  author = {Kingma, Diederik P. and Welling, Max},
  booktitle = {International Conference on Learning Representations},
  year = {2014},
  eprint = {1312.6114}, archivePrefix = {arXiv}
}
"""


@genzoo.hookimpl
def genzoo_generators() -> list[GeneratorSpec]:
    """The VAE."""
    return [
        GeneratorSpec(
            name="vae",
            summary="Variational autoencoder: an encoder and a decoder that share a latent space",
            modality="image",
            target="genzoo_vae.model:VAE",
            config=VAEOptions,
            sample_options=VAESampleOptions,
            schedule="learning_rate_schedule",
            defaults={"steps": 2500, "batch_size": 128},
            presets={
                "article": {
                    "architecture": "mlp",
                    "likelihood": "mse",
                    "beta": 2.5e-4,
                    "prior": "gaussian",
                    "hidden_sizes": (512,),
                    "latent_dim": 16,
                    "learning_rate_schedule": "constant",
                    "batch_size": 64,
                    "steps": 5000,
                },
                "binarized": {
                    "architecture": "mlp",
                    "likelihood": "bernoulli",
                    "hidden_sizes": (400,),
                    "latent_dim": 40,
                    "learning_rate": 3e-3,
                    "kl_warmup_steps": 10000,
                    "ema_decay": 0.9995,
                    "prior": "gaussian",
                    "batch_size": 200,
                    "steps": 100000,
                    "save_every": 10000,
                    "sample_every": 10000,
                    "eval_every": 10000,
                    "log_every": 500,
                },
            },
            paper="Kingma & Welling 2014, Auto-Encoding Variational Bayes, arXiv:1312.6114",
            bibtex=BIBTEX,
        )
    ]


@genzoo.hookimpl
def genzoo_metrics() -> list[MetricSpec | FeatureSpec]:
    """Measures of a VAE's latent space."""
    return [
        MetricSpec(
            name="active_units",
            summary="latent dimensions that vary over the data",
            modality="image",
            unit="dimensions",
            better="higher",
            needs=("posterior",),
            target="genzoo_vae.measures:active_units",
        ),
        MetricSpec(
            name="mutual_information",
            summary="mutual information of test images and their latent vectors",
            modality="image",
            unit="nats",
            better="higher",
            needs=("posterior",),
            target="genzoo_vae.measures:mutual_information",
        ),
    ]
