"""`genzoo serve`. Imported when it is called."""

from __future__ import annotations

import click

import genzoo
from genzoo import UsageError
from genzoo_web.guard import is_loopback

PORT = 7860


@click.command()
@click.option(
    "--host", default="127.0.0.1", metavar="ADDRESS", show_default=True,
    help="Where to listen. With any other than this machine's own, a token is asked for.",
)  # fmt: skip
@click.option("--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="0: any that is free.")
@click.option("--open/--no-open", "opens", default=True, help="Open the page in a browser.  [default: open]")
@click.option("--train/--no-train", "trains", default=True, help="Let trainings be started there.  [default: train]")
@click.option("--device", default="auto", metavar="TEXT", help="auto, cpu, cuda, cuda:N or mps.")
@click.option(
    "--seconds",
    type=click.IntRange(1, 86400),
    default=300,
    show_default=True,
    help="The longest that anything is computed.",
)
@click.option("--runs-dir", metavar="FOLDER", help="Folder of runs.")
def serve(host: str, port: int, opens: bool, trains: bool, device: str, seconds: int, runs_dir: str | None) -> None:
    """Open a page on this machine to see and hear what models make, watch and compare them, and judge their samples.

    It is reached from this machine alone, unless --host says where else to listen; the token that is then printed is
    needed to open it. Ctrl-C ends it, and the trainings that were begun on it.
    """
    folder = genzoo.runs_folder(runs_dir)
    if not folder.is_dir() and not trains:
        raise UsageError(f"there is no folder {folder}; give --runs-dir, or begin with `genzoo train MODEL`")
    from genzoo_web.server import serve_page

    serve_page(
        host=host, port=port, opens=opens and is_loopback(host), trains=trains, device=device, seconds=seconds,
        runs_dir=runs_dir,
    )  # fmt: skip
