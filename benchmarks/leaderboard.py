"""Every built-in model with its defaults on one data set, measured in the same way: the table in the docs.

    uv run python benchmarks/leaderboard.py [--seeds 3] [--data mnist --data-dir FOLDER] [--runs-dir FOLDER] [MODEL ...]

Each model is a group of runs (`leaderboard-MODEL-DATA` in the folder of runs): mean and standard deviation over its
seeds. What is trained already is not trained again. Prints Markdown: the measures, and what each model cost. `--html
FILE` writes the page of `genzoo compare` besides.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import genzoo
from genzoo.evaluation import report
from genzoo.registry.plugins import registry


def costs(results: list[genzoo.Evaluation], groups: list[list[genzoo.RunFolder]]) -> str:
    """What a run of each group cost, as Markdown."""
    lines = ["| Run | Parameters | Training | Threads | Sampling |", "| --- | ---: | ---: | ---: | ---: |"]
    for result, runs in zip(results, groups, strict=True):
        facts, threads = result.facts, runs[0].record["environment"]["threads"]
        rate = result.protocol["samples"] / facts["sampling_seconds"]
        lines.append(
            f"| {result.run} | {facts['parameters']:,} | {facts['training_seconds']:,.0f} s | {threads} |"
            f" {facts['sampling_seconds']:,.1f} s, {rate:,.0f} a second |"
        )
    return "\n".join(lines)


NO_CLAIM = {  # in which noise is as good as can be
    "duplicates", "pair_ssim", "train_test_ratio", "copies", "distinct", "repetition", "copied_length", "longest_copy",
}  # fmt: skip


def worse_than_trivial(results: list[genzoo.Evaluation]) -> list[str]:
    """Where a model does not beat its baseline: the first column beside the floor."""
    lines = []
    for result in results:
        column = next(name for name in result.columns if name != "floor")
        for measure in result.measures:
            trivial = measure.references.get(column)
            if trivial is None or measure.name in NO_CLAIM:
                continue
            if (measure.value - trivial) * (1 if measure.better == "lower" else -1) >= 0:
                lines.append(
                    f"{result.run}, {measure.name}: {measure.value:.4g}, and the trivial model has {trivial:.4g}"
                )
    return lines


def modality_of(data: str) -> str:
    """What kind of data a name or a path stands for; a folder is taken for one of images."""
    named = {name: spec.modality for name, _, spec in registry().datasets}
    by_suffix = {suffix: name for name, _, spec in registry().modalities for suffix in spec.suffixes}
    return named.get(data) or by_suffix.get(Path(data).suffix.lower(), "image")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL", help="Default: all of genzoo's own that take the data.")
    parser.add_argument("--data", default="mnist-5k")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--data-dir")
    parser.add_argument("--runs-dir")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--html", type=Path)
    arguments = parser.parse_args()
    modality = modality_of(arguments.data)
    built_in = [m.name for m in genzoo.list_models() if m.modality == modality and m.target.startswith("genzoo_")]
    options = {name: getattr(arguments, name) for name in ("data", "data_dir", "runs_dir", "threads")}
    options = {name: value for name, value in options.items() if value is not None}
    groups = [
        genzoo.train_seeds(
            model, arguments.seeds, name=f"leaderboard-{model.replace('/', '-')}-{Path(arguments.data).stem}", **options
        )
        for model in arguments.models or built_in
    ]
    runs = [run for group in groups for run in group]
    results = genzoo.compare(runs, data_dir=arguments.data_dir, runs_dir=arguments.runs_dir, seeds=True)
    print(report.markdown(results))
    print(costs(results, groups), "\n")
    for line in worse_than_trivial(results):
        print(f"- {line}")
    if arguments.html:
        report.write_page(arguments.html, results, list(runs))


if __name__ == "__main__":
    main()
