"""Promises of a training, and of the run that it leaves."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from genzoo.interface.errors import Interrupted, Skip, UsageError
from genzoo.testing.case import STEPS, Case
from genzoo.testing.check import promised, require, weights_of

if TYPE_CHECKING:
    from genzoo.interface.run import Run

MAGIC = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04")  # of pickles, and of torch.save's archives


# Runs


@promised
def nothing_is_a_pickle(case: Case) -> None:
    """No file of a run is a pickle, nor an archive that may hold one."""
    for path in sorted(case.run.path.rglob("*")):
        if path.is_file():
            require(
                not path.read_bytes()[:4].startswith(MAGIC), f"{path.relative_to(case.run.path)} looks like a pickle"
            )


@promised
def resuming_is_exact(case: Case) -> None:
    """A run that goes on from a checkpoint ends with the bits of one that was never stopped."""

    from genzoo.runs.folder import RunFolder
    from genzoo.training.train import resume

    require(case.run.status == "finished", "the training did not finish")
    copy = case.folder / "runs" / "copy"
    shutil.copytree(case.run.path, copy)
    for path in RunFolder(copy).checkpoints():
        if path.name != f"step-{STEPS // 2:08d}":
            shutil.rmtree(path)
    RunFolder(copy).update(status="interrupted", step=STEPS // 2)
    resumed = resume(copy)
    same = weights_of(case.run) == weights_of(resumed)
    require(same, "its weights differ: give optimisers to run.prepare and other state to run.track")
    last, other = case.run.metrics()[-1], resumed.metrics()[-1]
    differ = [key for key in last if "second" not in key and last[key] != other.get(key)]
    require(not differ, f"its logged {', '.join(differ)} differ")


@promised
def a_stopped_run_can_go_on(case: Case) -> None:
    """A stop signal ends a training after the step, saved, and resuming finishes it."""
    from genzoo.runs.folder import RunFolder
    from genzoo.training.train import resume

    class Stop:
        def genzoo_run_logged(self, run: Run, step: int) -> None:
            if step == 1:
                run.stop()

    stopped = False
    try:
        case.train("stopped", watchers=[Stop()])
    except Interrupted:
        stopped = True
    run = RunFolder(case.folder / "runs" / "stopped")
    require(stopped and run.status == "interrupted", f"the training went on after a stop signal: it is {run.status}")
    require(run.step == 1, f"it stopped after step {run.step}, not 1")
    require(resume(run).step == STEPS, "resuming did not finish it")


@promised
def drawing_does_not_change_a_training(case: Case) -> None:
    """Grids, scores and checkpoints between steps leave a training as it would have been."""
    busy = case.train("busy", sample_every=1, eval_every=1, save_every=1)
    require(
        weights_of(busy) == weights_of(case.run),
        "the weights differ from those of a training that drew and saved less: sampling moves its state",
    )


@promised
def files_stay_in_the_run(case: Case) -> None:
    """Training writes nothing outside the run's folder."""
    outside = case.observed["outside"]
    require(not outside, f"training writes {', '.join(outside[:3])}")


@promised
def nothing_is_called(case: Case) -> None:
    """Training calls no other machine."""
    called = case.observed["called"]
    require(not called, f"training connects to {', '.join(called[:3])}")


@promised
def a_missing_device_is_refused(case: Case) -> None:
    """A device that is not there is a clear error, and nothing is written."""
    try:
        case.train("nowhere", device="cuda:99")
    except UsageError as error:
        require("cuda:99" in str(error), f"the error does not name the device: {error}")
    else:
        raise AssertionError("--device cuda:99 is taken")
    require(not (case.folder / "runs" / "nowhere").exists(), "a run was made")


@promised
def memory_of_the_device_is_given_back(case: Case) -> None:
    """On CUDA, a training whose results are gone leaves no memory taken."""
    import gc

    import torch

    case.run  # noqa: B018  (where no training ends, this one need not be tried)
    if not torch.cuda.is_available():
        raise Skip("there is no CUDA device here")
    gc.collect()
    before = torch.cuda.memory_allocated()
    case.train("cuda", device="cuda")
    gc.collect()
    left = torch.cuda.memory_allocated() - before
    require(left < 2**20, f"{left:,} bytes are still taken")
