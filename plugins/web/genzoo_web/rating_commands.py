"""`genzoo rate` and `genzoo ratings`: judging texts on a terminal, and what all judgements say."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial

import click

import genzoo
from genzoo import GenzooError, UsageError
from genzoo_web import ratings as kept

KEYS = {"1": "left", "2": "right", "0": "neither"}
REAL_WORDS = ("real", "real data")


@click.command()
@click.argument("run")
@click.argument("other")
@click.option("-n", "count", type=click.IntRange(1, 100), default=20, show_default=True, help="How many pairs.")
@click.option("--who", metavar="NAME", help="A name of your choosing.  [default: it is asked for]")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, help="Which samples.")
@click.option("--device", default="auto", metavar="TEXT", help="auto, cpu, cuda, cuda:N or mps.")
@click.option("--runs-dir", metavar="FOLDER", help="Folder of runs.")
def rate(run: str, other: str, count: int, who: str | None, seed: int, device: str, runs_dir: str | None) -> None:
    """Judge pairs of texts, blind: a text of RUN beside one of the run OTHER, or with "real" beside a real one.

    Keys: 1 and 2 for the first and the second, 0 for "can't say", q to stop. Every fourth pair is of two real texts, as
    a control. Answers are kept in ratings.jsonl of the folder of runs; `genzoo ratings` says what they say. Images and
    sounds are judged on the page of `genzoo serve`.
    """
    first = genzoo.find_run(run, runs_dir)
    second = None if other in REAL_WORDS else genzoo.find_run(other, runs_dir)
    if not first.modality.write_options.printed:
        raise UsageError(
            f"{first.data_spec.modality} data, as of {first.name!r}, are judged on the page of `genzoo serve`"
        )
    from genzoo_web.pairs import QUESTION, Contest

    contest = Contest(first, second, seed)
    name = kept.check_name(who or click.prompt("Your name, any will do", default="", show_default=False))
    pairs = contest.pairs(count, name)

    modality = genzoo.modality_of(first.data_spec.modality)
    texts = {
        item: modality.text(sample) for item, sample in contest.samples(pairs, partial(genzoo.load, device=device))
    }
    click.echo(f"{QUESTION}\n1: the first, 2: the second, 0: can't say, q: stop")
    for number, pair in enumerate(pairs, 1):
        for which, item in enumerate(pair, 1):
            click.echo(f"\n--- {number} of {count}: {which} ---\n{genzoo.printable(texts[item], chr(10) + chr(9))}")
        start, answer = time.perf_counter(), _answer()
        if answer is None:
            break
        kept.keep(contest.rating(pair, name, answer, time.perf_counter() - start), first.path.resolve().parent)
    place = "" if runs_dir is None else f" --runs-dir {runs_dir}"
    click.echo(f"\nThank you. What was said so far: genzoo ratings{place}")


def _answer() -> str | None:
    """What a person answers, in the words of a rating; None: no more."""
    while True:
        try:
            text = input("\n1, 2 or 0? ") if sys.stdin.isatty() else sys.stdin.readline()
        except EOFError:
            return None
        key = text.strip().lower()
        if key in KEYS:
            return KEYS[key]
        if key == "q" or not text:
            return None
        click.echo("Keys are 1, 2, 0 and q.")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--runs-dir", metavar="FOLDER", help="Folder of runs.")
def ratings(as_json: bool, runs_dir: str | None) -> None:
    """Show what people said of samples: how strong each run is, how often it is taken for real, how far people agree.

    Strengths are log-odds against real data by the model of Bradley and Terry; intervals are of 95%.
    """
    folder = genzoo.runs_folder(runs_dir)
    summaries = kept.summaries(kept.read(folder))
    if as_json:
        click.echo(json.dumps([asdict(summary) for summary in summaries], indent=2))
        return
    if not summaries:
        raise GenzooError(
            f"there are no ratings in {folder}; judge with `genzoo serve`, texts also with `genzoo rate RUN real`"
        )
    click.echo("\n\n".join("\n".join(_lines(summary)) for summary in summaries))


def _lines(summary: kept.Summary) -> Iterator[str]:
    yield genzoo.printable(kept.heading(summary))
    rows = kept.rows(summary)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for name, *cells in rows:
        aligned = [cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True)]
        yield "  ".join([genzoo.printable(name).ljust(widths[0]), *aligned]).rstrip()
    width = max(map(len, kept.facts(summary)))
    for title, text in kept.facts(summary).items():
        yield f"{title.ljust(width)}  {text}"
