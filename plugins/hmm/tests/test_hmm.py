"""The hidden Markov model: its likelihood is the sum over all paths, its best path the best of them, and training is
the algorithm of Baum and Welch."""

import itertools
import json
import math
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hmmlearn.hmm import CategoricalHMM

import genzoo
from genzoo import DataSpec, RandomStreams
from genzoo.cli import main
from genzoo.testing import parametrize_with_checks
from genzoo_hmm import HMMOptions, HMMSampleOptions
from genzoo_hmm.model import HMM, Chain, Counts, drawn
from genzoo_hmm.reading import stationary

CPU = torch.device("cpu")
TEXT = "the cat sat on the mat and the dog sat on the log.\n" * 60


@parametrize_with_checks("hmm")
def test_it_behaves(check):
    check()


def model_of(states=3, vocabulary=4, seed=0, **options):
    data = DataSpec(
        name="made",
        modality="text",
        shape=(vocabulary,),
        train_count=9,
        validation_count=9,
        test_count=9,
        fingerprint="",
    )
    model = HMM(HMMOptions(num_states=states, **options), data)
    model.take(Chain.random(states, torch.full((vocabulary,), 1 / vocabulary), torch.Generator().manual_seed(seed)))
    return model


def texts(rows, length, vocabulary=4, seed=1):
    return torch.randint(vocabulary, (rows, length), generator=torch.Generator().manual_seed(seed))


def joint(model, tokens, path):
    """p(x, z) of a text and a path of states."""
    chance = model.initial[path[0]] * model.emission[path[0], tokens[0]]
    for before, state, token in zip(path[:-1], path[1:], tokens[1:], strict=True):
        chance = chance * model.transition[before, state] * model.emission[state, token]
    return chance.item()


def every_path(states, length):
    return itertools.product(range(states), repeat=length)


def test_the_likelihood_is_the_sum_over_all_paths():
    model, tokens = model_of(), texts(2, 6)
    for row, nats in zip(tokens, model.log_likelihood(tokens).sum(1), strict=True):
        total = math.fsum(joint(model, row, path) for path in every_path(3, 6))
        assert nats.item() == pytest.approx(math.log(total), rel=1e-5)


def test_a_long_text_has_the_likelihood_of_one_pass(monkeypatch):
    model, tokens = model_of(), texts(2, 50)
    whole = model.log_likelihood(tokens)
    monkeypatch.setattr("genzoo_hmm.model.NUMBERS", 40)
    assert torch.allclose(model.log_likelihood(tokens), whole, atol=1e-5)


def test_the_states_of_a_text_are_the_likeliest_path():
    model, (tokens,) = model_of(), texts(1, 7)
    assert tuple(model.states(tokens).tolist()) == max(every_path(3, 7), key=lambda path: joint(model, tokens, path))


def test_the_counts_are_expectations_over_all_paths():
    model, tokens = model_of(), texts(1, 5)
    counts = Counts(model.chain)
    counts.add(tokens)
    weights = {path: joint(model, tokens[0], path) for path in every_path(3, 5)}
    total = math.fsum(weights.values())
    transition, emission = np.zeros((3, 3)), np.zeros((3, 4))
    for path, weight in weights.items():
        for before, state in itertools.pairwise(path):
            transition[before, state] += weight / total
        for state, token in zip(path, tokens[0].tolist(), strict=True):
            emission[state, token] += weight / total
    assert np.allclose((counts.transition * model.transition).numpy(), transition, atol=1e-5)
    assert np.allclose(counts.emission.t().numpy(), emission, atol=1e-5)


@pytest.mark.filterwarnings("ignore:Setting the shape on a NumPy array")  # hmmlearn does
def test_likelihood_path_and_a_sweep_are_those_of_hmmlearn():
    model, tokens = model_of(states=5, vocabulary=7, transition_prior=0.0, emission_prior=0.0), texts(20, 30, 7)
    peer = CategoricalHMM(5, n_features=7, n_iter=1, tol=-np.inf, params="ste", init_params="", algorithm="viterbi")
    peer.startprob_, peer.transmat_, peer.emissionprob_ = (
        (matrix.double() / matrix.double().sum(-1, keepdim=True)).numpy()
        for matrix in (model.initial, model.transition, model.emission)
    )
    column, lengths = tokens.reshape(-1, 1).numpy(), [30] * 20
    assert model.log_likelihood(tokens).sum().item() == pytest.approx(peer.score(column, lengths), rel=1e-5)
    assert torch.cat([model.states(row) for row in tokens]).tolist() == peer.predict(column, lengths).tolist()
    counts = model.swept(model.chain, [tokens[:8], tokens[8:]])
    swept = counts.maximised(model.config)
    peer.fit(column, lengths)
    for ours, theirs in ((swept.initial, peer.startprob_), (swept.transition, peer.transmat_)):
        assert np.allclose(ours.numpy(), theirs, atol=1e-5)
    assert np.allclose(swept.emission.numpy(), peer.emissionprob_, atol=1e-5)


@pytest.mark.parametrize("prior", [0.0, 0.5])
def test_no_sweep_makes_the_text_less_likely(prior):
    """With pseudo-counts, it is text and prior together that no sweep makes less likely."""
    model = model_of(states=4, vocabulary=5, transition_prior=prior, emission_prior=prior)
    tokens, values = texts(10, 40, 5), []
    for _ in range(30):
        counts = model.swept(model.chain, [tokens])
        chain = model.chain
        log_prior = sum(prior * matrix.double().log().sum().item() for matrix in (
            chain.initial, chain.transition, chain.emission
        )) if prior else 0.0  # fmt: skip
        values.append(counts.log_likelihood + log_prior)
        model.take(counts.maximised(model.config))
    assert all(after > before - 1e-3 for before, after in itertools.pairwise(values))
    assert values[-1] > values[0] + 1


def test_passages_hold_every_token_once():
    model = model_of(states=2, passage_length=8)
    parts = model.passages(torch.arange(35), CPU)
    assert torch.cat([part.flatten() for part in parts]).tolist() == list(range(35))
    assert all(part.shape[1] == 8 for part in parts[:-1])


def test_what_is_drawn_follows_the_chain():
    model, count = model_of(states=2, vocabulary=3), 4000
    rng = RandomStreams(0, count)
    first, second = itertools.islice(model.tokens(count, HMMSampleOptions(max_new_tokens=2), rng), 2)
    pairs = torch.bincount(first * 3 + second, minlength=9) / count
    chances = model.log_likelihood(torch.cartesian_prod(torch.arange(3), torch.arange(3))).sum(1).exp()
    assert torch.allclose(pairs, chances, atol=4 * 0.5 / math.sqrt(count))


def test_a_draw_never_takes_what_has_no_share():
    shares = torch.tensor([[0.0, 0.5, 0.0, 0.5, 0.0]])
    assert [drawn(shares, torch.tensor([u])).item() for u in (0.0, 0.499, 0.5, 0.99999997)] == [1, 1, 3, 3]


def test_the_states_after_a_prompt_are_those_of_its_forward_pass():
    model = model_of()
    model.tokenizer = SimpleNamespace(encode=lambda text: [int(c) for c in text])
    tokens = torch.tensor([[0, 3, 1]])
    following = model.following("031")
    with_next = torch.stack([torch.cat([tokens[0], torch.tensor([token])]) for token in range(4)])
    assert torch.allclose(following @ model.emission, model.log_likelihood(with_next)[:, 3].exp(), atol=1e-6)


def test_the_share_of_time_in_each_state_is_kept_by_a_step():
    transition = model_of(states=6).transition
    share = stationary(transition)
    assert torch.allclose(share @ transition.double(), share, atol=1e-7)
    assert torch.allclose(stationary(torch.tensor([[0.0, 1.0], [1.0, 0.0]])), torch.full((2,), 0.5).double())


@pytest.fixture
def run(tmp_path):
    path = tmp_path / "cats.txt"
    path.write_text(TEXT, "utf-8")
    return genzoo.train("hmm", data=str(path), name="cats", preset="tiny", sample_every=0, eval_every=0, device="cpu")


def test_it_learns_what_letters_alone_do_not_say(run):
    result = [line["bits_per_character"] for line in run.metrics()]
    counts = np.unique(list(TEXT), return_counts=True)[1] / len(TEXT)
    assert result[-1] < -(counts * np.log2(counts)).sum()  # the entropy of single letters


def test_states_are_shown_and_wrong_runs_and_texts_refused(run, monkeypatch, capfd):
    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["genzoo", "states", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, *capfd.readouterr()

    status, out, _ = call("cats", "--json")
    rows = json.loads(out)["states"]
    assert status == 0
    assert sum(row["share"] for row in rows) == pytest.approx(1)
    assert "STATE  SHARE  TOKENS" in call("cats", "--top", "2")[1]
    path = json.loads(call("cats", "the cat", "--json")[1])["path"]
    assert "".join(place["token"] for place in path) == "the cat"
    assert call("cats", "")[::2] == (
        2,
        "genzoo: the text is empty; give one, or leave it out to see what each state stands for\n",
    )
    assert "the model never saw the character" in call("cats", "Ω")[2]
