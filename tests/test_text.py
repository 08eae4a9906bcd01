"""Text: what is read and refused, tokens, passages, the n-gram baseline and the measures."""

import gzip
import hashlib
import itertools
import json
import math
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
import zstandard

import genzoo
from genzoo import (
    EvaluationRequest,
    GenzooError,
    RunFolder,
    Share,
    TextBatch,
    TextData,
    TextTrainOptions,
    TokenData,
    Tokenizer,
    UsageError,
    modality_of,
    read_provenance,
)
from genzoo.interface.dataset import silent
from genzoo.registry.data import locate, open_data
from genzoo.registry.plugins import registry
from genzoo.runs.data import load_data
from genzoo.text import data as text_data
from genzoo.text import files, sources, tokens
from genzoo.text.measures import Index, Trivial, _codes, _hashes, trivial
from genzoo.text.ngram import NGram, best_order
from genzoo.text.write import write_texts

CPU = torch.device("cpu")
PARTS = ("train", "validation", "test")

TRICKY = 'Ünïcode: é e\u0301 日本語 🙂👩‍🔬\ttab\r\nline  two spaces <|endoftext|> \x00 "end"\n'


def text_spec():
    return registry().modalities.get("text")[1]


def read(data, progress=silent, **options):
    return open_data(text_spec(), TextTrainOptions(data=str(data), **options), {}, progress)


def part(text, name):
    return "".join(text.part(name))


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
        assert part(data, "train") + part(data, "validation") == whole[:903]
        assert part(data, "validation") == whole[813:903]  # a tenth of what is not for test
        assert part(data, "test") == whole[903:]


@pytest.mark.parametrize("share", [0.001, 0.1, 0.25, 0.5])
@pytest.mark.parametrize("count", [3, 4, 19, 1003])
def test_a_text_is_cut_along_its_length_into_three_parts_that_are_the_text(count, share):
    whole = "".join(chr(97 + i % 26) for i in range(count))
    held_out = max(1, int(count * 0.1))
    fingerprints = set()
    for cut in (1, count // 2, count - 1):
        data = replace(TextData.of(lambda cut=cut: iter([whole[:cut], "", whole[cut:]])), validation=share)
        fingerprints.add(data.fingerprint)
        assert part(data, "train") + part(data, "validation") + part(data, "test") == whole
        sizes = [data.part_characters(name) for name in PARTS]
        assert sizes == [len(part(data, name)) for name in PARTS]
        assert min(sizes) >= 1
        assert sizes[1:] == [max(1, int((count - held_out) * share)), held_out]
    assert fingerprints == {hashlib.sha256(whole.encode()).hexdigest()}
    with pytest.raises(GenzooError, match="the data hold no text"):
        TextData.of("ab")


def test_a_validation_text_has_at_most_a_million_characters(monkeypatch):
    assert text_data.MOST_VALIDATION == 1_000_000
    monkeypatch.setattr(text_data, "MOST_VALIDATION", 50)
    data = TextData.of("0123456789" * 100)
    assert data.ends() == {"train": (0, 850), "validation": (850, 900), "test": (900, 1000)}


@pytest.mark.parametrize("row", [{"text": "a\ud800b"}, {"messages": [{"role": "user", "content": "\udc00"}]}])
def test_half_a_character_is_said_with_its_line(tmp_path, row):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"text": "whole"}) + "\n" + json.dumps(row) + "\n", "utf-8")
    with pytest.raises(GenzooError, match=r"rows.jsonl, line 2: .ud[8c]00 is half of a character and no text; mend it"):
        read(path)
    with pytest.raises(GenzooError, match=r"the text, 5 characters on: .ud800 is half of a character"):
        TextData.of(lambda: iter(["whole", "a\ud800"]))


def test_a_file_is_decoded_once_until_it_changes(tmp_path, monkeypatch):
    """Looked at before torch, read, and cut into tokens."""
    readings, opened = [], sources.opened
    monkeypatch.setattr(sources, "opened", lambda path, encoding: readings.append(path.name) or opened(path, encoding))
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text(f"all of {name}\n" * 9, "utf-8")
    options = TextTrainOptions(data=str(tmp_path))
    for _ in range(2):
        sources.check((tmp_path,), options)
        dataset, _ = read(tmp_path)
        assert part(dataset.text, "train").startswith("all of a.txt\n")
    assert readings == ["a.txt", "b.txt"]
    (tmp_path / "b.txt").write_text("something else\n" * 9, "utf-8")
    assert "something" in "".join(part(read(tmp_path)[0].text, name) for name in PARTS)
    assert readings == ["a.txt", "b.txt"] * 2


def test_the_share_of_validation_is_an_option_and_tokens_are_those_of_each_part(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("".join(f"line {i} é\n" for i in range(200)), "utf-8")
    specs = []
    for share in (0.1, 0.3):
        for kind in tokens.KINDS:
            data, spec = read(path, validation=share, tokenizer=kind, vocab_size=300)
            specs.append(spec)
            counts = [spec.train_count, spec.validation_count, spec.test_count]
            for name, count in zip(PARTS, counts, strict=True):
                ids = data.tokens[name].tolist()
                assert len(ids) == count
                assert ids == data.tokenizer.encode(part(data.text, name))
            assert part(data.text, "test") == path.read_text("utf-8")[-data.text.part_characters("test") :]
    assert len({spec.fingerprint for spec in specs}) == 1
    assert specs[0].validation_count * 3 - 3 <= specs[3].validation_count <= specs[0].validation_count * 3 + 3


def test_byte_pairs_are_learnt_from_the_training_part_alone(tmp_path):
    lines = "".join(f"line {i}\n" for i in range(200))
    kept = []
    for name, ending in (("a.txt", "x"), ("b.txt", "zebra ")):
        (tmp_path / name).write_text(lines + (ending * 1000)[:800], "utf-8")
        kept.append(read(tmp_path / name, tokenizer="bpe", vocab_size=300, validation=0.3)[0].kept())
    assert kept[0] == kept[1]


def test_python_docs_are_there_without_a_network():
    data, spec = read("python-docs")
    assert spec.modality == "text"
    assert spec.shape == (data.tokenizer.size,)
    assert data.text.characters > 400_000
    assert 'The "if" statement is used for conditional execution' in " ".join("".join(data.text.pieces()).split())
    assert sum(len(data.tokens[name]) for name in PARTS) == data.text.characters
    assert data.bits_per_character == 1 / math.log(2)  # a token is a character


def test_files_folders_and_fields(tmp_path):
    (tmp_path / "b.txt").write_text("second\n", "utf-8")
    (tmp_path / "a.md").write_bytes("\ufefffirst é\r\n".encode())
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "c.jsonl").write_text(
        '{"text": "third", "body": "x"}\n\n{"text": "fourth", "body": "y"}\n', "utf-8"
    )
    (tmp_path / "image.png").write_bytes(b"\x89PNG\0")
    folder = "".join(read(tmp_path)[0].text.pieces())
    assert folder == "first é\n\nsecond\n\nthird\n\nfourth\n\n"
    several = f"{tmp_path / 'b.txt'}, {tmp_path / 'a.md'}"
    assert "".join(read(several)[0].text.pieces()) == "second\n\nfirst é\n"
    fields = read(tmp_path / "deep" / "c.jsonl", text_field="body")[0]
    assert "".join(fields.text.pieces()) == "x\n\ny\n\n"


def test_a_folder_is_what_decodes_as_text_and_what_is_left_out_is_said(tmp_path):
    folder = tmp_path / "mixed"
    (folder / ".git").mkdir(parents=True)
    for name, content in {
        "a.py": b"print('one')\n", "b": b"two\n", "c.MD": b"three\n", "image.png": b"\x89PNG\0\0",
        "latin.txt": b"caf\xe9\n",
        ".hidden": b"no\n", ".git/config": b"no\n", "empty.txt": b"", "table.csv": b"a,b\n1,2\n",
        "d.txt.gz": gzip.compress(b"four\n"), "e.zst": zstandard.compress("fünf\n".encode()),
    }.items():  # fmt: skip
        (folder / name).write_bytes(content)
    data, _ = read(folder)
    assert "".join(data.text.pieces()) == "print('one')\n\ntwo\n\nthree\n\nfour\n\nfünf\n"
    assert data.summary().startswith("5 files, 37 characters, 37 tokens of a vocabulary of ")
    for group in (
        "1 .png (binary)", "1 .txt (not UTF-8)", "1 .txt (empty)", "1 .csv (no column 'text')",
        "2 without ending (hidden)",
    ):  # fmt: skip
        assert group in data.summary()
    assert "".join(read(folder, include=("*.py", "*.MD"))[0].text.pieces()) == "print('one')\n\nthree\n"
    with pytest.raises(GenzooError, match=r"latin.txt is not UTF-8"):
        read(folder, include=("*.txt",))
    assert "".join(read(folder / "latin.txt", encoding="latin-1")[0].text.pieces()) == "café\n"
    assert "".join(read(f"{folder}/[ac].*", include=("x",))[0].text.pieces()).startswith("print('one')\n\nthree\n")
    with pytest.raises(UsageError, match="--encoding is 'klingon'; allowed is an encoding that Python knows"):
        read(folder, encoding="klingon")
    with pytest.raises(UsageError, match=r"matches no file"):
        read(f"{folder}/*.nothing")


def test_where_a_text_stops_to_be_text_is_said_with_the_command_that_converts_it(tmp_path, monkeypatch):
    path = tmp_path / "a file.txt"
    path.write_bytes(
        ("é" * 50 + "plain text " * 20).encode() + "déjà vu, ça va être français, voilà où".encode("cp1252")
    )
    for block in (2**16, 7, 1):  # a character may lie across two blocks
        monkeypatch.setattr(sources, "BLOCK", block)
        assert sources.first_undecodable(path, "utf-8") == (321, 0xE9)
    monkeypatch.setattr(sources, "BLOCK", 2**16)
    with pytest.raises(GenzooError) as caught:
        read(path)
    assert "is not UTF-8: byte 0xe9 at offset 321; it looks like" in str(caught.value)
    target = str(path).replace(".txt", ".utf-8.txt")
    assert f"-t UTF-8 '{path}' > '{target}'" in str(caught.value)


def test_columns_and_conversations(tmp_path):
    table = tmp_path / "table.csv"
    table.write_text('text,other\n"one, and\nmore",x\ntwo,y\n', "utf-8")
    assert "".join(read(table)[0].text.pieces()) == "one, and\nmore\n\ntwo\n\n"
    assert "".join(read(table, text_field="other")[0].text.pieces()) == "x\n\ny\n\n"
    talks = tmp_path / "talks.jsonl"
    messages = [{"role": "user", "content": "How are you?"}, {"role": "assistant", "content": "Fine."}]
    talks.write_text((json.dumps({"messages": messages}) + "\n") * 5, "utf-8")
    for kind in tokens.KINDS:
        data, _ = read(talks, tokenizer=kind, vocab_size=270)
        text = "<|user|>How are you?<|end|><|assistant|>Fine.<|end|>\n"
        assert "".join(data.text.pieces()) == text * 5
        assert set(data.tokenizer.special_tokens) == {"<|user|>", "<|assistant|>", "<|end|>"}
        assert data.tokenizer.decode(data.tokenizer.encode(text)) == text
        assert data.tokenizer.encode("<|user|>") == [data.tokenizer.special_tokens["<|user|>"]]
    assert read(talks)[0].tokenizer.size == len(set(text)) + 3


@pytest.mark.parametrize("kind", tokens.KINDS)
def test_an_array_of_tokens_is_the_list(kind):
    tokenizer = tokens.make(kind, 300, [TRICKY * 3])
    array = tokenizer.encode_array(TRICKY)
    assert (array.dtype, array.tolist()) == (np.int32, tokenizer.encode(TRICKY))
    if kind == "characters":
        with pytest.raises(UsageError, match="never saw the character 'ß'"):
            tokenizer.encode_array("ß")


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        (
            "latin.txt",
            "caf\xe9 au lait".encode("latin-1"),
            "latin.txt is not UTF-8: byte 0xe9 at offset 3; it looks like",
        ),
        ("empty.txt", b"", "empty.txt is empty"),
        ("one.txt", b"x", "the data hold no text"),
        (
            "bad.jsonl",
            b'{"text": "a"}\n{"txt": "b"}\n',
            "bad.jsonl, line 2: no text in the field 'text'; there is txt; see --text-field",
        ),
        ("bad.jsonl", b"not json\n", "bad.jsonl, line 1: no JSON"),
        ("bad.jsonl", b'{"text": 3}\n', "bad.jsonl, line 1: no text in the field 'text'; there is none with a text"),
        ("bad.jsonl", b"[1]\n", "bad.jsonl, line 1: no JSON object, but a list"),
        (
            "bad.jsonl",
            b'{"messages": [{"role": "a b", "content": ""}]}\n',
            "'messages' is no list of objects with a 'role'",
        ),
        ("table.csv", b"a,b\n1,2\n", "table.csv: no text in the field 'text'; there is a, b; see --text-field"),
        ("cut.gz", gzip.compress(b"a text of it\n" * 99, mtime=0)[:30], "cannot read .*cut.gz"),
    ],
)
def test_what_is_no_text_is_said(tmp_path, name, content, says):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(GenzooError, match=says):
        read(tmp_path / name)


def test_what_is_not_there_is_said(tmp_path):
    with pytest.raises(UsageError, match="holds no text file"):
        read(tmp_path)
    with pytest.raises(UsageError, match="nowhere.txt does not exist"):
        read(tmp_path / "nowhere.txt")
    with pytest.raises(UsageError, match="did you mean 'python-docs'"):
        locate("python-doc", text_spec())
    with pytest.raises(UsageError, match="mnist is image data, and the model takes text; allowed is python-docs"):
        locate("mnist", text_spec())


def test_a_large_text_is_cut_once_and_mapped_into_memory(tmp_path, monkeypatch):
    path = tmp_path / "large.txt"
    path.write_text("a line of it\n" * 500, "utf-8")
    small, _ = read(path, tokenizer="bpe", vocab_size=260)
    monkeypatch.setattr(files, "IN_MEMORY", 100)
    monkeypatch.setattr(sources, "PIECE", 64)
    calls = []
    large, spec = read(path, tokenizer="bytes", progress=lambda *call: calls.append(call))
    assert all(isinstance(large.tokens[name], np.memmap) for name in PARTS)
    assert {large.tokens[name].dtype for name in PARTS} == {np.dtype(np.uint8)}  # of no more than 256 tokens
    assert (calls[-1][0], calls[-1][1]) == ("tokenising (characters)", 6500)

    def once(stage, *_):
        assert stage != "tokenising (characters)", "cut again"

    again, _ = read(path, tokenizer="bytes", progress=once)
    assert all(np.array_equal(again.tokens[name], large.tokens[name]) for name in PARTS)
    assert large.tokenizer.decode(large.tokens["train"].tolist()) == "a line of it\n" * 405
    assert len(small.tokens["train"]) < len(large.tokens["train"]) == spec.train_count == 5265
    assert (spec.validation_count, spec.test_count) == (585, 650)
    assert large.place(CPU) is large
    (file,) = (tmp_path / "data" / "tokens").glob("*/train.bin")
    file.write_bytes(file.read_bytes()[:-4] + b"\0\0\0\0")
    with pytest.raises(GenzooError, match="train.bin is damaged; remove .* and it is made anew"):
        read(path, tokenizer="bytes")


# Passages


def passages(numbers, step, length, size, seed, **processes):
    """The tokens of one batch of a text whose training tokens are `numbers`."""
    data = TokenData(text=TextData.of("abc"), tokenizer=tokens.make("bytes", 0, []), tokens={"train": numbers})
    (batch,) = data.batches(range(step, step + 1), Share(size, seed, **processes), CPU, length=length)
    assert isinstance(batch, TextBatch)
    assert batch.labels is None
    return batch.tokens


def test_a_batch_of_passages_is_a_function_of_seed_and_step():
    numbers = torch.arange(100, dtype=torch.int32)
    third = passages(numbers, 3, 10, 8, 0)
    assert torch.equal(third, passages(numbers, 3, 10, 8, 0))
    assert not torch.equal(third, passages(numbers, 3, 10, 8, 1))
    assert not torch.equal(third, passages(numbers, 4, 10, 8, 0))
    batch = passages(numbers, 0, 10, 8, 0)
    assert batch.shape == (8, 10)
    assert torch.equal(batch, batch[:, :1] + torch.arange(10))
    assert torch.equal(passages(numbers.numpy(), 3, 10, 8, 0), third)
    shares = [passages(numbers, 3, 10, 8, 0, rank=rank, world=2) for rank in (0, 1)]
    assert torch.equal(torch.cat(shares), third)


def test_passages_begin_at_every_place():
    numbers = torch.arange(12, dtype=torch.int32)
    assert set(passages(numbers, 0, 10, 64, 0)[:, 0].tolist()) == {0, 1, 2}
    with pytest.raises(UsageError, match="12 tokens, fewer than the 13 of a passage; give more text"):
        passages(numbers, 0, 13, 1, 0)


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
        every = [n for followers in counts.values() for n in followers.values()]
        once, twice = every.count(1), every.count(2)
        discount = once / (once + 2 * twice) if once else 0.5
        if context not in counts:
            continue
        followers, total = counts[context], sum(counts[context].values())
        lower = discount * len(followers) / total
        shares = [max(followers.get(w, 0) - discount, 0) / total + lower * shares[w] for w in range(size)]
    return shares


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_the_ngram_is_its_formula_and_a_distribution(order):
    rng = np.random.default_rng(order)
    train, test = rng.choice(4, 60, p=[0.5, 0.3, 0.15, 0.05]), rng.integers(0, 5, 12)
    probabilities = np.exp(NGram(train, 5, order).log_probabilities(test))
    for place in range(len(test)):
        shares = by_hand(train.tolist(), test[:place].tolist(), 5, order)
        assert sum(shares) == pytest.approx(1)
        assert probabilities[place] == pytest.approx(shares[test[place]])


def test_draws_of_the_ngram_follow_it():
    train = np.random.default_rng(0).choice(3, 200, p=[0.6, 0.3, 0.1])
    model = NGram(train, 3, 2)
    drawn = model.draw(4000, 2, np.random.default_rng(1))
    for pair in itertools.product(range(3), repeat=2):
        share = np.mean((drawn == pair).all(1))
        assert share == pytest.approx(np.exp(model.log_probabilities(np.array(pair)).sum()), abs=0.03)


def test_the_best_order_is_that_of_the_text():
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 20, 5000)
    assert best_order(noise[:4500], noise[4500:], 20) == 1
    table = rng.integers(0, 6, (6, 6))
    row = [0, 1]
    for _ in range(5000):
        row.append(int(table[row[-2], row[-1]]) if rng.random() < 0.9 else int(rng.integers(0, 6)))
    assert best_order(np.array(row[:4500]), np.array(row[4500:]), 6) == 3
    assert best_order(np.array([0]), np.array([1]), 2) == 1


def test_a_trivial_model_of_text_says_what_it_learnt():
    model = Trivial("abcabcabc" * 27, "abcabcabc" * 3, "abc")
    assert model.nats("abcabc") < 0.3 * model.nats("ccbbaa")
    one, other = (model.texts([5, 9], np.random.default_rng(0)) for _ in range(2))
    assert one == other
    assert [len(drawn) for drawn in one] == [5, 9]


def test_a_text_that_is_shorter_than_the_order_has_probabilities_too():
    train = np.arange(50) % 5
    whole = NGram(train, 5, 6).log_probabilities(np.array([1, 2, 3, 4, 0, 1, 2]))
    for length in range(7):
        text = np.array([1, 2, 3, 4, 0, 1, 2])[:length]
        assert np.array_equal(NGram(train, 5, 6).log_probabilities(text), whole[:length])
    assert best_order(train, np.array([1]), 5) == 1


def test_the_order_of_the_baseline_does_not_depend_on_signs_of_the_test_text_alone():
    """One of the texts whose best order hung on how many signs there were to be missed."""
    changed = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        size, length = int(rng.integers(2, 6)), int(rng.integers(24, 80))
        table, row = rng.integers(0, size, (size, size)), [0, 1]
        for _ in range(length):
            followed = rng.random() < 0.8
            row.append(int(table[row[-2], row[-1]]) if followed else int(rng.integers(0, size)))
        train, validation = np.array(row[:-8]), np.array(row[-8:])
        texts = ["".join(chr(97 + i) for i in numbers) for numbers in (train, validation)]
        seen = sorted(set("".join(texts)))
        orders = [Trivial(*texts, "".join(sorted({*seen, *more}))).order for more in ("", map(chr, range(500, 700)))]
        assert orders[0] == orders[1]
        changed += best_order(train, validation, size) != best_order(train, validation, size + 200)
    assert changed > 3  # of the order that all signs choose


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


# Runs on text

LETTERS = """
    import torch, genzoo
    from genzoo import GeneratorSpec

    class Letters(genzoo.Generator):
        "How often each token comes; nothing of those before it."
        likelihood_kind = "exact"
        best_by = ("validation/loss", "lower")
        scored = []  # what log_likelihood was given without gradients
        def __init__(self, config, data):
            super().__init__(config, data)
            self.logits = torch.nn.Parameter(torch.zeros(data.shape[0]))
        def fit(self, run):
            optimizer = run.prepare(torch.optim.SGD(self.parameters(), 20.0))
            for batch in run.batches(length=16):
                loss = -self.log_likelihood(batch.tokens).mean()
                optimizer.zero_grad()
                run.backward(loss)
                optimizer.step()
                run.log(loss=loss)
        def sample(self, count, *, options, rng):
            shares = self.logits.softmax(0).cumsum(0)
            ids = torch.searchsorted(shares, rng.uniform(200)).clamp_max(len(shares) - 1)
            return [self.tokenizer.decode(row) for row in ids.tolist()]
        def log_likelihood(self, tokens):
            if not torch.is_grad_enabled():
                self.scored.append(tokens.clone())
            return self.logits.log_softmax(0)[tokens]

    @genzoo.hookimpl
    def genzoo_generators():
        defaults = {"steps": 12, "batch_size": 2, "eval_every": 2, "sample_every": 6, "log_every": 1, "save_every": 6}
        return [GeneratorSpec(name="letters", summary="-", modality="text", target="zoo_letters:Letters",
            defaults=defaults, example_length=16)]
"""


@pytest.fixture
def letters(install):
    install("zoo_letters", LETTERS)


def lines(count=300, words=("the", "cat", "sat", "on", "a", "mat", "and", "ran"), seed=0):
    rng = np.random.default_rng(seed)
    return "".join(" ".join(rng.choice(words, 6)) + ".\n" for _ in range(count))


def written(path, text):
    path.write_text(text, "utf-8")
    return path


def validation_scores(run):
    keys = ("step", "validation/loss", "validation/bits_per_character")
    return [{key: line[key] for key in keys} for line in run.metrics() if keys[1] in line]


def best(run):
    """What `best/` is, without what it says of the data."""
    facts = run.best()
    return {key: facts[key] for key in ("step", "score_name", "score", "files")}


def test_a_score_while_training_is_of_the_first_validation_tokens_and_no_more(letters, tmp_path, monkeypatch):
    import genzoo.text.modality as modality

    assert modality.SCORED == 65_536
    monkeypatch.setattr(modality, "SCORED", 100)
    text = lines()
    run = genzoo.train("letters", name="one", data=str(written(tmp_path / "a.txt", text)), tokenizer="bytes")
    data, spec = read(tmp_path / "a.txt", tokenizer="bytes")
    assert spec.validation_count > 500
    scored = genzoo.load(run).scored
    assert len(scored) == 6  # at steps 2, 4, ..., 12
    for row in scored:  # bounded, and the same each time
        assert torch.equal(row, torch.as_tensor(data.tokens["validation"][:100])[None])
    nats = -genzoo.load(run, weights="last").log_likelihood(scored[0]).double().sum().item()
    last = run.metrics()[-1]
    assert last["validation/loss"] == pytest.approx(nats / 100, rel=1e-6)
    assert last["validation/bits_per_character"] == pytest.approx(nats / 100 / math.log(2), rel=1e-6)

    start, stop = data.text.ends()["validation"]  # what comes behind them changes no score, nor does the test text
    later = text[: start + 100] + "x" * (len(text) - start - 100)
    other = genzoo.train("letters", name="two", data=str(written(tmp_path / "b.txt", later)), tokenizer="bytes")
    assert validation_scores(other) == validation_scores(run)
    changed = text[:start] + "x" * (stop - start) + text[stop:]
    third = genzoo.train("letters", name="three", data=str(written(tmp_path / "c.txt", changed)), tokenizer="bytes")
    assert validation_scores(third) != validation_scores(run)


def test_a_validation_text_that_is_shorter_than_that_is_scored_whole(letters, tmp_path):
    run = genzoo.train("letters", data=str(written(tmp_path / "a.txt", lines(60))))
    (count,) = {row.shape[1] for row in genzoo.load(run).scored}
    assert count == run.data_spec.validation_count


def test_nothing_that_is_chosen_of_a_text_looks_at_its_test_part(letters, tmp_path):
    text = lines()
    test = int(len(text) * 0.1)
    results = []
    for name, ending in (("plain", text[-test:]), ("changed", ("é🙂zqx" * test)[:test])):
        path = written(tmp_path / f"{name}.txt", text[:-test] + ending)
        run = genzoo.train("letters", name=name, data=str(path), tokenizer="bytes", eval_every=1)
        dataset, data = load_data(run)
        request = EvaluationRequest(count=None, seed=0, features="auto", load_features=lambda *_: None)
        subject = modality_of("text").reference(dataset, data, request, silent).empty
        results.append((validation_scores(run), best(run), trivial(subject).order, genzoo.sample(run, 2)))
        assert part(dataset.text, "test") == ending
        assert results[-1][1]["step"] > 1  # there was a choice
    assert results[0] == results[1]
    runs = [genzoo.find_run(name) for name in ("plain", "changed")]
    assert runs[0].data_spec.fingerprint != runs[1].data_spec.fingerprint
    bits = [{m.name: m.value for m in genzoo.evaluate(run, 2).measures}["bits_per_character"] for run in runs]
    assert bits[0] < bits[1]  # which the evaluation sees


def test_a_run_whose_tokeniser_was_changed_neither_goes_on_nor_is_sampled(letters, tmp_path, genzoo_command):
    run = genzoo.train("letters", name="one", data=str(written(tmp_path / "a.txt", lines())))
    (name,) = run.kept()
    content = (run.path / name).read_bytes()
    assert (name, run.kept()[name]) == ("tokenizer.json", content)
    assert run.record["kept"] == {name: hashlib.sha256(content).hexdigest()}
    texts = genzoo.sample(run, 2)
    assert genzoo.load(run).tokenizer.json == content.decode()

    vocabulary = json.loads(content)
    words = vocabulary["model"]["vocab"]
    words["a"], words["e"] = words["e"], words["a"]
    (run.path / name).write_text(json.dumps(vocabulary), "utf-8")
    Tokenizer((run.path / name).read_text("utf-8"))  # a whole one, and another
    why = "run 'one' is damaged: its tokenizer.json is not the one that it began with"
    for call in (
        run.kept,
        lambda: genzoo.resume(run, steps=20),
        lambda: genzoo.sample(run, 1),
        lambda: genzoo.load("one"),
        lambda: genzoo.evaluate(run, 2),
    ):
        with pytest.raises(GenzooError, match=f"^{why}$"):
            call()
    for command in (("resume", "one", "--steps", 20), ("sample", "one")):
        done = genzoo_command(*command)
        assert (done.status, done.out) == (1, "")
        assert done.err.endswith(f"genzoo: {why}\n")
    assert RunFolder(run.path).step == 12  # and nothing was trained

    (run.path / name).unlink()
    with pytest.raises(GenzooError, match="run 'one': cannot read its tokenizer.json: No such file"):
        genzoo.sample(run, 1)
    (run.path / name).write_bytes(content)
    assert genzoo.sample(run, 2) == texts
    shutil.copytree(run.path, run.path.with_name("two"))  # a run is enough, wherever it is
    assert genzoo.sample("two", 2) == texts
    assert genzoo.resume(run, steps=20).step == 20


# Files of text


def test_a_text_has_its_provenance_beside_it(tmp_path, genzoo_command):
    facts = {"generator": "genzoo", "version": genzoo.__version__, "model": "transformer", "run": "some-run", "seed": 3}
    path = tmp_path / "out.txt"
    write_texts(["one", "two é"], path, facts)
    assert path.read_text("utf-8") == "one\n\n---\n\ntwo é"
    labels = read_provenance(path)
    assert labels["genzoo"] | {"sha256": ""} == facts | {"samples": 2, "sha256": ""}
    assert labels["digital_source_type"].endswith("trainedAlgorithmicMedia")
    assert json.loads((tmp_path / "out.txt.json").read_text("utf-8"))["aigc"]["Label"] == "1"
    assert genzoo_command("provenance", path).status == 0
    path.write_text("changed", "utf-8")
    outcome = genzoo_command("provenance", path)
    assert (outcome.status, "it was changed" in outcome.err) == (2, True)
    (tmp_path / "plain.txt").write_text("by hand", "utf-8")
    assert genzoo_command("provenance", tmp_path / "plain.txt").status == 1


def test_models_of_images_and_of_text_do_not_take_each_others_data(genzoo_command):
    outcome = genzoo_command("train", "vae", "--data", "python-docs", "--steps", 1)
    assert outcome.status == 2
    assert "python-docs is text data, and the model takes image" in outcome.err
    assert "--tokenizer" not in genzoo_command("train", "vae", "--help").out
    assert genzoo.TextTrainOptions().data == "python-docs"


def test_the_ends_of_a_text_in_pieces():
    from genzoo.text.reference import _last, first

    whole = "".join(chr(97 + i % 26) for i in range(100))
    for size in (1, 7, 30, 100):
        for count in (1, 7, 29, 30, 99, 100, 200):
            pieces = [whole[start : start + size] for start in range(0, 100, size)]
            assert _last(iter(pieces), count) == whole[-count:]
            assert first(iter(pieces), count) == whole[:count]
