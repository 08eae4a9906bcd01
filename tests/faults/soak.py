"""Train, resume, sample and list in one process for a while, and say how memory and open files grew after a warm-up.

python tests/faults/soak.py MINUTES [MODEL ...]     (Linux; the first third is the warm-up)
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
import time
import warnings
from pathlib import Path

import genzoo

OPTIONS = {"eval_every": 4, "save_every": 4, "sample_every": 4, "log_every": 1, "device": "cpu", "batch_size": 16}
MIB = 2**20


def round_of(model: str, number: int, folder: str) -> None:
    """One training, its resume, its samples and the list of runs."""
    options = {**OPTIONS, "name": f"{model}-{number}", "runs_dir": folder, "seed": number}
    run = genzoo.train(model, steps=4, **options)
    genzoo.resume(run, steps=8)
    genzoo.sample(run, 4, seed=number)
    genzoo.list_runs(folder)
    shutil.rmtree(run.path)


def sizes() -> tuple[float, int]:
    """Resident memory in MiB, and how many files are open."""
    pages = int(Path("/proc/self/statm").read_text("utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / MIB, len(os.listdir("/proc/self/fd"))


def main(minutes: float, models: list[str]) -> None:
    warnings.simplefilter("ignore")
    begin, hours, memory, files = time.monotonic(), [], [], []
    rounds = 0
    with tempfile.TemporaryDirectory() as folder:
        while time.monotonic() < begin + 60 * minutes:
            for model in models:
                round_of(model, rounds, folder)
            rounds += 1
            seconds, (resident, opened) = time.monotonic() - begin, sizes()
            if seconds > 20 * minutes:
                hours.append(seconds / 3600)
                memory.append(resident)
                files.append(opened)
    print(f"{minutes:g} minutes, {rounds} rounds of {', '.join(models)}; after the first third, {len(hours)} rounds:")
    for name, values in (("memory, MiB", memory), ("open files", files)):
        slope = statistics.linear_regression(hours, values).slope
        print(f"  {name}: {values[0]:.1f} to {values[-1]:.1f}, {slope:+.2f} an hour by least squares")


if __name__ == "__main__":
    main(float(sys.argv[1]), sys.argv[2:] or ["vae", "gan"])
