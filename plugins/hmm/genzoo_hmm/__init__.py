"""Hidden Markov models of text for genzoo: options and registration. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

import genzoo
from genzoo import CommandSpec, GeneratorSpec, option


@dataclass(frozen=True, kw_only=True)
class HMMOptions:
    """Model and training of a hidden Markov model."""

    num_states: int = option(64, help="Hidden states.", minimum=1, maximum=4096)
    passage_length: int = option(
        256, help="Cut the training text into passages, gone through side by side.", unit="tokens", minimum=2,
        maximum=1_000_000,
    )  # fmt: skip
    transition_prior: float = option(
        0.1, help="Pseudo-count of every transition (a Dirichlet prior), which keeps rare ones from zero.", minimum=0
    )
    emission_prior: float = option(0.01, help="Pseudo-count of every token in every state.", minimum=0)
    restarts: int = option(
        3, help="Random beginnings, of which the likeliest after a few sweeps over a part is gone on with.", minimum=1
    )


@dataclass(frozen=True, kw_only=True)
class HMMSampleOptions:
    """How text is sampled."""

    prompt: str | None = option(None, help="Text to continue; - is standard input.", prose=True)
    max_new_tokens: int = option(500, help="Length of the continuation.", unit="tokens", minimum=1, maximum=10_000_000)

    def __post_init__(self) -> None:
        if self.prompt == "":
            raise ValueError("--prompt is empty; leave it out, or give a text")


@genzoo.hookimpl
def genzoo_generators() -> list[GeneratorSpec]:
    """The hidden Markov model."""
    return [
        GeneratorSpec(
            name="hmm",
            summary="Hidden Markov model: a chain of hidden states, each with its own letters",
            modality="text",
            target="genzoo_hmm.model:HMM",
            config=HMMOptions,
            sample_options=HMMSampleOptions,
            defaults={"steps": 100, "log_every": 5, "eval_every": 25, "sample_every": 50, "save_every": 25},
            presets={
                "tiny": {"num_states": 4, "passage_length": 64, "restarts": 1, "steps": 20},
                "two-states": {"num_states": 2, "restarts": 5},
                "large": {"num_states": 256, "restarts": 1},
            },
            paper="Rabiner 1989, A Tutorial on Hidden Markov Models and Selected Applications in Speech Recognition,"
            " doi:10.1109/5.18626",
            tags=("density",),
            mini_batches=False,
        )
    ]


@genzoo.hookimpl
def genzoo_commands() -> list[CommandSpec]:
    """A command for hidden Markov models."""
    return [
        CommandSpec(
            name="states",
            summary="Show the likeliest states of a text, or what each state stands for.",
            target="genzoo_hmm.commands:states",
        )
    ]
