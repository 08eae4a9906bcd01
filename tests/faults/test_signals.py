"""A training that is told to stop at any moment goes on to equal bits; of many that want one run, one gets it."""

import os
import random
import signal
import sys
import time

import pytest
import torch

import genzoo
from genzoo.runs import checkpoint
from genzoo.runs.find import runs_and_broken
from genzoo.runs.folder import is_run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("toy"),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="a process beside this one is a copy of it"),
]
OPTIONS = {"log_every": 5, "save_every": 50, "eval_every": 50, "sample_every": 100}
STEPS, SIGNALS, MANY = 400, 24, 10


def begin(arguments, errors, at=0.0):
    """`genzoo ARGUMENTS` in a copy of this process, from a moment on; gives the copy's id."""
    child = os.fork()
    if child:
        return child
    status = 70
    try:
        descriptor = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        sys.stdout, sys.stderr = os.fdopen(1, "w", encoding="utf-8"), os.fdopen(2, "w", encoding="utf-8")
        signal.signal(signal.SIGINT, signal.default_int_handler)
        from genzoo.cli import main

        sys.argv = ["genzoo", *map(str, arguments)]
        time.sleep(max(0.0, at - time.monotonic()))
        main()
    except SystemExit as ended:
        status = ended.code or 0
    finally:
        os._exit(status)


def end(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def flags(options):
    return [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", value)]


def same(run, whole):
    one, other = (checkpoint.load_newest(r)[1]["model"] for r in (run, whole))
    lines, others = ([{k: v for k, v in m.items() if "second" not in k} for m in r.metrics()] for r in (run, whole))
    assert lines[-1] == others[-1]
    return all(torch.equal(one[name], other[name]) for name in other)


def test_a_signal_at_any_moment_loses_nothing(tmp_path):
    genzoo.train("toy", name="warm", steps=STEPS, **OPTIONS)  # what takes long once is done
    start = time.monotonic()
    whole = genzoo.train("toy", name="whole", steps=STEPS, **OPTIONS)
    length = time.monotonic() - start
    rng, counts = random.Random(0), {"resumed": 0, "finished": 0, "before the run": 0, "before a checkpoint": 0}
    for number in range(SIGNALS):
        name, errors = f"run-{number}", tmp_path / "errors"
        child = begin(["train", "toy", "--name", name, "--steps", STEPS, *flags(OPTIONS)], errors)
        time.sleep(rng.uniform(0, 1.2) * length)
        kind = (signal.SIGINT, signal.SIGTERM)[number % 2]
        os.kill(child, kind)
        status, text = end(child), errors.read_text("utf-8")
        assert "Traceback" not in text, text
        assert status in (0, 1, 130, 143, -kind), (status, text)
        assert not runs_and_broken()[1]
        if not is_run(tmp_path / "runs" / name):
            counts["before the run"] += 1
            continue
        run = genzoo.RunFolder(tmp_path / "runs" / name)
        if run.status == "finished":
            counts["finished"] += 1
        elif not run.checkpoints():
            counts["before a checkpoint"] += 1
            continue
        else:
            run = genzoo.resume(name)
            counts["resumed"] += 1
        assert same(run, whole)
    print(f"{SIGNALS} signals: {counts}")
    assert counts["resumed"] > SIGNALS // 4


@pytest.mark.parametrize("verb", ["train", "resume"])
def test_of_ten_at_once_one_wins(tmp_path, verb):
    whole = genzoo.train("toy", name="whole", steps=STEPS, **OPTIONS)
    command = ["train", "toy", "--name", "one", "--steps", STEPS, *flags(OPTIONS)]
    if verb == "resume":
        genzoo.train("toy", name="one", steps=STEPS // 4, **OPTIONS)
        command = ["resume", "one", "--steps", STEPS]
    at = time.monotonic() + 1.0
    children = [begin(command, tmp_path / f"errors-{number}", at) for number in range(MANY)]
    statuses = [end(child) for child in children]
    texts = [(tmp_path / f"errors-{number}").read_text("utf-8") for number in range(MANY)]
    lost = [text for text, status in zip(texts, statuses, strict=True) if status]
    print(f"{verb}: statuses {sorted(statuses)}; {sorted(lost)[0].strip()}")
    assert statuses.count(0) == 1, texts
    for text in lost:
        assert text.splitlines()[-1].startswith("genzoo: "), text
        assert sum(line.startswith("genzoo: ") for line in text.splitlines()) == 1, text
        assert "Traceback" not in text, text
    assert same(genzoo.RunFolder(tmp_path / "runs" / "one"), whole)
