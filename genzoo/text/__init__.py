"""Text, one of genzoo's own modalities: options and registration. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from genzoo.interface.hookspecs import hookimpl
from genzoo.interface.options import option
from genzoo.interface.specs import DatasetSpec, MetricSpec, ModalitySpec, TrainOptions, WriteOptions

SUFFIXES = (".txt", ".md", ".jsonl", ".csv", "*")  # the usual, and any other
EARLIER = ("*.[tT][xX][tT]", "*.[mM][dD]", "*.[jJ][sS][oO][nN][lL]")  # of a folder, where there was no --include
SOURCES = "a file of text, a folder of them, or several with commas between"


@dataclass(frozen=True, kw_only=True)
class TextTrainOptions(TrainOptions):
    """The options of trainings on text."""

    of_earlier_runs: ClassVar[Mapping[str, object]] = {"include": EARLIER}

    data: str = option(
        "python-docs",
        help="A data set's name, a file of text, or a folder of them; may be given again, and may be a quoted glob.",
    )
    include: tuple[str, ...] = option(
        (), help="Files of folders that are read, such as '*.py,*.md'. Default: all that are text, but hidden ones."
    )
    encoding: str = option("utf-8", help="How the files' characters are written.")
    text_field: str = option("text", help="The field of .jsonl and .csv files that holds the text.")
    tokenizer: str = option(
        "characters",
        help="characters, bytes, bpe (byte pairs learnt from the text), or a folder that has a tokenizer.json.",
    )
    vocab_size: int = option(512, help="Tokens of a bpe tokeniser.", minimum=257, maximum=2**20)


@dataclass(frozen=True, kw_only=True)
class TextWriteOptions(WriteOptions):
    """How texts are written: printed, or as UTF-8 with their provenance in a file beside."""

    suffixes: ClassVar[tuple[str, ...]] = (".txt",)
    printed: ClassVar[bool] = True


@hookimpl
def genzoo_modalities() -> list[ModalitySpec]:
    """Text."""
    return [
        ModalitySpec(
            name="text",
            summary="text, cut into tokens",
            target="genzoo.text.modality:TextModality",
            train_options=TextTrainOptions,
            write_options=TextWriteOptions,
            sources=SOURCES,
            suffixes=SUFFIXES,
            check_data="genzoo.text.sources:check",
            several=True,
            count=1,
            training_count=3,
            template="genzoo.text:template",
        )
    ]


@hookimpl
def genzoo_datasets() -> list[DatasetSpec]:
    """What Python's standard library brings."""
    return [
        DatasetSpec(
            name="python-docs",
            summary="Python's language reference, 465,000 characters of English and code",
            modality="text",
            target="genzoo.text.builtin:load_python_docs",
            source="the standard library's pydoc_data.topics; nothing is downloaded",
        )
    ]


def _metric(name: str, unit: str, better: str, summary: str, *needs: str) -> MetricSpec:
    target = f"genzoo.text.measures:{name}"
    return MetricSpec(name=name, modality="text", unit=unit, better=better, summary=summary, needs=needs, target=target)


@hookimpl
def genzoo_metrics() -> list[MetricSpec]:
    """The measures of text, in the order of a report."""
    return [
        _metric("nll", "nats a character", "lower", "negative log-likelihood of held-out text", "log_likelihood"),
        _metric("bits_per_character", "bits", "lower", "the same in bits", "log_likelihood"),
        _metric("perplexity", "", "lower", "of a token of held-out text, as the model cuts it", "log_likelihood"),
        _metric("distinct", "share", "higher", "runs of three words among the samples that differ"),
        _metric("repetition", "share", "lower", "runs of four words that a sample said before"),
        _metric("copied_length", "characters", "lower", "the longest passage of a sample that is in the training text"),
        _metric("longest_copy", "characters", "lower", "the same of the sample that copies most"),
    ]
