"""How long the command line takes to answer, and to give a first word, each against what Python takes to import what it
cannot do without, run in turn.

    uv run python benchmarks/startup.py
    uv run python benchmarks/startup.py --models

Without --models: against `python -c "import click"`; the last line is of `genzoo list` where 49 more plugins are
installed, three of them broken, compared with the list without them. With it: samples of small models, from the
command to the last word or picture, against `python -c "import torch"`; and a text that is not UTF-8, which is
refused before torch is imported.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

GENZOO = str(Path(sys.executable).with_name("genzoo"))
MANY = "genzoo list, 49 more plugins"
CLICK, TORCH = 'python -c "import click"', 'python -c "import torch"'
ANSWERS = {
    CLICK: [sys.executable, "-c", "import click"],
    "genzoo list": [GENZOO, "list"],
    "genzoo train vae --latent-dim 0": [GENZOO, "train", "vae", "--latent-dim", "0"],
    MANY: [GENZOO, "list"],
}
PLUGIN = """
import genzoo
from genzoo import GeneratorSpec

@genzoo.hookimpl
def genzoo_generators():
    return [GeneratorSpec(name="p{0}", summary="Number {0}", modality="image", target="genzoo_p{0}.model:Model")]
"""


def plant(site: Path) -> None:
    """Install 49 plugins, three of them broken."""
    for number in range(49):
        info = site / f"genzoo_p{number}-1.0.dist-info"
        info.mkdir(parents=True)
        code = "raise RuntimeError('broken')\n" if number < 3 else PLUGIN.format(number)
        (site / f"genzoo_p{number}.py").write_text(code, "utf-8")
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: genzoo-p{number}\nVersion: 1.0\n", "utf-8")
        (info / "entry_points.txt").write_text(f"[genzoo]\np{number} = genzoo_p{number}\n", "utf-8")


def first_words(folder: Path) -> dict[str, list[str]]:
    """Commands that draw from small models, which are trained here for a step, and one whose data are refused."""
    runs = ["--runs-dir", str(folder / "runs")]
    for model in ("transformer", "vae", "gan", "dcgan"):
        subprocess.run([GENZOO, "train", model, "--steps", "1", *runs], check=True, capture_output=True)
    (folder / "latin.txt").write_bytes("caf\xe9".encode("latin-1"))
    text = ["--prompt", "The", "--max-new-tokens", "20"]
    return {
        TORCH: [sys.executable, "-c", "import torch"],
        "genzoo sample transformer, 20 tokens": [GENZOO, "sample", "transformer", *text, *runs],
        **{f"genzoo sample {model}": [GENZOO, "sample", model, *runs] for model in ("vae", "gan", "dcgan")},
        "genzoo train transformer, not UTF-8": [GENZOO, "train", "transformer", "--data", str(folder / "latin.txt")],
    }


def medians(commands: dict[str, list[str]], rounds: int, site: str) -> dict[str, float]:
    """The seconds of each command; the first round is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds + 1):
        for name, command in commands.items():
            environment = os.environ | ({"PYTHONPATH": site} if name == MANY else {})
            start = time.perf_counter()
            subprocess.run(command, capture_output=True, check=False, env=environment, stdin=subprocess.DEVNULL)
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(times[1:]) for name, times in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", action="store_true", help="Samples of models, against importing torch.")
    parser.add_argument("--rounds", type=int, default=20)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if not arguments.models:
            plant(Path(folder))
        commands = first_words(Path(folder)) if arguments.models else ANSWERS
        seconds = medians(commands, arguments.rounds, folder)
    base = seconds[TORCH if arguments.models else CLICK]
    for name, median in seconds.items():
        print(f"{1000 * median:6.0f} ms  {median / base:5.2f} times  {name}")
    if not arguments.models:
        print(f"the list with 49 more plugins takes {seconds[MANY] / seconds['genzoo list']:.2f} times as long")


if __name__ == "__main__":
    main()
