"""Denoising diffusion (Ho et al. 2020) for genzoo: options and registration. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

import genzoo
from genzoo import CommandSpec, GeneratorSpec, option


@dataclass(frozen=True, kw_only=True)
class DiffusionOptions:
    """U-Net, forward process and training of a diffusion model."""

    conditional: bool = option(False, help="Learn from labels, so that samples of a class can be drawn.")
    label_dropout: float = option(
        0.1,
        help="Share of training images whose label is dropped, for classifier-free guidance (Ho & Salimans 2022).",
        minimum=0,
        below=1,
    )
    width: int = option(16, help="Channels of the U-Net at full size.", minimum=4, maximum=1024)
    channel_multipliers: tuple[int, ...] = option(
        (1, 2, 4),
        help="Channels at each size, as multiples of the width; every further size is half.",
        minimum=1,
        maximum=16,
    )
    layers_per_block: int = option(1, help="Residual blocks at each size.", minimum=1, maximum=8)
    attention_resolutions: tuple[int, ...] = option(
        (8,), help="Sizes whose blocks have self-attention; the middle always has it.", minimum=1
    )
    dropout: float = option(0.0, help="Dropout in the residual blocks.", minimum=0, below=1)
    prediction: str = option(
        "v",
        help="What the network predicts of a noisy image: the noise, v (Salimans & Ho 2022), or the clean image.",
        choices=("noise", "v", "sample"),
    )
    schedule: str = option(
        "cosine",
        help="How noise grows: beta linear (Ho 2020), or a cosine (Nichol & Dhariwal 2021).",
        choices=("linear", "cosine"),
    )
    num_timesteps: int = option(1000, help="Steps from image to noise.", minimum=2, maximum=10000)
    timestep_sampling: str = option(
        "stratified",
        help="Timesteps of a batch: independent, or one from each of as many equal parts.",
        choices=("uniform", "stratified"),
    )
    min_snr_gamma: float = option(
        5.0, help="Weigh timesteps by min(SNR, gamma) (Hang et al. 2023); 0: equally.", minimum=0
    )
    learning_rate: float = option(2e-3, help="AdamW's step size.", above=0, maximum=1)
    learning_rate_schedule: str = option(
        "cosine",
        help="Constant after the warm-up, or falling to zero along a cosine.",
        choices=("constant", "cosine"),
    )
    warmup_steps: int = option(100, help="Raise the learning rate linearly from 0 over this many steps.", minimum=0)
    max_gradient_norm: float = option(1.0, help="Clip the gradient to this length.", above=0)
    ema_decay: float = option(
        0.995, help="Sample with an exponential moving average of the weights; 0: with the weights.", minimum=0, below=1
    )

    def __post_init__(self) -> None:
        if self.width % 4:
            raise ValueError(f"--width is {self.width}; allowed is a multiple of 4")


@dataclass(frozen=True, kw_only=True)
class DiffusionSampleOptions:
    """How a trained diffusion model is sampled."""

    sampler: str = option(
        "dpm-solver++",
        help="Ancestral (Ho 2020), DDIM (Song 2021), DPM-Solver++ (Lu 2022) or UniPC (Zhao 2023).",
        choices=("ddpm", "ddim", "dpm-solver++", "unipc"),
    )
    num_steps: int = option(20, help="Evaluations of the network for a sample.", minimum=1, maximum=10000)
    eta: float = option(0.0, help="Noise of ddim: 0 is deterministic, 1 is as much as ddpm's.", minimum=0, maximum=1)
    guidance_scale: float = option(
        1.0, help="Weight of the class in classifier-free guidance; 1: no guidance.", minimum=0, maximum=100
    )

    def __post_init__(self) -> None:
        if self.eta and self.sampler != "ddim":
            raise ValueError(f"--eta has a meaning with --sampler ddim alone, not with {self.sampler}")


BIBTEX = """
@inproceedings{ho2020denoising,
  title = {Denoising Diffusion Probabilistic Models},
  author = {Ho, Jonathan and Jain, Ajay and Abbeel, Pieter},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2020},
  eprint = {2006.11239}, archivePrefix = {arXiv}
}
"""


@genzoo.hookimpl
def genzoo_generators() -> list[GeneratorSpec]:
    """The diffusion model."""
    return [
        GeneratorSpec(
            name="diffusion",
            summary="Denoising diffusion: a U-Net that takes noise away, step by step",
            modality="image",
            target="genzoo_diffusion.model:Diffusion",
            config=DiffusionOptions,
            sample_options=DiffusionSampleOptions,
            schedule="learning_rate_schedule",
            defaults={"steps": 4000, "batch_size": 64, "eval_every": 1000},
            presets={
                "quick": {},
                "tiny": {
                    "width": 8,
                    "channel_multipliers": (1, 2),
                    "attention_resolutions": (),
                    "num_timesteps": 100,
                    "steps": 500,
                },
                "cifar10": {
                    "width": 128,
                    "channel_multipliers": (1, 2, 2, 2),
                    "layers_per_block": 2,
                    "attention_resolutions": (16,),
                    "dropout": 0.1,
                    "prediction": "noise",
                    "schedule": "linear",
                    "min_snr_gamma": 0.0,
                    "timestep_sampling": "uniform",
                    "learning_rate": 2e-4,
                    "learning_rate_schedule": "constant",
                    "warmup_steps": 5000,
                    "ema_decay": 0.9999,
                    "batch_size": 128,
                    "steps": 800_000,
                    "data": "cifar10",
                    "save_every": 5000,
                    "sample_every": 5000,
                    "eval_every": 0,
                },
            },
            paper="Ho et al. 2020, Denoising Diffusion Probabilistic Models, arXiv:2006.11239",
            bibtex=BIBTEX,
        )
    ]


@genzoo.hookimpl
def genzoo_commands() -> list[CommandSpec]:
    """Commands for diffusion models."""
    return [
        CommandSpec(
            name="inpaint",
            summary="Fill in the unknown part of a picture with a diffusion run.",
            target="genzoo_diffusion.commands:inpaint",
        ),
        CommandSpec(
            name="trajectory",
            summary="Show samples of a diffusion run on their way from noise to image.",
            target="genzoo_diffusion.commands:trajectory",
        ),
    ]
