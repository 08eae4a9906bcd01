"""Transformer language models (Vaswani et al. 2017, arXiv:1706.03762), on Hugging Face transformers.

The likelihood of a text is the product of that of each token given those before it,

    log p(x) = sum_t log p(x_t | x_1 ... x_{t-1}),

and one network says all the factors of a passage at once: attention to later tokens is masked. Training raises the sum;
sampling draws x_t after x_t. The first token, which nothing precedes, is held to be any of the vocabulary alike.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast
from transformers.cache_utils import DynamicCache, StaticCache

import genzoo
from genzoo import DataSpec, Generator, RandomStreams, Run, TextTrainOptions, TokenData, Tokenizer
from genzoo_transformer import TransformerOptions, TransformerSampleOptions
from genzoo_transformer.drawing import Chooser, Until
from genzoo_transformer.network import build, load_pretrained, settle, silence

SCORED = 2**24  # logits that are worked out at a time where a text is scored
AT_ONCE = 64  # random numbers that are drawn at a time


class Transformer(Generator):
    """A causal language model of transformers, in genzoo's frame."""

    likelihood_kind: ClassVar[Literal["exact", "lower bound"]] = "exact"
    best_by: ClassVar[tuple[str, Literal["lower", "higher"]] | None] = ("validation/loss", "lower")
    tokenizer: Tokenizer

    def __init__(self, config: TransformerOptions, data: DataSpec) -> None:
        super().__init__(config, data)
        self.vocabulary = data.shape[0]
        self.network = build(config, self.vocabulary)

    @classmethod
    def settled(cls, config: TransformerOptions, training: Any) -> tuple[TransformerOptions, Any]:
        """With `--from`: the folder, configuration and tokeniser of the pretrained model."""
        if config.from_ is None:
            return config, training
        folder, described, longest = settle(config.from_)
        if training.tokenizer not in (TextTrainOptions().tokenizer, str(folder)):
            raise genzoo.UsageError("--from brings its own tokeniser; leave --tokenizer out")
        length = min(config.context_length, longest)
        config = replace(config, from_=str(folder), from_config=described, context_length=length)
        return config, replace(training, tokenizer=str(folder))

    # Training

    def fit(self, run: Run) -> None:
        config = self.config
        if config.from_ is not None and run.step == 0:
            load_pretrained(self.network, config.from_)
        parameters = list(self.network.parameters())
        groups = [
            {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": config.weight_decay},
            {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, config.learning_rate, betas=(0.9, config.beta2), fused=True)
        network, optimizer = run.prepare(self.network, optimizer)
        network = run.compile(network)
        assert isinstance(run.dataset, TokenData), "the model is of text"
        bits = run.dataset.bits_per_character
        run.count_flops(self.flops_per_token() * run.options.batch_size * config.context_length)
        for batch in run.batches(length=config.context_length + 1):
            passages = batch.tokens  # (B, T + 1)
            for group in optimizer.param_groups:
                group["lr"] = config.learning_rate * self.rate(run.step, run.steps_total)
            optimizer.zero_grad()
            total = torch.zeros((), device=run.device)
            for part in passages.chunk(config.accumulation):
                logits = network(input_ids=part[:, :-1], use_cache=False).logits  # (B, T, V)
                loss = F.cross_entropy(logits.flatten(0, 1).float(), part[:, 1:].flatten()) * len(part) / len(passages)
                run.backward(loss)
                total += loss.detach()
            norm = nn.utils.clip_grad_norm_(parameters, config.max_gradient_norm)
            optimizer.step()
            run.log(loss=total, bits_per_character=total * bits, gradient_norm=norm)

    def rate(self, step: int, total: int) -> float:
        """The share of the learning rate at a step."""
        warmup = min(self.config.warmup_steps, total // 10)
        if step < warmup:
            return float((step + 1) / warmup)
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))

    def flops_per_token(self) -> float:
        """Of a training step: 6 for each weight that multiplies, and attention (Chowdhery et al. 2022, appendix B)."""
        looked_up = sum(m.weight.numel() for m in self.network.modules() if isinstance(m, nn.Embedding))
        tied = self.network.get_output_embeddings().weight is self.network.get_input_embeddings().weight
        weights = sum(p.numel() for p in self.network.parameters()) - looked_up
        weights += self.network.get_input_embeddings().weight.numel() if tied else 0
        shape = self.network.config
        return float(6 * weights + 12 * shape.num_hidden_layers * shape.hidden_size * self.config.context_length)

    # Score

    def log_likelihood(self, data: Tensor) -> Tensor:
        """Nats of each token of texts given those before it: of tokens (B, T), int64, float32 (B, T).

        Up to `context_length` tokens are seen before each. A longer text is gone through in passages that overlap by
        half, so that each token has half of that before it or more. The first has log(1 / vocabulary).
        """
        length, context = data.shape[1], self.config.context_length
        found = data.new_full(data.shape, -math.log(self.vocabulary), dtype=torch.float32)
        starts = [*range(0, length - 1 - context, max(1, context // 2)), max(0, length - 1 - context)]
        rows = max(1, SCORED // (min(length, context) * self.vocabulary * len(data)))
        known = 1  # tokens that are scored
        for first in range(0, len(starts), rows):
            group = starts[first : first + rows]
            windows = torch.cat([data[:, start : start + context + 1] for start in group])  # (rows * B, context + 1)
            if windows.shape[1] < 2:
                continue
            nats = self._nats(windows).view(len(group), len(data), -1)
            for start, scores in zip(group, nats, strict=True):
                last = start + 1 + scores.shape[1]
                found[:, known:last] = scores[:, scores.shape[1] - (last - known) :]
                known = last
        return found

    def _nats(self, windows: Tensor) -> Tensor:
        """Of each token but the first, (B, T) to (B, T - 1)."""
        logits = self.network(input_ids=windows[:, :-1], use_cache=False).logits.float()
        return -F.cross_entropy(logits.transpose(1, 2), windows[:, 1:], reduction="none")

    # Sampling

    def sample(self, count: int, *, options: TransformerSampleOptions, rng: RandomStreams) -> list[str]:
        texts = [""] * count
        for done, pieces in enumerate(self.pieces(count, options, rng) if count else ()):
            texts = [text + piece for text, piece in zip(texts, pieces, strict=True)]
            self.report(min(done, options.max_new_tokens), options.max_new_tokens)
        return texts

    def stream(self, *, options: TransformerSampleOptions, rng: RandomStreams) -> Iterator[str]:
        for (piece,) in self.pieces(1, options, rng):
            if piece:
                yield piece

    def pieces(self, count: int, options: TransformerSampleOptions, rng: RandomStreams) -> Iterator[list[str]]:
        """What each of `count` texts goes on with, step by step; first the prompt."""
        prompt = self.tokenizer.encode(options.prompt or self.beginning())
        if options.prompt is not None:
            yield [options.prompt] * count
        until = [Until(self.tokenizer, options.stop, self.ends()) for _ in range(count)]
        for tokens in self.tokens(count, prompt, options, rng):
            yield [row.add(token) for row, token in zip(until, tokens.tolist(), strict=True)]
            if all(row.ended for row in until):
                return
        yield [row.rest() for row in until]

    def tokens(
        self, count: int, prompt: list[int], options: TransformerSampleOptions, rng: RandomStreams
    ) -> Iterator[Tensor]:
        """The next token of each of `count` texts, (count,), step by step."""
        context, choose = self.config.context_length, Chooser(options)
        known = torch.empty(count, len(prompt) + options.max_new_tokens, dtype=torch.int64, device=self.device)
        known[:, : len(prompt)] = torch.tensor(prompt, device=self.device)
        cache, cached, length = self.cache(), 0, len(prompt)
        fresh = known[:, max(0, length - context) : length]
        for step in range(options.max_new_tokens):
            if step % AT_ONCE == 0:
                numbers = rng.uniform(AT_ONCE)  # (count, AT_ONCE)
            if cached + fresh.shape[1] > context:  # all is seen that can be: begin anew with the later half
                cache, cached = self.cache(), 0
                fresh = known[:, length - max(1, context // 2) : length]
            seen = self.network(input_ids=fresh, past_key_values=cache, use_cache=True, logits_to_keep=1)
            cached += fresh.shape[1]
            fresh = choose(seen.logits[:, -1].float(), known[:, :length], numbers[:, step % AT_ONCE])[:, None]
            known[:, length : length + 1] = fresh
            length += 1
            yield fresh[:, 0]

    def cache(self) -> DynamicCache | StaticCache:
        """A key-value cache: on CUDA of one size, so that nothing is allocated from token to token."""
        if self.device.type == "cuda":
            return StaticCache(config=self.network.config, max_cache_len=self.config.context_length)
        return DynamicCache(config=self.network.config)

    def beginning(self) -> str:
        """What a text without a prompt goes on from: a new line, or the first token if there is none."""
        try:
            self.tokenizer.encode("\n")
            return "\n"
        except genzoo.UsageError:
            return self.tokenizer.decode([0])

    def ends(self) -> set[int]:
        """Tokens that end a text, for pretrained models that have such."""
        found = self.network.config.eos_token_id
        return set() if found is None else set(found) if isinstance(found, list) else {found}

    # The formats of other libraries

    def export(self, folder: Path) -> str:
        with silence():
            self.network.save_pretrained(folder)
        (folder / "tokenizer.json").write_text(self.tokenizer.json, "utf-8")
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_file=str(folder / "tokenizer.json"), model_max_length=self.config.context_length,
            clean_up_tokenization_spaces=False,
        )  # fmt: skip
        tokenizer.save_pretrained(folder)
        return f"AutoModelForCausalLM.from_pretrained('{folder}'), AutoTokenizer.from_pretrained('{folder}')"
