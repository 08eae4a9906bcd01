"""Results as people read them: a table in the terminal, Markdown, and a page of HTML that is one file."""

from __future__ import annotations

import base64
import csv
import html
import io
import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from genzoo.evaluation.result import Evaluation, Measured
from genzoo.interface.errors import unknown
from genzoo.interface.files import write_file
from genzoo.interface.modality import Modality
from genzoo.interface.parsing import printable
from genzoo.interface.shown import escaped, player_as_html, rows_as_html
from genzoo.registry.plugins import modality_of, registry
from genzoo.runs.folder import RunFolder

Rows = list[tuple[str, ...]]
ALARM = 10  # times as many copies as among real data
TITLES = {  # of what illustrates a result, by the stem of its file
    "samples": "samples, AI-generated",
    "neighbours": "samples, AI-generated, each above the training example nearest to it",
}
ARROWS = {"lower": "↓", "higher": "↑"}


@dataclass(frozen=True)
class Row:
    """One measure of all runs: of each its value, or None, and whether it is of the best; and what stands beside."""

    name: str
    of: str
    better: str
    values: Sequence[Measured | None]
    best: Sequence[bool]
    references: Sequence[float | None]


def table(results: Sequence[Evaluation]) -> list[Row]:
    """A row a measure. Of several runs the best are marked, with those that are not two standard errors worse; none
    is where all have one value."""
    lines = []
    for name, of in _keys(results):
        values = [next((m for m in result.measures if (m.name, m.of) == (name, of)), None) for result in results]
        measures = [m for m in values if m is not None]
        best = _best(measures) if len(results) > 1 else set()
        references = [
            next((m.references[column] for m in measures if column in m.references), None)
            for column in results[0].columns
        ]
        lines.append(Row(name, of, measures[0].better, values, [id(m) in best for m in values], references))
    return lines


def rows(results: Sequence[Evaluation]) -> Rows:
    """A heading, and a row a measure as text: its name and direction, a value for each run, `*` behind the best, and
    what stands beside it."""
    titles = (title.upper() for title in results[0].columns.values())
    lines: Rows = [("MEASURE", *(("VALUE",) if len(results) == 1 else [result.run for result in results]), *titles)]
    for row in table(results):
        marked = zip(row.values, row.best, strict=True)
        cells = ["" if m is None else _value(m) + (" *" if best else "") for m, best in marked]
        references = ["" if value is None else number(value) for value in row.references]
        name = f"{row.name} {ARROWS[row.better]}" + (f" ({row.of})" if row.of else "")
        lines.append((name, *cells, *references))
    return lines


def only(results: Sequence[Evaluation], names: Sequence[str]) -> list[Evaluation]:
    """The results with these measures alone, in this order. Raises `UsageError` for one that none has."""
    known = {m.name for result in results for m in result.measures}
    left_out = {name for result in results for name in result.left_out}
    if strange := [name for name in names if name not in known | left_out]:
        raise unknown("measure", strange[0], known)
    return [
        replace(
            result,
            measures=tuple(sorted((m for m in result.measures if m.name in names), key=lambda m: names.index(m.name))),
            left_out={name: reason for name, reason in result.left_out.items() if name in names},
        )
        for result in results
    ]


def _keys(results: Sequence[Evaluation]) -> list[tuple[str, str]]:
    """What is measured, in the order of the modality: names, and of what."""
    longest = max(results, key=lambda result: len(result.measures))
    order = list(dict.fromkeys(m.name for result in (longest, *results) for m in result.measures))
    keys = dict.fromkeys((m.name, m.of) for result in results for m in result.measures)
    return sorted(keys, key=lambda key: order.index(key[0]))


def _best(measures: list[Measured]) -> set[int]:
    if len({m.value for m in measures}) == 1 < len(measures):
        return set()
    sign = 1 if measures[0].better == "lower" else -1
    best = min(measures, key=lambda m: sign * m.value)
    return {
        id(m) for m in measures
        if sign * (m.value - best.value) <= 2 * math.hypot(_standard_error(m), _standard_error(best))
    }  # fmt: skip


def _standard_error(measure: Measured) -> float:
    return (measure.uncertainty or 0) / math.sqrt(measure.count)


def _value(measure: Measured) -> str:
    return number(measure.value) + ("" if measure.uncertainty is None else f" ± {number(measure.uncertainty, 2)}")


def number(value: float, digits: int = 4) -> str:
    """A number in so many digits, without an exponent where it can be."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:.{places}f}" if places <= 6 else f"{value:.{digits - 1}e}"


LATEX = {  # what LaTeX would obey
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}",
}  # fmt: skip


MOST_COLUMNS = 5  # of values that surely fit on a page
AS_WIDE_AS_THE_PAGE = (  # at most: smaller where it does not fit, and else as it is
    "\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%",
    "}",
)


def latex(results: Sequence[Evaluation]) -> str:
    """The table as LaTeX, by the package booktabs: the best values bold, with what is not two standard errors worse. It
    is made smaller where it has many columns and is wider than the page, by graphicx."""
    heads = [result.run for result in results] if len(results) > 1 else ["value"]
    heads += list(results[0].columns.values())
    before, behind = AS_WIDE_AS_THE_PAGE if len(heads) > MOST_COLUMNS else ("", "")
    lines = [
        "% \\usepackage{booktabs}" + ("\\usepackage{graphicx}" if before else ""),
        *(f"% {' '.join(note.split())}" for note in (results[0].heading, *notes(results))),
        *filter(None, [before]),
        f"\\begin{{tabular}}{{l{'r' * len(heads)}}}",
        "\\toprule",
        " & ".join(["Measure", *(_in_latex(head) for head in heads)]) + r" \\",
        "\\midrule",
    ]
    for row in table(results):
        name = _in_latex(row.name.replace("_", " ") + (f" ({row.of})" if row.of else ""))
        cells = [name + (r" $\downarrow$" if row.better == "lower" else r" $\uparrow$")]
        for measure, best in zip(row.values, row.best, strict=True):
            cells.append("" if measure is None else _latex_value(measure, best))
        cells += ["" if value is None else _latex_number(value) for value in row.references]
        lines.append(" & ".join(cells) + r" \\")
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}" + behind]) + "\n"


def _latex_value(measure: Measured, best: bool) -> str:
    text = _latex_number(measure.value)
    text = rf"{{\boldmath{text}}}" if best else text
    if measure.uncertainty is None:
        return text
    return rf"{text} $\pm$ {_latex_number(measure.uncertainty, 2)}"


def _latex_number(value: float, digits: int = 4) -> str:
    mantissa, _, exponent = number(value, digits).partition("e")
    return f"${mantissa}" + (rf" \cdot 10^{{{int(exponent)}}}$" if exponent else "$")


def _in_latex(text: str) -> str:
    return "".join(LATEX.get(character, character) for character in " ".join(text.split()) if character.isprintable())


def as_csv(results: Sequence[Evaluation]) -> str:
    """A line a run and measure, with its standard error and what stands beside it."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(
        ["run", "model", "measure", "of", "unit", "better", "value", "uncertainty", "best", *results[0].columns]
    )
    for row in table(results):
        for result, measure, best in zip(results, row.values, row.best, strict=True):
            if measure is not None:
                references = [measure.references.get(column, "") for column in results[0].columns]
                error = "" if measure.uncertainty is None else measure.uncertainty
                facts = [result.run, result.model, row.name, row.of, measure.unit, row.better, measure.value]
                writer.writerow([*facts, error, str(best).lower(), *references])
    return buffer.getvalue()


def notes(results: Sequence[Evaluation]) -> list[str]:
    """What has no value, and why; and the alarms that the measures give."""
    lines = []
    for result in results:
        if result.of_seeds:
            seeds = ", ".join(map(str, result.facts["seeds"]))
            lines.append(f"{result.run}: mean and standard deviation of {len(result.of_seeds)} runs, seeds {seeds}")
        lines += [f"{result.run}: no {name}: {reason}" for name, reason in result.left_out.items()]
        values = {m.name: m for m in result.measures}
        for name, others in (("copies", "training examples"), ("duplicates", "one another")):
            measure = values.get(name)
            if measure and measure.value > ALARM * max(measure.references.get("floor", 0), 0.01):
                lines.append(f"{result.run}: {measure.value:.0%} of the samples are all but copies of {others}")
    return lines


def markdown(results: Sequence[Evaluation]) -> str:
    """The table, its heading and notes, as Markdown."""
    lines = [_escaped(results[0].heading) + ".", ""]
    for number_of_row, row in enumerate(rows(results)):
        cells = ["Measure" if cell == "MEASURE" else cell.capitalize() if cell.isupper() else cell for cell in row]
        lines.append(f"| {' | '.join(_escaped(cell) for cell in cells)} |")
        if number_of_row == 0:
            lines.append("| --- " + "| ---: " * (len(row) - 1) + "|")
    return "\n".join([*lines, "", *(f"- {_escaped(note)}" for note in notes(results))]).rstrip() + "\n"


def _escaped(text: str) -> str:
    """A name or a reason as Markdown shows it and does nothing else: no tag, no link, no cell, one line."""
    line = "".join(character for character in " ".join(text.split()) if character.isprintable())
    return re.sub(r"([\\`\[\]<>|])", r"\\\1", line)


def fragment(results: Sequence[Evaluation]) -> str:
    """Results as a notebook shows them: the table, what stands beside each value, and the samples of one alone."""
    if not results:
        return "<p>no results</p>"
    first, (head, *body) = results[0], rows(results)
    lines = [
        f"<p>{escaped(first.heading)}</p>",
        rows_as_html(head, body),
        *(f"<p>{escaped(note)}</p>" for note in notes(results)),
        f"<p><small>{escaped(first.legend)}. {SIGNS}</small></p>",
    ]
    return "".join(lines)


def of_one(result: Evaluation) -> str:
    """The same of one."""
    return fragment([result])


def page(results: Sequence[Evaluation], folders: Sequence[RunFolder | None]) -> str:
    """A page of HTML with all in it: the table, and for each run what illustrates it and how its training went.
    `folders` are of all runs, also of those that are one result."""
    first = results[0]
    title = "genzoo: " + ", ".join(result.run for result in results)
    lines = [html_table(rows(results), "measures")]
    lines += [f"<p class=note>{html.escape(note)}</p>" for note in notes(results)]
    lines.append("<details><summary>What the measures are</summary><dl>")
    lines += [
        f"<dt>{spec.name} {ARROWS[spec.better]}</dt><dd>{html.escape(spec.summary)}</dd>"
        for _, spec in registry().metrics.of_modality(first.protocol["modality"])
        if any(spec.name in result.left_out or spec.name in [m.name for m in result.measures] for result in results)
    ]
    lines.append("</dl></details>")
    each = [one for result in results for one in result.of_seeds or (result,)]
    for result, folder in zip(each, folders, strict=True):
        lines += _section(result, folder)
    return PAGE.format(
        title=html.escape(title),
        heading=html.escape(first.heading),
        legend=html.escape(first.legend),
        style=STYLE,
        signs=SIGNS,
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
        lines += _illustrations(result)
    if folder is not None and folder.metrics():
        lines += _training(folder)
    if shares := facts.get("class_shares"):
        of_classes = [("class", *shares), ("share of the samples", *(f"{share:.1%}" for share in shares.values()))]
        lines.append(html_table(of_classes, "shares of the classes among the samples"))
    return lines


def _illustrations(result: Evaluation) -> list[str]:
    """What lies beside a result, as its modality shows it."""
    assert result.path is not None, "a result that is kept"
    modality, lines = modality_of(result.protocol["modality"]), []
    drawn = sorted(result.path.parent.iterdir(), reverse=True)
    for path in [path for path in drawn if path.suffix in modality.spec.write_options.suffixes]:
        lines.append(_seen(path, TITLES.get(path.stem, path.stem), modality))
        if media := modality.spec.write_options.media.get(path.suffix):
            lines.append(player_as_html(path.read_bytes(), media))
    return lines


def _training(folder: RunFolder) -> list[str]:
    """How a training went: what it drew, from first to last, and a curve of each logged value."""
    from genzoo.runs.show import draw_curves, evenly

    modality = modality_of(folder.data_spec.modality)
    drawn = [_seen(path, f"step {step:,}, AI-generated", modality) for step, path in evenly(folder.training_samples())]
    return ["<h3>The training</h3>", f'<div class="genzoo-row">{"".join(drawn)}</div>', draw_curves(folder)]


def _seen(path: Path, title: str, modality: Modality[Any]) -> str:
    """What a file that a modality wrote looks or reads like, with a title."""
    from genzoo.interface.pictures import as_png

    preview = modality.preview(path)
    if isinstance(preview, str):
        return f"<figure><figcaption>{html.escape(title)}</figcaption>{html_text(preview, title)}</figure>"
    facts = modality.provenance(path).get("genzoo") or {}
    return _image(path.read_bytes() if path.suffix == ".png" else as_png(preview, facts), title)


def _image(content: bytes, text: str) -> str:
    coded = base64.b64encode(content).decode()
    title, source = html.escape(text), f"data:image/png;base64,{coded}"
    return f'<figure><figcaption>{title}</figcaption><img class="genzoo-picture" alt="{title}" src="{source}"></figure>'


def html_table(lines: Sequence[Sequence[str]], caption: str) -> str:
    """Rows with a heading, as HTML that `STYLE` is for; `caption` is said by what reads a page aloud."""
    head, *body = lines
    parts = [
        f'<div class="genzoo-table" tabindex="0" role="region" aria-label="{html.escape(caption)}"><table><thead><tr>'
    ]
    parts += [f'<th scope="col">{html.escape(cell)}</th>' for cell in head]
    parts.append("</tr></thead><tbody>")
    for name, *cells in body:
        row = "".join(f"<td>{html.escape(cell)}</td>" for cell in cells)
        parts.append(f'<tr><th scope="row">{html.escape(name)}</th>{row}</tr>')
    return "".join([*parts, "</tbody></table></div>"])


def html_text(text: str, caption: str) -> str:
    """A text as it is, as HTML that `STYLE` is for; nothing in it is obeyed."""
    label, content = html.escape(caption), html.escape(printable(text, "\n\t"))
    return f'<pre class="genzoo-text" tabindex="0" aria-label="{label}">{content}</pre>'


def write_page(path: Path, results: Sequence[Evaluation], folders: Sequence[RunFolder | None]) -> None:
    """Write the page. Raises `GenzooError` if that cannot be."""
    write_file(path, _shown(page(results, folders)).encode("utf-8", "backslashreplace"))


def _shown(text: str) -> str:
    """A page without the control characters that a name or a sampled text may hold."""
    return "".join(c if c in "\n\t" or unicodedata.category(c) != "Cc" else "\ufffd" for c in text)


STYLE = """
:root { --genzoo-line: #d5d9e2; --genzoo-soft: #f5f6fa; --genzoo-quiet: #5b6475; }
@media (prefers-color-scheme: dark) {
  :root { --genzoo-line: #3b4455; --genzoo-soft: #161c2a; --genzoo-quiet: #a3acbd; }
}
.genzoo-picture { image-rendering: pixelated; max-width: 100%; height: auto; border-radius: 4px; display: block; }
.genzoo-text { white-space: pre-wrap; overflow-wrap: anywhere; padding: .7rem; border: 1px solid var(--genzoo-line);
  border-radius: 4px; background: var(--genzoo-soft); max-height: 32rem; overflow: auto; }
.genzoo-table { overflow-x: auto; }
.genzoo-table table { border-collapse: collapse; font-variant-numeric: tabular-nums; border: 0; margin: 0; }
.genzoo-table tr th, .genzoo-table tr td { padding: .25rem .7rem; border: 0;
  border-bottom: 1px solid var(--genzoo-line); text-align: right; white-space: nowrap; }
.genzoo-table tr th:first-child { text-align: left; font-weight: 600; }
.genzoo-row { display: flex; flex-wrap: wrap; gap: 1rem; align-items: flex-start; }
.genzoo-row > * { min-width: 0; max-width: 100%; }
.curve { width: min(100%, 20rem); height: auto; }
figure { margin: .5rem 0; }
figcaption { color: var(--genzoo-quiet); }
audio, video { width: 100%; max-width: 30rem; margin-top: .5rem; }
"""

SIGNS = "↓ is better low, ↑ high; ± is a standard error; * marks the best and what is not two standard errors worse."
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem; color: #1f2937;
  background: #fff; }}
@media (prefers-color-scheme: dark) {{ body {{ color: #f3f4f6; background: #0b0f19; }} }}
.genzoo-picture {{ min-width: 16rem; }} .genzoo-row .genzoo-picture {{ min-width: 10rem; }}
.note {{ color: var(--genzoo-quiet); }} dt {{ font-weight: 600; }}
{style}</style></head><body>
<h1>{title}</h1>
<p>{heading}. Beside each value: {legend}. {signs}</p>
{body}
</body></html>
"""
