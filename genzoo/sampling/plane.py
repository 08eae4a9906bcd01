"""A latent space as a plane: where the codes of held-out examples lie, and what the model makes of each place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from genzoo.interface.errors import UsageError
from genzoo.interface.generator import Encodes, Generator
from genzoo.interface.pictures import as_png
from genzoo.interface.shown import picture_as_html
from genzoo.registry.plugins import modality_of
from genzoo.runs.folder import RunFolder
from genzoo.sampling.draw import BATCH, with_labels
from genzoo.sampling.latents import held_out
from genzoo.sampling.model import run_and_model
from genzoo.sampling.view import previewed

EDGE = 0.01  # share of the codes that lie beyond the plane on each side
NAMED = 20  # classes in the legend


@dataclass(frozen=True, repr=False)
class LatentPlane:
    """Codes of held-out examples in two dimensions, and the plane that they lie in, decoded.

    Attributes:
        codes: (N, 2), the latent vectors themselves where these have two dimensions, else along the two principal
            components.
        labels: int64 (N,), or None for data without.
        classes: the names of these.
        explained: the share of the codes' variance that lies along each of the two, as fractions.
        samples: what the model decodes of a grid of places, row by row from the top left, as its modality has them.
        extent: left, right, bottom and top of that grid, in the coordinates of `codes`.
        picture: all of it, uint8 (3, H, W).
        run: whose it is.
    """

    codes: Tensor
    labels: Tensor | None
    classes: tuple[str, ...]
    explained: tuple[float, float]
    samples: Any
    extent: tuple[float, float, float, float]
    picture: Tensor
    run: RunFolder

    def __repr__(self) -> str:
        share = f"{sum(self.explained):.0%} of their variance"
        return f"<latent plane of {self.run.name}: {len(self.codes):,} codes, {share}>"

    def _repr_html_(self) -> str:
        facts = self.run.provenance(self.run.record["training"]["seed"], operation="latent")
        return picture_as_html(as_png(self.picture, facts), repr(self))


def latent(
    run: str | Path | RunFolder | Generator,
    n: int = 1000,
    *,
    grid: int = 15,
    label: str | int | None = None,
    seed: int = 0,
    device: str = "auto",
    data: object = None,
    data_dir: str | None = None,
    runs_dir: str | None = None,
) -> LatentPlane:
    """The latent space of a run as a plane.

    Args:
        run: a run's folder or name, a model's name for its newest finished run, or a model that `load` gave.
        n: how many held-out examples are encoded, fewer where there are fewer.
        grid: so many places a side are decoded.
        label: the class that they are decoded as, for a model trained with `conditional`; None: the first.
        seed: which examples.
        data, data_dir: as for `evaluate`.

    Raises:
        UsageError: the model has no encoder and decoder, fewer than two latent dimensions, or there is no such run.
    """
    for name, value, least in (("n", n, 3), ("grid", grid, 2)):
        if value < least:
            raise UsageError(f"{name} is {value}; allowed is {least} or more")
    folder, model = run_and_model(run, device, runs_dir)
    assert folder is not None, "a run is asked for"
    if not isinstance(model, Encodes):
        raise UsageError(f"model {model.spec.name!r} has no latent plane: it has no encoder and decoder")
    examples = held_out(folder, n, seed, data, data_dir)
    with torch.no_grad():
        vectors = torch.cat([
            model.encode(
                examples.examples[start : start + BATCH].to(model.device),
                **with_labels(model, None if examples.labels is None else examples.labels[start : start + BATCH]),
            )
            for start in range(0, len(examples), BATCH)
        ]).float()  # fmt: skip
        origin, axes, explained = _axes(vectors, model.spec.name)
        codes = ((vectors - origin) @ axes.T).cpu()  # (N, 2)
        (left, bottom), (right, top) = codes.quantile(EDGE, 0).tolist(), codes.quantile(1 - EDGE, 0).tolist()
        places = torch.cartesian_prod(torch.linspace(top, bottom, grid), torch.linspace(left, right, grid)).flip(1)
        latents = origin + places.to(model.device) @ axes  # (grid * grid, D)
        samples = _decoded(model, latents, label)
    extent = (left, right, bottom, top)
    picture = _picture(folder, codes, examples.labels, explained, vectors.shape[1], samples, extent)
    return LatentPlane(codes, examples.labels, folder.data_spec.classes, explained, samples, extent, picture, folder)


def _axes(vectors: Tensor, model: str) -> tuple[Tensor, Tensor, tuple[float, float]]:
    """The origin (D,) and two directions (2, D) of the plane, and the shares of the variance along these."""
    dimensions = vectors.shape[1]
    if dimensions < 2:
        raise UsageError(f"this {model} has one latent dimension, and a plane has two")
    variance = vectors.var(0)
    if dimensions == 2:
        origin, axes = torch.zeros_like(vectors[0]), torch.eye(2, device=vectors.device)
    else:
        origin = vectors.mean(0)
        axes = torch.linalg.svd(vectors - origin, full_matrices=False).Vh[:2]
        axes = axes * axes.gather(1, axes.abs().argmax(1, keepdim=True)).sign()  # the same sign on every machine
    along = ((vectors - origin) @ axes.T).var(0) / variance.sum().clamp_min(1e-12)
    return origin, axes, (along[0].item(), along[1].item())


def _decoded(model: Generator, latents: Tensor, label: str | int | None) -> Any:
    """What the model makes of latent vectors (M, D), of one class if it is conditional."""
    labels = None
    if model.conditional or label is not None:
        of_class = label if label is not None else model.data.classes[0]
        number = model.data.class_number(of_class, model.conditional, f"this {model.spec.name}")
        labels = torch.full((len(latents),), number)
    modality, parts = modality_of(model.spec.modality), []
    for start in range(0, len(latents), BATCH):
        part = latents[start : start + BATCH]
        of_part = None if labels is None else labels[start : start + BATCH]
        decoded = cast(Encodes, model).decode(part, **with_labels(model, of_part))
        parts.append(modality.check(decoded, len(part), model.data))
    return modality.join(parts, model.data)


def _picture(
    folder: RunFolder, codes: Tensor, labels: Tensor | None, explained: tuple[float, float], dimensions: int,
    samples: Any, extent: tuple[float, float, float, float],
) -> Tensor:  # fmt: skip
    """The codes by class, beside the plane decoded."""
    figure = Figure(figsize=(13, 6), layout="constrained")
    FigureCanvasAgg(figure)
    plane, decoded = figure.subplots(1, 2)
    classes = folder.data_spec.classes
    colors = colormaps["tab10" if len(classes) <= 10 else "tab20"]
    for number, name in enumerate(classes) if labels is not None else [(0, "")]:
        points = codes if labels is None else codes[labels == number]
        plane.scatter(*points.T.numpy(), s=9, alpha=0.7, color=colors(number % colors.N), label=name)
    if labels is not None and len(classes) <= NAMED:
        for text in plane.legend(fontsize=8, markerscale=2, loc="upper right").get_texts():
            text.set_parse_math(False)
    names = ("z[0]", "z[1]") if dimensions == 2 else ("principal component 1", "principal component 2")
    for axis, name, share in zip((plane.xaxis, plane.yaxis), names, explained, strict=True):
        axis.set_label_text(f"{name} ({share:.0%} of the variance)")
    plane.set_title(f"codes of {len(codes):,} held-out examples in {dimensions} dimensions", fontsize=10)
    preview, _ = previewed(modality_of(folder.data_spec.modality), samples, folder.data_spec)
    if isinstance(preview, str):
        decoded.text(0, 1, preview[:2000], va="top", fontsize=6, family="monospace", parse_math=False)
        decoded.set_axis_off()
    else:
        decoded.imshow(preview.expand(3, -1, -1).permute(1, 2, 0).numpy(), extent=extent, aspect="auto")
    decoded.set_title("the plane decoded, AI-generated", fontsize=10)
    figure.canvas.draw()
    array = np.asarray(figure.canvas.buffer_rgba())[:, :, :3]  # type: ignore[attr-defined]
    return torch.from_numpy(array.copy()).permute(2, 0, 1)
