"""Trainings: begun, watched as they go, stopped."""

from __future__ import annotations

from dataclasses import replace
from html import escape
from typing import Any

import gradio as gr

import genzoo
from genzoo import GeneratorSpec, RunFolder, UsageError
from genzoo_web.drawn import figure
from genzoo_web.page import QUICK, RENDERING, Page, answered
from genzoo_web.widgets import Field, fields_of, values_of

EVERY = 2.0  # seconds between two looks
MOST_STEPS = 100_000
FIRST = ("steps", "seed")  # of those that are offered
OF_TRAINING = ("steps", "batch_size", "seed", "eval_every", "sample_every", "log_every")  # options that are offered


def build(page: Page, run: gr.Dropdown) -> None:
    """A training that is watched, and one that is begun."""
    watched, drawing = gr.HTML(elem_id="genzoo-watched", padding=False), gr.State("")
    timer = gr.Timer(EVERY)

    def look(name: str | None, before: str) -> tuple[Any, str]:
        try:
            folder = page.run(name)
            mark = _mark(folder)
            return (gr.skip() if mark == before else _watched(page, folder)), mark
        except genzoo.GenzooError as error:
            return f"<p>{escape(str(error))}</p>", ""

    for event in (timer.tick, run.change):
        event(look, [run, drawing], [watched, drawing], show_progress="hidden", **QUICK)
    if page.trains:
        _beginning(page, run)


def _mark(folder: RunFolder) -> str:
    """What changes when there is something new to see."""
    size = folder.metrics_file.stat().st_size if folder.metrics_file.exists() else 0
    return f"{folder.name} {folder.status} {size} {len(folder.training_samples())}"


def _watched(page: Page, folder: RunFolder) -> str:
    """How far a training is, how its values went, and what it drew last."""
    step, total, status = folder.progress, int(folder.record["steps_total"]), folder.status
    left = f", {_left(folder)}" if status == "running" else ""
    error = f"<p>{escape(genzoo.printable(str(folder.record['error'])))}</p>" if folder.record.get("error") else ""
    parts = [
        f"<h2>{escape(folder.name)}</h2>",
        f"<p>{escape(folder.model)} on {escape(folder.data_spec.name)}: {status}, step {step:,} of {total:,}{left}</p>",
        f'<progress max="{total}" value="{step}" aria-label="steps trained">{step} of {total}</progress>{error}',
        genzoo.draw_curves(folder),
    ]
    if drawn := folder.training_samples():
        number, source = drawn[-1]
        copy = page.drawn.place(source.name)
        copy.write_bytes(source.read_bytes())
        beside = genzoo.provenance.sidecar(source)
        if beside.is_file():
            genzoo.provenance.sidecar(copy).write_bytes(beside.read_bytes())
        parts.append(
            figure(folder, copy, f"samples of step {number:,}, AI-generated", folder.provenance(0, step=number))
        )
    return "".join(parts)


def _left(folder: RunFolder) -> str:
    """About how long a training still takes, by what it took so far."""
    lines = folder.metrics()
    if not lines or not lines[-1]["step"]:
        return "not yet begun to learn"
    seconds = lines[-1]["seconds"] / lines[-1]["step"] * (int(folder.record["steps_total"]) - lines[-1]["step"])
    minutes, rest = divmod(round(seconds), 60)
    return f"about {minutes} min {rest:02d} s left" if minutes else f"about {rest} s left"


# Beginning one


def _models() -> dict[str, GeneratorSpec]:
    return {spec.name: spec for spec in genzoo.list_models()}


def _data_of(spec: GeneratorSpec) -> list[str]:
    """The data sets that a model can be trained on here: by name, never by a path."""
    folder = genzoo.data_folder(None)
    datasets = [data for data in genzoo.list_datasets() if data.modality == spec.modality]
    return [data.name for data in datasets if all((folder / file).exists() for file in data.files)]


def _fields(spec: GeneratorSpec) -> tuple[list[Field], list[Field]]:
    """The options of every training that are offered, and those of the model."""
    kind = genzoo.modality_of(spec.modality).spec.train_options
    of_training = [field for field in fields_of(kind, spec.defaults) if field.option.name in OF_TRAINING]
    of_training = [replace(f, largest=MOST_STEPS) if f.option.name == "steps" else f for f in of_training]
    return of_training, fields_of(spec.config, spec.defaults)


def _beginning(page: Page, run: gr.Dropdown) -> None:
    models = _models()
    with gr.Accordion("Begin a training", open=not page.runs.names()):
        model = gr.Dropdown(list(models), value=next(iter(models), None), label="model", interactive=True)

        @gr.render(inputs=model, **RENDERING)  # type: ignore[untyped-decorator]
        def widgets(name: str | None) -> None:
            if name not in models:
                return
            spec = models[name]
            data_names = _data_of(spec)
            of_training, of_model = _fields(spec)
            gr.Markdown(genzoo.printable(spec.summary))
            data = gr.Dropdown(data_names, value=data_names[0] if data_names else None, label="data", interactive=True)
            fields = [field for field in of_training if field.option.name in FIRST]
            fields += [field for field in of_training if field.option.name not in FIRST] + of_model
            with gr.Row():
                entered = [field.widget() for field in fields[: len(FIRST)]]
            with gr.Accordion("All options", open=False):
                entered += [field.widget() for field in fields[len(FIRST) :]]
            button = gr.Button("Train", variant="primary", elem_id="genzoo-train")

            @answered
            def begin(chosen: object, *values: object) -> Any:
                if chosen not in _data_of(spec):
                    raise UsageError(f"data {chosen!r} are not among those here; choose from the list")
                options = values_of(fields, values)
                begun = page.trainings.begin(name, {"data": chosen, **options})
                return gr.Dropdown(choices=[begun, *page.runs.names()], value=begun)

            button.click(begin, [data, *entered], run, **QUICK)

        stop, said = gr.Button("Stop the training", elem_id="genzoo-stop-training"), gr.HTML(padding=False)

        @answered
        def ask_to_stop() -> str:
            page.trainings.stop()
            name = escape(page.trainings.name or "")
            return f"<p>{name} saves and stops; go on with it by <code>genzoo resume {name}</code>.</p>"

        stop.click(ask_to_stop, None, said, **QUICK)
