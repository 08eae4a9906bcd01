"""Transformer language models for genzoo: options and registration. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

import genzoo
from genzoo import CommandSpec, GeneratorSpec, option


@dataclass(frozen=True, kw_only=True)
class TransformerOptions:
    """Network and training of a Transformer."""

    architecture: str = option(
        "llama",
        help="gpt2: learned positions, LayerNorm (Radford 2019); llama: rotary, RMSNorm, SwiGLU (Touvron 2023).",
        choices=("gpt2", "llama"),
    )
    num_layers: int = option(4, help="Transformer blocks.", minimum=1, maximum=200)
    num_heads: int = option(6, help="Attention heads of a block.", minimum=1, maximum=200)
    hidden_size: int = option(192, help="Width of the residual stream.", minimum=2, maximum=16384)
    context_length: int = option(
        128, help="Longest sequence that attention sees.", unit="tokens", minimum=2, maximum=131072
    )
    dropout: float = option(0.1, help="Dropout of embeddings and of each residual branch.", minimum=0, below=1)
    from_: str | None = option(
        None,
        help="Go on from a model and its tokeniser: a run, a folder in Hugging Face's layout, or a hub's name.",
    )
    from_config: str | None = option(None, help="That model's configuration as JSON; --from fills it in.", hidden=True)
    learning_rate: float = option(2e-3, help="AdamW's step size.", above=0, maximum=1)
    weight_decay: float = option(0.1, help="Decoupled weight decay of matrices.", minimum=0, maximum=10)
    beta2: float = option(0.99, help="AdamW's decay of the mean of squared gradients.", minimum=0, below=1)
    warmup_steps: int = option(
        100,
        help="Raise the learning rate linearly from 0 over this many steps; then it falls to 0 along a cosine.",
        minimum=0,
    )
    max_gradient_norm: float = option(1.0, help="Clip the gradient to this length.", above=0)
    accumulation: int = option(1, help="Parts of a batch whose gradients are accumulated, to save memory.", minimum=1)

    def __post_init__(self) -> None:
        if self.hidden_size % self.num_heads:
            raise ValueError(
                f"--hidden-size is {self.hidden_size}, which --num-heads {self.num_heads} does not divide evenly"
            )
        if self.architecture == "llama" and self.hidden_size // self.num_heads % 2:
            raise ValueError(
                f"--hidden-size {self.hidden_size} by --num-heads {self.num_heads} is an odd width of a head, which"
                " rotary positions cannot have"
            )


@dataclass(frozen=True, kw_only=True)
class TransformerSampleOptions:
    """How text is sampled."""

    prompt: str | None = option(None, help="Text to continue; - is standard input.", prose=True)
    max_new_tokens: int = option(500, help="Length of the continuation.", unit="tokens", minimum=1, maximum=10_000_000)
    temperature: float = option(0.8, help="Below 1: likelier tokens; 0: always the likeliest.", minimum=0, maximum=100)
    top_k: int | None = option(None, help="Draw from this many likeliest tokens.", minimum=1)
    top_p: float = option(
        1.0, help="Draw from the fewest tokens that have this share (Holtzman et al. 2020).", above=0, maximum=1
    )
    min_p: float = option(
        0.0, help="Leave out tokens below this share of the likeliest's (Nguyen et al. 2024).", minimum=0, maximum=1
    )
    repetition_penalty: float = option(
        1.0, help="Above 1: avoid tokens that occurred before (Keskar et al. 2019).", above=0, maximum=100
    )
    stop: tuple[str, ...] = option((), help="End before this text; may be given again.", repeated=True, prose=True)

    def __post_init__(self) -> None:
        for name, texts in (("prompt", (self.prompt,)), ("stop", self.stop)):
            if "" in texts:
                raise ValueError(f"--{name} is empty; leave it out, or give a text")


BIBTEX = """
@inproceedings{vaswani2017attention,
  title = {Attention Is All You Need},
  author = {Vaswani, Ashish and Shazeer, Noam and Parmar, Niki and Uszkoreit, Jakob and Jones, Llion
            and Gomez, Aidan N. and Kaiser, {\\L}ukasz and Polosukhin, Illia},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2017},
  eprint = {1706.03762}, archivePrefix = {arXiv}
}
"""


@genzoo.hookimpl
def genzoo_generators() -> list[GeneratorSpec]:
    """The Transformer."""
    return [
        GeneratorSpec(
            name="transformer",
            summary="Transformer language model: writes on from a prompt, one token after another",
            modality="text",
            target="genzoo_transformer.model:Transformer",
            config=TransformerOptions,
            sample_options=TransformerSampleOptions,
            schedule="cosine",
            defaults={"steps": 3000, "batch_size": 16, "eval_every": 500, "sample_every": 1000},
            presets={
                "tiny": {
                    "num_layers": 4,
                    "num_heads": 4,
                    "hidden_size": 128,
                    "context_length": 64,
                    "batch_size": 12,
                    "steps": 2000,
                    "learning_rate": 1e-3,
                },
                "small": {
                    "num_layers": 6,
                    "num_heads": 6,
                    "hidden_size": 384,
                    "context_length": 256,
                    "dropout": 0.2,
                    "batch_size": 64,
                    "steps": 5000,
                    "learning_rate": 1e-3,
                },
                "gpt2-124m": {
                    "architecture": "gpt2",
                    "num_layers": 12,
                    "num_heads": 12,
                    "hidden_size": 768,
                    "context_length": 1024,
                    "tokenizer": "bpe",
                    "vocab_size": 50257,
                    "batch_size": 480,
                    "accumulation": 40,
                    "steps": 600_000,
                    "learning_rate": 6e-4,
                    "beta2": 0.95,
                    "warmup_steps": 2000,
                },
            },
            paper="Vaswani et al. 2017, Attention Is All You Need, arXiv:1706.03762",
            bibtex=BIBTEX,
            tags=("density",),
            example_length="context_length",
        )
    ]


@genzoo.hookimpl
def genzoo_commands() -> list[CommandSpec]:
    """A command for Transformers."""
    return [
        CommandSpec(
            name="probe",
            summary="Show what a Transformer expects at each place of a text, and what it looks at.",
            target="genzoo_transformer.commands:probe",
        )
    ]
