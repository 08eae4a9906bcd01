"""`genzoo states`: the hidden states of a text, and what each stands for. Imported when it is called."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

import genzoo
from genzoo import UsageError

COLOURS = ("cyan", "yellow", "green", "magenta", "red", "blue", "bright_cyan", "bright_yellow", "bright_green",
           "bright_magenta", "bright_red", "bright_blue", "white")  # fmt: skip


@click.command()
@click.argument("run")
@click.argument("text", required=False)
@click.option("--top", type=click.IntRange(1, 100), default=8, show_default=True, help="Tokens shown of each state.")
@click.option("--device", default="auto", metavar="TEXT", help="auto, cpu, cuda, cuda:N or mps.")
@click.option("--runs-dir", metavar="FOLDER", help="Folder of runs.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def states(run: str, text: str | None, top: int, device: str, runs_dir: str | None, as_json: bool) -> None:
    """Show the likeliest hidden states of a text (Viterbi), or without a text what each state stands for.

    Without TEXT a row is a state: the share of time that the chain spends in it, its likeliest tokens with their
    shares, and the likeliest states that follow it. With TEXT the states are those of the likeliest path through it,
    token by token, coloured on a terminal.

    RUN is a run's folder or name, or a model's name for its newest finished run.
    """
    folder = genzoo.find_run(run, runs_dir)
    if folder.model != "hmm":
        raise UsageError(f"run {folder.name!r} is of model {folder.model!r}; allowed is a hidden Markov model (hmm)")
    if text == "":
        raise UsageError("the text is empty; give one, or leave it out to see what each state stands for")
    from genzoo_hmm.reading import path_of, what_states_are  # which import torch

    model: Any = genzoo.load(folder, device=device)
    if text is None:
        show_states(folder.name, what_states_are(model, top), as_json)
    else:
        show_path(folder.name, path_of(model, text), as_json)


def show_states(run: str, rows: list[dict[str, Any]], as_json: bool) -> None:
    """A row for each state."""
    if as_json:
        click.echo(json.dumps({"run": run, "states": rows}, indent=2, ensure_ascii=False))
        return
    shown = [
        (
            str(row["state"]),
            f"{row['share']:.3f}",
            "  ".join(f"{token['token']!r} {token['share']:.2f}" for token in row["tokens"]),
            "  ".join(f"{following['state']} {following['share']:.2f}" for following in row["next"]),
        )
        for row in rows
    ]
    heads = ("STATE", "SHARE", "TOKENS", "NEXT")
    click.echo(genzoo.aligned([heads, *shown]))


def show_path(run: str, path: list[tuple[str, int]], as_json: bool) -> None:
    """The text with its states: coloured, or in runs of one state."""
    if as_json:
        places = [{"token": token, "state": state} for token, state in path]
        click.echo(json.dumps({"run": run, "path": places}, indent=2, ensure_ascii=False))
        return
    if sys.stdout.isatty():
        click.echo(
            "".join(click.style(genzoo.printable(t, "\n\t"), fg=COLOURS[state % len(COLOURS)]) for t, state in path)
            + "\n"
        )
    click.echo("STATE  TEXT")
    start = 0
    for end in range(1, len(path) + 1):
        if end == len(path) or path[end][1] != path[start][1]:
            click.echo(f"{path[start][1]:5}  {''.join(token for token, _ in path[start:end])!r}")
            start = end
