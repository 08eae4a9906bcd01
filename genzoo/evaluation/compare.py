"""Runs side by side, if they were measured the same way."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from genzoo.data.files import Progress, tick
from genzoo.errors import UsageError
from genzoo.evaluation.evaluate import Evaluation, hold_against, kept
from genzoo.evaluation.reference import reference_of
from genzoo.run_folder import RunFolder, find_run
from genzoo.sampling import spec_of


def compare(
    runs: Sequence[str | Path | RunFolder],
    n: int | None = None,
    *,
    seed: int = 0,
    features: str = "auto",
    batch_size: int = 64,
    device: str = "auto",
    data_dir: str | None = None,
    runs_dir: str | None = None,
    progress: Progress = tick,
) -> list[Evaluation]:
    """Evaluations of several runs, each made now unless the run keeps one of the same protocol, weights and sampling.

    Args:
        runs: each a run as `evaluate` takes it, or the file of a result (`result.json`).

    Raises:
        UsageError: their protocols differ; the message says in what.
    """
    found, references = [], {}
    for run in runs:
        if not isinstance(run, RunFolder) and Path(run).suffix == ".json" and Path(run).is_file():
            found.append(Evaluation.read(Path(run)))
        else:
            folder = find_run(run, runs_dir)
            options: Any = spec_of(folder)[0].sample_options()
            if (key := folder.data_spec) not in references:
                references[key] = reference_of(folder, n, seed, features, data_dir, progress)
            old = kept(folder, references[key].protocol, options)
            found.append(old or hold_against(references[key], folder, options, batch_size, device, progress))
        check_same(found)
    return found


def check_same(found: Sequence[Evaluation]) -> None:
    """Raises `UsageError` if the protocols of results differ."""
    first = found[0].protocol
    for other in found[1:]:
        keys = sorted(first.keys() | other.protocol.keys())
        differs = [key for key in keys if first.get(key) != other.protocol.get(key)]
        if differs:
            what = "; ".join(f"{key} {first.get(key)!r} and {other.protocol.get(key)!r}" for key in differs)
            raise UsageError(
                f"{found[0].run} and {other.run} do not compare, as they were measured differently: {what}"
            )
