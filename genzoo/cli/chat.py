"""`genzoo sample RUN --chat`: a model that stays loaded, and talks."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from genzoo.cli.output import print_text, show
from genzoo.interface.errors import UsageError
from genzoo.interface.parsing import say

if TYPE_CHECKING:
    from genzoo.interface.generator import Generator

USER, ASSISTANT = "user", "assistant"


def chat(model: Generator, seed: int, label: str | None, options: dict[str, Any]) -> None:
    """Answer each line of standard input, until it ends. `options` are the model's own for sampling; a prompt among
    them is said first, as the system's message."""
    from genzoo.registry.plugins import modality_of
    from genzoo.sampling.draw import stream

    modality, messages = modality_of(model.spec.modality), []
    if system := options.pop("prompt", None):
        messages.append(("system", system))
    for turn, line in enumerate(_lines()):
        messages.append((USER, line))
        prompt = modality.conversation(model, messages)
        reply = ""
        try:
            for piece in stream(model, seed=seed + turn, label=label, prompt=prompt, **options):
                reply += piece
                print_text(piece, newline=False)
        except UsageError as error:  # of this line, such as a character that the model does not know
            messages.pop()
            say(f"genzoo: {error}")
            continue
        show()
        messages.append((ASSISTANT, reply))


def _lines() -> Iterator[str]:
    """The lines of standard input that say something; asked for with a sign on a terminal."""
    asking = sys.stdin.isatty()
    while line := _asked() if asking else sys.stdin.readline():
        if line.strip():
            yield line.rstrip("\n")


def _asked() -> str:
    try:
        return input("> ") + "\n"
    except EOFError:
        return ""
