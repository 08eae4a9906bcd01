"""A normalising flow for genzoo: options and registration, without torch."""

from dataclasses import dataclass

import genzoo
from genzoo import GeneratorSpec, option


@dataclass(frozen=True, kw_only=True)
class FlowOptions:
    couplings: int = option(6, help="Invertible layers.", minimum=1, maximum=64)
    width: int = option(256, help="Units of the hidden layer of each.", minimum=1, maximum=4096)
    learning_rate: float = option(1e-3, help="Adam's step size.", above=0, maximum=1)


@genzoo.hookimpl
def genzoo_generators():
    return [
        GeneratorSpec(
            name="flow",
            summary="Normalising flow of affine couplings over all pixels",
            modality="image",
            target="genzoo_flow.model:Flow",
            config=FlowOptions,
            defaults={"steps": 2000, "batch_size": 128},
            presets={"tiny": {"couplings": 4, "width": 32, "learning_rate": 5e-3}},
            paper="Dinh, Sohl-Dickstein & Bengio 2017",
        )
    ]
