"""The page: what all of its parts share, and how they are put together."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, cast

import gradio as gr

import genzoo
from genzoo import GenzooError, RunFolder, UsageError
from genzoo_web.drawn import Drawn
from genzoo_web.runs import Deadline, Models, Runs
from genzoo_web.trainings import Trainings

MOST_SEED = 2**31 - 1
WAITING = 16  # requests that wait, at most
SESSIONS = 32  # pages whose state is remembered
COMPUTING: dict[str, Any] = {"concurrency_id": "computing", "concurrency_limit": 1, "api_visibility": "private"}
RENDERING: dict[str, Any] = {"concurrency_id": "quick", "concurrency_limit": 4}
QUICK: dict[str, Any] = {**RENDERING, "api_visibility": "private"}
PROGRESS = gr.Progress()  # as the default of an argument it is what Gradio shows how far a request is by


@dataclass(frozen=True)
class Page:
    """What all parts of the page share.

    Attributes:
        seconds: the longest that anything is computed.
        trains: whether trainings may be begun.
    """

    runs: Runs
    models: Models
    drawn: Drawn
    trainings: Trainings
    seconds: float
    trains: bool

    def run(self, name: object) -> RunFolder:
        """A run by its name, or a request to choose one."""
        if not name:
            raise UsageError("choose a run first")
        return self.runs.get(name)

    def deadline(self, progress: gr.Progress | None = None, *, times: float = 1) -> Deadline:
        """An end to what is computed now, which says how far that is."""
        if progress is None:
            return Deadline(self.seconds * times)
        return Deadline(
            self.seconds * times,
            lambda activity, done, total: progress((done, total), desc=activity),
        )


def answered(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function whose refusals a person reads, in one line, and whose failures are one line here and there."""
    if inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def generator(*values: Any, **more: Any) -> Iterator[Any]:
            try:
                yield from function(*values, **more)
            except Exception as error:
                raise _told(error) from None

        return generator

    @functools.wraps(function)
    def plain(*values: Any, **more: Any) -> Any:
        try:
            return function(*values, **more)
        except Exception as error:
            raise _told(error) from None

    return plain


def _told(error: Exception) -> gr.Error:
    """What a person is told. What is no refusal of genzoo's is logged whole."""
    if isinstance(error, gr.Error):
        return error
    if not isinstance(error, GenzooError):
        logging.getLogger("genzoo_web").exception("a request failed")
    return gr.Error(str(error) if isinstance(error, GenzooError) else genzoo.one_line(error), print_exception=False)


def number_of(value: object, name: str, low: int, high: int) -> int:
    """A whole number in bounds. Raises `UsageError`."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if type(value) is not int or not low <= value <= high:
        raise UsageError(f"{name} is {value!r}; allowed is a whole number from {low:,} to {high:,}")
    return value


def label_of(run: RunFolder, label: object) -> str | None:
    """The class that was chosen, or None. Raises `UsageError` for one that there is not."""
    if not label or label == "all" or not run.conditional:
        return None
    run.class_number(str(label))
    return str(label)


def build(page: Page) -> gr.Blocks:
    """The whole page."""
    from genzoo_web import compare, latent, rating, samples, training

    with gr.Blocks(title="genzoo", analytics_enabled=False, delete_cache=(300, 3600)) as blocks:
        gr.HTML("<h1>genzoo</h1>", padding=False)
        names = page.runs.names()
        run = gr.Dropdown(
            names, value=names[0] if names else None, label="Run", info="What the first three parts are of."
        )
        with gr.Tabs(overflow_behavior="wrap"):
            with gr.Tab("Samples", id="samples"):
                samples.build(page, run)
            with gr.Tab("Latent space", id="latents"):
                latent.build(page, run)
            with gr.Tab("Training", id="training"):
                training.build(page, run)
            with gr.Tab("Compare", id="compare"):
                of_compare = compare.build(page)
            with gr.Tab("Rate", id="rate"):
                of_rating = rating.build(page)

        def listed(current: str | None) -> list[Any]:
            every, sampled = page.runs.names(), page.runs.names(sampled=True)
            other: dict[str, Any] = (
                {} if current in every else {"value": next(iter(every), None)}
            )  # what is chosen meanwhile stays
            return [
                gr.Dropdown(choices=every, **other),
                *(gr.Dropdown(choices=[*extra, *sampled]) for _, extra in (*of_compare, *of_rating)),
            ]

        dropdowns = [dropdown for dropdown, _ in (*of_compare, *of_rating)]
        blocks.load(answered(listed), run, [run, *dropdowns], **QUICK)
    blocks.queue(max_size=WAITING, api_open=False, default_concurrency_limit=4)
    blocks.state_session_capacity = SESSIONS
    return cast(gr.Blocks, blocks)


def style() -> dict[str, Any]:
    """How the page looks, and what it does with keys: all of it from here, nothing from elsewhere."""
    fonts = ("system-ui", "sans-serif")
    theme = gr.themes.Default(
        primary_hue="indigo", neutral_hue="slate", font=fonts, font_mono=("ui-monospace", "monospace")
    )
    script = files("genzoo_web").joinpath("keys.js").read_text("utf-8")
    css = files("genzoo_web").joinpath("style.css").read_text("utf-8")
    return {"theme": theme, "css": genzoo.report.STYLE + css, "head": f"<script>{script}</script>"}
