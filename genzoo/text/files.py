"""Text files as data sets, and their tokens, kept on the disk where they are many."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
from torch import Tensor

from genzoo.interface.dataset import Part, Progress
from genzoo.interface.errors import GenzooError
from genzoo.interface.files import write_folder
from genzoo.registry.data import data_folder
from genzoo.text import TextTrainOptions
from genzoo.text.data import TOKENIZER_FILE, TextData, TokenData, special_tokens, text_of
from genzoo.text.sources import find, in_words
from genzoo.text.tokens import Tokenizer, make

Tokens = npt.NDArray[np.integer]
IN_MEMORY = 2**24  # characters of a text whose tokens are not kept on the disk
PARTS: tuple[Part, ...] = get_args(Part)


def token_data(text: TextData, options: TextTrainOptions, kept: Mapping[str, bytes], progress: Progress) -> TokenData:
    """A text cut into tokens: by the tokeniser that a run keeps, or by one that `options` ask for. Those of a large
    text are kept in the data folder. Raises `GenzooError` if one cannot be made, or does not know all characters."""
    text = replace(text, validation=options.validation)
    if TOKENIZER_FILE in kept:
        tokenizer = Tokenizer(kept[TOKENIZER_FILE].decode())
    else:
        seen = text.alphabet if options.tokenizer == "characters" else text.part("train")
        tokenizer = make(options.tokenizer, options.vocab_size, seen, text.special_tokens)
    return TokenData(text=text, tokenizer=tokenizer, tokens=tokens_of(text, tokenizer, options, progress))


def load_text(paths: tuple[Path, ...], options: TextTrainOptions, progress: Progress) -> TextData:
    """The text of files, and of the files in folders. Raises `GenzooError` for one that cannot be read and
    `UsageError` for none or empty ones."""
    sources = find(paths, options)
    text = text_of(sources.survey(progress), sources.pieces)
    left_out = f"; left out: {in_words(sources.left_out)}" if sources.left_out else ""
    return replace(
        text,
        origin=f"{len(sources.files):,} file{'s' if len(sources.files) > 1 else ''}{left_out}",
        special_tokens=special_tokens(sources.roles),
    )


def tokens_of(
    text: TextData, tokenizer: Tokenizer, options: TextTrainOptions, progress: Progress
) -> dict[Part, Tensor | Tokens]:
    """The tokens of each part, (N,). Those of a large text are kept in the data folder, in as few bytes each as the
    vocabulary needs, with their SHA-256, and mapped into memory from there."""

    def pieces() -> Iterator[tuple[Part, Tokens]]:
        done = 0
        for part, piece in text.in_parts():
            yield part, tokenizer.encode_array(piece)
            done += len(piece)
            progress("tokenising (characters)", done, text.characters)

    if text.characters <= IN_MEMORY:
        tokens: dict[Part, list[Tokens]] = {part: [np.empty(0, np.int32)] for part in PARTS}
        for part, numbers in pieces():
            tokens[part].append(numbers)
        return {part: np.concatenate(tokens[part]) for part in PARTS}
    kind = np.dtype(np.uint8 if tokenizer.size <= 2**8 else np.int16 if tokenizer.size <= 2**15 else np.int32)
    key = hashlib.sha256(f"{text.fingerprint} {tokenizer.sha256} {text.ends()} {kind}".encode()).hexdigest()[:16]
    folder = data_folder(options.data_dir) / "tokens" / key
    if not folder.exists():
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            write_folder(folder, lambda aside: _write(aside, pieces(), kind))
        except OSError as error:
            raise GenzooError(f"cannot keep tokens in {folder.parent}: {error.strerror}; give a --data-dir") from None
    return {part: _mapped(folder, part, kind) for part in PARTS}


def _write(aside: Path, pieces: Iterator[tuple[Part, Tokens]], kind: np.dtype[Any]) -> None:
    with ExitStack() as stack:
        files = {part: stack.enter_context(open(aside / f"{part}.bin", "wb")) for part in PARTS}
        digests = {part: hashlib.sha256() for part in PARTS}
        for part, numbers in pieces:
            content = numbers.astype(kind).tobytes()
            digests[part].update(content)
            files[part].write(content)
    for part in PARTS:
        (aside / f"{part}.sha256").write_text(digests[part].hexdigest(), "utf-8")


def _mapped(folder: Path, part: Part, kind: np.dtype[Any]) -> Tokens:
    path = folder / f"{part}.bin"
    try:
        with open(path, "rb") as file:
            whole = hashlib.file_digest(file, "sha256").hexdigest() == (folder / f"{part}.sha256").read_text("utf-8")
        if not whole:
            raise GenzooError(f"{path} is damaged; remove {folder} and it is made anew")
        return np.memmap(path, kind, "r")
    except (OSError, ValueError) as error:
        raise GenzooError(f"{path} is damaged ({error}); remove {folder} and it is made anew") from None
