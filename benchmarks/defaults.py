"""Every image model with its defaults on several data sets, three seeds each: do the defaults hold where nobody tuned?

    uv run python benchmarks/defaults.py [--models gan vae] [--data emoji letters.npz] [--seeds 3] [--runs-dir FOLDER]

A model on a data set is a cell: a group of runs, `defaults-MODEL-DATA`. What is trained already, and measured, is kept
in the folder of runs, so cells can be made one by one, in any order: `--models vae --data emoji` makes one, and prints
it. `--show` trains nothing and prints what is there. One thread for each training, so that two may run at once. The
fourth data set is made by `letters.py`.
"""

from __future__ import annotations

import argparse
import os
import statistics
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import genzoo
from genzoo.evaluation.report import number
from genzoo.runs.find import runs_of_group

MODELS = ("gan", "dcgan", "vae", "diffusion")
DATA = ("mnist-5k", "emoji", "digits-8x8", "letters.npz")
MEASURES = (
    "recall", "coverage", "duplicates", "precision", "frechet_distance", "label_accuracy",
)  # fmt: skip


def cell(model: str, data: str, seeds: int, runs_dir: str | None, *, conditional: bool, train: bool) -> str:
    """A row of the table: mean and standard deviation over the seeds; what is not there is trained first."""
    name = f"defaults-{model}-{Path(data).stem}" + ("-conditional" if conditional else "")
    if train:
        options = {"runs_dir": runs_dir} if runs_dir else {}
        runs = genzoo.train_seeds(model, seeds, name=name, data=data, conditional=conditional, **options)
    else:
        runs = [run for run in runs_of_group(name, runs_dir) if run.status == "finished"]
    if not runs:
        return f"| {Path(data).stem} | {model} | 0 |" + " |" * (len(MEASURES) + 1)
    (result,) = genzoo.compare(runs, runs_dir=runs_dir, seeds=True)
    measures = {measure.name: measure for measure in result.measures}
    cells = []
    for measure in (measures.get(name) for name in MEASURES):
        several = measure is not None and measure.count > 1
        spread = f" ± {number(measure.uncertainty or 0, 2)}" if measure and several else ""
        cells.append("" if measure is None else number(measure.value, 3) + spread)
    seconds = [run.record["seconds"] for run in runs]
    spread = f" ± {statistics.stdev(seconds):.0f}" if len(seconds) > 1 else ""
    cells.append(f"{statistics.fmean(seconds):.0f}{spread}")
    return f"| {Path(data).stem} | {model} | {len(runs)} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--data", nargs="+", default=DATA)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--runs-dir")
    parser.add_argument("--conditional", action="store_true")
    parser.add_argument("--show", action="store_true", help="Train nothing.")
    arguments = parser.parse_args()
    print("| Data | Model | Seeds | " + " | ".join([*MEASURES, "seconds"]) + " |")
    print("| --- | --- |" + " ---: |" * (len(MEASURES) + 2))
    for data in arguments.data:
        for model in arguments.models:
            how = {"conditional": arguments.conditional, "train": not arguments.show}
            print(cell(model, data, arguments.seeds, arguments.runs_dir, **how), flush=True)


if __name__ == "__main__":
    main()
