"""Text as a training sees it: characters, the tokens they are cut into, and passages of these."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from genzoo.interface.dataset import Batch, Dataset, Part, Progress, Share, silent, to_device
from genzoo.interface.errors import UsageError
from genzoo.interface.specs import DataSpec
from genzoo.text.sources import END, Survey, role_token, survey
from genzoo.text.tokens import Tokenizer

TEST = 0.1  # of the characters, the last
MOST_VALIDATION = 1_000_000  # characters
EXAMPLE = 256  # tokens of an example of a part
TOKENIZER_FILE = "tokenizer.json"


@dataclass(kw_only=True)
class TextData:
    """A text that is cut along its length: training, then validation, then the last tenth of its characters for test.

    Attributes:
        pieces: gives the text in parts, anew at each call.
        characters: how many it has.
        fingerprint: the SHA-256 of its UTF-8.
        alphabet: the characters that it has.
        validation: the share of what is not for test that is the validation part, at most 1,000,000 characters.
        origin: what it was read from, in words.
        special_tokens: texts that are a token each, such as those before the messages of a conversation.
    """

    pieces: Callable[[], Iterator[str]]
    characters: int
    fingerprint: str
    alphabet: frozenset[str]
    validation: float = 0.1
    origin: str = ""
    special_tokens: tuple[str, ...] = ()

    @classmethod
    def of(cls, text: str | Callable[[], Iterator[str]], progress: Progress = silent, total: int = 1) -> TextData:
        """A text, or one that comes in pieces and is gone through once; `total` is about how many bytes it has.

        Raises `GenzooError` if it is empty.
        """
        pieces = partial(_whole, text) if isinstance(text, str) else text
        return text_of(survey(pieces(), progress, total), pieces)

    def ends(self) -> dict[Part, tuple[int, int]]:
        """The characters of each part, from and to."""
        test = self.characters - max(1, int(self.characters * TEST))
        validation = test - min(MOST_VALIDATION, max(1, int(test * self.validation)))
        return {"train": (0, validation), "validation": (validation, test), "test": (test, self.characters)}

    def part_characters(self, part: Part) -> int:
        """How many characters a part has."""
        start, stop = self.ends()[part]
        return stop - start

    def part(self, part: Part) -> Iterator[str]:
        """The text of a part, in pieces."""
        return (piece for name, piece in self.in_parts() if name == part)

    def in_parts(self) -> Iterator[tuple[Part, str]]:
        """All of the text in pieces, each with the part that it is of."""
        position, ends = 0, self.ends()
        for piece in self.pieces():
            for part, (start, stop) in ends.items():
                if inside := piece[max(0, start - position) : max(0, stop - position)]:
                    yield part, inside
            position += len(piece)


def text_of(result: Survey, pieces: Callable[[], Iterator[str]]) -> TextData:
    """A text that was read; `pieces` give one again that was too long to be kept."""
    again = pieces if result.pieces is None else partial(iter, result.pieces)
    return TextData(
        pieces=again, characters=result.characters, fingerprint=result.fingerprint, alphabet=result.alphabet
    )


def special_tokens(roles: Collection[str]) -> tuple[str, ...]:
    """The texts that are a token each where there are conversations with these roles; none without."""
    return (*(role_token(role) for role in sorted(roles)), END) if roles else ()


def _whole(text: str) -> Iterator[str]:
    yield text


class TextBatch(Batch):
    """One batch: passages as tokens, int64 (B, length), and int64 labels (B,) or None."""

    __slots__ = ()

    @property
    def tokens(self) -> Tensor:
        """The tokens."""
        return self.examples


@dataclass(frozen=True, kw_only=True, eq=False)
class TokenData(Dataset):
    """A text as a model sees it.

    Attributes:
        text: the characters.
        tokenizer: what cut it into tokens.
        tokens: those of each part, (N,), on the training's device or mapped into memory from a file.
    """

    unit: ClassVar[str] = "tokens"

    text: TextData
    tokenizer: Tokenizer
    tokens: dict[Part, Tensor | npt.NDArray[np.integer]]

    @property
    def bits_per_character(self) -> float:
        """What a loss in nats a token is multiplied by to be in bits a character of the training text."""
        characters_per_token = self.text.part_characters("train") / len(self.tokens["train"])
        return 1 / (math.log(2) * characters_per_token)

    def spec(self, name: str) -> DataSpec:
        extra = {"tokenizer": self.tokenizer.name, "characters": self.text.characters}
        return DataSpec(
            name=name,
            modality="text",
            shape=(self.tokenizer.size,),
            train_count=len(self.tokens["train"]),
            validation_count=len(self.tokens["validation"]),
            test_count=len(self.tokens["test"]),
            fingerprint=self.text.fingerprint,
            extra=extra,
        )

    def summary(self) -> str:
        count = sum(len(tokens) for tokens in self.tokens.values())
        size = f"{self.text.characters:,} characters, {count:,} tokens of a vocabulary of {self.tokenizer.size:,}"
        files, _, left_out = self.text.origin.partition("; ")
        return (f"{files}, " if files else "") + size + (f"; {left_out}" if left_out else "")

    def kept(self) -> dict[str, bytes]:
        return {TOKENIZER_FILE: self.tokenizer.json.encode()}

    def place(self, device: torch.device) -> Self:
        """The same, with tokens on `device`; those that are mapped from a file stay where they are."""
        if isinstance(self.tokens["train"], np.memmap):
            return self
        return replace(self, tokens={k: torch.as_tensor(tokens, device=device) for k, tokens in self.tokens.items()})

    def count(self, part: Part) -> int:
        """How many passages of 256 tokens a part has, one after another."""
        return max(1, len(self.tokens[part]) // EXAMPLE)

    def take(self, part: Part, index: Tensor, device: torch.device) -> TextBatch:
        """The passages of a part at `index`, each of 256 tokens (or of all, if the part has fewer)."""
        length = min(EXAMPLE, len(self.tokens[part]))
        return TextBatch(windows(self.tokens[part], index.numpy() * EXAMPLE, length, device), None)

    def batches(self, steps: range, share: Share, device: torch.device, **how: Any) -> Iterator[TextBatch]:
        """Passages of `length` tokens, which begin anywhere in the training text, each place alike."""
        length = int(how.pop("length"))
        if how:
            raise TypeError(f"run.batches() of text takes length, not {', '.join(how)}")
        tokens = self.tokens["train"]
        if len(tokens) < length:
            raise UsageError(
                f"the training text has {len(tokens):,} tokens, fewer than the {length:,} of a passage; give more text,"
                " or a smaller --context-length"
            )
        for step in steps:
            starts = share.rng(step, "passages").integers(0, len(tokens) - length + 1, share.batch_size)
            yield TextBatch(windows(tokens, starts[share.part], length, device), None)

    def units(self, **how: Any) -> int:
        """How many tokens of a passage are told from those before them."""
        if "length" not in how:
            raise TypeError("run.batches() of text needs length=, the tokens of a passage")
        return int(how["length"]) - 1


def windows(
    tokens: Tensor | npt.NDArray[np.integer], starts: npt.NDArray[np.int64], length: int, device: torch.device
) -> Tensor:
    """The passages of `length` tokens that begin at `starts` (B,): int64 (B, length) on `device`."""
    if isinstance(tokens, Tensor):
        every = tokens.unfold(0, length, 1)
        return every[to_device(torch.from_numpy(starts), tokens.device)].to(device, torch.int64)
    passages = np.stack([tokens[start : start + length] for start in starts])
    return to_device(torch.from_numpy(passages.astype(np.int64)), device)
