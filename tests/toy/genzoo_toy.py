"""A plugin for the tests: a model with all that a run may have to restore, two data sets and a command."""

from dataclasses import dataclass

import genzoo
from genzoo import CommandSpec, DatasetSpec, GeneratorSpec, option


@dataclass(frozen=True, kw_only=True)
class ToyOptions:
    width: int = option(8, help="Hidden units.", minimum=1, maximum=64)
    sizes: tuple[int, ...] = option((4, 4), help="A list.", minimum=1)
    rate: float = option(0.05, help="Step size.", above=0, below=1)
    conditional: bool = option(False, help="Learn from labels.")
    bias: bool = option(True, help="Whether there is one.")
    style: str = option("plain", help="A choice.", choices=("plain", "fancy"))
    limit: int | None = option(None, help="None is no limit.", minimum=1)
    break_at: int = option(0, help="The step whose loss is NaN; 0: none.", minimum=0)
    break_weights: int = option(0, help="The step that leaves the weights infinite; 0: none.", minimum=0)
    pause: float = option(0.0, help="Seconds that a step takes.", minimum=0, unit="seconds")


@dataclass(frozen=True, kw_only=True)
class ToySampleOptions:
    shift: float = option(0.0, help="Added to the noise.", minimum=-1, maximum=1)


@genzoo.hookimpl
def genzoo_generators():
    return [
        GeneratorSpec(
            name="toy",
            summary="A toy",
            modality="image",
            target="genzoo_toy_model:Toy",
            config=ToyOptions,
            sample_options=ToySampleOptions,
            defaults={"steps": 12, "batch_size": 8, "data": "dots", "log_every": 4, "save_every": 5},
            presets={"wide": {"width": 32, "batch_size": 4}},
        )
    ]


@genzoo.hookimpl
def genzoo_datasets():
    return [
        DatasetSpec(name="dots", summary="Dots", modality="image", target="genzoo_toy_model:load_dots"),
        DatasetSpec(name="broken", summary="Fails", modality="image", target="genzoo_toy_model:load_broken"),
    ]


@genzoo.hookimpl
def genzoo_commands():
    return [CommandSpec(name="greet", summary="Say hello", target="genzoo_toy_model:greet")]
