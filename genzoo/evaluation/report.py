"""Results as people read them: a table in the terminal, Markdown, and a page of HTML that is one file."""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Sequence
from pathlib import Path

from genzoo.errors import GenzooError
from genzoo.evaluation import METRICS, place
from genzoo.evaluation.evaluate import Evaluation, Measured
from genzoo.run_folder import RunFolder

COLUMNS = {  # what stands beside a value, by modality
    "image": {"floor": "REAL DATA", "baseline": "GAUSSIAN", "noise": "NOISY DATA"},
    "text": {"floor": "REAL TEXT", "baseline": "BEST N-GRAM"},
}
LEGENDS = {
    "image": "what as many training images score (real data), a Gaussian fitted to their pixels, and training images"
    " with noise",
    "text": "what passages of the held-out text score (real text), and the best n-gram model of the training text",
}
Rows = list[tuple[str, ...]]
ALARM = 10  # times as many copies as among real data
ARROWS = {"lower": "↓", "higher": "↑"}


def rows(found: Sequence[Evaluation]) -> Rows:
    """A heading, and a row a measure: its name and direction, a value for each run, and what stands beside it. Where
    there are several runs, `*` marks the best and those that are not two standard errors worse."""
    names = [result.run for result in found]
    columns = COLUMNS[found[0].protocol.get("modality", "image")]
    heading = ("MEASURE", *(("VALUE",) if len(found) == 1 else names), *columns.values())
    table: Rows = [heading]
    for key in _keys(found):
        own = [next((m for m in result.measures if (m.name, m.of) == key), None) for result in found]
        measure = next(m for m in own if m is not None)
        best = _best([m for m in own if m is not None]) if len(found) > 1 else set()
        cells = ["" if m is None else _value(m) + (" *" if id(m) in best else "") for m in own]
        beside = [
            next((number(getattr(m, part)) for m in own if m is not None and getattr(m, part) is not None), "")
            for part in columns
        ]
        name = f"{measure.name} {ARROWS[measure.better]}" + (f" ({measure.of})" if measure.of else "")
        table.append((name, *cells, *beside))
    return table


def _keys(found: Sequence[Evaluation]) -> list[tuple[str, str]]:
    keys = dict.fromkeys((m.name, m.of) for result in found for m in result.measures)
    return sorted(keys, key=lambda key: place(key[0]))


def _best(measures: list[Measured]) -> set[int]:
    sign = 1 if measures[0].better == "lower" else -1
    best = min(measures, key=lambda m: sign * m.value)
    return {
        id(m) for m in measures
        if sign * (m.value - best.value) <= 2 * math.hypot(m.uncertainty or 0, best.uncertainty or 0)
    }  # fmt: skip


def _value(measure: Measured) -> str:
    return number(measure.value) + ("" if measure.uncertainty is None else f" ± {number(measure.uncertainty, 2)}")


def number(value: float, digits: int = 4) -> str:
    """A number in so many digits, without an exponent where it can be."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:.{places}f}" if places <= 6 else f"{value:.{digits - 1}e}"


def heading(result: Evaluation) -> str:
    """In one line, what was measured how."""
    protocol = result.protocol
    if protocol.get("modality") == "text":
        return (
            f"{protocol['samples']:,} samples of seed {protocol['seed']}, and {protocol['test_characters']:,} held-out"
            f" characters of {protocol['data']}; {protocol['training_characters']:,} characters are for training"
        )
    right = (
        "" if protocol["features_accuracy"] is None else f", {protocol['features_accuracy']:.1%} of test images right"
    )
    return (
        f"{protocol['samples']:,} samples of seed {protocol['seed']} against {protocol['test_images']:,} test images of"
        f" {protocol['data']}; features {protocol['features']} ({protocol['features_sha256'][:12]}{right})"
    )


def notes(found: Sequence[Evaluation]) -> list[str]:
    """What has no value, and why; and the alarms that the measures give."""
    lines = []
    for result in found:
        lines += [f"{result.run}: no {name}: {reason}" for name, reason in result.left_out.items()]
        values = {m.name: m for m in result.measures}
        for name, others in (("copies", "training images"), ("duplicates", "one another")):
            found_here = values.get(name)
            if found_here and found_here.value > ALARM * max(found_here.floor or 0, 0.01):
                lines.append(f"{result.run}: {found_here.value:.0%} of the samples are all but copies of {others}")
    return lines


def markdown(found: Sequence[Evaluation]) -> str:
    """The table, its heading and notes, as Markdown."""
    lines = [heading(found[0]) + ".", ""]
    for number_of_row, row in enumerate(rows(found)):
        cells = ["Measure" if cell == "MEASURE" else cell.capitalize() if cell.isupper() else cell for cell in row]
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
        if number_of_row == 0:
            lines.append("| --- " + "| ---: " * (len(row) - 1) + "|")
    return "\n".join([*lines, "", *(f"- {note}" for note in notes(found))]).rstrip() + "\n"


def page(found: Sequence[Evaluation], folders: Sequence[RunFolder | None]) -> str:
    """A page of HTML with all in it: the table, and for each run its samples, the training images nearest to some of
    them, and how its training went."""
    title = "genzoo: " + ", ".join(result.run for result in found)
    head, *body = rows(found)
    lines = ["<table><thead><tr>", *(f"<th>{html.escape(cell)}</th>" for cell in head), "</tr></thead><tbody>"]
    for row in body:
        lines.append("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>")
    lines.append("</tbody></table>")
    lines += [f"<p class=note>{html.escape(note)}</p>" for note in notes(found)]
    lines.append("<details><summary>What the measures are</summary><dl>")
    modality = found[0].protocol.get("modality", "image")
    lines += [
        f"<dt>{spec.name} {ARROWS[spec.better]}</dt><dd>{html.escape(spec.summary)}</dd>"
        for spec in METRICS
        if spec.modality == modality
    ]
    lines.append("</dl></details>")
    for result, folder in zip(found, folders, strict=True):
        lines += _section(result, folder)
    return PAGE.format(
        title=html.escape(title),
        heading=html.escape(heading(found[0])),
        legend=LEGENDS[modality],
        body="\n".join(lines),
    )


def _section(result: Evaluation, folder: RunFolder | None) -> list[str]:
    facts = result.facts
    lines = [
        f"<h2>{html.escape(result.run)}</h2>",
        f"<p>{html.escape(result.model)}: the weights of step {facts['step']:,}; ",
        f"trained in {facts['training_seconds']:,.0f} s, ",
        f"{facts['parameters'] or 0:,} parameters, sampled in {facts['sampling_seconds']:,.1f} s</p>",
    ]
    if result.path is not None:
        for name, text in (
            ("samples.png", "samples, AI-generated"),
            ("neighbours.png", "samples, AI-generated, each above the training image nearest to it"),
        ):
            lines += _figure(result.path.with_name(name), text)
        if (texts := result.path.with_name("samples.txt")).exists():
            lines.append(f"<h3>Samples, AI-generated</h3><pre>{html.escape(texts.read_text('utf-8'))}</pre>")
    if folder is not None and folder.metrics():
        from genzoo import samples, show

        picture = samples.as_png(show.picture(folder), samples.marks(folder, seed=folder.record["training"]["seed"]))
        lines.append(_image(picture, "the training: grids of samples, and the logged values"))
    if shares := facts.get("class_shares"):
        cells = "".join(f"<td>{html.escape(name)}<br>{share:.1%}</td>" for name, share in shares.items())
        lines.append(f"<p>Shares of the classes among the samples:</p><table><tr>{cells}</tr></table>")
    return lines


def _figure(path: Path, text: str) -> list[str]:
    return [_image(path.read_bytes(), text)] if path.exists() else []


def _image(content: bytes, text: str) -> str:
    coded = base64.b64encode(content).decode()
    source = f"data:image/png;base64,{coded}"
    return f'<figure><img alt="{html.escape(text)}" src="{source}"><figcaption>{text}</figcaption></figure>'


def write_page(path: Path, found: Sequence[Evaluation], folders: Sequence[RunFolder | None]) -> None:
    """Write the page. Raises `GenzooError` if that cannot be."""
    try:
        path.write_text(page(found, folders), "utf-8")
    except OSError as error:
        raise GenzooError(f"cannot write {path}: {error.strerror}") from None


PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem; color: #222; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; display: block; overflow-x: auto; }}
th, td {{ padding: .25rem .7rem; border-bottom: 1px solid #ddd; text-align: right; white-space: nowrap; }}
th:first-child, td:first-child {{ text-align: left; }}
figure {{ margin: 1rem 0; }} img {{ max-width: 100%; min-width: 16rem; image-rendering: pixelated; }}
pre {{ white-space: pre-wrap; background: #f6f6f6; padding: .7rem; }}
figcaption, .note {{ color: #555; }} dt {{ font-weight: 600; }}
</style></head><body>
<h1>{title}</h1>
<p>{heading}. Beside each value: {legend}. ↓ is better low, ↑ high; ± is a standard error; * marks the best and what
is not two standard errors worse.</p>
{body}
</body></html>
"""
