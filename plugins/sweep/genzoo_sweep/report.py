"""A sweep as people read it: a table, a page, a picture."""

from __future__ import annotations

import base64
import html
import io
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState

import genzoo
from genzoo import UsageError
from genzoo_sweep.sweep import ERROR, SECONDS, Sweep

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SUFFIXES = (".html", ".png")
LEAST = 4  # complete trials that importances take


def ordered(sweep: Sweep) -> list[FrozenTrial]:
    """All trials, the best by the first measure first, then those without a value by number."""
    sign = 1 if sweep.measures[0].direction == "minimize" else -1
    complete = [trial for trial in sweep.trials() if trial.state == TrialState.COMPLETE]
    rest = [trial for trial in sweep.trials() if trial.state != TrialState.COMPLETE]
    return [*sorted(complete, key=lambda trial: sign * trial.values[0]), *rest]


def best(sweep: Sweep) -> list[int]:
    """The numbers of the best trials: one, or of several measures those that none is better than in all."""
    return sorted(trial.number for trial in sweep.study.best_trials)


def importances(sweep: Sweep) -> dict[str, dict[str, float]]:
    """By measure, how much each option mattered for it (PED-ANOVA, Watanabe 2023), where there are trials enough."""
    shares = {}
    complete = [trial for trial in sweep.trials() if trial.state == TrialState.COMPLETE]
    for number, measure in enumerate(sweep.measures):
        if len(complete) < LEAST or len({trial.values[number] for trial in complete}) < 2:
            continue
        evaluator = PedAnovaImportanceEvaluator()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                shares[measure.name] = get_param_importances(sweep.study, evaluator=evaluator, target=_value(number))
        except (RuntimeError, ValueError):  # nothing that all trials have was varied
            continue
    return shares


def _value(number: int) -> Callable[[FrozenTrial], float]:
    """What gives a trial's value of a measure, by its place."""
    return lambda trial: float(trial.values[number])


def rows(sweep: Sweep) -> list[list[str]]:
    """A heading, and a row a trial."""
    names = [*(["model"] if len(sweep.plan.models) > 1 else []), *(each.name for each in sweep.dimensions)]
    marked = best(sweep)
    measures = (f"{each.name} {'↓' if each.direction == 'minimize' else '↑'}" for each in sweep.measures)
    table = [["TRIAL", *measures, *names, "SECONDS", "STATE"]]
    for trial in ordered(sweep):
        values = [f"{value:.5g}" for value in trial.values or ()] or [""] * len(sweep.measures)
        if trial.number in marked:
            values[0] += " *"
        table.append([
            sweep.group_of(trial.number), *values, *(_shown(trial.params.get(name)) for name in names),
            _shown(trial.user_attrs.get(SECONDS)), _state(trial),
        ])  # fmt: skip
    return table


def _shown(value: object) -> str:
    return "" if value is None else f"{value:.5g}" if isinstance(value, float) else str(value)


def _state(trial: FrozenTrial) -> str:
    if trial.state == TrialState.FAIL:
        return f"failed: {trial.user_attrs.get(ERROR, '')}"
    if trial.state == TrialState.PRUNED:
        return f"pruned at step {trial.last_step}"
    return {TrialState.COMPLETE: "complete", TrialState.RUNNING: "begun"}[trial.state]


def lines(sweep: Sweep) -> list[str]:
    """A table, the best, and what mattered."""
    table = rows(sweep)
    if len(table) == 1:
        return [f"sweep {sweep.path.name} has no trial yet"]
    text = genzoo.aligned(table).split("\n")
    for measure, shares in importances(sweep).items():
        text.append(f"matters  for {measure}: " + ", ".join(f"{name} {share:.0%}" for name, share in shares.items()))
    for number in best(sweep)[:5]:
        group = sweep.group_of(number)
        text.append(f"best     {group}; look at it with: genzoo show {group}-seed{sweep.plan.seed}")
    return text


def to_json(sweep: Sweep) -> dict[str, Any]:
    """All of it, as JSON has it."""
    return {
        "name": sweep.path.name, "plan": sweep.plan.to_json(),
        "best": [sweep.group_of(number) for number in best(sweep)],
        "importances": importances(sweep),
        "trials": [
            {
                "group": sweep.group_of(trial.number), "state": trial.state.name.lower(), "params": trial.params,
                "values": dict(zip((measure.name for measure in sweep.measures), trial.values or (), strict=False)),
                "error": trial.user_attrs.get(ERROR), "seconds": trial.user_attrs.get(SECONDS),
            }
            for trial in ordered(sweep)
        ],
    }  # fmt: skip


# Pictures


def write(sweep: Sweep, out: str, overwrite: bool = False) -> Path:
    """A page or a picture of a sweep. Raises `UsageError` for a name that is neither, or is there."""
    path = Path(out).expanduser()
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"--out is {out!r}; allowed is a file that ends in {' or '.join(SUFFIXES)}")
    if path.exists() and not overwrite:
        raise UsageError(f"{path} exists; choose another --out, or give --overwrite")
    pictures = figures(sweep)
    if path.suffix.lower() == ".png":
        if not pictures:
            raise UsageError(f"sweep {sweep.path.name!r} has fewer than two complete trials, and nothing to draw")
        content = _stacked(list(pictures.values()))
    else:
        content = _page(sweep, pictures).encode()
    genzoo.write_file(path, content)
    return path


def figures(sweep: Sweep) -> dict[str, bytes]:
    """PNG pictures by their titles: values over trials, options beside values, and of two measures the front."""
    complete = [trial for trial in sweep.trials() if trial.state == TrialState.COMPLETE]
    if len(complete) < 2:
        return {}
    plots = optuna.visualization.matplotlib
    pictures = {}
    for number, measure in enumerate(sweep.measures):
        one = {"target": _value(number), "target_name": measure.name}
        kinds: dict[str, Callable[..., Any]] = {
            "trial by trial": plots.plot_optimization_history,
            "by what was varied": plots.plot_parallel_coordinate,
        }
        for title, plot in kinds.items():
            pictures[f"{measure.name} {title}"] = _drawn(partial(plot, sweep.study, **one))
    if len(sweep.measures) == 2:
        names = [measure.name for measure in sweep.measures]
        pictures["the front"] = _drawn(partial(plots.plot_pareto_front, sweep.study, target_names=names))
    return {title: picture for title, picture in pictures.items() if picture is not None}


def _drawn(plot: Callable[[], Any]) -> bytes | None:
    """What a function of Optuna's draws, as PNG; None where it cannot."""
    import matplotlib

    before = matplotlib.get_backend()
    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            axes = plot()
            figure: Figure = (axes.ravel()[0] if hasattr(axes, "ravel") else axes).figure
            figure.set_size_inches(9, 5)
            file = io.BytesIO()
            figure.savefig(file, format="png", dpi=110, bbox_inches="tight")
        return file.getvalue()
    except (ValueError, RuntimeError, KeyError):  # what was varied differs from trial to trial
        return None
    finally:
        plt.close("all")
        matplotlib.use(before)


def _stacked(pictures: Sequence[bytes]) -> bytes:
    """PNG pictures, one below the other."""
    from PIL import Image

    opened = [Image.open(io.BytesIO(picture)).convert("RGB") for picture in pictures]
    whole = Image.new("RGB", (max(each.width for each in opened), sum(each.height for each in opened)), "white")
    top = 0
    for each in opened:
        whole.paste(each, (0, top))
        top += each.height
    file = io.BytesIO()
    whole.save(file, "png")
    return file.getvalue()


def _page(sweep: Sweep, pictures: dict[str, bytes]) -> str:
    """One file of HTML without a script."""
    table, name = rows(sweep), html.escape(sweep.path.name)
    matters = "".join(f"<p>{html.escape(line)}</p>" for line in lines(sweep)[len(table) :])
    drawn = "".join(
        f'<figure><figcaption>{html.escape(title)}</figcaption><img alt="{html.escape(title)}"'
        f' src="data:image/png;base64,{base64.b64encode(picture).decode()}"></figure>'
        for title, picture in pictures.items()
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{name}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><style>'
        ":root{color-scheme:light dark}body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;"
        f"padding:0 1rem}}img{{max-width:100%}}{genzoo.report.STYLE}</style></head><body>"
        f"<h1>{name}</h1><p>{html.escape(', '.join(sweep.plan.models))}: {html.escape('; '.join(sweep.plan.vary))}</p>"
        f"{genzoo.report.html_table(table, 'trials')}{matters}{drawn}</body></html>\n"
    )
