"""The hidden Markov model (Rabiner 1989, doi:10.1109/5.18626), to be read from top to bottom.

A chain of hidden states z_1, z_2, ... steps from state to state by chance, and each state gives a token by chance:

    p(x, z) = pi(z_1) B(z_1, x_1) prod_t A(z_{t-1}, z_t) B(z_t, x_t)

What is seen are the tokens. One pass forward sums p(x, z) over all paths of states, in time linear in the length; one
pass back gives how often each transition and each token of a state is expected to have been taken. Setting A, B and pi
to these shares, again and again, never makes the text less likely (Baum et al. 1970).

In shapes, S are states, V tokens of the vocabulary, B texts, T their tokens. Equations are those of Rabiner's paper.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from genzoo import DataSpec, Generator, RandomStreams, Run, TokenData, Tokenizer, kernels
from genzoo_hmm import HMMOptions, HMMSampleOptions

NUMBERS = 2**26  # floats of a pass that are in memory at a time
RANDOM_CHUNK = 64  # tokens for which random numbers are drawn at a time
RESTART_SWEEPS, RESTART_TOKENS = 10, 100_000
TINY = torch.finfo(torch.float32).tiny


@dataclass
class Chain:
    """The probabilities of a hidden Markov model: `initial` (S,), `transition` (S, S) and `emission` (S, V), whose rows
    sum to 1."""

    initial: Tensor
    transition: Tensor
    emission: Tensor

    @classmethod
    def random(cls, states: int, token_shares: Tensor, generator: torch.Generator) -> Chain:
        """One to begin with: rows drawn from a flat Dirichlet distribution, tokens weighted by their shares (V,) of the
        text."""

        def rows(*shape: int) -> Tensor:
            return (
                -torch.rand(shape, generator=generator).clamp_min(1e-9).log()
            )  # exponential, so Dirichlet when scaled

        initial, transition, emission = rows(states), rows(states, states), rows(states, len(token_shares))
        return cls(shares(initial), shares(transition), shares(emission * token_shares))

    def forward(self, tokens: Tensor, predicted: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The scaled forward variables (section V.A) of texts (B, T) whose first state is distributed as `predicted`,
        (S,) or (B, S): p(z_t | x_1 ... x_t), (T, B, S); the scales p(x_t | x_1 ... x_{t-1}), (T, B); and B(z_t, x_t),
        (T, B, S)."""
        emitted = self.emission.t()[tokens.t()]  # (T, B, S)
        alpha, scales = torch.empty_like(emitted), emitted.new_empty(emitted.shape[:2])
        for t in range(len(emitted)):
            joint = predicted * emitted[t]
            scales[t] = joint.sum(1)
            alpha[t] = joint / scales[t].clamp_min(TINY)[:, None]
            predicted = times(alpha[t], self.transition)
        return alpha, scales, emitted


def shares(counts: Tensor) -> Tensor:
    """Counts (..., N) as shares of their sum."""
    return counts / counts.sum(-1, keepdim=True).clamp_min(TINY)


def times(rows: Tensor, matrix: Tensor) -> Tensor:
    """rows (B, S) times a matrix (S, N)."""
    return kernels.Linear.product(rows, matrix.t(), None)


class Counts:
    """How often a text is expected to have begun in each state, taken each transition, and shown each token in each
    state: the sufficient statistics of a sweep.

    Attributes:
        log_likelihood: of the texts that were counted, in nats.
    """

    def __init__(self, chain: Chain) -> None:
        self.chain, self.log_likelihood = chain, 0.0
        self.initial, self.transition = torch.zeros_like(chain.initial), torch.zeros_like(chain.transition)
        self.emission = torch.zeros_like(chain.emission.t())  # (V, S)

    def add(self, tokens: Tensor) -> None:
        """The expectation step (equations 37 and 38) for texts (B, T)."""
        alpha, scales, emitted = self.chain.forward(tokens, self.chain.initial)
        backward = self.chain.transition.t().contiguous()
        beta = torch.ones_like(alpha[0])  # p(x_{t+1} ... | z_t) / p(x_{t+1} ... | x_1 ... x_t), (B, S)
        weighted = emitted.div_(scales.clamp_min(TINY)[:, :, None])
        for t in range(len(alpha) - 1, -1, -1):
            state = alpha[t] * beta  # p(z_t | x), (B, S)
            self.emission.index_add_(0, tokens[:, t], state)
            weighted[t] *= beta
            beta = times(weighted[t], backward)
        self.initial += state.sum(0)
        self.transition += alpha[:-1].flatten(0, 1).t() @ weighted[1:].flatten(0, 1)
        self.log_likelihood += scales.log().cpu().double().sum().item()

    def maximised(self, config: HMMOptions) -> Chain:
        """The maximisation step (equation 40), with pseudo-counts: the chain of the largest posterior probability."""
        transition = self.transition * self.chain.transition
        return Chain(
            shares(self.initial + config.transition_prior),
            shares(transition + config.transition_prior),
            shares(self.emission.t() + config.emission_prior),
        )


class HMM(Generator):
    """A hidden Markov model of text; its options are `HMMOptions`."""

    likelihood_kind: ClassVar[Literal["exact", "lower bound"]] = "exact"
    best_by: ClassVar[tuple[str, Literal["lower", "higher"]] | None] = ("validation/loss", "lower")
    tokenizer: Tokenizer
    config: HMMOptions
    initial: Tensor
    transition: Tensor
    emission: Tensor

    def __init__(self, config: HMMOptions, data: DataSpec) -> None:
        super().__init__(config, data)
        (self.vocabulary,) = data.shape
        states, generator = config.num_states, torch.Generator().manual_seed(0)
        chain = Chain.random(states, torch.full((self.vocabulary,), 1 / self.vocabulary), generator)
        self.register_buffer("initial", chain.initial)
        self.register_buffer("transition", chain.transition)
        self.register_buffer("emission", chain.emission)

    @property
    def chain(self) -> Chain:
        """The model's probabilities."""
        return Chain(self.initial, self.transition, self.emission)

    def take(self, chain: Chain) -> None:
        """Set the model's probabilities."""
        for buffer, values in ((self.initial, chain.initial), (self.transition, chain.transition)):
            buffer.copy_(values)
        self.emission.copy_(chain.emission)

    # Training

    @torch.no_grad()
    def fit(self, run: Run) -> None:
        assert isinstance(run.dataset, TokenData), "the model's modality is text"
        every = torch.as_tensor(run.dataset.tokens["train"])
        passages = self.passages(every, run.device)
        count, bits = sum(part.numel() for part in passages), run.dataset.bits_per_character
        if run.step == 0:
            self.take(self.begun(every, run))
        for _ in run.steps():
            counts = self.swept(self.chain, passages)
            self.take(counts.maximised(self.config))
            loss = -counts.log_likelihood / count  # of the chain before this sweep
            run.log(loss=loss, bits_per_character=loss * bits)

    def swept(self, chain: Chain, passages: list[Tensor]) -> Counts:
        """The expectation step over all passages."""
        counts = Counts(chain)
        for part in passages:
            counts.add(part)
        return counts

    def passages(self, tokens: Tensor, device: torch.device) -> list[Tensor]:
        """Tokens (N,) cut into passages, int64 (B, T): as many together as fit in memory with what a pass makes of
        them."""
        length = min(self.config.passage_length, len(tokens))
        whole = tokens[: len(tokens) // length * length].view(-1, length)
        parts = list(torch.split(whole, max(1, NUMBERS // (length * self.config.num_states))))
        rest = tokens[whole.numel() :]
        parts += [rest[None]] if len(rest) else []
        return [part.to(device, torch.int64) for part in parts]

    def begun(self, tokens: Tensor, run: Run) -> Chain:
        """The likeliest of some random chains after a few sweeps over the beginning of the text."""
        config, generator = self.config, torch.Generator().manual_seed(run.options.seed)
        token_shares = shares(torch.bincount(tokens.cpu().long(), minlength=self.vocabulary).float() + 1e-3)
        passages = self.passages(tokens[:RESTART_TOKENS], run.device)
        best, highest = None, -math.inf
        for _ in range(config.restarts):
            chain = Chain.random(config.num_states, token_shares, generator)
            chain = Chain(chain.initial.to(run.device), chain.transition.to(run.device), chain.emission.to(run.device))
            if config.restarts == 1:
                return chain
            for _ in range(RESTART_SWEEPS):
                counts = self.swept(chain, passages)
                chain = counts.maximised(config)
            if counts.log_likelihood > highest:
                best, highest = chain, counts.log_likelihood
        assert best is not None, "there is one restart at least"
        return best

    # Likelihood

    @torch.no_grad()
    def log_likelihood(self, data: Tensor) -> Tensor:
        """log p(x_t | x_1 ... x_{t-1}) in nats of each token of texts, int64 (B, T) to float32 (B, T)."""
        chain, predicted, scores = self.chain, self.initial, []
        for part in torch.split(data, max(1, NUMBERS // max(1, len(data) * self.config.num_states)), dim=1):
            alpha, scales, _ = chain.forward(part, predicted)
            predicted = times(alpha[-1], chain.transition)
            scores.append(scales.log().t())
        return torch.cat(scores, 1)

    @torch.no_grad()
    def states(self, tokens: Tensor) -> Tensor:
        """The likeliest path of states (Viterbi; section III.B) of a text, int64 (T,) to int64 (T,)."""
        transition, emitted = self.transition.log(), self.emission.log().t()[tokens]  # (S, S), (T, S)
        best, origins = self.initial.log() + emitted[0], []  # of paths that end in each state, (S,)
        for scores in emitted[1:]:
            values, origin = (best[:, None] + transition).max(0)  # (S,) each
            best = values + scores
            origins.append(origin)
        path = [best.argmax()]
        for origin in reversed(origins):
            path.append(origin[path[-1]])
        return torch.stack(path[::-1])

    # Sampling

    def sample(self, count: int, *, options: HMMSampleOptions, rng: RandomStreams) -> list[str]:
        texts = [options.prompt or ""] * count
        for done, pieces in enumerate(self.pieces(count, options, rng) if count else (), start=1):
            texts = [text + piece for text, piece in zip(texts, pieces, strict=True)]
            self.report(done, options.max_new_tokens)
        return texts

    def stream(self, *, options: HMMSampleOptions, rng: RandomStreams) -> Iterator[str]:
        for (piece,) in self.pieces(1, options, rng):
            if piece:
                yield piece

    def pieces(self, count: int, options: HMMSampleOptions, rng: RandomStreams) -> Iterator[list[str]]:
        """What each token adds to each of `count` texts, behind the prompt."""
        texts = [self.tokenizer.pieces() for _ in range(count)]
        for tokens in self.tokens(count, options, rng):
            yield [text.add(token) for text, token in zip(texts, tokens.tolist(), strict=True)]

    def tokens(self, count: int, options: HMMSampleOptions, rng: RandomStreams) -> Iterator[Tensor]:
        """The next token of each of `count` texts, int64 (count,), one after another: a state by chance, given the
        prompt or the state before, and a token of it by chance."""
        following = self.following(options.prompt).expand(count, -1)  # p(z | what was before), (count, S)
        for step in range(options.max_new_tokens):
            if step % RANDOM_CHUNK == 0:
                u = rng.uniform(RANDOM_CHUNK, 2)  # (count, RANDOM_CHUNK, 2)
            of_state, of_token = u[:, step % RANDOM_CHUNK].unbind(1)  # (count,) each
            state = drawn(following, of_state)
            yield drawn(self.emission[state], of_token)
            following = self.transition[state]

    def following(self, prompt: str | None) -> Tensor:
        """How likely each state is to be the next after a prompt, (S,)."""
        if prompt is None:
            return self.initial
        tokens = torch.tensor([self.tokenizer.encode(prompt)], device=self.device)  # (1, T)
        return times(self.chain.forward(tokens, self.initial)[0][-1], self.transition)[0]


def drawn(probabilities: Tensor, u: Tensor) -> Tensor:
    """One of N by chance for each row, int64 (B,), from probabilities (B, N) and u uniform in [0, 1), (B,)."""
    cumulative = probabilities.cumsum(1)
    place = torch.searchsorted(cumulative, u[:, None] * cumulative[:, -1:], right=True)[:, 0]
    return place.clamp_max(probabilities.shape[1] - 1)
