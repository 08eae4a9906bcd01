"""The Transformer: attention is its formula, the likelihood is a likelihood, and what is drawn follows it."""

import itertools
import json
import math
import re
import shutil
import sys
import threading
from io import StringIO
from pathlib import Path
from urllib.request import Request, urlopen

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from transformers import AutoModelForCausalLM, AutoTokenizer

import genzoo
from genzoo import DataSpec, GenzooError, RandomStreams, TextSubject, UsageError, read_provenance
from genzoo.registry.plugins import registry
from genzoo.text import tokens
from genzoo.text.measures import bits_per_character, token_nats
from genzoo_transformer import TransformerOptions, TransformerSampleOptions
from genzoo_transformer.drawing import Until, choose
from genzoo_transformer.huggingface import described
from genzoo_transformer.model import Transformer, build
from genzoo_transformer.network import Network

TEXT = "the cat sat on the mat, and the dog sat on the log; é and 🙂 were there too.\n" * 40
SMALL = {"num_layers": 2, "num_heads": 2, "hidden_size": 16, "context_length": 16, "dropout": 0.0}
ARCHITECTURES = ("gpt2", "llama")


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "cats.txt"
    path.write_text(TEXT, "utf-8")
    return str(path)


def options(**changes):
    return TransformerOptions(**SMALL | changes)


def model_of(kind="characters", text=TEXT, **changes):
    """An untrained model of a text, with weights large enough that what it says is not flat."""
    torch.manual_seed(0)
    tokenizer = tokens.make(kind, 300, [text])
    data = DataSpec(
        name="t", modality="text", shape=(tokenizer.size,), train_count=1, validation_count=1, test_count=1,
        fingerprint="",
    )  # fmt: skip
    model = Transformer(options(**changes), data)
    model.tokenizer = tokenizer
    for name, parameter in model.network.named_parameters():
        if parameter.ndim >= 2:
            torch.nn.init.normal_(parameter, std=0.3)
        elif "bias" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return model.eval()


def train(data, **changes):
    short = SMALL | {"steps": 6, "batch_size": 4, "log_every": 2, "eval_every": 3, "sample_every": 0, "save_every": 0}
    return genzoo.train("transformer", data=data, **short | changes)


def draw(model, count=1, seed=0, **changes):
    sample_options = TransformerSampleOptions(**{"max_new_tokens": 12} | changes)
    with torch.no_grad():
        return model.sample(count, options=sample_options, rng=RandomStreams(seed, count))


# The network


def attention_layers(network):
    if network.layout.architecture == "gpt2":
        return [block.attn for block in network.transformer["h"]]
    return [block.self_attn for block in network.model["layers"]]


def heads(x, count):
    return x.view(*x.shape[:2], count, -1).transpose(1, 2)  # (B, H, T, D)


def attention(q, k, v):
    """softmax(Q K^T / sqrt(d)) V, later tokens masked, by hand."""
    scores = q @ k.transpose(2, 3) / math.sqrt(q.shape[-1])
    later = torch.ones(q.shape[2], q.shape[2]).triu(1).bool()
    weights = scores.masked_fill(later, -torch.inf).exp()
    return ((weights / weights.sum(-1, keepdim=True)) @ v).transpose(1, 2).flatten(2)


def turned(x):
    """Rotary positions (Su et al. 2021): pairs (i, i + D/2) turned by the position times 10000^(-2i/D)."""
    half = x.shape[-1] // 2
    angles = torch.arange(x.shape[2])[:, None] * 10000 ** (-torch.arange(half) * 2 / x.shape[-1])
    one, other = x[..., :half], x[..., half:]
    return torch.cat([one * angles.cos() - other * angles.sin(), other * angles.cos() + one * angles.sin()], -1)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_attention_is_its_formula(architecture):
    network, seen = model_of(architecture=architecture).network, {}
    block = attention_layers(network)[0]
    block.register_forward_hook(lambda _m, inputs, out: seen.update(inputs=inputs, y=out))
    with torch.no_grad():
        network(torch.randint(0, 20, (3, 11)))
        x = seen["inputs"][0]
        if architecture == "gpt2":
            q, k, v = (heads(part, 2) for part in (x @ block.c_attn.weight + block.c_attn.bias).split(16, 2))
            expected = attention(q, k, v) @ block.c_proj.weight + block.c_proj.bias
        else:
            q, k, v = (heads(x @ layer.weight.T, 2) for layer in (block.q_proj, block.k_proj, block.v_proj))
            expected = attention(turned(q), turned(k), v) @ block.o_proj.weight.T
    assert torch.allclose(expected, seen["y"], atol=1e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_no_output_depends_on_later_tokens(architecture):
    network = model_of(architecture=architecture).network
    one = torch.randint(0, 20, (2, 16))
    for place in (1, 8, 15):
        other = one.clone()
        other[:, place:] = (other[:, place:] + 1) % 20
        with torch.no_grad():
            before, after = (network(x) for x in (one, other))
        assert torch.equal(before[:, :place], after[:, :place])
        assert not torch.allclose(before[:, place:], after[:, place:])


def theirs(network, **changes):
    """transformers' network with the weights of ours."""
    plain = AutoModelForCausalLM.from_config(described(options(**changes), network.layout.vocabulary))
    plain.load_state_dict(network.state_dict())
    return plain.train(network.training)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_logits_and_gradients_are_those_of_transformers(architecture):
    network = model_of(architecture=architecture).network.train()
    plain = theirs(network, architecture=architecture)
    ids = torch.randint(0, 20, (3, 16))
    logits, their_logits = network(ids), plain(input_ids=ids, use_cache=False).logits
    assert torch.allclose(logits, their_logits, atol=1e-5)
    loss = network(ids[:, :-1], ids[:, 1:])
    their_loss = F.cross_entropy(their_logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
    assert loss.item() == pytest.approx(their_loss.item(), abs=1e-5)
    loss.backward()
    their_loss.backward()
    gradients = {name: parameter.grad for name, parameter in plain.named_parameters()}
    assert set(gradients) == {name for name, _ in network.named_parameters()}
    for name, parameter in network.named_parameters():
        assert torch.allclose(parameter.grad, gradients[name], atol=1e-5), name


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_with_a_cache_logits_are_those_of_transformers(architecture):
    network = model_of(architecture=architecture).network
    plain, ids = theirs(network, architecture=architecture), torch.randint(0, 20, (3, 16))
    cache, parts = network.cache(3, 16), (7, 4, 1, 1, 3)
    with torch.no_grad():
        logits = torch.cat([network(part, cache=cache) for part in ids.split(parts, 1)], 1)
        assert torch.allclose(logits, plain(input_ids=ids).logits, atol=1e-5)
        assert torch.equal(network(ids, last=True), network(ids)[:, -1:])
    assert cache.length == 16


def test_heads_that_share_keys_and_values_are_those_of_transformers():
    values = {
        "model_type": "llama", "vocab_size": 20, "hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 16,
        "rope_parameters": {"rope_type": "default", "rope_theta": 500.0}, "tie_word_embeddings": True,
        "attention_bias": True, "mlp_bias": True, "rms_norm_eps": 1e-4,
    }  # fmt: skip
    config = TransformerOptions(context_length=16, from_config=json.dumps(values))
    network, plain = build(config, 20).eval(), AutoModelForCausalLM.from_config(described(config, 20)).eval()
    assert isinstance(network, Network)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    plain.load_state_dict(network.state_dict())
    ids, cache = torch.randint(0, 20, (3, 16)), network.cache(3, 16)
    with torch.no_grad():
        logits = plain(input_ids=ids).logits
        assert torch.allclose(network(ids), logits, atol=1e-5)
        assert torch.allclose(network(ids[:, :9], cache=cache), logits[:, :9], atol=1e-5)
        assert torch.allclose(network(ids[:, 9:], cache=cache), logits[:, 9:], atol=1e-5)
        maps = AutoModelForCausalLM.from_config(described(config, 20), attn_implementation="eager").eval()
        maps.load_state_dict(network.state_dict())
        weights = torch.stack(maps(input_ids=ids, output_attentions=True).attentions, 1)
        assert torch.allclose(network.attention(ids), weights, atol=1e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_loss_in_pieces_is_the_loss(architecture, monkeypatch):
    network, ids = model_of(architecture=architecture).network, torch.randint(0, 20, (3, 16))
    results = []
    for most in (2**25, 100):
        monkeypatch.setattr("genzoo_transformer.network.LOGITS", most)
        network.zero_grad()
        loss = network(ids[:, :-1], ids[:, 1:])
        loss.backward()
        results.append([loss.detach(), *(parameter.grad for parameter in network.parameters())])
    for one, other in zip(*results, strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_layouts_have_the_parameters_that_they_are_known_for():
    presets = registry().generators.get("transformer")[1].presets
    layouts = {name: {k: v for k, v in presets[name].items() if hasattr(TransformerOptions(), k)} for name in presets}
    tiny, small = layouts["tiny"], layouts["small"]
    with torch.device("meta"):
        network = build(TransformerOptions(**layouts["gpt2-124m"]), 50257)
    assert sum(p.numel() for p in network.parameters()) == 124_439_808
    assert (tiny["num_layers"], tiny["hidden_size"], tiny["context_length"]) == (4, 128, 64)
    assert (small["num_layers"], small["hidden_size"], small["context_length"]) == (6, 384, 256)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_dropout_is_there_in_training_only(architecture):
    network = model_of(architecture=architecture, dropout=0.5).network
    ids = torch.randint(0, 20, (2, 8))
    with torch.no_grad():
        one, other = (network(ids) for _ in range(2))
        assert torch.equal(one, other)
        network.train()
        one, other = (network(ids) for _ in range(2))
    assert not torch.allclose(one, other)


# The likelihood


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_likelihoods_of_all_texts_sum_to_one(architecture):
    model = model_of(text="abc", architecture=architecture)
    every = torch.tensor(list(itertools.product(range(3), repeat=4)))
    with torch.no_grad():
        nats = model.log_likelihood(every)
    assert nats.shape == (81, 4)
    assert nats.sum(1).exp().sum().item() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("length", [1, 2, 5, 16, 17, 18, 24, 25, 40, 61])
def test_each_token_is_given_half_a_context_or_more(length, monkeypatch):
    model = model_of()
    ids = torch.randint(0, model.vocabulary, (2, length))
    with torch.no_grad():
        nats = model.log_likelihood(ids)
        assert torch.allclose(nats[:, 0], torch.full((2,), -math.log(model.vocabulary)))
        for place in range(1, length):
            candidates = []
            for begin in range(max(0, place - 16), max(0, place - 8) + 1):
                logits = model.network(ids[:, begin:place])[:, -1]
                candidates.append(logits.log_softmax(1).gather(1, ids[:, place : place + 1])[:, 0])
            nearest = min((nats[:, place] - one).abs().max() for one in candidates)
            assert nearest < 1e-4, place
        monkeypatch.setattr("genzoo_transformer.model.SCORED", 1)  # a passage at a time
        assert torch.allclose(model.log_likelihood(ids), nats, atol=1e-5)


# Drawing


def test_tokens_are_drawn_with_their_shares():
    logits = torch.tensor([[2.0, 0.0, 1.0, -1.0]])
    numbers = (torch.arange(20000) + 0.5) / 20000
    for temperature in (1.0, 0.5, 2.0):
        options = TransformerSampleOptions(temperature=temperature)
        drawn = choose(logits.expand(20000, 4), torch.zeros(20000, 1, dtype=torch.int64), numbers, options)
        shares = drawn.bincount(minlength=4) / 20000
        assert torch.allclose(shares, (logits[0] / temperature).softmax(0), atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({"top_k": 1}, {0}), ({"top_k": 2}, {0, 2}), ({"top_p": 0.5}, {0}), ({"top_p": 0.85}, {0, 2}),
        ({"min_p": 0.3}, {0, 2}), ({"min_p": 0.1}, {0, 1, 2}), ({"temperature": 0.0}, {0}),
        ({"repetition_penalty": 4.0, "temperature": 0.0}, {2}),
    ],
)  # fmt: skip
def test_unlikely_tokens_are_left_out(changes, kept):
    logits = torch.tensor([[2.0, 0.0, 1.0, -1.0]])  # shares 0.64, 0.09, 0.24, 0.03
    options = TransformerSampleOptions(**{"temperature": 1.0} | changes)
    numbers = (torch.arange(1000) + 0.5) / 1000
    drawn = choose(logits.repeat(1000, 1), torch.zeros(1000, 1, dtype=torch.int64), numbers, options)
    assert set(drawn.tolist()) == kept


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_cache_changes_nothing(architecture):
    model = model_of(architecture=architecture)
    prompt, wanted = "the cat", []
    known = model.tokenizer.encode(prompt)
    with torch.no_grad():
        while len(known) < 17:
            ids = torch.tensor([known])
            known.append(int(model.network(ids)[0, -1].argmax()))
        wanted = model.tokenizer.decode(known)
    assert draw(model, prompt=prompt, temperature=0.0, max_new_tokens=len(known) - len(prompt)) == [wanted]


def test_a_text_goes_on_beyond_the_context():
    model = model_of()
    with pytest.warns(
        genzoo.GenzooWarning, match="the prompt has 40 tokens, more than the 16 .*; the last 16 are seen"
    ):
        (long,) = draw(model, prompt=TEXT[:40], max_new_tokens=50)
    assert long.startswith(TEXT[:40])
    assert len(long) == 90


def test_samples_are_functions_of_seed_and_number():
    model = model_of()
    three = draw(model, 3)
    assert draw(model, 3) == three
    assert draw(model, 1) == three[:1]
    assert len(set(three)) == 3
    assert draw(model, 3, seed=1) != three
    assert draw(model, 0) == []


@pytest.mark.parametrize("kind", tokens.KINDS)
def test_a_stream_is_the_sample_in_whole_characters(kind):
    model = model_of(kind)
    pieces = list(genzoo.stream(with_spec(model), prompt="the 🙂", max_new_tokens=30, temperature=2.0))
    assert ["the 🙂" + "".join(pieces)] == draw(model, prompt="the 🙂", max_new_tokens=30, temperature=2.0)


def with_spec(model):
    model.spec = registry().generators.get("transformer")[1]
    return model


def test_what_stops_a_text_is_not_shown():
    tokenizer = tokens.make("characters", 0, ["abcd"])

    def shown(text, *stop):
        until = Until(tokenizer, stop, set())
        pieces = [until.add(token) for token in tokenizer.encode(text)]
        return "".join(pieces) + until.rest(), until.ended

    assert shown("aabacab", "ca")[0] == "aaba"
    assert shown("aabaab", "ca")[0] == "aabaab"
    assert shown("aaab", "aab")[0] == "a"
    assert shown("abcdb", "cd", "bcd", "da") == ("a", True)
    assert shown("abdacb", "cb", "da") == ("ab", True)
    assert shown("abab", "ac", "bc") == ("abab", True)
    until = Until(tokenizer, ("bc",), set())
    assert [until.add(token) for token in tokenizer.encode("abdb")] == ["a", "", "bd", ""]
    assert until.rest() == "b"
    ending = Until(tokenizer, (), {3})
    assert [ending.add(token) for token in (0, 3, 0)] == ["a", "", ""]
    assert ending.ended


# Training


def test_training_learns_and_keeps_the_best(data):
    run = train(data, steps=60, eval_every=20, learning_rate=1e-2)
    lines = run.metrics()
    scores = [line["validation/loss"] for line in lines if "validation/loss" in line]
    assert lines[-1]["loss"] < 0.8 * lines[0]["loss"]
    assert run.best()["score"] == min(scores)
    assert lines[-1]["tokens_per_second"] > 0
    assert lines[0]["bits_per_character"] == pytest.approx(lines[0]["loss"] / math.log(2), rel=1e-5)
    model = genzoo.load(run)
    test = len(TEXT) - len(TEXT) // 10
    ids = torch.tensor([model.tokenizer.encode(TEXT[test - test // 10 : test])])  # the validation text
    with torch.no_grad():
        assert -model.log_likelihood(ids).mean().item() == pytest.approx(min(scores), rel=1e-4)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_stopped_run_is_exactly_one_that_was_never_stopped(data, architecture):
    changes = {"architecture": architecture, "dropout": 0.1, "accumulation": 2}
    whole = train(data, name="whole", **changes)

    class Stop:
        def genzoo_run_logged(self, run, step):
            if step == 2:
                run.stop()

    with pytest.raises(genzoo.Interrupted):
        train(data, name="parts", watchers=[Stop()], **changes)
    parts = genzoo.resume("parts")
    one, other = (genzoo.load(run, weights="last").state_dict() for run in (whole, parts))
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_tokens_that_are_mapped_from_a_file_train_alike(data, monkeypatch):
    held = train(data, name="held")
    monkeypatch.setattr("genzoo.text.files.IN_MEMORY", 100)
    mapped = train(data, name="mapped")
    one, other = (genzoo.load(run, weights="last").state_dict() for run in (held, mapped))
    assert all(torch.equal(one[key], other[key]) for key in one)
    scores = [
        [line["validation/loss"] for line in run.metrics() if "validation/loss" in line] for run in (held, mapped)
    ]
    assert scores[0] == scores[1]


def test_a_training_says_how_much_memory_it_takes(data, genzoo_command, monkeypatch):
    """Weights, gradients and two means of them, and what the backward pass of each passage needs."""
    model, kept = model_of(), {}
    weights = {p.untyped_storage().data_ptr(): 4 * p.numel() for p in model.parameters()}

    def count(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        logits = model.network(torch.zeros(3, 16, dtype=torch.int64))
    of_passages = sum(size for address, size in kept.items() if address not in weights)
    expected = 4 * sum(weights.values()) + of_passages + 3 * 4 * logits.numel()
    assert model.training_memory(3, seed=0) == pytest.approx(expected, rel=0.05)
    state = torch.get_rng_state()
    model.train().training_memory(3, seed=0)
    assert torch.equal(torch.get_rng_state(), state)
    small = [f"--{key.replace('_', '-')}={value}" for key, value in SMALL.items()]
    trained = genzoo_command("train", "transformer", "--data", data, *small, "--steps", 1, "--batch-size", 2)
    assert "GB of memory, besides torch's own" in trained.err
    monkeypatch.setattr("genzoo.training.run.free_memory", lambda device: 1000)
    with pytest.warns(genzoo.GenzooWarning, match=r"takes about .* GB are free; a smaller --batch-size takes less"):
        train(data)


def test_the_web_server_of_the_docs_streams(data):
    page = Path(__file__).parents[3] / "docs" / "models" / "transformer.md"
    (code,) = [block for block in page.read_text("utf-8").split("```text\n") if block.startswith("from http.server")]
    code, last = code.partition("```")[0], 'HTTPServer(("localhost", 8000), Stream).serve_forever()\n'
    assert code.endswith(last)
    train(data)
    names = {}
    exec(code.removesuffix(last) + 'server = HTTPServer(("localhost", 0), Stream)', names)
    names["Stream"].log_message = lambda *_: None
    with names["server"] as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        address = f"http://localhost:{server.server_port}"
        with urlopen(Request(address, "the cat é".encode()), timeout=30) as answer:
            text = answer.read().decode()
        thread.join()
    assert text == "".join(genzoo.stream(names["model"], prompt="the cat é", max_new_tokens=200))
    assert len(text) == 200


def test_a_batch_in_parts_is_a_batch(data):
    whole, parts = (train(data, name=f"n{n}", accumulation=n, batch_size=6) for n in (1, 3))
    one, other = (genzoo.load(run, weights="last").state_dict() for run in (whole, parts))
    assert all(torch.allclose(one[key], other[key], atol=1e-4) for key in one)


def test_the_learning_rate_rises_and_falls():
    model = model_of(warmup_steps=10)
    rates = [model.rate(step, 200) for step in range(200)]
    assert rates[:10] == pytest.approx([0.1 * n for n in range(1, 11)])
    assert max(rates) == 1
    assert all(a >= b for a, b in itertools.pairwise(rates[9:]))
    assert rates[-1] < 1e-3


def test_operations_are_counted():
    model = model_of()
    multiplied = sum(p.numel() for p in model.parameters()) - model.vocabulary * 16  # but for the embedding
    assert model.network.flops_per_token(16) == 6 * multiplied + 12 * 2 * 16 * 16
    tied = model_of(architecture="gpt2")
    every = sum(p.numel() for p in tied.parameters())  # the embedding is the last layer too; positions are looked up
    assert tied.network.flops_per_token(16) == 6 * (every - 16 * 16) + 12 * 2 * 16 * 16


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_size": 15}, "--hidden-size is 15, which --num-heads 2 does not divide"),
        ({"hidden_size": 18, "num_heads": 6}, "an odd width of a head"),
        ({"context_length": 4000}, "fewer than the 4,001 of a passage; give more text"),
        ({"tokenizer": "words"}, "--tokenizer is 'words'"),
        ({"from_": "./nowhere"}, "--from ./nowhere does not exist"),
        ({"data": "mnist"}, "is image data"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(data, changes, message):
    with pytest.raises(UsageError, match=message):
        train(**{"data": data} | changes)


def test_a_hub_name_without_a_network_fails_in_one_line(data, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(
        UsageError, match="--from someone/something is no run or folder here, and cannot be fetched"
    ) as caught:
        train(data, from_="someone/something")
    assert "\n" not in str(caught.value)


# The formats of other libraries


@pytest.mark.parametrize(("architecture", "kind"), [("gpt2", "bpe"), ("llama", "characters"), ("llama", "bytes")])
def test_transformers_reads_what_is_exported(data, tmp_path, architecture, kind):
    run = train(data, architecture=architecture, tokenizer=kind, vocab_size=300, steps=30, learning_rate=1e-2)
    folder = tmp_path / "out"
    line = genzoo.export(run, folder)
    model = genzoo.load(run)
    theirs, tokenizer = eval(line, {"AutoModelForCausalLM": AutoModelForCausalLM, "AutoTokenizer": AutoTokenizer})
    prompt = "the cat 🙂"
    ids = tokenizer(prompt, return_tensors="pt").input_ids
    assert ids[0].tolist() == model.tokenizer.encode(prompt)
    with torch.no_grad():
        one = model.network(ids)
        assert torch.allclose(one, theirs.eval()(input_ids=ids).logits, atol=1e-5)
        count = 15 - ids.shape[1] if ids.shape[1] < 14 else 1
        greedy = theirs.generate(ids, do_sample=False, max_new_tokens=count)
    assert [tokenizer.decode(greedy[0])] == draw(model, prompt=prompt, temperature=0.0, max_new_tokens=count)


def test_a_pretrained_model_goes_on_with_its_own_tokeniser(data, tmp_path):
    first = train(data, tokenizer="bpe", vocab_size=300, steps=40, learning_rate=1e-2, architecture="gpt2")
    genzoo.export(first, tmp_path / "pretrained")
    other = tmp_path / "other.txt"
    other.write_text("a dog and a cat, and 日本 too;\n" * 60, "utf-8")
    tuned = train(str(other), from_=str(tmp_path / "pretrained"), learning_rate=1e-9, context_length=8)
    assert tuned.record["training"]["tokenizer"] == str(tmp_path / "pretrained")
    one, two = (genzoo.load(run, weights="last") for run in (first, tuned))
    assert one.tokenizer.encode(TEXT) == two.tokenizer.encode(TEXT)
    assert two.config.context_length == 8
    for key, value in one.state_dict().items():
        assert torch.allclose(value, two.state_dict()[key], atol=1e-5), key
    (tmp_path / "pretrained").rename(tmp_path / "gone")
    assert genzoo.sample(tuned, prompt="the", max_new_tokens=3)[0].startswith("the")
    with pytest.raises(UsageError, match="--from brings its own tokeniser"):
        train(data, from_=str(tmp_path / "gone"), tokenizer="bpe")


def test_weights_in_pickles_are_not_read(data, tmp_path):
    run = train(data)
    genzoo.export(run, tmp_path / "out")
    (tmp_path / "out" / "model.safetensors").rename(tmp_path / "out" / "pytorch_model.bin")
    with pytest.raises(UsageError, match=r"no model.safetensors and no"):
        train(data, from_=str(tmp_path / "out"))


def test_a_run_goes_on_as_another(data, tmp_path):
    first = train(data, steps=20, learning_rate=1e-2, tokenizer="bytes", name="first")
    tuned = train(data, from_="first", learning_rate=1e-9, context_length=8, name="tuned")
    assert tuned.record["options"]["from_"] == str(first.path)
    one, two = (genzoo.load(run) for run in (first, tuned))
    assert two.tokenizer.json == one.tokenizer.json
    assert (two.config.num_layers, two.config.context_length) == (2, 8)
    for key, value in one.state_dict().items():
        assert torch.allclose(value, two.state_dict()[key], atol=1e-5), key
    with pytest.raises(UsageError, match="--num-layers is 3, and the run that --from names has 2; leave --num-layers"):
        train(data, from_="first", num_layers=3)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "run.json").write_text(json.dumps(first.record | {"model": "vae"}), "utf-8")
    with pytest.raises(UsageError, match="is a run of 'vae'; allowed is one of transformer"):
        train(data, from_=str(tmp_path / "other"))


def pretrained_folder(folder, architecture, tokenizer_json, vocabulary, **how):
    """A folder of transformers with random weights."""
    config = described(options(architecture=architecture), vocabulary)
    network = AutoModelForCausalLM.from_config(config)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    network.save_pretrained(folder, **how)
    (folder / "tokenizer.json").write_text(tokenizer_json, "utf-8")
    return network.eval()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("source", ["run", "folder in several files"])
def test_what_goes_on_is_resumed_exactly_and_exported_again(data, tmp_path, architecture, source):
    tokenizer = tokens.make("bytes", 256, [])
    folder = tmp_path / "pretrained"
    if source == "run":
        first = train(data, architecture=architecture, learning_rate=1e-2, tokenizer="bytes", name="pretrained")
        genzoo.export(first, tmp_path / "exported")
        plain = AutoModelForCausalLM.from_pretrained(tmp_path / "exported").eval()
        folder = first.path
    else:
        plain = pretrained_folder(folder, architecture, tokenizer.json, 256, max_shard_size="20KB")
        assert len(list(folder.glob("*.safetensors"))) > 1
    ids = torch.tensor([tokenizer.encode("the cat sat on")])

    class Stop:
        def genzoo_run_logged(self, run, step):
            if step == 2:
                run.stop()

    changes = {"from_": str(folder), "dropout": 0.1}
    whole = train(data, name="whole", learning_rate=1e-2, **changes)
    with pytest.raises(genzoo.Interrupted):
        train(data, name="parts", watchers=[Stop()], learning_rate=1e-2, **changes)
    still = train(data, name="still", learning_rate=1e-9, **changes)
    shutil.rmtree(folder)
    parts = genzoo.resume("parts")
    one, other = (genzoo.load(run, weights="last").state_dict() for run in (whole, parts))
    assert all(torch.equal(one[key], other[key]) for key in one)
    logits = {}
    with torch.no_grad():
        for run in (still, parts):
            genzoo.export(run, to=tmp_path / f"of {run.name}")
            again = AutoModelForCausalLM.from_pretrained(tmp_path / f"of {run.name}").eval()
            logits[run.name] = again(input_ids=ids).logits
            assert torch.allclose(genzoo.load(run).network(ids), logits[run.name], atol=1e-5)
        before = plain(input_ids=ids).logits
    assert torch.allclose(logits["still"], before, atol=1e-5)
    assert not torch.allclose(logits["parts"], before, atol=1e-2), "it learnt nothing"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vocab_size": -3}, "vocab_size -3; allowed is a whole number, 1 to"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers 1000000000; allowed"),
        ({"hidden_size": "wide"}, "hidden_size 'wide'"),
        ({"rms_norm_eps": 0}, "rms_norm_eps 0; allowed is a number above 0"),
        ({"num_attention_heads": 3}, "a width of 16 that 3 heads cannot share"),
        ({"model_type": 3}, "does not say its model_type"),
        ({"max_position_embeddings": 0}, "max_position_embeddings 0"),
    ],
)
def test_a_configuration_out_of_bounds_is_said_in_one_line(data, tmp_path, changes, message):
    genzoo.export(train(data), tmp_path / "out")
    path = tmp_path / "out" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | changes), "utf-8")
    with pytest.raises(UsageError, match=message):
        train(data, from_=str(tmp_path / "out"))


def test_weights_that_are_missing_or_elsewhere_are_said(data, tmp_path):
    folder = tmp_path / "pretrained"
    tokenizer = tokens.make("bytes", 256, [])
    pretrained_folder(folder, "llama", tokenizer.json, 256, max_shard_size="20KB")
    path = folder / "model.safetensors.index.json"
    index = json.loads(path.read_text("utf-8"))
    first = next(iter(index["weight_map"]))
    for name in ("../outside.safetensors", "gone.safetensors", "model.bin"):
        path.write_text(json.dumps(index | {"weight_map": index["weight_map"] | {first: name}}), "utf-8")
        with pytest.raises(UsageError, match=r"has no file .*, which its model.safetensors.index.json names"):
            train(data, from_=str(folder))
    config = json.loads((folder / "config.json").read_text("utf-8"))
    path.write_text(json.dumps(index), "utf-8")
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}), "utf-8")
    with pytest.raises(GenzooError, match=r"lack model.layers.2.* others"):
        train(data, from_=str(folder))
    (folder / "config.json").write_text(json.dumps(config | {"intermediate_size": 32}), "utf-8")
    with pytest.raises(GenzooError, match="gate_proj.weight is .*, where its config.json says"):
        train(data, from_=str(folder))


def test_another_architecture_is_that_of_transformers(data, tmp_path):
    from transformers import GPTNeoXConfig

    tokenizer = tokens.make("bytes", 256, [])
    config = GPTNeoXConfig(
        vocab_size=256, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=16, eos_token_id=None, bos_token_id=None,
    )  # fmt: skip
    plain = AutoModelForCausalLM.from_config(config).eval()
    plain.save_pretrained(tmp_path / "neox")
    (tmp_path / "neox" / "tokenizer.json").write_text(tokenizer.json, "utf-8")
    run = train(data, from_=str(tmp_path / "neox"), learning_rate=1e-9, steps=2)
    model, ids = genzoo.load(run), torch.tensor([tokenizer.encode("the cat")])
    genzoo.export(run, tmp_path / "again")
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "again").eval()
    with torch.no_grad():
        logits = plain(input_ids=ids).logits
        assert torch.allclose(model.network(ids), logits, atol=1e-5)
        assert torch.allclose(again(input_ids=ids).logits, logits, atol=1e-5)
    assert model.attention(ids[0]).shape == (2, 2, 7, 7)
    assert len(draw(model, prompt="the", max_new_tokens=20)[0]) > 3


# The command


def test_the_command_streams_writes_and_says(data, tmp_path, genzoo_command, monkeypatch):
    small = [f"--{key.replace('_', '-')}={value}" for key, value in SMALL.items()]
    trained = genzoo_command("train", "transformer", "--data", data, *small, "--steps", 4, "--batch-size", 2)
    assert trained.status == 0, trained.err
    assert "step-00000004.txt" in trained.out
    monkeypatch.setattr(sys, "stdin", StringIO(""))
    out = tmp_path / "text.txt"
    drawn = genzoo_command(
        "sample", "transformer", "--prompt", "the cat", "--max-new-tokens", 9, "--out", out, "--top-k", 5
    )
    assert drawn.out.startswith("the cat")
    page = sys.stdout.encoding  # what it does not have is escaped
    assert out.read_text("utf-8").encode(page, "backslashreplace").decode(page) + "\n" == drawn.out
    facts = read_provenance(out)["genzoo"]
    assert facts["top_k"] == 5
    assert "prompt" not in facts
    again = genzoo_command("sample", "transformer", "--out", out)
    assert (again.status, "exists; give --overwrite" in again.err) == (2, True)
    several = json.loads(genzoo_command("sample", "transformer", "-n", 3, "--max-new-tokens", 4, "--json").out)
    assert len(several["samples"]) == 3
    assert genzoo_command("sample", "transformer", "-n", 2, "--max-new-tokens", 4).out.count("\n\n---\n\n") == 1
    monkeypatch.setattr(sys, "stdin", StringIO("the dog"))
    assert genzoo_command("sample", "transformer", "--prompt", "-", "--max-new-tokens", 3).out.startswith("the dog")
    for wrong, message in [
        (["--prompt", "日本"], "the model never saw the character"),
        (["--prompt", ""], "--prompt is empty"),
        (["--separate"], "No such option '--separate'"),
        (["--label", "3"], "was not trained with labels"),
        (["--out", "x.png"], "allowed is a file that ends in .txt"),
        (["--temperature", "-1"], "--temperature is '-1'; allowed is a number with 0 <= x"),
    ]:
        outcome = genzoo_command("sample", "transformer", *wrong)
        assert (outcome.status, message in outcome.err) == (2, True), outcome
    for verb in ("reconstruct", "interpolate"):
        assert "cannot" in genzoo_command(verb, "transformer").err
    assert genzoo_command("show", "transformer").status == 0


def test_a_stream_that_is_interrupted_keeps_what_was_said(data, tmp_path, genzoo_command, monkeypatch):
    train(data)

    def stream(self, *, options, rng):
        yield "the begin"
        raise KeyboardInterrupt

    monkeypatch.setattr(Transformer, "stream", stream)
    monkeypatch.setattr(sys, "stdin", StringIO(""))
    outcome = genzoo_command("sample", "transformer", "--out", tmp_path / "text.txt")
    assert (outcome.status, outcome.out) == (130, "the begin\n")
    assert outcome.err.strip() == "genzoo: stopped"
    assert (tmp_path / "text.txt").read_text("utf-8") == "the begin"


def test_prompts_stops_and_help(data, tmp_path, genzoo_command, monkeypatch):
    help_text = genzoo_command("sample", "transformer", "--help").out
    for option in ("--temperature FLOAT", "--stop TEXT", "--prompt-file FILE", "--chat"):
        assert option in help_text
    train(data)
    (tmp_path / "prompt.txt").write_text("the dog\n", "utf-8")
    short = ["sample", "transformer", "--max-new-tokens", 6]
    monkeypatch.setattr(sys, "stdin", StringIO(""))
    assert genzoo_command(*short, "--prompt-file", tmp_path / "prompt.txt").out.startswith("the dog")
    monkeypatch.setattr(sys, "stdin", StringIO("the cat"))
    assert genzoo_command(*short, "--prompt-file", "-").out.startswith("the cat")
    for wrong, message in [
        (["--prompt-file", tmp_path / "none.txt"], "cannot read --prompt-file"),
        (["--prompt", "a", "--prompt-file", "-"], "--prompt and --prompt-file are both given"),
        (["--prompt", "a", "--prompt", "b"], "--prompt is given twice; give it once"),
        (["--stop", "a", "--stop", ""], "--stop is empty"),
        (["--chat", "-n", 2], "--chat prints answers"),
    ]:
        outcome = genzoo_command(*short, *wrong)
        assert (outcome.status, message in outcome.err) == (2, True), outcome
    every = [f"--stop={character}" for character in sorted(set(TEXT))]
    monkeypatch.setattr(sys, "stdin", StringIO(""))
    assert genzoo_command(*short, "--prompt", "the cat", *every).out == "the cat\n"


def test_a_reader_that_goes_ends_a_stream_well(data, genzoo_command, monkeypatch):
    train(data)

    def gone(text, newline=True):
        raise BrokenPipeError

    monkeypatch.setattr("genzoo.cli.sampling.print_text", gone)
    monkeypatch.setattr("os.dup2", lambda *_: None)
    outcome = genzoo_command("sample", "transformer", "--prompt", "the", "--max-new-tokens", 4)
    assert (outcome.status, outcome.err) == (0, "")


@pytest.mark.parametrize("roles", [True, False])
def test_a_conversation_keeps_the_model_and_what_was_said(tmp_path, genzoo_command, monkeypatch, roles):
    path, turns = tmp_path / "talk.jsonl", [("user", "how are you?"), ("assistant", "fine, 日本.")]
    row = {"messages": [{"role": role, "content": text} for role, text in turns]}
    row = row if roles else {"text": "how are you? fine, 日本."}
    path.write_text((json.dumps(row) + "\n") * 40, "utf-8")
    train(str(path), context_length=64, name="talk")
    prompts, loads = [], []

    def stream(self, *, options, rng):
        prompts.append(options.prompt)
        self.tokenizer.encode(options.prompt)
        loads.append(id(self))
        yield from ("fi", "ne")

    monkeypatch.setattr(Transformer, "stream", stream)
    monkeypatch.setattr(sys, "stdin", StringIO("how?\n\nxyz\nare you?\n"))
    outcome = genzoo_command("sample", "talk", "--chat", "--max-new-tokens", 5)
    assert (outcome.status, outcome.out) == (0, "fine\nfine\n")
    assert "never saw the character 'x', 'z'" in outcome.err
    assert len(set(loads)) == 1
    if roles:
        first = "<|user|>how?<|end|><|assistant|>"
        assert [prompts[0], prompts[-1]] == [first, first + "fine<|end|><|user|>are you?<|end|><|assistant|>"]
        model = genzoo.load("talk")
        assert model.tokenizer.special_tokens["<|end|>"] in model.end_tokens()
    else:
        assert [prompts[0], prompts[-1]] == ["how?", "how?\nfine\nare you?"]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_attention_maps_are_the_attention_of_the_forward_pass(architecture):
    """The maps times the values are the heads that the layer mixes."""
    model = model_of(architecture=architecture)
    ids, mixed = torch.randint(0, model.vocabulary, (11,)), []
    weights = model.attention(ids)
    assert weights.shape == (2, 2, 11, 11)
    assert torch.allclose(weights.sum(-1), torch.ones(2, 2, 11))
    assert torch.equal(weights, weights.tril())
    for layer in attention_layers(model.network):
        out = layer.c_proj if architecture == "gpt2" else layer.o_proj
        out.register_forward_pre_hook(lambda _layer, inputs: mixed.append(inputs[0]))
    cache = model.network.cache(1, 11)
    with torch.no_grad():
        model.network(ids[None])
        model.network(ids[None], cache=cache)
    for layer in range(2):
        heads_by_hand = (weights[layer] @ cache.values[layer]).transpose(1, 2).flatten(2)
        assert torch.allclose(heads_by_hand, mixed[layer], atol=1e-5)


def test_a_probe_says_what_was_expected_at_each_place(data, tmp_path, genzoo_command):
    run = train(data, steps=30, learning_rate=1e-2)
    model, text = genzoo.load(run), "the cat sat"
    report = json.loads(genzoo_command("probe", run.name, text, "--json", "--top", 2).out)
    assert "".join(place["token"] for place in report["places"]) == text
    with torch.no_grad():
        nats = model.log_likelihood(torch.tensor([model.tokenizer.encode(text)]))[0]
    assert [place["bits"] for place in report["places"]] == pytest.approx((-nats / math.log(2)).tolist(), rel=1e-4)
    assert report["places"][0]["expected"] == []
    for place in report["places"][1:]:
        one, two = (expected["share"] for expected in place["expected"])
        assert one >= two
        assert one >= place["share"] - 1e-9
    picture = tmp_path / "maps.png"
    printed = genzoo_command("probe", run.name, text, "--out", picture).out
    assert printed.splitlines()[0].split() == ["TOKEN", "SHARE", "BITS", "EXPECTED"]
    assert printed.rstrip().endswith(str(picture))
    side = 11 * 9 + 4  # 11 tokens of 9 pixels, and the gaps
    assert genzoo.read_picture(picture).shape[-2:] == (2 * side, 2 * side)
    assert read_provenance(picture)["genzoo"]["operation"] == "probe"
    for wrong, message in [
        ([run.name, "the cat sat on the mat"], "the text has 22 tokens; allowed are 1 to 16"),
        ([run.name, "日"], "never saw the character"),
        ([run.name, text, "--out", picture], "exists; give --overwrite"),
        (["nothing", text], "there is no run 'nothing'"),
    ]:
        outcome = genzoo_command("probe", *wrong)
        assert (outcome.status, message in outcome.err) == (2, True), outcome


def test_a_damaged_tokeniser_of_a_run_is_said(data):
    run = train(data)
    path = run.path / "tokenizer.json"
    content = path.read_text("utf-8")
    path.write_text(content.replace('"t"', '"T"'), "utf-8")
    with pytest.raises(GenzooError, match=r"tokenizer.json is not the one that it began with"):
        genzoo.sample(run, max_new_tokens=2)


# Evaluation


def test_a_run_is_measured_beside_real_text_and_the_best_ngram(data, genzoo_command):
    run = train(data, steps=80, learning_rate=1e-2)
    first = genzoo.evaluate(run, 4, max_new_tokens=60)
    measures = {measure.name: measure for measure in first.measures}
    assert not first.left_out
    assert set(measures) == {
        "nll", "bits_per_character", "perplexity", "distinct", "repetition", "copied_length", "longest_copy",
    }  # fmt: skip
    assert measures["bits_per_character"].value == pytest.approx(measures["nll"].value / math.log(2))
    assert measures["perplexity"].value == pytest.approx(math.exp(measures["nll"].value))  # a token is a character here
    nll = measures["nll"]
    assert nll.references["baseline"] < nll.value  # of a text that repeats, which 80 steps do not learn by heart
    assert measures["longest_copy"].references["floor"] <= 60
    assert genzoo.evaluate(run, 4, max_new_tokens=60).measures == first.measures
    samples = first.path.with_name("samples.txt")
    assert read_provenance(samples)["genzoo"]["run"] == run.name
    other = train(data, tokenizer="bytes", steps=20, name="bytes")
    table = genzoo_command("compare", run.name, other.name, "-n", 4).out
    assert "BEST N-GRAM" in table
    assert re.search(r"perplexity [↓v] \(256 bytes\)", table)  # v where standard output has no arrows
    report = json.loads(genzoo_command("evaluate", run.name, "-n", 4, "--json").out)
    assert {"name", "value", "unit", "better", "uncertainty", "references"} <= set(report["measures"][0])
    assert set(report["measures"][0]["references"]) == {"baseline"}
    assert set(report["measures"][-1]["references"]) == {"floor", "baseline"}
    assert "not measured in features" in genzoo_command("evaluate", run.name, "--features", "random").err


def test_bits_a_character_do_not_depend_on_the_tokeniser():
    """A model that says nothing says log2 of its vocabulary a token, which evaluation counts by characters."""
    model = with_spec(model_of("bytes"))
    for parameter in model.parameters():
        torch.nn.init.zeros_(parameter)
    text = "é🙂" * 300
    subject = TextSubject(
        data=model.data, seed=0, model=model, samples=[], train=TEXT + text, validation=text, test=text,
        characters="".join(sorted(set(TEXT + text))),
    )  # fmt: skip
    assert bits_per_character(subject).value == pytest.approx(8 * 3)  # six bytes for two characters
    assert np.allclose(subject.once(token_nats), math.log(256))
