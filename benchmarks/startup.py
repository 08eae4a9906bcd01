"""How long the command line takes to answer, against `python -c "import click"`, run in turn.

uv run python benchmarks/startup.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

GENZOO = str(Path(sys.executable).with_name("genzoo"))
COMMANDS = {
    'python -c "import click"': [sys.executable, "-c", "import click"],
    "genzoo list": [GENZOO, "list"],
    "genzoo train vae --latent-dim 0": [GENZOO, "train", "vae", "--latent-dim", "0"],
}


def main() -> None:
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(21):
        for name, command in COMMANDS.items():
            start = time.perf_counter()
            subprocess.run(command, capture_output=True, check=False)
            seconds[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(times[1:]) for name, times in seconds.items()}
    base = medians['python -c "import click"']
    for name, median in medians.items():
        print(f"{1000 * median:6.0f} ms  {median / base:5.2f} times  {name}")


if __name__ == "__main__":
    main()
