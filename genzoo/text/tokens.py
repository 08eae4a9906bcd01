"""Tokenisers, by the `tokenizers` library: characters, bytes, and byte-level byte pair encoding."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tokenizers import Regex, decoders, models, pre_tokenizers, trainers
from tokenizers import Tokenizer as _Tokenizer

from genzoo.interface.errors import GenzooError, UsageError, one_line

KINDS = ("characters", "bytes", "bpe")


class Tokenizer:
    """Text to numbers and back; `decode(encode(text)) == text`.

    Args:
        json: all that it is, as the `tokenizers` library writes it (a `tokenizer.json`).

    Attributes:
        size: of the vocabulary; numbers are in [0, size).
        sha256: of `json`.
        special_tokens: the numbers of texts that are a token each, such as those before the messages of a conversation.
    """

    def __init__(self, json: str) -> None:
        try:
            self._inner = _Tokenizer.from_str(json)
        except Exception as error:
            raise GenzooError(f"the tokeniser is damaged: {one_line(error)}") from None
        self.json, self.sha256 = json, hashlib.sha256(json.encode()).hexdigest()
        vocabulary = self._inner.get_vocab()
        self.size: int = max(vocabulary.values(), default=-1) + 1
        added = self._inner.get_added_tokens_decoder()
        self.special_tokens: dict[str, int] = {token.content: number for number, token in added.items()}
        known = set(vocabulary) - set(self.special_tokens)
        of_words = isinstance(
            self._inner.model, models.WordLevel
        )  # as a folder may bring; those of ours are characters
        self._known = known if of_words and all(len(word) == 1 for word in known) else None
        self._numbers = None if self._known is None else _by_code_point(vocabulary, self._known)

    @property
    def name(self) -> str:
        """What it cuts a text into, in words."""
        if self._known is not None:
            return f"{self.size} characters"
        return "256 bytes" if self.size == 256 else f"{self.size} tokens"

    def encode_array(self, text: str) -> npt.NDArray[np.int32]:
        """As `encode`, int32 (T,); of long texts, in less memory."""
        if self._numbers is None or self.special_tokens:
            return np.array(self.encode(text), np.int32)
        numbers = self._numbers[np.frombuffer(text.encode("utf-32-le"), np.uint32)]
        return numbers if (numbers >= 0).all() else np.array(self.encode(text), np.int32)  # which raises

    def encode(self, text: str) -> list[int]:
        """Raises `UsageError` for a character that it does not know."""
        if self._known is not None and (strange := set(text) - self._known):
            shown = ", ".join(repr(c) for c in sorted(strange)[:5]) + (" and others" if len(strange) > 5 else "")
            raise UsageError(
                f"the model never saw the character {shown}; leave it out, or train with --tokenizer bytes or bpe"
            )
        ids: list[int] = self._inner.encode(text, add_special_tokens=False).ids
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """The text of tokens; bytes that are no whole character become U+FFFD."""
        text: str = self._inner.decode(list(ids), skip_special_tokens=False)
        return text

    def pieces(self) -> Pieces:
        """For tokens that come one by one."""
        return Pieces(self._inner)


class Pieces:
    """The text of tokens that come one by one, whole characters at a time."""

    def __init__(self, inner: _Tokenizer) -> None:
        self._inner, self._stream = inner, decoders.DecodeStream(skip_special_tokens=False)

    def add(self, token: int) -> str:
        """What is known of the text after one token more; empty while a character is not whole."""
        return self._stream.step(self._inner, token) or ""


def make(kind: str, size: int, pieces: Iterable[str], special_tokens: tuple[str, ...] = ()) -> Tokenizer:
    """The tokeniser of a kind or a folder. `pieces` are the text that it is made for, `size` is the vocabulary of
    `bpe`; the others have their own. `special_tokens` are a token each; a folder has its own. Raises `UsageError` if
    it has none."""
    match kind:
        case "characters":
            return characters(pieces, special_tokens)
        case "bytes":
            return byte_pairs((), 256, special_tokens)
        case "bpe":
            return byte_pairs(pieces, size, special_tokens)
    return from_folder(Path(kind).expanduser())


def _by_code_point(vocabulary: dict[str, int], characters: set[str]) -> npt.NDArray[np.int32]:
    """The number of each character at its code point; -1 for one that is none."""
    numbers = np.full(0x110000, -1, np.int32)
    for character in characters:
        numbers[ord(character)] = vocabulary[character]
    return numbers


def characters(pieces: Iterable[str], special_tokens: tuple[str, ...] = ()) -> Tokenizer:
    """A token for each character of the text."""
    known: set[str] = set()
    for piece in pieces:
        known.update(piece)
    vocabulary = {character: number for number, character in enumerate(sorted(known))}
    inner = _Tokenizer(models.WordLevel(vocabulary, unk_token=""))
    inner.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    inner.decoder = decoders.Fuse()
    inner.add_special_tokens(list(special_tokens))
    return Tokenizer(inner.to_str())


def byte_pairs(pieces: Iterable[str], size: int, special_tokens: tuple[str, ...] = ()) -> Tokenizer:
    """Byte-level byte pair encoding (Sennrich et al. 2016; Radford et al. 2019) of up to `size` tokens; with 256 they
    are the bytes themselves."""
    inner = _Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=size > 256)
    inner.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False, special_tokens=[])
    inner.train_from_iterator(pieces, trainer)
    inner.add_special_tokens(list(special_tokens))
    return Tokenizer(inner.to_str())


def from_folder(folder: Path) -> Tokenizer:
    """The tokeniser of a folder in Hugging Face's layout, or of a `tokenizer.json`."""
    path = folder / "tokenizer.json" if folder.is_dir() else folder
    try:
        return Tokenizer(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"--tokenizer is {str(folder)!r}, where no tokenizer.json can be read ({one_line(error)}); allowed is"
            f" {', '.join(KINDS)}, or a folder that has one"
        ) from None
