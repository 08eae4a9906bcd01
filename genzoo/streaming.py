"""Text on the command line: a prompt from wherever it comes, and a stream to the terminal. Imported when it is used."""

from __future__ import annotations

import os
import select
import stat
import sys
from pathlib import Path
from typing import Any

import click

from genzoo import samples, sampling
from genzoo.cli import Watched, print_json
from genzoo.errors import UsageError
from genzoo.generator import Streams
from genzoo.provenance import beside
from genzoo.run_folder import RunFolder


def sample_text(
    folder: RunFolder, count: int, seed: int, out: str | None, overwrite: bool, batch_size: int, weights: str,
    device: str, as_json: bool, given: dict[str, Any],
) -> None:  # fmt: skip
    """Draw text: one is printed as it comes, several when all are there."""
    path = None if out is None else _text_path(out, overwrite)
    if (prompt := _prompt(given.get("prompt"))) is not None:
        given["prompt"] = prompt
    model = sampling.load(folder, weights=weights, device=device)
    stopped = False
    if count == 1 and isinstance(model, Streams) and not as_json:
        texts = [""]
        try:
            for piece in sampling.stream(model, seed=seed, **given):
                texts[0] += piece
                click.echo(piece, nl=False)
        except KeyboardInterrupt:
            stopped = True
        click.echo()
    else:
        with Watched() as watched:
            found = sampling.sample(model, count, seed=seed, batch_size=batch_size, progress=watched.data, **given)
        texts = [text for text in found if isinstance(text, str)]
        if not as_json:
            click.echo(samples.BETWEEN.join(texts))
    facts = {key: value for key, value in given.items() if key != "prompt"}
    if path is not None:
        samples.write_texts(texts, path, samples.marks(folder, seed=seed, **facts))
    if as_json:
        place = {} if path is None else {"path": str(path)}
        print_json({"run": folder.name, **place, "count": count, "seed": seed, "samples": texts})
    if stopped:
        raise KeyboardInterrupt


def _text_path(out: str, overwrite: bool) -> Path:
    path = Path(out).expanduser()
    if path.suffix.lower() != ".txt":
        raise UsageError(f"--out is {out!r}; allowed is a file that ends in .txt")
    for place in (path, beside(path)):
        if place.exists() and not overwrite:
            raise UsageError(f"--out {place} exists; give --overwrite to replace it")
    return path


def _prompt(given: str | None) -> str | None:
    """What is to be gone on from: --prompt, or with `-` standard input, or what is piped in."""
    if given == "-":
        return sys.stdin.read()
    if given is not None or not _piped_in():
        return given
    return sys.stdin.read().removesuffix("\n") or None


def _piped_in() -> bool:
    """Whether standard input is a file, or a pipe that says something within a second."""
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
        if stat.S_ISFIFO(mode):
            return bool(select.select([sys.stdin], [], [], 1.0)[0])
        return stat.S_ISREG(mode)
    except (OSError, ValueError, AttributeError):  # there is none, or it cannot be waited for
        return False
