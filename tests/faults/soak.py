"""Train, resume, sample and list in one process for a while, and say how memory and open files grew after a warm-up.

python tests/faults/soak.py MINUTES [MODEL ...]     (Linux with glibc; the first third is the warm-up)

Memory is what the process has (resident), and what of it is in use: the rest glibc keeps for the next time, in pieces.
"""

from __future__ import annotations

import ctypes
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
LIBC = ctypes.CDLL("libc.so.6")


class Mallinfo(ctypes.Structure):
    """What glibc's `mallinfo2` gives, in bytes."""

    NAMES = ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")
    _fields_ = tuple((name, ctypes.c_size_t) for name in NAMES)


LIBC.mallinfo2.restype = Mallinfo


def round_of(model: str, number: int, folder: str) -> None:
    """One training, its resume, its samples and the list of runs."""
    options = {**OPTIONS, "name": f"{model}-{number}", "runs_dir": folder, "seed": number}
    run = genzoo.train(model, steps=4, **options)
    genzoo.resume(run, steps=8)
    genzoo.sample(run, 4, seed=number)
    genzoo.list_runs(folder)
    shutil.rmtree(run.path)


def sizes() -> dict[str, float]:
    """Resident memory and memory in use, in MiB, and how many files are open."""
    pages, info = int(Path("/proc/self/statm").read_text("utf-8").split()[1]), LIBC.mallinfo2()
    return {
        "resident memory, MiB": pages * os.sysconf("SC_PAGE_SIZE") / MIB,
        "memory in use, MiB": (info.uordblks + info.hblkhd) / MIB,
        "open files": len(os.listdir("/proc/self/fd")),
    }


def main(minutes: float, models: list[str]) -> None:
    warnings.simplefilter("ignore")
    begin, rounds, hours, rows = time.monotonic(), 0, [], []
    with tempfile.TemporaryDirectory() as folder:
        while time.monotonic() < begin + 60 * minutes:
            for model in models:
                round_of(model, rounds, folder)
            rounds += 1
            seconds, row = time.monotonic() - begin, sizes()
            if seconds > 20 * minutes:
                hours.append(seconds / 3600)
                rows.append(row)
    print(f"{minutes:g} minutes, {rounds} rounds of {', '.join(models)}; after the first third, {len(hours)} rounds:")
    for name in rows[0]:
        values = [row[name] for row in rows]
        slope = statistics.linear_regression(hours, values).slope
        print(
            f"  {name}: {values[0]:.1f} to {values[-1]:.1f} (least {min(values):.1f}, most {max(values):.1f}),"
            f" {slope:+.2f} an hour by least squares"
        )
    LIBC.malloc_trim(0)
    print(f"  when glibc gave back what it kept: {sizes()['resident memory, MiB']:.1f} MiB resident")


if __name__ == "__main__":
    main(float(sys.argv[1]), sys.argv[2:] or ["vae", "gan"])
