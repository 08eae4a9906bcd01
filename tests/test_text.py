"""Text: what is read and refused, tokens, passages, the n-gram baseline and the measures."""

import itertools
import json

import numpy as np
import pytest
import torch

import genzoo
from genzoo import GenzooError, TextData, TextTrainOptions, Tokenizer, UsageError, provenance, samples
from genzoo.data import locate, text, tokens
from genzoo.data.builtin import load
from genzoo.data.files import tick
from genzoo.evaluation.ngram import NGram, best_order
from genzoo.evaluation.text import Index, Trivial, _codes, _hashes
from genzoo.registry import registry

TRICKY = 'Ünïcode: é e\u0301 日本語 🙂👩‍🔬\ttab\r\nline  two spaces <|endoftext|> \x00 "end"\n'


def read(data, **options):
    return load(TextTrainOptions(data=str(data), **options), registry(), tick)


# Tokenisers


@pytest.mark.parametrize("kind", tokens.KINDS)
def test_tokens_give_the_text_back(kind):
    tokenizer = tokens.make(kind, 300, [TRICKY * 3])
    ids = tokenizer.encode(TRICKY)
    assert tokenizer.decode(ids) == TRICKY
    assert set(ids) <= set(range(tokenizer.size))
    assert Tokenizer(tokenizer.json).encode(TRICKY) == ids


def test_sizes_of_vocabularies():
    assert tokens.make("characters", 0, ["abca"]).size == 3
    assert tokens.make("bytes", 0, []).size == 256
    assert tokens.make("bpe", 300, ["the cat and the hat " * 20]).size <= 300


def test_bytes_are_the_bytes():
    assert len(tokens.make("bytes", 0, []).encode(TRICKY)) == len(TRICKY.encode())


@pytest.mark.parametrize("kind", tokens.KINDS)
def test_tokens_that_come_one_by_one_never_split_a_character(kind):
    tokenizer = tokens.make(kind, 300, [TRICKY])
    stream, shown = tokenizer.pieces(), []
    for token in tokenizer.encode(TRICKY):
        shown.append(stream.add(token))
    assert "".join(shown) == TRICKY
    assert "\ufffd" not in "".join(shown)


def test_a_character_that_was_never_seen_is_named():
    tokenizer = tokens.make("characters", 0, ["abc"])
    with pytest.raises(UsageError, match="never saw the character 'é'; leave it out, or train with --tokenizer bytes"):
        tokenizer.encode("abcé")


def test_a_damaged_tokeniser_is_said(tmp_path):
    with pytest.raises(GenzooError, match="tokeniser is damaged"):
        Tokenizer("{}")
    with pytest.raises(
        UsageError, match=r"--tokenizer is .* where no tokenizer.json can be read.*allowed is characters"
    ):
        tokens.make(str(tmp_path / "nowhere"), 0, [])


# Reading


def test_the_last_tenth_of_the_characters_is_held_out_however_the_text_comes():
    whole = "".join(chr(97 + i % 26) for i in range(1003))
    pieces = [whole[:1], whole[1:500], whole[500:950], whole[950:]]
    one, parts = TextData.of(whole), TextData.of(lambda: iter(pieces))
    assert one.fingerprint == parts.fingerprint
    for data in (one, parts):
        assert "".join(data.part(train=True)) == whole[:903]
        assert "".join(data.part(train=False)) == whole[903:]


def test_python_docs_are_there_without_a_network():
    data, spec = read("python-docs")
    assert spec.modality == "text"
    assert spec.shape == (data.tokenizer.size,)
    assert data.text.characters > 400_000
    assert 'The "if" statement is used for conditional execution' in " ".join("".join(data.text.pieces()).split())
    assert len(data.train) + len(data.test) == data.text.characters
    assert data.characters_per_token == 1


def test_files_folders_and_fields(tmp_path):
    (tmp_path / "b.txt").write_text("second\n")
    (tmp_path / "a.md").write_bytes("\ufefffirst é\r\n".encode())
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "c.jsonl").write_text('{"text": "third", "body": "x"}\n\n{"text": "fourth", "body": "y"}\n')
    (tmp_path / "image.png").write_bytes(b"no text")
    folder = "".join(read(tmp_path)[0].text.pieces())
    assert folder == "first é\n\nsecond\n\nthird\n\nfourth\n\n"
    several = f"{tmp_path / 'b.txt'}, {tmp_path / 'a.md'}"
    assert "".join(read(several)[0].text.pieces()) == "second\n\nfirst é\n"
    fields = read(tmp_path / "deep" / "c.jsonl", text_field="body")[0]
    assert "".join(fields.text.pieces()) == "x\n\ny\n\n"


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("latin.txt", "caf\xe9 au lait".encode("latin-1"), r"latin.txt is not UTF-8 \(byte 0xe9\); convert it"),
        ("empty.txt", b"", "empty.txt is empty"),
        ("one.txt", b"x", "the data hold no text"),
        ("bad.jsonl", b'{"text": "a"}\n{"txt": "b"}\n', "bad.jsonl, line 2: no JSON object with a text in 'text'"),
        ("bad.jsonl", b"not json\n", "bad.jsonl, line 1: no JSON object"),
        ("bad.jsonl", b'{"text": 3}\n', "bad.jsonl, line 1: no JSON object"),
        ("table.csv", b"a,b", "table.csv is a file; allowed is a data set's name, a .txt, .md or .jsonl file"),
    ],
)
def test_what_is_no_text_is_said(tmp_path, name, content, says):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(GenzooError, match=says):
        read(tmp_path / name)


def test_what_is_not_there_is_said(tmp_path):
    with pytest.raises(UsageError, match="holds no text file; looked for .txt .md .jsonl"):
        read(tmp_path)
    with pytest.raises(UsageError, match="nowhere.txt does not exist"):
        read(tmp_path / "nowhere.txt")
    with pytest.raises(UsageError, match="did you mean 'python-docs'"):
        locate("python-doc", registry().datasets, "text")
    with pytest.raises(UsageError, match="mnist is image data, and the model takes text; allowed is python-docs"):
        locate("mnist", registry().datasets, "text")


def test_a_large_text_is_cut_once_and_mapped_into_memory(tmp_path, monkeypatch):
    path = tmp_path / "large.txt"
    path.write_text("a line of it\n" * 500)
    small, _ = read(path, tokenizer="bpe", vocab_size=260)
    monkeypatch.setattr(text, "IN_MEMORY", 100)
    monkeypatch.setattr(text, "PIECE", 64)
    told = []
    options = TextTrainOptions(data=str(path), tokenizer="bytes")
    large, spec = load(options, registry(), lambda *given: told.append(given))
    assert isinstance(large.train, np.memmap)
    assert (told[-1][0], told[-1][1]) == ("tokenising", 6500)
    again, _ = load(options, registry(), lambda what, *_: pytest.fail("cut again") if what == "tokenising" else None)
    assert np.array_equal(again.train, large.train)
    assert large.tokenizer.decode(large.train.tolist()) == "a line of it\n" * 450
    assert len(small.train) < len(large.train) == spec.train_count == 5850
    assert large.place(torch.device("cpu")) is large
    (file,) = (tmp_path / "data" / "tokens").glob("*/train.bin")
    file.write_bytes(file.read_bytes()[:-4] + b"\0\0\0\0")
    with pytest.raises(GenzooError, match="train.bin is damaged; remove .* and it is made anew"):
        load(options, registry(), tick)


# Passages


def test_a_batch_of_passages_is_a_function_of_seed_and_step():
    numbers = torch.arange(100, dtype=torch.int32)
    cpu = torch.device("cpu")
    one, same, other = (text.Passages(numbers, 10, 8, seed) for seed in (0, 0, 1))
    assert torch.equal(one(3, cpu), same(3, cpu))
    assert not torch.equal(one(3, cpu), other(3, cpu))
    assert not torch.equal(one(3, cpu), one(4, cpu))
    batch = one(0, cpu)
    assert batch.shape == (8, 10)
    assert torch.equal(batch, batch[:, :1] + torch.arange(10))
    mapped = text.Passages(numbers.numpy(), 10, 8, 0)
    assert torch.equal(mapped(3, cpu), one(3, cpu))
    shares = [text.Passages(numbers, 10, 8, 0, rank=rank, world=2)(3, cpu) for rank in (0, 1)]
    assert torch.equal(torch.cat(shares), one(3, cpu))


def test_passages_begin_at_every_place():
    passages = text.Passages(torch.arange(12, dtype=torch.int32), 10, 64, 0)
    assert set(passages(0, torch.device("cpu"))[:, 0].tolist()) == {0, 1, 2}
    with pytest.raises(UsageError, match="12 tokens, fewer than the 13 of a passage; give more text"):
        text.Passages(torch.arange(12), 13, 1, 0)


# The n-gram


def by_hand(train, known, size, order):
    """p of every character after `known`, by the formula, from the lowest order up."""
    shares = [1 / size] * size
    for used in range(order):
        if used > len(known):
            break
        context = tuple(known[len(known) - used :])
        counts = {}
        for i in range(len(train) - used):
            counts.setdefault(tuple(train[i : i + used]), {}).setdefault(train[i + used], 0)
            counts[tuple(train[i : i + used])][train[i + used]] += 1
        every = [n for own in counts.values() for n in own.values()]
        once, twice = every.count(1), every.count(2)
        discount = once / (once + 2 * twice) if once else 0.5
        if context not in counts:
            continue
        own, total = counts[context], sum(counts[context].values())
        shares = [
            max(own.get(w, 0) - discount, 0) / total + discount * len(own) / total * shares[w] for w in range(size)
        ]
    return shares


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_the_ngram_is_its_formula_and_a_distribution(order):
    rng = np.random.default_rng(order)
    train, test = rng.choice(4, 60, p=[0.5, 0.3, 0.15, 0.05]), rng.integers(0, 5, 12)
    found = np.exp(NGram(train, 5, order).log_probabilities(test))
    for place in range(len(test)):
        shares = by_hand(train.tolist(), test[:place].tolist(), 5, order)
        assert sum(shares) == pytest.approx(1)
        assert found[place] == pytest.approx(shares[test[place]])


def test_draws_of_the_ngram_follow_it():
    train = np.random.default_rng(0).choice(3, 200, p=[0.6, 0.3, 0.1])
    model = NGram(train, 3, 2)
    drawn = model.draw(4000, 2, np.random.default_rng(1))
    for pair in itertools.product(range(3), repeat=2):
        share = np.mean((drawn == pair).all(1))
        assert share == pytest.approx(np.exp(model.log_probabilities(np.array(pair)).sum()), abs=0.03)


def test_the_best_order_is_that_of_the_text():
    rng = np.random.default_rng(0)
    assert best_order(rng.integers(0, 20, 5000), 20) == 1
    table = rng.integers(0, 6, (6, 6))
    row = [0, 1]
    for _ in range(5000):
        row.append(int(table[row[-2], row[-1]]) if rng.random() < 0.9 else int(rng.integers(0, 6)))
    assert best_order(np.array(row), 6) == 3
    assert best_order(np.array([0, 1]), 2) == 1


def test_a_trivial_model_of_text_says_what_it_learnt():
    model = Trivial("abcabcabc" * 30, "abc")
    assert model.nats("abcabc") < 0.3 * model.nats("ccbbaa")
    one, other = (model.texts([5, 9], np.random.default_rng(0)) for _ in range(2))
    assert one == other
    assert [len(drawn) for drawn in one] == [5, 9]


# What is copied


def test_hashes_tell_passages_apart_and_the_longest_copy_is_found():
    rng = np.random.default_rng(0)
    train = "".join(rng.choice(list("ab cé🙂"), 400))
    codes = _codes(train)
    for length in (1, 2, 3, 5, 6, 7):
        hashes = _hashes(codes, length)
        passages = [train[i : i + length] for i in range(len(train) - length + 1)]
        assert len(hashes) == len(passages)
        assert len(set(hashes.tolist())) == len(set(passages))
    index = Index(train)
    for sample in [train[50:90], "zzz" + train[3:20] + "zz", "z", "", train[10:15] + train[100:108]]:
        longest = max(
            (j - i for i in range(len(sample)) for j in range(i, len(sample) + 1) if sample[i:j] in train), default=0
        )
        assert index.longest(sample) == longest


# Files of text


def test_a_text_has_its_provenance_beside_it(tmp_path, genzoo_command):
    own = provenance.facts("transformer", "some-run", 3)
    path = samples.write_texts(["one", "two é"], tmp_path / "out.txt", own)
    assert path.read_text("utf-8") == "one\n\n---\n\ntwo é"
    found = provenance.read(path)
    assert found["genzoo"] | {"sha256": ""} == own | {"samples": 2, "sha256": ""}
    assert found["digital_source_type"].endswith("trainedAlgorithmicMedia")
    assert json.loads((tmp_path / "out.txt.json").read_text())["aigc"]["Label"] == "1"
    assert genzoo_command("provenance", path).status == 0
    path.write_text("changed")
    outcome = genzoo_command("provenance", path)
    assert (outcome.status, "it was changed" in outcome.err) == (2, True)
    (tmp_path / "plain.txt").write_text("by hand")
    assert genzoo_command("provenance", tmp_path / "plain.txt").status == 1


def test_models_of_images_and_of_text_do_not_take_each_others_data(genzoo_command):
    outcome = genzoo_command("train", "vae", "--data", "python-docs", "--steps", 1)
    assert outcome.status == 2
    assert "python-docs is text data, and the model takes image" in outcome.err
    assert "--tokenizer" not in genzoo_command("train", "vae", "--help").out
    assert genzoo.TextTrainOptions().data == "python-docs"
