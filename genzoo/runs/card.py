"""A run at a glance, as a notebook shows it: how far it is, its curves, its newest samples, and what to type next."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from genzoo.interface.shown import curve_as_html, escaped, facts_as_html, picture_as_html, text_as_html
from genzoo.registry.data import IN_MEMORY
from genzoo.registry.plugins import modality_of
from genzoo.runs.curves import both_parts
from genzoo.runs.folder import RunFolder

MOST_CURVES = 6
MOST_TEXT = 2000  # characters of a sampled text


def card(run: RunFolder, *, step: int | None = None, note: str = "") -> str:
    """HTML of a run. `step` is how far a training is that goes on in this process; `note` says more of it."""
    status, done = ("running", step) if step is not None else (run.status, run.progress)
    total = int(run.record["steps_total"])
    head = f"<b>{escaped(run.name)}</b> {escaped(status)} {done:,} of {total:,} steps"
    bar = (
        f'<br><progress style="width:24rem;max-width:100%" value="{done}" max="{total}"></progress>'
        if done < total
        else ""
    )
    parts = [f"<p>{head}{bar}" + (f" <small>{escaped(note)}</small>" if note else "") + "</p>"]
    if step is None:
        parts.append(facts_as_html(_facts(run)))
    parts.append("".join(curve_as_html(name, points) for name, points in list(both_parts(run).items())[:MOST_CURVES]))
    parts.append(_newest(run))
    if step is None:
        parts.append(f"<p>next: {' '.join(f'<code>{escaped(call)}</code>' for call in next_calls(run, status))}</p>")
    return f"<div>{''.join(parts)}</div>"


def next_calls(run: RunFolder, status: str) -> list[str]:
    """What a person may type next, as Python."""
    data = ", data=..." if run.record["training"]["data"] == IN_MEMORY else ""
    if status in ("interrupted", "killed", "failed"):
        return [f"genzoo.resume({run.name!r}{data})"]
    if status == "running":
        return []
    return [f"genzoo.sample({run.name!r})", f"genzoo.evaluate({run.name!r}{data})"]


def _facts(run: RunFolder) -> Mapping[str, object]:
    record, best = run.record, run.best()
    data = record["data_spec"]
    source = "given in memory" if record["training"]["data"] == IN_MEMORY else data["name"]
    return {
        "model": f"{run.model} ({record['plugin']})",
        "data": f"{source}, {data['train_count']:,} for training",
        "seconds": f"{record['seconds']:,.1f}",
        "best": f"step {best['step']:,}, with {best['score_name']} {best['score']:.4g}" if best else None,
        "note": record.get("note"),
        "error": record.get("error"),
    }


def _newest(run: RunFolder) -> str:
    drawn = run.training_samples()
    if not drawn:
        return ""
    step, path = drawn[-1]
    title = f"samples after step {step:,}, AI-generated"
    return f"<p><small>{escaped(title)}</small></p>{file_as_html(run, path, title)}"


def file_as_html(run: RunFolder, path: Path, title: str) -> str:
    """What lies in a file of samples, as its modality shows it."""
    from genzoo.interface.pictures import as_png

    preview = modality_of(run.data_spec.modality).preview(path)
    if isinstance(preview, str):
        return text_as_html(preview[:MOST_TEXT])
    return picture_as_html(as_png(preview, run.provenance(run.record["training"]["seed"])), title)
