"""Text as genzoo knows it: what each promise of a modality is for characters and tokens."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from genzoo.interface.dataset import Dataset, Progress
from genzoo.interface.errors import GenzooError, UsageError
from genzoo.interface.generator import Generator, HasLikelihood, log_likelihood
from genzoo.interface.measures import EvaluationRequest
from genzoo.interface.modality import Modality, SampleSpace
from genzoo.interface.randomness import derive_seed
from genzoo.interface.specs import DataSpec, TrainOptions, WriteOptions
from genzoo.text import TextTrainOptions
from genzoo.text.data import TOKENIZER_FILE, TokenData, windows
from genzoo.text.files import load_text, token_data
from genzoo.text.measures import passages_like
from genzoo.text.memory import text_data
from genzoo.text.reference import CHARACTERS, LENGTH, TextReference, first, text_reference
from genzoo.text.sources import END, role_token
from genzoo.text.tokens import Tokenizer
from genzoo.text.write import BETWEEN, write_texts

SCORED = 2**16  # validation tokens in a score while training


class TextModality(Modality[list[str]]):
    """Text: a sample is a `str`, several are a list. A model of text has the run's `tokenizer`."""

    # Data

    def open(
        self, paths: tuple[Path, ...], options: TrainOptions, kept: Mapping[str, bytes], progress: Progress
    ) -> TokenData:
        assert isinstance(options, TextTrainOptions), "the modality's own options are given"
        return token_data(load_text(paths, options, progress), options, kept, progress)

    def take(self, data: object, options: TrainOptions, kept: Mapping[str, bytes], progress: Progress) -> TokenData:
        assert isinstance(options, TextTrainOptions), "the modality's own options are given"
        return token_data(text_data(data, options.text_field, progress), options, kept, progress)

    def equip(self, model: Generator, kept: Mapping[str, bytes]) -> None:
        model.tokenizer = Tokenizer(kept[TOKENIZER_FILE].decode())  # type: ignore[assignment]

    # Samples

    def check(self, samples: object, count: int, data: DataSpec, *, strict: bool = False) -> list[str]:
        if not isinstance(samples, list) or not all(isinstance(text, str) for text in samples):
            raise GenzooError(f"the model gave {type(samples).__name__} for {count} texts; promised is a list of texts")
        if len(samples) != count:
            raise GenzooError(f"the model gave {len(samples)} texts; promised are {count}")
        return samples

    def real_samples(
        self, dataset: Dataset, data: DataSpec, count: int, *, seed: int, like: list[str] | None = None
    ) -> list[str]:
        """Passages of the first 8 million characters of the test text, from anywhere."""
        assert isinstance(dataset, TokenData), "the modality's own data are given"
        lengths = [len(text) for text in like or ()] or [LENGTH]
        text = first(dataset.text.part("test"), CHARACTERS)
        rng = np.random.default_rng(derive_seed(seed, "real samples"))
        return passages_like(text, [lengths[number % len(lengths)] for number in range(count)], rng)

    def data_of(self, samples: object) -> DataSpec | None:
        if not isinstance(samples, list) or not samples or not all(isinstance(text, str) for text in samples):
            return None
        return DataSpec(
            name="", modality="text", shape=(0,), train_count=0, validation_count=0, test_count=0, fingerprint=""
        )

    def join(self, parts: Sequence[list[str]], data: DataSpec) -> list[str]:
        return [text for part in parts for text in part]

    def write(
        self, samples: list[str], path: Path, facts: Mapping[str, object], options: WriteOptions,
        data: DataSpec, labels: Tensor | None = None,
    ) -> None:  # fmt: skip
        write_texts(samples, path, facts)

    def preview(self, path: Path) -> str:
        return path.read_text("utf-8")

    def text(self, samples: list[str]) -> str:
        return BETWEEN.join(samples)

    def conversation(self, model: Generator, messages: Sequence[tuple[str, str]]) -> str:
        """With the roles' tokens, where the model was trained on conversations."""
        known = cast(Any, model).tokenizer.special_tokens
        if END not in known:
            return super().conversation(model, messages)
        roles = [role for role, _ in messages] + ["assistant"]
        if strange := [role for role in roles if role_token(role) not in known]:
            raise UsageError(f"the model never saw messages of the role {strange[0]!r}")
        return "".join(role_token(role) + text + END for role, text in messages) + role_token("assistant")

    # Scores and measures

    def score(
        self, model: Generator, dataset: Dataset, data: DataSpec, draw: Callable[[int], list[str]]
    ) -> dict[str, float]:
        """The likelihood of the first 65,536 tokens of the validation text; as `Modality.score` for a model that has
        none."""
        assert isinstance(dataset, TokenData), "the modality's own data are given"
        if not isinstance(model, HasLikelihood):
            return super().score(model, dataset, data, draw)
        every = dataset.tokens["validation"]
        count = min(SCORED, len(every))
        tokens = windows(every, np.zeros(1, np.int64), count, model.device)  # (1, count)
        nats = -log_likelihood(model, tokens, seed=0).cpu().double().sum().item()
        characters = dataset.text.part_characters("validation") / len(every) * count
        return {"loss": nats / count, "bits_per_character": nats / characters / math.log(2)}

    def reference(
        self, dataset: Dataset, data: DataSpec, request: EvaluationRequest, progress: Progress
    ) -> TextReference:
        assert isinstance(dataset, TokenData), "the modality's own data are given"
        return text_reference(dataset, data, request)

    # Conformance

    def example(self, folder: Path) -> dict[str, object]:
        """Sentences of some words."""
        rng = np.random.default_rng(0)
        words = ("the", "cat", "sat", "on", "a", "mat", "and", "then", "it", "ran", "to", "log", "by", "river")
        lines = [" ".join(rng.choice(words, 8)).capitalize() + ".\n" for _ in range(200)]
        path = folder / "text.txt"
        path.write_text("".join(lines), "utf-8", newline="\n")
        return {"data": str(path)}

    def sample_spaces(self, folder: Path) -> tuple[SampleSpace]:
        """Texts of two letters, of which all short ones are gone through."""
        letters = np.random.default_rng(0).choice(["a", "b"], 4000)
        path = folder / "letters.txt"
        path.write_text("".join(letters), "utf-8", newline="\n")

        def every_row(data: DataSpec) -> Tensor:
            """All rows of as many tokens, up to four, as make up to 4,096 of them: int64 (N, T)."""
            (vocabulary,) = data.shape
            length = max(1, min(4, int(math.log(4096, max(2, vocabulary)))))
            return torch.cartesian_prod(*[torch.arange(vocabulary)] * length).view(-1, length)

        return (SampleSpace({"data": str(path)}, every_row),)
