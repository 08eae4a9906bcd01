"""Run the tests with the lowest versions that the metadata allow, or with the newest that there are:
`uv run python tests/versions.py lowest|newest [--python 3.13] [PYTEST ARGUMENTS]`.

Each end has an environment of its own in build/, without the constraints of pyproject.toml, which hold versions that
are known to work together. What is lowest is what our own metadata name; what those packages need is as new as they
allow.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
RESOLUTIONS = {"lowest": "lowest-direct", "newest": "highest"}


def main() -> int:
    """The exit status of the tests."""
    parser = argparse.ArgumentParser(description="Run the tests with the lowest or the newest versions.")
    parser.add_argument("end", choices=RESOLUTIONS)
    parser.add_argument("--python", default=sys.executable, help="which Python: a version or a path")
    arguments, pytest_arguments = parser.parse_known_args()
    environment = ROOT / "build" / f"{arguments.end}-versions"
    python = environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    folders = (f"{ROOT}[all]", *sorted((ROOT / "plugins").glob("*/")))
    projects = [argument for folder in folders for argument in ("-e", folder)]
    resolution = ("--resolution", RESOLUTIONS[arguments.end])
    _uv("venv", "--clear", "--python", arguments.python, environment)
    _uv("pip", "install", "--no-config", "--python", python, *resolution, *projects, "--group", "test")
    _uv("pip", "list", "--python", python)
    return subprocess.run([python, "-m", "pytest", *pytest_arguments], cwd=ROOT, check=False).returncode


def _uv(*arguments: str | Path) -> None:
    subprocess.run(["uv", *arguments], cwd=ROOT, check=True)


if __name__ == "__main__":
    sys.exit(main())
