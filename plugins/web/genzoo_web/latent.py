"""A latent space with sliders, ways through it, examples through the model, and pictures filled in."""

from __future__ import annotations

from typing import Any

import gradio as gr
import numpy as np
import torch
from torch import Tensor

import genzoo
from genzoo import Generator, RandomStreams, RunFolder, UsageError
from genzoo_web.drawn import figure
from genzoo_web.page import COMPUTING, MOST_SEED, RENDERING, Page, answered, label_of, number_of
from genzoo_web.runs import abilities

SLIDERS = 8  # directions that are shown, those that change a sample most
LOOKED_AT = 256  # directions, of which those are chosen
REACH = 3.0  # standard deviations each way
IN_A_ROW = 8
MASKS = ("painted", "left half", "right half", "upper half", "lower half", "middle")
CANVAS = 280  # pixels that a picture is painted on


def build(page: Page, run: gr.Dropdown) -> None:
    """What the model of the run that is chosen can do."""

    @gr.render(inputs=run, **RENDERING)  # type: ignore[untyped-decorator]
    def widgets(name: str | None) -> None:
        if not name:
            return
        try:
            folder = page.run(name)
            kind = abilities(folder)
        except genzoo.GenzooError as error:
            gr.Markdown(genzoo.printable(str(error)))
            return
        draws, encodes = hasattr(kind, "draw_latents") and hasattr(kind, "decode"), hasattr(kind, "encode")
        reconstructs = hasattr(kind, "reconstruct") or (encodes and hasattr(kind, "decode"))
        if draws:
            _traversal(page, folder)
        if draws or encodes:
            _interpolation(page, folder)
        if reconstructs:
            _reconstruction(page, folder)
        if hasattr(kind, "inpaint"):
            _inpainting(page, folder)
        if not (draws or encodes or reconstructs or hasattr(kind, "inpaint")):
            gr.Markdown(f"A {folder.model} has no latent space, and takes no examples.")


def _seed(info: str, elem_id: str) -> gr.Number:
    return gr.Number(
        0, label="seed", interactive=True, info=info, precision=0, minimum=0, maximum=MOST_SEED, elem_id=elem_id
    )


# Traversal


def _traversal(page: Page, folder: RunFolder) -> None:
    with gr.Accordion("Traversal", open=True):
        gr.Markdown(f"A vector that the model draws, and the {SLIDERS} directions in which its sample changes most.")
        with gr.Row():
            seed = _seed("Which vector.", "genzoo-latent-seed")
            labels = list(folder.data_spec.classes)
            label = gr.Dropdown(
                labels, value=labels[0] if labels else None, label="class", interactive=True, visible=folder.conditional
            )
            button = gr.Button("Draw a vector", elem_id="genzoo-latent-draw")
        directions = gr.State([])
        with gr.Row():
            with gr.Column():
                sliders = [
                    gr.Slider(-1, 1, value=0, label=f"direction {n + 1}", interactive=True, visible=False)
                    for n in range(SLIDERS)
                ]
            shown = gr.HTML(elem_id="genzoo-latent", padding=False)

        @answered
        def begin(number: object, chosen: object) -> list[Any]:
            model, latents, labels = _drawn(page.models.get(folder), folder, number, chosen)
            chosen_directions = _directions(model, latents, labels)
            values = latents[0].tolist()
            updates = [
                gr.Slider(
                    round(values[d] - reach, 2), round(values[d] + reach, 2), value=round(values[d], 2), step=0.01,
                    label=f"direction {d}", interactive=True, visible=True,
                )
                for d, reach in chosen_directions
            ]  # fmt: skip
            updates += [gr.Slider(visible=False)] * (SLIDERS - len(updates))
            return [[d for d, _ in chosen_directions], _decoded(page, folder, model, latents, labels, number), *updates]

        @answered
        def move(number: object, chosen: object, along: list[int], *values: float) -> str:
            model, latents, labels = _drawn(page.models.get(folder), folder, number, chosen)
            if any(not isinstance(d, int) or not 0 <= d < latents.shape[1] for d in along):
                raise UsageError("draw a vector first")
            for direction, value in zip(along, values, strict=False):
                latents[0, direction] = min(1e3, max(-1e3, float(value)))
            return _decoded(page, folder, model, latents, labels, number)

        button.click(begin, [seed, label], [directions, shown, *sliders], **COMPUTING)
        for slider in sliders:
            slider.input(
                move,
                [seed, label, directions, *sliders],
                shown,
                show_progress="hidden",
                trigger_mode="always_last",
                **COMPUTING,
            )


def _drawn(
    model: Generator, folder: RunFolder, seed: object, label: object
) -> tuple[Generator, Tensor, dict[str, Tensor]]:
    """A latent vector (1, D) that a model draws, and what a conditional one takes besides."""
    number = number_of(seed, "seed", 0, MOST_SEED)
    labels: dict[str, Tensor] = {}
    if model.conditional:
        class_number = folder.class_number(label_of(folder, label) or folder.data_spec.classes[0])
        labels["labels"] = torch.tensor([class_number], device=model.device)
    with torch.no_grad():
        drawn = genzoo.ability(model, "draw_latents")(1, rng=RandomStreams(number, 1, device=model.device), **labels)
    return model, drawn.clone(), labels


def _directions(model: Generator, latents: Tensor, labels: dict[str, Tensor]) -> list[tuple[int, float]]:
    """The directions in which the sample of a vector (1, D) changes most, and how far they reach."""
    decode, count = genzoo.ability(model, "decode"), min(latents.shape[1], LOOKED_AT)
    rng = RandomStreams(0, 64, device=model.device)
    with torch.no_grad():
        of_each = {name: value.expand(64) for name, value in labels.items()}
        spread = genzoo.ability(model, "draw_latents")(64, rng=rng, **of_each).std(0)[:count]  # (D,)
        moved = latents.repeat(count, 1)  # (count, D), each further on in a direction of its own
        moved[:, :count] += torch.diag(spread)
        before = decode(latents, **labels)
        after = decode(moved, **{name: value.expand(count) for name, value in labels.items()})
    if isinstance(before, Tensor):
        change = (after - before).flatten(1).abs().mean(1)
        order = change.argsort(descending=True)[:SLIDERS].tolist()
    else:
        order = list(range(min(count, SLIDERS)))
    return [(direction, max(0.1, REACH * spread[direction].item())) for direction in order]


def _decoded(
    page: Page, folder: RunFolder, model: Generator, latents: Tensor, labels: dict[str, Tensor], seed: object
) -> str:
    modality = genzoo.modality_of(folder.data_spec.modality)
    with torch.no_grad():
        samples = modality.check(genzoo.ability(model, "decode")(latents, **labels), len(latents), model.data)
    path = _place(page, folder, "traversal")
    facts = folder.provenance(number_of(seed, "seed", 0, MOST_SEED), operation="traversal")
    modality.write(samples, path, facts, folder.modality.write_options(), folder.data_spec)
    return figure(folder, path, f"the sample of this vector by {folder.name}, AI-generated", facts)


def _place(page: Page, folder: RunFolder, stem: str) -> Any:
    return page.drawn.place(f"{folder.name}-{stem}{folder.modality.write_options().suffix(None)}")


# Ways between examples, and examples through the model


def _interpolation(page: Page, folder: RunFolder) -> None:
    with gr.Accordion("Interpolation", open=False):
        with gr.Row():
            seed = _seed("Which held-out examples.", "genzoo-interpolate-seed")
            pairs = gr.Slider(1, 8, value=4, step=1, label="pairs", interactive=True)
            steps = gr.Slider(2, 24, value=10, step=1, label="steps on the way", interactive=True)
        button, shown = gr.Button("Interpolate", elem_id="genzoo-interpolate"), gr.HTML(padding=False)

        @answered
        def interpolate(number: object, count: object, length: object) -> str:
            seed_number = number_of(number, "seed", 0, MOST_SEED)
            ways = genzoo.interpolate(
                page.models.get(folder), number_of(count, "pairs", 1, 8),
                num_steps=number_of(length, "steps on the way", 2, 24), seed=seed_number,
            )  # fmt: skip
            return _rows(page, folder, list(ways), "interpolate", seed_number, "ways between two held-out examples")

        button.click(interpolate, [seed, pairs, steps], shown, **COMPUTING)


def _reconstruction(page: Page, folder: RunFolder) -> None:
    with gr.Accordion("Reconstruction", open=False):
        with gr.Row():
            seed = _seed("Which held-out examples.", "genzoo-reconstruct-seed")
            count = gr.Slider(1, 32, value=16, step=1, label="examples", interactive=True)
        button, shown = gr.Button("Reconstruct", elem_id="genzoo-reconstruct"), gr.HTML(padding=False)

        @answered
        def reconstruct(number: object, many: object) -> str:
            seed_number = number_of(number, "seed", 0, MOST_SEED)
            originals, copies = genzoo.reconstruct(
                page.models.get(folder), number_of(many, "examples", 1, 32), seed=seed_number
            )
            rows = [
                samples[start : start + IN_A_ROW]
                for start in range(0, len(originals), IN_A_ROW)
                for samples in (originals, copies)
            ]
            return _rows(
                page, folder, rows, "reconstruct", seed_number, "held-out examples, each row above what it gives back"
            )

        button.click(reconstruct, [seed, count], shown, **COMPUTING)


def _rows(page: Page, folder: RunFolder, rows: list[Any], operation: str, seed: int, caption: str) -> str:
    path, facts = _place(page, folder, operation), folder.provenance(seed, operation=operation)
    genzoo.modality_of(folder.data_spec.modality).write_rows(rows, path, facts, folder.data_spec)
    return figure(folder, path, f"{caption} by {folder.name}, seed {seed}, AI-generated", facts)


# Inpainting


def _inpainting(page: Page, folder: RunFolder) -> None:
    with gr.Accordion("Inpainting", open=False):
        gr.Markdown("Paint over what is to be filled in, or choose a part of the picture.")
        with gr.Row():
            seed = _seed("Which held-out picture, and which ways to fill it in.", "genzoo-inpaint-seed")
            mask = gr.Dropdown(list(MASKS), value=MASKS[0], label="what is filled in", interactive=True)
            count = gr.Slider(1, 8, value=4, step=1, label="ways to fill it in", interactive=True)
            steps = gr.Slider(1, 100, value=20, step=1, label="steps from noise to image", interactive=True)
        show = gr.Button("Show the picture", elem_id="genzoo-inpaint-show")
        canvas = gr.ImageMask(
            label="picture to paint on", interactive=True, type="numpy", image_mode="RGBA", sources=(), transforms=(),
            layers=False,
            brush=gr.Brush(default_size=24, colors=["#ff00ff"], color_mode="fixed"), height=CANVAS + 120,
            canvas_size=(CANVAS, CANVAS), elem_id="genzoo-canvas", buttons=[],
        )  # fmt: skip
        button, shown = (
            gr.Button("Fill in", elem_id="genzoo-inpaint"),
            gr.HTML(padding=False, elem_id="genzoo-inpainted"),
        )

        @answered
        def picture(number: object) -> Any:
            return _canvas(_held_out(folder, number))

        @answered
        def fill_in(number: object, part: object, many: object, length: object, painted: Any) -> str:
            seed_number = number_of(number, "seed", 0, MOST_SEED)
            ways, num_steps = number_of(many, "ways to fill it in", 1, 8), number_of(length, "steps", 1, 100)
            image = _held_out(folder, number)
            unknown = _unknown(part, painted, image.shape[1:])
            return _filled_in(page, folder, image, unknown, ways, num_steps, seed_number)

        show.click(picture, seed, canvas, **COMPUTING)
        button.click(fill_in, [seed, mask, count, steps, canvas], shown, **COMPUTING)


def _held_out(folder: RunFolder, seed: object) -> Tensor:
    """A held-out picture, (C, H, W) in [0, 1]."""
    examples: Tensor = genzoo.real_samples(folder, 1, seed=number_of(seed, "seed", 0, MOST_SEED))
    return examples[0]


def _canvas(image: Tensor) -> Any:
    """The picture, large enough to be painted on: uint8 (H', W', 3)."""
    scale = max(1, CANVAS // max(image.shape[1:]))
    large = image.expand(3, -1, -1).repeat_interleave(scale, 1).repeat_interleave(scale, 2)
    return large.mul(255).round().byte().permute(1, 2, 0).numpy()


def _unknown(part: object, painted: Any, size: Any) -> Tensor:
    """What is to be filled in, bool (1, H, W). Raises `UsageError` for all or nothing of the picture."""
    height, width = int(size[0]), int(size[1])
    unknown = torch.zeros(1, height, width, dtype=torch.bool)
    if part == "painted":
        layers = (painted or {}).get("layers") or []
        for layer in layers:
            alpha = torch.from_numpy(np.ascontiguousarray(layer[..., 3])).float()[None, None] / 255
            unknown |= torch.nn.functional.interpolate(alpha, (height, width), mode="area")[0] > 0.5
    elif part == "middle":
        unknown[:, height // 4 : height - height // 4, width // 4 : width - width // 4] = True
    elif part in MASKS:
        rows = {"upper half": slice(0, height // 2), "lower half": slice(height // 2, None)}.get(str(part), slice(None))
        columns = {"left half": slice(0, width // 2), "right half": slice(width // 2, None)}.get(str(part), slice(None))
        unknown[:, rows, columns] = True
    if bool(unknown.all()) or not bool(unknown.any()):
        raise UsageError("paint over some of the picture, and not all of it; show it first")
    return unknown


def _filled_in(
    page: Page, folder: RunFolder, image: Tensor, unknown: Tensor, count: int, num_steps: int, seed: int
) -> str:
    model = page.models.get(folder)
    labels = None
    if model.conditional:
        labels = torch.arange(count, device=model.device) % len(folder.data_spec.classes)
    known = (~unknown).to(model.device).expand(count, *unknown.shape)
    with torch.no_grad():
        filled = genzoo.ability(model, "inpaint")(
            image.to(model.device).expand(count, *image.shape), known,
            rng=RandomStreams(seed, count, device=model.device), num_steps=num_steps, labels=labels,
        )  # fmt: skip
    masked = torch.where(unknown, 0.5, image)[None]
    row = torch.cat([masked, filled.cpu()])  # (1 + count, C, H, W)
    return _rows(page, folder, [row], "inpaint", seed, "the picture without a part, and ways to fill it in,")
