"""What was drawn, as files that the page shows, plays and gives away, and the HTML that does."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Mapping
from html import escape
from pathlib import Path
from urllib.parse import quote

import genzoo
from genzoo import RunFolder

SHOWN_AS_THEY_ARE = (".png", ".jpg", ".jpeg", ".gif")
KEPT = 200  # results, the newest
SMALLEST = 480  # pixels that a small picture is made as wide as, by whole numbers


class Drawn:
    """A folder of what was drawn, of which the newest is kept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def place(self, name: str) -> Path:
        """Where a new file goes that is called `name`; nobody guesses the folder that it is in."""
        results = sorted(self.folder.glob("drawn-*"), key=lambda path: path.stat().st_mtime_ns)
        for old in results[:-KEPT]:
            shutil.rmtree(old, ignore_errors=True)
        folder = self.folder / f"drawn-{secrets.token_urlsafe(16)}"
        folder.mkdir()
        return folder / name


def address(path: Path) -> str:
    """Where the page finds a file that was drawn."""
    return f"/gradio_api/file={quote(path.resolve().as_posix())}"


def figure(
    run: RunFolder, path: Path, caption: str, facts: Mapping[str, object] | None = None, *, downloads: bool = True
) -> str:
    """A file that the modality of a run wrote, as HTML: a picture, a text or a player, as it is of, with what can be
    taken away. `facts` are the provenance of a picture that has to be made for it."""
    modality = genzoo.modality_of(run.data_spec.modality)
    preview, label = modality.preview(path), escape(caption, quote=True)
    if isinstance(preview, str):
        shown = genzoo.report.html_text(preview, caption)
    else:
        picture = path
        if path.suffix.lower() not in SHOWN_AS_THEY_ARE:
            picture = genzoo.write_picture(
                preview, path.with_name(f"{path.stem}.preview.png"), facts or run.provenance(0)
            )
        width = preview.shape[2]
        shown = (
            f'<img class="genzoo-picture" alt="{label}" src="{address(picture)}" style="width:'
            f'{width * max(1, SMALLEST // width)}px">'
        )
    if media := modality.spec.write_options.media.get(path.suffix.lower()):
        kind = media.partition("/")[0]
        shown += f'<{kind} controls aria-label="{label}" src="{address(path)}"></{kind}>'
    files = [file for file in (path, genzoo.provenance.sidecar(path)) if downloads and file.is_file()]
    links = " · ".join(
        f'<a href="{address(file)}" download="{escape(file.name)}">{escape(file.name)}</a>' for file in files
    )
    more = f'<p class="genzoo-links">Download: {links}</p>' if files else ""
    return f"<figure><figcaption>{escape(caption)}</figcaption>{shown}{more}</figure>"
