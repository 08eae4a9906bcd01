"""A problem is said if it lasts, once, and not at the start of a training."""

import genzoo


class Run:
    """What an alarm needs of a run."""

    def __init__(self):
        self.step, self.warned = 0, []

    def warn(self, message):
        self.warned.append((self.step + 1, message))


def test_a_problem_is_said_once_when_it_has_lasted():
    run = Run()
    alarms = genzoo.Alarms(run, patience=10)
    bad = {*range(1, 16), *range(20, 60)}  # at step 16 all is well
    for run.step in range(60):
        alarms.look("it is broken", run.step + 1 in bad, "mend it")
        alarms.look("it is never broken", False, "leave it")
    assert run.warned == [(30, "it is broken, since step 20: mend it")]


def test_a_start_that_is_bad_is_not_counted():
    run = Run()
    alarms = genzoo.Alarms(run, patience=10)
    for run.step in range(30):
        alarms.look("it is broken", True, "mend it")
    assert run.warned == [(21, "it is broken, since step 11: mend it")]
