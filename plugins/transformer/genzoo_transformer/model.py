"""Transformer language models (Vaswani et al. 2017, arXiv:1706.03762): training, likelihood and sampling.

The likelihood of a text is the product of the probabilities of each token given those before it,

    log p(x) = sum_t log p(x_t | x_1 ... x_{t-1}),

and one forward pass gives all the factors of a sequence: attention to later tokens is masked. Training maximises the
sum; sampling draws one x_t after another. The first token, which has no predecessor, is uniform over the vocabulary.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

import genzoo
from genzoo import DataSpec, Generator, RandomStreams, Run, TextTrainOptions, TokenData, Tokenizer, TrainOptions
from genzoo_transformer import TransformerOptions, TransformerSampleOptions, pretrained
from genzoo_transformer.drawing import Until, choose
from genzoo_transformer.network import LOGITS, Layout, Network

SCORED, SCORED_TOKENS = 2**24, 2**13  # logits, and tokens, that are computed at a time where a text is scored
RANDOM_CHUNK = 64  # random numbers that are drawn at a time for each text


class Transformer(Generator):
    """A causal language model; its options are `TransformerOptions`."""

    likelihood_kind: ClassVar[Literal["exact", "lower bound"]] = "exact"
    best_by: ClassVar[tuple[str, Literal["lower", "higher"]] | None] = ("validation/loss", "lower")
    tokenizer: Tokenizer

    def __init__(self, config: TransformerOptions, data: DataSpec) -> None:
        super().__init__(config, data)
        self.vocabulary = data.shape[0]
        self.network = build(config, self.vocabulary)

    @classmethod
    def settled(cls, config: TransformerOptions, training: TrainOptions) -> tuple[TransformerOptions, TrainOptions]:
        """With `--from`: the folder, configuration and tokeniser of the pretrained model."""
        if config.from_ is None or training.init_from is not None:
            return config, training
        assert isinstance(training, TextTrainOptions), "the model's modality is text"
        config, folder = pretrained.settled(config, training.runs_dir)
        if training.tokenizer not in (TextTrainOptions().tokenizer, str(folder)):
            raise genzoo.UsageError("--from brings its own tokeniser; leave --tokenizer out")
        return config, replace(training, tokenizer=str(folder))

    # Training

    def fit(self, run: Run) -> None:
        config = self.config
        if config.from_ is not None and run.options.init_from is None and run.step == 0:
            load_weights(self.network, Path(config.from_))
        assert isinstance(run.dataset, TokenData), "the model's modality is text"
        network, optimizer = run.prepare(self.network, self.optimizer())
        network = run.compile(network)
        bits = run.dataset.bits_per_character
        tokens_of_batch = run.options.batch_size * config.context_length
        run.count_flops(self.network.flops_per_token(config.context_length) * tokens_of_batch)
        run.count_memory(self.training_memory(-(-run.options.batch_size // config.accumulation), run.options.seed))
        for batch in run.batches(length=config.context_length + 1):
            for group in optimizer.param_groups:
                group["lr"] = config.learning_rate * self.rate(run.step, run.steps_total)
            optimizer.zero_grad()
            loss = torch.zeros((), device=run.device)
            for tokens in run.parts(batch.tokens, config.accumulation):  # (B / accumulation, T + 1)
                part_loss = network(tokens[:, :-1], tokens[:, 1:]) * len(tokens) / len(batch)
                run.backward(part_loss)
                loss += part_loss.detach()
            gradient_norm = run.clip(optimizer, config.max_gradient_norm)
            optimizer.step()
            run.log(loss=loss, bits_per_character=loss * bits, gradient_norm=gradient_norm)

    def optimizer(self) -> torch.optim.AdamW:
        """AdamW with weight decay on matrices only, not on biases and norms."""
        config, parameters = self.config, list(self.network.parameters())
        groups = [
            {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": config.weight_decay},
            {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(groups, config.learning_rate, betas=(0.9, config.beta2), fused=True)

    def training_memory(self, passages: int, seed: int) -> float:
        """About how many bytes a training takes in float32, besides what torch takes itself: weights, gradients,
        AdamW's two means of them, and what is kept for the backward pass of so many passages, which is counted with
        one."""
        weights = {p.untyped_storage().data_ptr(): p.untyped_storage().nbytes() for p in self.network.parameters()}
        kept: dict[int, int] = {}

        def count(tensor: Tensor) -> Tensor:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        length = self.config.context_length
        tokens = torch.zeros(1, length, dtype=torch.int64, device=self.device)
        with genzoo.seeded(seed, self.device), torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            logits = self.network(tokens)  # alive while it is counted, so that no memory is counted for two tensors
        passage = sum(size for address, size in kept.items() if address not in weights)
        of_loss = 3 * logits.element_size() * min(logits.numel() * passages, LOGITS)  # logits, shares and gradients
        return float(4 * sum(weights.values()) + passages * passage + of_loss)

    def rate(self, step: int, total: int) -> float:
        """The learning rate at a step, as a share of `--learning-rate`: linear warm-up, then a cosine to 0."""
        warmup = min(self.config.warmup_steps, total // 10)
        if step < warmup:
            return float((step + 1) / warmup)
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))

    # Score

    def log_likelihood(self, data: Tensor) -> Tensor:
        """log p(x_t | x_1 ... x_{t-1}) in nats of each token of texts, int64 (B, T) to float32 (B, T).

        Up to `context_length` tokens before each are seen. A longer text is scored in windows that overlap by half, so
        that each token is given at least half a context. The first token has log(1 / vocabulary).
        """
        length, context = data.shape[1], self.config.context_length
        scores = data.new_full(data.shape, -math.log(self.vocabulary), dtype=torch.float32)
        starts = [*range(0, length - 1 - context, max(1, context // 2)), max(0, length - 1 - context)]
        at_once = min(SCORED // self.vocabulary, SCORED_TOKENS)  # tokens
        windows_at_once = max(1, at_once // (min(length, context) * len(data)))
        scored = 1  # tokens of each text
        for first in range(0, len(starts), windows_at_once):
            group = starts[first : first + windows_at_once]
            windows = torch.cat([data[:, start : start + context + 1] for start in group])  # (W * B, context + 1)
            if windows.shape[1] < 2:
                continue
            window_scores = self._window_scores(windows).view(len(group), len(data), -1)  # (W, B, context)
            for start, window in zip(group, window_scores, strict=True):
                end = start + 1 + window.shape[1]
                scores[:, scored:end] = window[:, window.shape[1] - (end - scored) :]
                scored = end
        return scores

    def _window_scores(self, windows: Tensor) -> Tensor:
        """The log-likelihood of each token but the first, (B, T) to (B, T - 1)."""
        logits = self.network(windows[:, :-1]).float()  # (B, T - 1, V)
        return -F.cross_entropy(logits.transpose(1, 2), windows[:, 1:], reduction="none")

    # Sampling

    def sample(self, count: int, *, options: TransformerSampleOptions, rng: RandomStreams) -> list[str]:
        texts = [options.prompt or ""] * count
        for done, pieces in enumerate(self.pieces(count, options, rng) if count else ()):
            texts = [text + piece for text, piece in zip(texts, pieces, strict=True)]
            self.report(min(done, options.max_new_tokens), options.max_new_tokens)
        return texts

    def stream(self, *, options: TransformerSampleOptions, rng: RandomStreams) -> Iterator[str]:
        for (piece,) in self.pieces(1, options, rng):
            if piece:
                yield piece

    def pieces(self, count: int, options: TransformerSampleOptions, rng: RandomStreams) -> Iterator[list[str]]:
        """What each token adds to each of `count` texts, behind the prompt."""
        prompt, context = self.tokenizer.encode(options.prompt or self.default_prompt()), self.config.context_length
        if len(prompt) > context:
            message = f"the prompt has {len(prompt):,} tokens, more than the {context:,} that the model sees at once"
            warnings.warn(f"{message}; the last {context:,} are seen", genzoo.GenzooWarning, stacklevel=2)
        texts = [Until(self.tokenizer, options.stop, self.end_tokens()) for _ in range(count)]
        for tokens in self.tokens(count, prompt, options, rng):
            yield [text.add(token) for text, token in zip(texts, tokens.tolist(), strict=True)]
            if all(text.ended for text in texts):
                return
        yield [text.rest() for text in texts]

    def tokens(
        self, count: int, prompt: list[int], options: TransformerSampleOptions, rng: RandomStreams
    ) -> Iterator[Tensor]:
        """The next token of each of `count` texts, int64 (count,), one step after another."""
        context = self.config.context_length
        tokens = torch.empty(count, len(prompt) + options.max_new_tokens, dtype=torch.int64, device=self.device)
        tokens[:, : len(prompt)] = torch.tensor(prompt, device=self.device)
        capacity = min(context, tokens.shape[1])
        cache, cached, length = self.network.cache(count, capacity), 0, len(prompt)
        inputs = tokens[:, max(0, length - context) : length]  # tokens that are not in the cache, (count, T)
        for step in range(options.max_new_tokens):
            if step % RANDOM_CHUNK == 0:
                u = rng.uniform(RANDOM_CHUNK)  # (count, RANDOM_CHUNK)
            if cached + inputs.shape[1] > context:  # the context is full: start anew from the later half
                cache, cached = self.network.cache(count, capacity), 0
                inputs = tokens[:, length - max(1, context // 2) : length]
            logits = self.network(inputs, cache=cache, last=True)[:, -1].float()  # (count, V)
            cached += inputs.shape[1]
            inputs = choose(logits, tokens[:, :length], u[:, step % RANDOM_CHUNK], options)[:, None]  # (count, 1)
            tokens[:, length : length + 1] = inputs
            length += 1
            yield inputs[:, 0]

    def default_prompt(self) -> str:
        """The prompt of a text that has none: a new line, or the vocabulary's first token if it has no new line."""
        try:
            self.tokenizer.encode("\n")
            return "\n"
        except genzoo.UsageError:
            return self.tokenizer.decode([0])

    def end_tokens(self) -> set[int]:
        """Those after which a text is at its end: of a pretrained model, and the end of a message of a conversation."""
        end_of_message = self.tokenizer.special_tokens.get("<|end|>")
        return {*self.network.end_tokens, *(() if end_of_message is None else (end_of_message,))}

    def attention(self, tokens: Tensor) -> Tensor:
        """How much each token looks at those before it and at itself, by layer and head: int64 (T,), at most
        `context_length`, to float32 (L, H, T, T), whose rows sum to 1."""
        with torch.no_grad():
            weights: Tensor = self.network.attention(tokens[None])[0]
        return weights

    # Export to transformers

    def export(self, folder: Path) -> str:
        from genzoo_transformer import huggingface  # which imports transformers

        return huggingface.export(self.network, self.config, self.tokenizer, folder)


def build(config: TransformerOptions, vocabulary: int) -> Any:
    """The network of the options, with fresh weights, for tokens in [0, vocabulary): ours, or with `--from` one of
    transformers where it is none of ours."""
    if config.from_config is None:
        return Network(Layout.of(config, vocabulary))
    layout = pretrained.layout_of(json.loads(config.from_config), config.dropout, "--from")
    if layout is None:
        from genzoo_transformer.huggingface import PretrainedNetwork  # which imports transformers

        return PretrainedNetwork(config, vocabulary)
    if layout.vocabulary < vocabulary:
        raise ValueError(f"the pretrained model knows {layout.vocabulary} tokens, its tokeniser {vocabulary}")
    return Network(layout)


def load_weights(network: Any, folder: Path) -> None:
    """Those of the model that `--from` names."""
    if isinstance(network, Network):
        pretrained.load(network, folder)
    else:
        network.load(folder)
