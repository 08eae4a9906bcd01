"""How long all of an evaluation takes, from what was timed of it: said before it is spent."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from genzoo.interface.dataset import Progress, silent
from genzoo.interface.measures import Reference, Subject
from genzoo.runs.folder import RunFolder

UNTRAINED = "random"  # features
REHEARSED = 500  # samples that the measures are timed with
MEASURES, REFERENCES = "measures", "references"  # kinds of parts: of samples; of real data and the trivial models
OF_ALL = "measuring (measures)"  # an activity whose items take very unlike times


def sampling_of(folder: RunFolder) -> str:
    """The kind of part that drawing the samples of a run is: runs of the same options take as long."""
    return f"sampling {_model(folder)}"


def measures_of(folder: RunFolder) -> str:
    """The kind of part that measuring a run is."""
    return f"{MEASURES} {_model(folder)}"


def _model(folder: RunFolder) -> str:
    return json.dumps([folder.model, folder.record["options"]], sort_keys=True)


class TimeLeft:
    """Tells a `Progress` of the whole, in seconds, as soon as it is known what each of its parts takes; before that, of
    each part.

    Attributes:
        to_come: the kinds of the parts that are still to be done.
        seconds: what a part of each kind takes, as far as it was timed.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress, self._began = progress, time.perf_counter()
        self.to_come: list[str] = []
        self.seconds: dict[str, float] = {}
        self._by_model: dict[str, float] = {}  # of those of a kind, for measures that need something of the model

    @property
    def is_watched(self) -> bool:
        """Whether anyone sees it."""
        return self._progress is not silent

    def expected(self, kind: str) -> float | None:
        """The seconds that a part takes; of a run whose like was not measured yet, what the measures of samples do, and
        those that need something of the model."""
        if kind in self.seconds or not kind.startswith(MEASURES) or MEASURES not in self.seconds:
            return self.seconds.get(kind)
        return self.seconds[MEASURES] + self._by_model.get(kind, 0.0)

    def skip(self, *kinds: str) -> None:
        """These parts need not be done."""
        for kind in kinds:
            self.to_come.remove(kind)

    @contextmanager
    def part(self, kind: str, name: str = "") -> Iterator[Progress]:
        """Do a part; gives the `Progress` to tell of it. `name` is of what it is, "run 2 of 12"."""
        if kind in self.to_come:
            self.to_come.remove(kind)
        began = time.perf_counter()
        activity, since, first = "", began, 0

        def tell(now_done: str, done: int, total: int) -> None:
            nonlocal activity, since, first
            now = time.perf_counter()
            if now_done != activity:
                activity, since, first = now_done, now, done
            expected, rest = self.expected(kind), [self.expected(other) for other in self.to_come]
            left = None if expected is None else max(0.0, expected - (now - began))
            if done > first and (left is None or now_done != OF_ALL):
                left = max(left or 0.0, (now - since) / (done - first) * (total - done))
            title = f"{name}: {now_done}" if name else now_done
            if left is None or None in rest:
                self._progress(title, done, total)
                return
            elapsed = now - self._began
            whole = elapsed + left + sum(seconds for seconds in rest if seconds is not None)
            self._progress(f"evaluating, {title.rpartition(' (')[0] or title} (seconds)", round(elapsed), round(whole))

        yield tell
        self.seconds[kind] = time.perf_counter() - began

    def rehearse_measures(
        self, small: Reference[Any], count: int, measured: Callable[[Subject, None, Progress], object]
    ) -> None:
        """Time the measures on `small`, a reference of fewer samples than the `count` that will be measured."""
        activity, timed = "looking how long the evaluation takes (subjects)", []
        others = list(small.others().values())
        for number, subject in enumerate(others[:2]):  # the first also works out what is of the data alone
            self._progress(activity, number, 2)
            began = time.perf_counter()
            measured(subject, None, silent)
            timed.append(time.perf_counter() - began)
        each = timed[-1] * count / small.count
        self.seconds[MEASURES] = each
        self.seconds[REFERENCES] = max(0.0, timed[0] - timed[-1]) + len(others) * each

    def rehearse_runs(
        self,
        folders: Sequence[RunFolder],
        count: int,
        batch_size: int,
        seconds_of: Callable[[RunFolder, int], tuple[float, float]],
    ) -> None:
        """Time a batch of samples of each kind of run, where that is little beside the `count` that will be drawn;
        `seconds_of(folder, count)` draws some and says how long that took, and how long those measures will take that
        need something of the model."""
        some = min(batch_size, count // 16)
        for number, folder in enumerate(folders):
            if some and self.expected(sampling_of(folder)) is None:
                self._progress("looking how long the sampling takes (runs)", number, len(folders))
                seconds, self._by_model[measures_of(folder)] = seconds_of(folder, some)
                self.seconds[sampling_of(folder)] = seconds * count / some
