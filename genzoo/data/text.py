"""Text: what a data set is made of, its tokens, and the passages of a training."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genzoo.data import FILES
from genzoo.data.files import Progress, tick
from genzoo.data.images import share_of
from genzoo.data.tokens import Tokenizer, make
from genzoo.errors import GenzooError, UsageError
from genzoo.randomness import derive_seed
from genzoo.run_folder import write_folder
from genzoo.spec import DataSpec, TextTrainOptions

HELD_OUT = 0.1  # of the characters, the last
PIECE = 2**20  # characters read at a time
IN_MEMORY = 2**24  # characters of a text whose tokens are not kept on the disk
Array = np.ndarray[Any, Any]


@dataclass(kw_only=True)
class TextData:
    """A text whose last tenth, by characters, is held out.

    Attributes:
        pieces: gives the text in parts, anew at each call.
        characters: how many it has.
        fingerprint: the SHA-256 of its UTF-8.
    """

    pieces: Callable[[], Iterator[str]]
    characters: int
    fingerprint: str

    @classmethod
    def of(cls, text: str | Callable[[], Iterator[str]], progress: Progress = tick, total: int = 1) -> TextData:
        """A text, or one that comes in pieces and is gone through once; `total` is about how many bytes it has.

        Raises `GenzooError` if it is empty.
        """
        pieces = partial(_whole, text) if isinstance(text, str) else text
        digest, count, done = hashlib.sha256(), 0, 0
        for piece in pieces():
            raw = piece.encode()
            digest.update(raw)
            count, done = count + len(piece), done + len(raw)
            progress("reading text", min(done, total), total)
        if count < 2:
            raise GenzooError("the data hold no text")
        return cls(pieces=pieces, characters=count, fingerprint=digest.hexdigest())

    @property
    def train_characters(self) -> int:
        """How many characters come before those that are held out."""
        return self.characters - max(1, int(self.characters * HELD_OUT))

    def part(self, train: bool) -> Iterator[str]:
        """The training text, or the held-out text, in pieces."""
        left = self.train_characters
        for piece in self.pieces():
            own = piece[: max(left, 0)] if train else piece[max(left, 0) :]
            left -= len(piece)
            if own:
                yield own
            if train and left <= 0:
                return


@dataclass(frozen=True, kw_only=True, eq=False)
class TokenData:
    """A text as a model sees it.

    Attributes:
        text: the characters.
        tokenizer: what cut it into tokens.
        train, test: tokens of the training text and of the held-out text, (N,), on the training's device or mapped into
            memory from a file.
    """

    text: TextData
    tokenizer: Tokenizer
    train: Tensor | Array
    test: Tensor | Array

    @property
    def characters_per_token(self) -> float:
        """Of the training text."""
        return self.text.train_characters / len(self.train)

    @property
    def test_characters(self) -> int:
        """How many characters are held out."""
        return self.text.characters - self.text.train_characters

    def spec(self, name: str) -> DataSpec:
        """What a model may know of these data."""
        return DataSpec(
            name=name, modality="text", shape=(self.tokenizer.size,), classes=(), train_count=len(self.train),
            test_count=len(self.test), fingerprint=self.text.fingerprint,
        )  # fmt: skip

    def place(self, device: torch.device) -> TokenData:
        """The same, with tokens on `device`; those that are mapped from a file stay where they are."""
        if isinstance(self.train, np.memmap):
            return self
        train, test = (torch.as_tensor(part, device=device) for part in (self.train, self.test))
        return TokenData(text=self.text, tokenizer=self.tokenizer, train=train, test=test)


def token_data(
    text: TextData, options: TextTrainOptions, folder: Path, tokenizer: Tokenizer | None, progress: Progress
) -> TokenData:
    """A text cut into tokens: by `tokenizer`, or by one that `options` ask for. Those of a large text are kept in
    `folder`. Raises `GenzooError` if one cannot be made, or does not know all characters."""
    if tokenizer is None:
        seen = text.pieces() if options.tokenizer == "characters" else text.part(train=True)
        tokenizer = make(options.tokenizer, options.vocab_size, seen)
    train, test = tokens_of(text, tokenizer, folder, progress)
    return TokenData(text=text, tokenizer=tokenizer, train=train, test=test)


def _whole(text: str) -> Iterator[str]:
    yield text


def read_texts(paths: list[Path], field: str) -> Iterator[str]:
    """The text of files in pieces that end with a line; of `.jsonl` files the field of each line, an empty line after
    each. Raises `GenzooError` for what is not UTF-8 or has no such field."""
    for number, path in enumerate(paths):
        if number:
            yield "\n"
        try:
            with open(path, encoding="utf-8-sig") as file:
                if path.suffix.lower() == ".jsonl":
                    yield from _fields(file, path, field)
                else:
                    while lines := _lines(file):
                        yield lines
        except UnicodeDecodeError as error:
            raise GenzooError(
                f"{path} is not UTF-8 (byte {error.object[error.start]:#04x}); convert it, for one with iconv"
            ) from None
        except OSError as error:
            raise GenzooError(f"cannot read {path}: {error.strerror}") from None


def _lines(file: Any) -> str:
    """Whole lines of about `PIECE` characters; a line that is longer is cut."""
    found: list[str] = []
    size = 0
    while size < PIECE and (line := file.readline(PIECE)):
        found.append(line)
        size += len(line)
    return "".join(found)


def _fields(file: Any, path: Path, field: str) -> Iterator[str]:
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)[field]
        except (ValueError, KeyError, TypeError):
            value = None
        if not isinstance(value, str):
            raise GenzooError(f"{path}, line {number}: no JSON object with a text in {field!r}; see --text-field")
        yield value + "\n\n"


def load_text(paths: tuple[Path, ...], field: str, progress: Progress) -> TextData:
    """The text of files, and of the files in folders. Raises `GenzooError` for one that cannot be read and
    `UsageError` for none or empty ones."""
    files = list(chain.from_iterable(_files(path) for path in paths))
    if not files:
        raise UsageError(f"--data {paths[0]} holds no text file; looked for {' '.join(FILES['text'])}")
    size = sum(path.stat().st_size for path in files)
    if not size:
        raise UsageError(f"--data {', '.join(map(str, paths[:3]))} is empty")
    return TextData.of(lambda: read_texts(files, field), progress, size)


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return sorted(found for found in path.rglob("*") if found.suffix.lower() in FILES["text"] and found.is_file())


def tokens_of(text: TextData, tokenizer: Tokenizer, folder: Path, progress: Progress) -> tuple[Array, Array]:
    """The tokens of the training text and of the held-out text, int32 (N,) each. Those of a large text are kept in
    `folder` with their SHA-256, and mapped into memory from there."""
    large = text.characters > IN_MEMORY
    done = 0

    def parts(train: bool) -> Iterator[Array]:
        nonlocal done
        for piece in text.part(train):
            yield np.array(tokenizer.encode(piece), np.int32)
            done += len(piece)
            progress("tokenising", done, text.characters)

    if not large:
        train, test = (np.concatenate([np.empty(0, np.int32), *parts(train)]) for train in (True, False))
        return train, test
    key = hashlib.sha256(f"{text.fingerprint} {tokenizer.sha256}".encode()).hexdigest()[:16]
    place = folder / "tokens" / key
    if not place.exists():
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            write_folder(place, lambda aside: _write(aside, parts))
        except OSError as error:
            raise GenzooError(f"cannot keep tokens in {place.parent}: {error.strerror}; give a --data-dir") from None
    return _mapped(place, "train"), _mapped(place, "test")


def _write(aside: Path, parts: Callable[[bool], Iterator[Array]]) -> None:
    for name in ("train", "test"):
        digest = hashlib.sha256()
        with open(aside / f"{name}.bin", "wb") as file:
            for part in parts(name == "train"):
                digest.update(part.tobytes())
                file.write(part.tobytes())
        (aside / f"{name}.sha256").write_text(digest.hexdigest())


def _mapped(place: Path, name: str) -> Array:
    path = place / f"{name}.bin"
    try:
        with open(path, "rb") as file:
            whole = hashlib.file_digest(file, "sha256").hexdigest() == (place / f"{name}.sha256").read_text()
        if not whole:
            raise GenzooError(f"{path} is damaged; remove {place} and it is made anew")
        return np.memmap(path, np.int32, "r")
    except (OSError, ValueError) as error:
        raise GenzooError(f"{path} is damaged ({error}); remove {place} and it is made anew") from None


class Passages:
    """Which passages of a text make which batch: batch k is a function of (seed, k), and of nothing else.

    Passages begin anywhere, each place alike. With several processes each takes its share of the batch.
    """

    def __init__(
        self, tokens: Tensor | Array, length: int, batch_size: int, seed: int, *, rank: int = 0, world: int = 1
    ) -> None:
        if len(tokens) < length:
            raise UsageError(
                f"the training text has {len(tokens):,} tokens, fewer than the {length:,} of a passage; give more text,"
                " or a smaller --context-length"
            )
        self._tokens, self._length, self._seed = tokens, length, seed
        self._size, self._share = batch_size, share_of(batch_size, rank, world)

    def __call__(self, step: int, device: torch.device) -> Tensor:
        """Batch `step` (0-based): int64 (batch_size / world, length) on `device`."""
        rng = np.random.default_rng(derive_seed(self._seed, "passages", step))
        starts = rng.integers(0, len(self._tokens) - self._length + 1, self._size)[self._share]
        if isinstance(self._tokens, Tensor):
            windows = self._tokens.unfold(0, self._length, 1)
            return windows[torch.from_numpy(starts).to(self._tokens.device)].to(device, torch.int64)
        found = np.stack([self._tokens[start : start + self._length] for start in starts])
        return torch.from_numpy(found.astype(np.int64)).to(device)
