"""Runs side by side: their samples by the same seed, and their measures beside what real data score."""

from __future__ import annotations

from html import escape
from typing import Any

import gradio as gr

import genzoo
from genzoo import RunFolder, UsageError
from genzoo_web.drawn import figure
from genzoo_web.page import COMPUTING, MOST_SEED, PROGRESS, Page, answered, number_of

MOST_RUNS = 6
SHOWN = 16  # samples of each
LEAST, MOST = 16, 2000  # samples that are measured


def build(page: Page) -> list[tuple[gr.Dropdown, list[str]]]:
    """Returns the dropdowns of runs, each with what stands in it before these."""
    names = page.runs.names(sampled=True)
    runs = gr.Dropdown(names, multiselect=True, max_choices=MOST_RUNS, label="Runs", info="Of one data set.")
    with gr.Row():
        seed = gr.Number(0, label="seed", info="The same for all.", precision=0, minimum=0, maximum=MOST_SEED)
        count = gr.Textbox(
            label="samples to measure", max_length=6,
            info=f"Empty: as `genzoo compare` does, which takes long; else {LEAST} to {MOST:,}, a comparison apart.",
        )  # fmt: skip
    with gr.Row():
        show = gr.Button("Samples side by side", elem_id="genzoo-side-by-side")
        measure = gr.Button("Measure", variant="primary", elem_id="genzoo-measure")
    shown, measures = gr.HTML(padding=False, elem_id="genzoo-sides"), gr.HTML(padding=False, elem_id="genzoo-measures")

    @answered
    def side_by_side(names: object, number: object, progress: gr.Progress = PROGRESS) -> str:
        folders, seed_number = _folders(page, names), number_of(number, "seed", 0, MOST_SEED)
        return f'<div class="genzoo-pair">{"".join(_side(page, f, seed_number, progress) for f in folders)}</div>'

    @answered
    def measured(names: object, number: object, many: object, progress: gr.Progress = PROGRESS) -> str:
        folders, seed_number = _folders(page, names), number_of(number, "seed", 0, MOST_SEED)
        size = None if not str(many or "").strip() else number_of(_whole(many), "samples to measure", LEAST, MOST)
        results = genzoo.compare(folders, size, seed=seed_number, progress=page.deadline(progress, times=4))
        notes = "".join(f"<p>{escape(genzoo.printable(note))}</p>" for note in genzoo.report.notes(results))
        rows = genzoo.report.html_table(genzoo.report.rows(results), "measures of the runs")
        return f"<p>{escape(results[0].heading)}. {escape(results[0].legend)}.</p>{rows}{notes}"

    show.click(side_by_side, [runs, seed], shown, **COMPUTING)
    measure.click(measured, [runs, seed, count], measures, **COMPUTING)
    return [(runs, [])]


def _whole(text: object) -> object:
    return int(text) if isinstance(text, str) and text.strip().isdecimal() else text


def _folders(page: Page, names: object) -> list[RunFolder]:
    if not isinstance(names, list) or not 1 <= len(names) <= MOST_RUNS or len(set(map(str, names))) < len(names):
        raise UsageError(f"choose 1 to {MOST_RUNS} runs")
    return [page.runs.get(name) for name in names]


def _side(page: Page, folder: RunFolder, seed: int, progress: gr.Progress) -> str:
    count = min(SHOWN, folder.modality.count)
    samples: Any = genzoo.sample(page.models.get(folder), count, seed=seed, progress=page.deadline(progress))
    path = page.drawn.place(f"{folder.name}-seed{seed}{folder.modality.write_options().suffix(None)}")
    genzoo.write_samples(folder, samples, path, seed=seed)
    caption = f"{folder.name}, seed {seed}, AI-generated"
    return f'<div class="genzoo-side">{figure(folder, path, caption, folder.provenance(seed))}</div>'
