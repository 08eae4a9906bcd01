"""How long the command line takes to answer, against `python -c "import click"`, run in turn.

    uv run python benchmarks/startup.py

The last line is of `genzoo list` where 49 more plugins are installed, three of them broken, compared with the list
without them.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

GENZOO = str(Path(sys.executable).with_name("genzoo"))
MANY = "genzoo list, 49 more plugins"
COMMANDS = {
    'python -c "import click"': [sys.executable, "-c", "import click"],
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
        (site / f"genzoo_p{number}.py").write_text(code)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: genzoo-p{number}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[genzoo]\np{number} = genzoo_p{number}\n")


def main() -> None:
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    with tempfile.TemporaryDirectory() as site:
        plant(Path(site))
        for _ in range(21):
            for name, command in COMMANDS.items():
                environment = os.environ | ({"PYTHONPATH": site} if name == MANY else {})
                start = time.perf_counter()
                subprocess.run(command, capture_output=True, check=False, env=environment)
                seconds[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(times[1:]) for name, times in seconds.items()}
    base = medians['python -c "import click"']
    for name, median in medians.items():
        print(f"{1000 * median:6.0f} ms  {median / base:5.2f} times  {name}")
    print(f"the list with 49 more plugins takes {medians[MANY] / medians['genzoo list']:.2f} times as long")


if __name__ == "__main__":
    main()
