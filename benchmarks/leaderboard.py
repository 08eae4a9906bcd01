"""Every built-in model with its defaults on one data set, measured in the same way: the table in the docs.

    uv run python benchmarks/leaderboard.py [--data mnist --data-dir FOLDER] [--runs-dir FOLDER] [MODEL ...]

Runs that are there already (`leaderboard-MODEL-DATA` in the folder of runs) are not trained again. Prints Markdown: the
measures, and what each model cost. `--html FILE` writes the page of `genzoo compare` besides.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import genzoo
from genzoo.evaluation import report
from genzoo.registry import registry
from genzoo.run_folder import runs_folder


def trained(model: str, data: str, data_dir: str | None, runs_dir: str | None, threads: int | None) -> genzoo.RunFolder:
    """The run of a model's defaults, made now if it is not there."""
    name = f"leaderboard-{model}-{Path(data).stem}"
    path = runs_folder(runs_dir) / name
    if (path / "run.json").exists() and (found := genzoo.RunFolder(path)).status == "finished":
        return found
    options = {"data_dir": data_dir, "runs_dir": runs_dir, "threads": threads}
    given = {key: value for key, value in options.items() if value is not None}
    if path.exists():
        return genzoo.resume(path, runs_dir=runs_dir)
    return genzoo.train(model, name=name, data=data, **given)


def costs(found: list[genzoo.Evaluation], runs: list[genzoo.RunFolder]) -> str:
    """What each run cost, as Markdown."""
    lines = ["| Run | Parameters | Training | Threads | Sampling |", "| --- | ---: | ---: | ---: | ---: |"]
    for result, run in zip(found, runs, strict=True):
        facts, threads = result.facts, run.record["environment"]["threads"]
        rate = result.protocol["samples"] / facts["sampling_seconds"]
        lines.append(
            f"| {result.run} | {facts['parameters']:,} | {facts['training_seconds']:,.0f} s | {threads} |"
            f" {facts['sampling_seconds']:,.1f} s, {rate:,.0f} a second |"
        )
    return "\n".join(lines)


NO_CLAIM = {  # in which noise is as good as can be
    "duplicates", "pair_ssim", "train_test_ratio", "copies", "distinct", "repetition", "copied_length", "longest_copy",
}  # fmt: skip


def worse_than_trivial(found: list[genzoo.Evaluation]) -> list[str]:
    """Where a model does not beat its baseline."""
    return [
        f"{result.run}, {measure.name}: {measure.value:.4g}, and the trivial model has {measure.baseline:.4g}"
        for result in found
        for measure in result.measures
        if measure.baseline is not None
        and measure.name not in NO_CLAIM
        and (measure.value - measure.baseline) * (1 if measure.better == "lower" else -1) >= 0
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL", help="Default: all of genzoo's own that take the data.")
    parser.add_argument("--data", default="mnist-5k")
    parser.add_argument("--data-dir")
    parser.add_argument("--runs-dir")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--html", type=Path)
    arguments = parser.parse_args()
    texts = {name for name, _, spec in registry().datasets if spec.modality == "text"}
    modality = "text" if arguments.data in texts or arguments.data.endswith((".txt", ".md", ".jsonl")) else "image"
    own = [m.name for m in genzoo.list_models() if m.modality == modality and m.target.startswith("genzoo_")]
    given = arguments.data, arguments.data_dir, arguments.runs_dir, arguments.threads
    runs = [trained(model, *given) for model in arguments.models or own]
    found = genzoo.compare(runs, data_dir=arguments.data_dir)
    print(report.markdown(found))
    print(costs(found, runs), "\n")
    for line in worse_than_trivial(found):
        print(f"- {line}")
    if arguments.html:
        report.write_page(arguments.html, found, list(runs))


if __name__ == "__main__":
    main()
