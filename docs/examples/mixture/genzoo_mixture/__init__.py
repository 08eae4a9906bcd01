"""A mixture of Gaussians for genzoo: options and registration, without torch."""

from dataclasses import dataclass

import genzoo
from genzoo import GeneratorSpec, option


@dataclass(frozen=True, kw_only=True)
class MixtureOptions:
    components: int = option(20, help="Gaussians that are mixed.", minimum=1, maximum=1000)
    floor: float = option(1e-3, help="Least variance of a pixel.", above=0, maximum=1)


@genzoo.hookimpl
def genzoo_generators():
    return [
        GeneratorSpec(
            name="mixture",
            summary="Mixture of Gaussians with diagonal covariances",
            modality="image",
            target="genzoo_mixture.model:Mixture",
            config=MixtureOptions,
            defaults={"steps": 20, "log_every": 1},
            paper="Dempster, Laird & Rubin 1977",
            tags=("density",),
            mini_batches=False,
        )
    ]
