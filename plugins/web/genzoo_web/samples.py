"""Samples of a run, by all that its model can be told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

import genzoo
from genzoo import RunFolder, Streams
from genzoo_web.drawn import figure
from genzoo_web.page import COMPUTING, MOST_SEED, PROGRESS, RENDERING, Page, answered, label_of, number_of
from genzoo_web.widgets import Field, fields_of, values_of

MOST = 64  # samples at once


def build(page: Page, run: gr.Dropdown) -> None:
    """The widgets of the run that is chosen, made of its options, and what it draws."""

    @gr.render(inputs=run, **RENDERING)  # type: ignore[untyped-decorator]
    def widgets(name: str | None) -> None:
        if not name:
            gr.Markdown("There is no run here yet: begin one under *Training*, or with `genzoo train vae`.")
            return
        try:
            folder = page.run(name)
            fields, most, count = fields_of(folder.spec()[0].sample_options), *_counts(folder)
        except genzoo.GenzooError as error:
            gr.Markdown(genzoo.printable(str(error)))
            return
        with gr.Row():
            seed = gr.Number(
                0,
                label="seed",
                interactive=True,
                info="Sample i is a function of (seed, i).",
                precision=0,
                minimum=0,
                maximum=MOST_SEED,
            )
            number = gr.Slider(1, most, value=count, step=1, label="number of samples", interactive=True)
            labels = ["all", *folder.data_spec.classes]
            label = gr.Dropdown(labels, value="all", label="class", interactive=True, visible=folder.conditional)
        with gr.Accordion("Options of the model", visible=bool(fields)):
            entered = [field.widget() for field in fields]
        with gr.Row():
            button = gr.Button("Draw", variant="primary", elem_id="genzoo-draw")
            stop = gr.Button("Stop", elem_id="genzoo-stop")
        shown = gr.HTML(label="samples", elem_id="genzoo-samples", padding=False)

        @answered
        def draw(progress: gr.Progress = PROGRESS, *values: Any) -> Iterator[str]:
            yield from drawn(page, page.run(name), fields, values, progress)

        event = button.click(draw, [seed, number, label, *entered], shown, **COMPUTING)
        stop.click(None, cancels=event, api_visibility="private")


def drawn(
    page: Page, folder: RunFolder, fields: list[Field], values: tuple[Any, ...], progress: gr.Progress
) -> Iterator[str]:
    """What was asked for, as HTML: a text as it comes, and at the end all that there is to see, hear and take away."""
    seed = number_of(values[0], "seed", 0, MOST_SEED)
    count = number_of(values[1], "number of samples", 1, _counts(folder)[0])
    label, options = label_of(folder, values[2]), values_of(fields, values[3:])
    deadline, modality = page.deadline(progress), folder.modality
    model, pieces = page.models.get(folder), []
    if modality.write_options.printed and count == 1 and isinstance(model, Streams):
        pieces.append(str(options.get("prompt") or ""))
        for piece in genzoo.stream(model, seed=seed, label=label, **options):
            deadline.check()
            pieces.append(piece)
            yield genzoo.report.html_text("".join(pieces), "the sample so far")
        samples: Any = ["".join(pieces)]
    else:
        samples = genzoo.sample(model, count, seed=seed, label=label, progress=deadline, **options)
    path = page.drawn.place(f"{folder.name}-seed{seed}{modality.write_options().suffix(None)}")
    genzoo.write_samples(folder, samples, path, seed=seed, label=label, **options)
    noun = "sample" if count == 1 else "samples"
    yield figure(folder, path, f"{count} {noun} of {folder.name}, seed {seed}, AI-generated", folder.provenance(seed))


def _counts(folder: RunFolder) -> tuple[int, int]:
    """How many samples can be drawn, and how many are by default."""
    default = folder.modality.default_count(folder.data_spec, folder.conditional)
    return MOST if default > 1 else 8, min(default, MOST)
