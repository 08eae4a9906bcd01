"""Samples as a person is shown them, by their modality: pictures, texts, sounds."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from genzoo.interface.errors import GenzooError, UsageError
from genzoo.interface.generator import Generator
from genzoo.interface.modality import Modality
from genzoo.interface.pictures import as_png
from genzoo.interface.shown import picture_as_html, player_as_html, text_as_html
from genzoo.interface.specs import DataSpec
from genzoo.interface.version import __version__
from genzoo.registry.installed import CORE
from genzoo.registry.plugins import modality_of, registry
from genzoo.runs.find import find_run
from genzoo.runs.folder import RunFolder


@dataclass(frozen=True, repr=False)
class View:
    """What `show` gives. It shows itself in a notebook.

    Attributes:
        picture: uint8 (C, H, W) with 1 or 3 channels, or None for what is a text.
        text: or None for what is a picture.
        html: as a notebook shows it.
    """

    picture: Tensor | None
    text: str | None
    html: str

    def __repr__(self) -> str:
        if self.picture is None:
            return self.text or ""
        channels, height, width = self.picture.shape
        return f"<picture of {width}x{height} pixels, {'grey' if channels == 1 else 'colour'}>"

    def _repr_html_(self) -> str:
        return self.html


def show(
    samples: Any,
    run: str | Path | RunFolder | Generator | None = None,
    *,
    labels: Tensor | None = None,
    runs_dir: str | None = None,
) -> View:
    """A picture of samples (or their text, or what plays them), as their modality has it.

        genzoo.show(genzoo.sample(run, 16))

    Args:
        samples: what `sample` gives, or `reconstruct`, `interpolate` and `walk`: of pairs and ways one after another.
        run: whose they are, or its model; needed where samples do not say themselves what they are, as sounds do not
            say their sample rate. The picture then says that it was generated.
        labels: their classes, int64 (N,), for a row a class.

    Raises:
        UsageError: they are no samples.
    """
    model_or_run = run if isinstance(run, Generator) or run is None else find_run(run, runs_dir)
    modality, data = _modality_and_data(samples, model_or_run)
    if isinstance(samples, Tensor) and samples.ndim > 1 + len(data.shape):
        samples = samples.flatten(0, samples.ndim - 1 - len(data.shape))
    try:
        checked = modality.check(samples, len(samples), data)
    except GenzooError as error:
        raise UsageError(str(error).replace("the model gave", "the samples are")) from None
    folder = _folder(model_or_run)
    facts = None
    if folder is not None:
        facts = folder.provenance(folder.record["training"]["seed"], operation="show")
    preview, player = previewed(modality, checked, data, facts, labels)
    if isinstance(preview, str):
        return View(None, preview, text_as_html(preview) + player)
    marked = as_png(preview, facts)
    return View(preview, None, picture_as_html(marked, f"{len(samples)} samples") + player)


def previewed(
    modality: Modality[Any], samples: Any, data: DataSpec, facts: dict[str, object] | None = None,
    labels: Tensor | None = None,
) -> tuple[Tensor | str, str]:  # fmt: skip
    """Samples as their modality shows them: a picture, uint8 (C, H, W), or a text; and HTML that plays them, if any
    does."""
    options = modality.spec.write_options()
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / f"samples{options.suffix(None)}"
        modality.write(samples, path, facts or {"version": __version__}, options, data, labels)
        media = options.media.get(path.suffix)
        return modality.preview(path), "" if media is None else player_as_html(path.read_bytes(), media)


def _folder(source: RunFolder | Generator | None) -> RunFolder | None:
    if isinstance(source, Generator):
        return None if source.run is None else RunFolder(source.run)
    return source


def _modality_and_data(samples: object, source: RunFolder | Generator | None) -> tuple[Modality[Any], DataSpec]:
    if isinstance(source, Generator):
        return modality_of(source.spec.modality), source.data
    if source is not None:
        return modality_of(source.data_spec.modality), source.data_spec
    for _, _, spec in sorted(registry().modalities, key=lambda entry: entry[1].distribution != CORE):
        modality = modality_of(spec.name)
        if (data := modality.data_of(samples)) is not None:
            return modality, data
    raise UsageError(
        f"a {type(samples).__name__} does not say of which modality it is; give samples, and the run that they are of:"
        " genzoo.show(samples, run)"
    )
