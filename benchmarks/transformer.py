"""Training and sampling Transformers: genzoo against plain loops over other networks of the same sizes, run in turn.

    uv run python benchmarks/transformer.py --preset tiny
    uv run python benchmarks/transformer.py --preset small --steps 4 --rounds 3
    uv run python benchmarks/transformer.py --preset small --sampling

The plain loops have torch's own modules, AdamW that is not fused, batches stacked from slices, gradient clipping, and
read no loss: one over the network of transformers, one over a network as nanoGPT has it (GPT-2 without biases). With
`--sampling` one text is drawn after 180 tokens, and a plain loop looks at all of it again for each of 40 tokens.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from plain import take_turns
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

import genzoo
from genzoo.interface.dataset import silent
from genzoo.registry.data import open_data
from genzoo.registry.plugins import registry
from genzoo_transformer import TransformerOptions
from genzoo_transformer.huggingface import described

TEXT = registry().modalities.get("text")[1]
DATA: Any = open_data(TEXT, TEXT.train_options(), {}, silent)[0]
TOKENS = torch.as_tensor(DATA.tokens["train"], dtype=torch.int64)
OFF = {"save_every": 0, "sample_every": 0, "eval_every": 0}
PROMPT, DRAWN = 180, 40  # tokens


def layout(preset: str) -> dict[str, Any]:
    """The options of a preset, without dropout, in which the sides differ."""
    spec = registry().generators.get("transformer")[1]
    values = {**spec.defaults, **(spec.presets[preset] if preset else {})}
    return {key: value for key, value in values.items() if key not in OFF and key != "steps"} | {"dropout": 0.0}


def engine(steps: int, options: dict[str, Any]) -> float:
    """Tokens a second of a genzoo training."""
    with tempfile.TemporaryDirectory() as folder:
        run = genzoo.train("transformer", steps=steps, runs_dir=folder, **options, **OFF)
        return steps * tokens_of_step(options) / run.record["seconds"]


def tokens_of_step(options: dict[str, Any]) -> int:
    return int(options["batch_size"] * config_of(options).context_length)


def config_of(options: dict[str, Any]) -> TransformerOptions:
    return TransformerOptions(**{key: value for key, value in options.items() if hasattr(TransformerOptions(), key)})


def plain_network(config: TransformerOptions) -> Any:
    return AutoModelForCausalLM.from_config(described(config, DATA.tokenizer.size), attn_implementation="sdpa")


class Block(nn.Module):
    """GPT-2's block as nanoGPT has it."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.ln_1, self.ln_2 = nn.LayerNorm(width, bias=False), nn.LayerNorm(width, bias=False)
        self.c_attn, self.c_proj = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width, bias=False), nn.GELU(), nn.Linear(4 * width, width, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:  # (B, T, C)
        q, k, v = (
            part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in self.c_attn(self.ln_1(x)).chunk(3, 2)
        )
        x = x + self.c_proj(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2))
        return x + self.mlp(self.ln_2(x))


class NanoGPT(nn.Module):
    """The network of nanoGPT, of a configuration's sizes."""

    def __init__(self, config: TransformerOptions) -> None:
        super().__init__()
        width, vocabulary = config.hidden_size, DATA.tokenizer.size
        self.wte, self.wpe = nn.Embedding(vocabulary, width), nn.Embedding(config.context_length, width)
        self.blocks = nn.Sequential(*(Block(width, config.num_heads) for _ in range(config.num_layers)))
        self.ln_f, self.lm_head = nn.LayerNorm(width, bias=False), nn.Linear(width, vocabulary, bias=False)
        self.lm_head.weight = self.wte.weight

    def forward(self, tokens: Tensor) -> Tensor:
        return self.lm_head(self.ln_f(self.blocks(self.wte(tokens) + self.wpe(torch.arange(tokens.shape[1])))))


def plain(steps: int, options: dict[str, Any], nanogpt: bool) -> float:
    """The same of a plain loop."""
    config = config_of(options)
    length, network = config.context_length, (NanoGPT(config) if nanogpt else plain_network(config)).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, betas=(0.9, 0.99), weight_decay=0.1)
    start = time.perf_counter()
    for _ in range(steps):
        places = torch.randint(0, len(TOKENS) - length, (options["batch_size"],)).tolist()
        x = torch.stack([TOKENS[place : place + length] for place in places])
        y = torch.stack([TOKENS[place + 1 : place + 1 + length] for place in places])
        logits = network(x) if nanogpt else network(input_ids=x).logits
        loss = F.cross_entropy(logits.flatten(0, 1), y.flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
    return steps * tokens_of_step(options) / (time.perf_counter() - start)


def cached(count: int, model: Any) -> float:
    """Tokens a second of genzoo's stream after a prompt of 180 tokens."""
    prompt = model.tokenizer.decode(TOKENS[:PROMPT].tolist())
    start = time.perf_counter()
    for _ in range(count):
        text = "".join(genzoo.stream(model, prompt=prompt, max_new_tokens=DRAWN, top_k=40))
        assert len(text) == DRAWN
    return count * DRAWN / (time.perf_counter() - start)


@torch.no_grad()
def recomputing(count: int, network: Any) -> float:
    """The same of a loop that looks at the whole context for each token."""
    start = time.perf_counter()
    for _ in range(count):
        known = TOKENS[None, :PROMPT]
        for _ in range(DRAWN):
            logits = network(input_ids=known, use_cache=False).logits[:, -1] / 0.8
            logits[logits < logits.topk(40).values[:, -1:]] = -torch.inf
            known = torch.cat([known, torch.multinomial(logits.softmax(1), 1)], dim=1)
    return count * DRAWN / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--preset", default="", help="tiny, small or gpt2-124m; else the default layout.")
    parser.add_argument("--architecture", default="llama", help="gpt2 or llama.")
    parser.add_argument("--sampling", action="store_true", help="Draw text instead.")
    arguments = parser.parse_args()
    options = layout(arguments.preset) | {"architecture": arguments.architecture}
    if arguments.sampling:
        with tempfile.TemporaryDirectory() as folder:
            model = genzoo.load(
                genzoo.train("transformer", steps=1, runs_dir=folder, **options | {"batch_size": 1}, **OFF)
            )
        sides = {
            "genzoo": partial(cached, model=model),
            "recomputing": partial(recomputing, network=plain_network(config_of(options)).eval()),
        }
        take_turns(sides, arguments.rounds, 3, unit="tokens")
    else:
        sides = {
            "genzoo": partial(engine, options=options),
            "transformers": partial(plain, options=options, nanogpt=False),
            "nanoGPT": partial(plain, options=options, nanogpt=True),
        }
        take_turns(sides, arguments.rounds, arguments.steps, unit="tokens")


if __name__ == "__main__":
    main()
