"""Workers as jobs of a cluster, by submitit."""

from __future__ import annotations

import sys
from pathlib import Path

from genzoo import UsageError
from genzoo_sweep.sweep import Sweep


def submitted(sweep: Sweep, trials: int, cluster: str, workers: int, job: dict[str, str]) -> list[str]:
    """Start so many workers; what was started, in lines. Raises `UsageError` where submitit is not installed, or does
    not take what a job is to ask for."""
    try:
        import submitit
    except ModuleNotFoundError:
        raise UsageError('--submit takes submitit; install it with: pip install "genzoo-sweep[slurm]"') from None
    try:
        executor = submitit.AutoExecutor(folder=sweep.path / "jobs", cluster=cluster)
        executor.update_parameters(name=sweep.path.name, **{k: int(v) if v.isdigit() else v for k, v in job.items()})
    except (RuntimeError, NameError, TypeError, ValueError) as error:
        raise UsageError(f"submitit does not take that: {error}") from None
    jobs = [executor.submit(work, str(sweep.path.resolve()), trials) for _ in range(workers)]
    if cluster == "local":
        for each in jobs:
            each.result()
    lines = [f"job      {each.job_id}, logs in {each.paths.folder}" for each in jobs]
    return [*lines, f"next     genzoo sweep show {sweep.path}"]


def work(path: str, trials: int) -> None:
    """What a job does."""
    from genzoo_sweep.watching import Lines

    sweep = Sweep(Path(path))
    with Lines(sweep, trials) as lines:
        sweep.work(trials, [lines])
    sys.stderr.flush()
