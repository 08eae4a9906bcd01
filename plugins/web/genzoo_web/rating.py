"""Judging pairs, blind: of two runs, or of a run and real data, with real data beside itself as a control."""

from __future__ import annotations

import time
from html import escape
from typing import Any

import gradio as gr

import genzoo
from genzoo import UsageError
from genzoo_web import ratings as kept
from genzoo_web.drawn import figure
from genzoo_web.page import COMPUTING, MOST_SEED, QUICK, Page, answered, number_of
from genzoo_web.pairs import MOST_PAIRS, QUESTION, Contest
from genzoo_web.ratings import REAL, Item

Pairs = list[tuple[Item, Item]]


class Judging:
    """What one person judges now: pairs, how each side is shown, and how far they are."""

    def __init__(self, contest: Contest, who: str, pairs: Pairs, sides: dict[Item, str]) -> None:
        self.contest, self.who, self.pairs, self.sides = contest, who, pairs, sides
        self.done, self.began = 0, time.monotonic()

    def __deepcopy__(self, _memo: Any) -> Judging:
        return self  # it is one person's, and stays the one


def build(page: Page) -> list[tuple[gr.Dropdown, list[str]]]:
    """Returns the dropdowns of runs, each with what stands in it before these."""
    runs = page.runs.names(sampled=True)
    gr.Markdown(
        "Two samples beside one another; you say which one is real, or more like it. Some pairs are real on both sides."
        " Kept are your answers and a name of your choosing, and nothing else of you."
    )
    with gr.Row():
        who = gr.Textbox(label="your name", info="Any will do.", max_length=kept.LONGEST_NAME, elem_id="genzoo-who")
        first = gr.Dropdown(runs, value=runs[0] if runs else None, label="samples of")
        second = gr.Dropdown([REAL, *runs], value=REAL, label="beside")
    with gr.Row():
        count = gr.Slider(4, MOST_PAIRS, value=20, step=1, label="pairs")
        seed = gr.Number(
            0, label="seed", info="The same pairs for everyone.", precision=0, minimum=0, maximum=MOST_SEED
        )
        begin = gr.Button("Begin", variant="primary", elem_id="genzoo-begin")
    judging, shown = gr.State(None), gr.HTML(padding=False, elem_id="genzoo-pair")
    with gr.Row(visible=False) as answers:
        buttons = {
            "left": gr.Button("1: the left one", elem_id="genzoo-left"),
            "neither": gr.Button("0: can't say", elem_id="genzoo-neither"),
            "right": gr.Button("2: the right one", elem_id="genzoo-right"),
        }
    outputs = [judging, shown, answers]

    @answered
    def start(name: object, one: object, other: object, many: object, number: object) -> list[Any]:
        person = kept.check_name(str(name or ""))
        run = page.run(one)
        beside = None if other == REAL else page.run(other)
        contest = Contest(run, beside, number_of(number, "seed", 0, MOST_SEED))
        pairs = contest.pairs(number_of(many, "pairs", 1, MOST_PAIRS), person)
        sides = {item: _side(page, contest, sample) for item, sample in contest.samples(pairs, page.models.get)}
        return _next(Judging(contest, person, pairs, sides))

    def answer(said: str) -> Any:
        @answered
        def keep(now: Judging | None) -> list[Any]:
            if now is None or now.done >= len(now.pairs):
                raise UsageError("begin first")
            seconds = time.monotonic() - now.began
            kept.keep(now.contest.rating(now.pairs[now.done], now.who, said, seconds), page.runs.folder)
            now.done, now.began = now.done + 1, time.monotonic()
            return _next(now)

        return keep

    begin.click(start, [who, first, second, count, seed], outputs, **COMPUTING)
    for said, button in buttons.items():
        button.click(answer(said), judging, outputs, show_progress="hidden", trigger_mode="once", **QUICK)
    with gr.Accordion("What was said so far", open=False):
        refresh, summary = gr.Button("Show", elem_id="genzoo-ratings"), gr.HTML(padding=False)
        refresh.click(answered(lambda: _summaries(page)), None, summary, **QUICK)
    return [(first, []), (second, [REAL])]


def _side(page: Page, contest: Contest, sample: Any) -> str:
    """One side, as a person sees or hears it; nothing of it says what it is of. Files of real data are marked as the
    others are, so that the marks tell nothing either."""
    run = contest.first
    modality, options = genzoo.modality_of(run.data_spec.modality), run.modality.write_options()
    path = page.drawn.place(f"sample{options.suffix(None)}")
    facts = {"generator": "genzoo", "version": genzoo.__version__, "operation": "rating"}
    modality.write(sample, path, facts, options, run.data_spec)
    return figure(run, path, "", facts, downloads=False)


def _next(judging: Judging) -> list[Any]:
    """The next pair, or thanks."""
    number, count = judging.done, len(judging.pairs)
    if number == count:
        thanks = f"<p role=status>Thank you, {escape(judging.who)}: {count} answers are kept.</p>"
        return [None, thanks, gr.Row(visible=False)]
    left, right = judging.pairs[number]
    sides = "".join(
        f'<section class="genzoo-side" aria-label="{name}"><h3>{key}</h3>{judging.sides[item]}</section>'
        for key, name, item in ((1, "the left one", left), (2, "the right one", right))
    )
    asks = f"Pair {number + 1} of {count}. {QUESTION} Keys: 1, 2, and 0 for can't say."
    heading = f"<p role=status>{escape(asks)}</p>"
    return [judging, f'{heading}<div class="genzoo-pair">{sides}</div>', gr.Row(visible=True)]


def _summaries(page: Page) -> str:
    summaries = kept.summaries(kept.read(page.runs.folder))
    if not summaries:
        return "<p>Nothing was said yet.</p>"
    parts = []
    for summary in summaries:
        facts = "".join(f"<p>{escape(title)}: {escape(text)}</p>" for title, text in kept.facts(summary).items())
        rows = genzoo.report.html_table(kept.rows(summary), f"ratings of {summary.data}")
        parts.append(f"<h3>{escape(kept.heading(summary))}</h3>{rows}{facts}")
    return "".join(parts)
