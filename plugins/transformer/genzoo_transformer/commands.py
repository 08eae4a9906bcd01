"""`genzoo probe`: what a Transformer expects at each place of a text, and what it looks at. Imported when it is
called."""

from __future__ import annotations

import json
import math
import sys
from typing import Any

import click

import genzoo
from genzoo import UsageError

PICTURES = (".png", ".jpg", ".jpeg")
COLOURS = ((2, "green"), (5, "yellow"), (math.inf, "red"))  # of tokens of up to so many bits


@click.command()
@click.argument("run")
@click.argument("text")
@click.option("--top", type=click.IntRange(1, 50), default=3, show_default=True, help="Expected tokens of each place.")
@click.option("--attention", is_flag=True, help="Write a picture of the attention of each layer and head.")
@click.option("--out", metavar="FILE", help="Where that picture goes. Default: a new file in the run's samples.")
@click.option("--overwrite", is_flag=True, help="Let --out take the place of what is there.")
@click.option("--device", default="auto", metavar="TEXT", help="auto, cpu, cuda, cuda:N or mps.")
@click.option("--runs-dir", metavar="FOLDER", help="Folder of runs.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def probe(
    run: str, text: str, top: int, attention: bool, out: str | None, overwrite: bool, device: str,
    runs_dir: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Look inside: how likely each token of a text was, and what was expected there instead.

    A row is a token: the share that the model gave it, its surprise in bits (-log2 of the share), and the likeliest
    tokens of its place. The first token, which nothing precedes, is held to be any alike. Above, the text is coloured
    by surprise on a terminal: green up to 2 bits, yellow up to 5, red beyond. With --attention a picture is written, a
    row of maps a layer and a column a head; a row of a map is a token, and how bright a column of it is says how much
    that token looks at it, the most being white.

    RUN is a run's folder or name, or a model's name for its newest finished run.
    """
    folder = genzoo.find_run(run, runs_dir)
    path = genzoo.output_path(folder, "attention", out, PICTURES, overwrite=overwrite) if attention or out else None
    if folder.model != "transformer":
        raise UsageError(f"run {folder.name!r} is of model {folder.model!r}; allowed is a transformer")
    from genzoo_transformer.looking import attention_of, predictions  # which import torch

    model: Any = genzoo.load(folder, device=device)
    places = predictions(model, text, top)
    if path is not None:
        picture = attention_of(model, text)
        facts = folder.provenance(folder.record["training"]["seed"], operation="probe")
        genzoo.write_picture(picture, path, facts)
    if as_json:
        place = {} if path is None else {"attention": str(path)}
        click.echo(json.dumps({"run": folder.name, "places": places, **place}, indent=2, ensure_ascii=False))
        return
    if sys.stdout.isatty():
        click.echo(
            "".join(click.style(genzoo.printable(p["token"], "\n\t"), fg=colour(p["bits"])) for p in places) + "\n"
        )
    width = max(5, *(len(repr(p["token"])) for p in places))
    click.echo(f"{'TOKEN':{width}}  SHARE   BITS  EXPECTED")
    for p in places:
        expected = "  ".join(f"{e['token']!r} {e['share']:.3f}" for e in p["expected"])
        click.echo(f"{p['token']!r:{width}}  {p['share']:.3f}  {p['bits']:5.2f}  {expected}".rstrip())
    bits = sum(p["bits"] for p in places)
    click.echo(f"\n{bits:.1f} bits in all, {bits / len(text):.2f} a character")
    if path is not None:
        click.echo(genzoo.printable(str(path)))


def colour(bits: float) -> str:
    """That of a token with this surprise."""
    return next(name for most, name in COLOURS if bits <= most)
