"""What people said of pairs of samples: kept in `ratings.jsonl` of the folder of runs, and read again."""

from __future__ import annotations

import json
import math
import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import genzoo
from genzoo import Estimate, GenzooError, RunFolder, UsageError
from genzoo_web.statistics import Agreement, Share, Strength, agreement, bradley_terry, share

FILE = "ratings.jsonl"
REAL = "real data"  # in the place of a run's name, which cannot have a space
ANSWERS = ("left", "right", "neither")
LONGEST_NAME = 40


@dataclass(frozen=True)
class Item:
    """One side of a pair: sample `index` of a run with these weights, or a held-out example of its data."""

    source: str
    index: int
    weights: str = ""

    @property
    def is_real(self) -> bool:
        return self.source == REAL


@dataclass(frozen=True, kw_only=True)
class Rating:
    """A person's answer to one pair: which of them is the real one, or looks or reads more like it.

    Attributes:
        who: a name of one's choosing.
        modality, data, fingerprint: of what kind and data the runs are.
        seed: of both samples.
    """

    when: str
    who: str
    modality: str
    data: str
    fingerprint: str
    seed: int
    left: Item
    right: Item
    answer: str
    seconds: float

    @property
    def is_control(self) -> bool:
        """Whether both are real."""
        return self.left.is_real and self.right.is_real

    @property
    def pair(self) -> tuple[object, ...]:
        """What tells the pair, whichever is left."""
        items = sorted((item.source, item.index, item.weights) for item in (self.left, self.right))
        return (self.fingerprint, self.seed, *items)

    @property
    def chosen_item(self) -> Item | None:
        """The one that was taken for real; None: they could not be told apart."""
        return {"left": self.left, "right": self.right}.get(self.answer)


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def check_name(who: str) -> str:
    """A person's name as it is kept. Raises `UsageError` for none, and for what is none."""
    name = " ".join(who.split())
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise UsageError(f"a name is needed, of 1 to {LONGEST_NAME} characters; any will do, such as a colour")
    return name


def keep(rating: Rating, folder: Path) -> None:
    """Add a rating to those of a folder of runs. Raises `GenzooError` if that cannot be written."""
    from filelock import FileLock

    line = json.dumps(asdict(rating), ensure_ascii=False) + "\n"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f".{FILE}.lock"), open(folder / FILE, "ab") as file:
            file.write(line.encode("utf-8", "backslashreplace"))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise GenzooError(f"cannot write {folder / FILE}: {error.strerror}") from None


def read(folder: Path) -> list[Rating]:
    """The ratings of a folder of runs, oldest first; lines that are damaged are left out."""
    try:
        lines = (folder / FILE).read_text("utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise GenzooError(f"cannot read {folder / FILE}: {error.strerror}") from None
    return [rating for line in lines if (rating := _parsed(line)) is not None]


def _parsed(line: str) -> Rating | None:
    try:
        values = genzoo.parse_json(line)
        left, right = Item(**values.pop("left")), Item(**values.pop("right"))
        rating = Rating(left=left, right=right, **values)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return rating if rating.answer in ANSWERS else None


# What they say


@dataclass(frozen=True)
class Summary:
    """What the ratings of the runs on one data set say.

    Attributes:
        control: of pairs of which both were real, how often the left one was chosen of those that were answered; it
            should be about half. None where there were none.
        unsure: the share of all answers that were "can't say".
        strengths: by Bradley and Terry, of runs and real data against each other, real data being 0.
        fooling: by run, how often its sample was taken for the real one.
    """

    data: str
    modality: str
    count: int
    people: int
    strengths: Sequence[Strength]
    fooling: dict[str, Share]
    control: Share | None
    controls: int
    unsure: Share
    agreement: Agreement | None


def summaries(ratings: Sequence[Rating]) -> list[Summary]:
    """One for each data set."""
    by_data: dict[str, list[Rating]] = defaultdict(list)
    for rating in ratings:
        by_data[rating.fingerprint].append(rating)
    return [_summary(of_data) for of_data in by_data.values()]


def _summary(ratings: Sequence[Rating]) -> Summary:
    names = _names(ratings)
    judged = [rating for rating in ratings if not rating.is_control]
    controls = [rating for rating in ratings if rating.is_control]
    decided = [rating for rating in controls if rating.answer != "neither"]
    wins: Counter[tuple[str, str]] = Counter()
    answers: dict[tuple[object, ...], dict[str, str]] = defaultdict(dict)  # by pair and person, the last one
    for rating in judged:
        left, right = names[rating.left.source, rating.left.weights], names[rating.right.source, rating.right.weights]
        if left != right:
            wins[left, right] += {"left": 1.0, "right": 0.0, "neither": 0.5}[rating.answer]  # type: ignore[assignment]
            wins[right, left] += {"left": 0.0, "right": 1.0, "neither": 0.5}[rating.answer]  # type: ignore[assignment]
        item = rating.chosen_item
        answers[rating.pair][rating.who] = "neither" if item is None else f"{item.source} {item.index}"
    fooling = {}
    for (source, weights), name in names.items():
        of_run = [r for r in judged if r.right.is_real != r.left.is_real and _run_of(r) == (source, weights)]
        if of_run:
            fooling[name] = _fooled(of_run)
    return Summary(
        data=ratings[0].data, modality=ratings[0].modality, count=len(ratings), people=len({r.who for r in ratings}),
        strengths=bradley_terry(wins, REAL) if wins else [], fooling=fooling,
        control=share(sum(r.answer == "left" for r in decided), len(decided)) if decided else None,
        controls=len(controls), unsure=share(sum(r.answer == "neither" for r in ratings), len(ratings)),
        agreement=agreement([list(of_pair.values()) for of_pair in answers.values()]),
    )  # fmt: skip


def _names(ratings: Sequence[Rating]) -> dict[tuple[str, str], str]:
    """What each run is called in a table, by its name and weights: with a part of these where it had others."""
    sides = dict.fromkeys((item.source, item.weights) for rating in ratings for item in (rating.left, rating.right))
    several = {name for name, count in Counter(source for source, _ in sides).items() if count > 1 and name != REAL}
    return {(source, weights): f"{source}@{weights[:8]}" if source in several else source for source, weights in sides}


def _run_of(rating: Rating) -> tuple[str, str]:
    item = rating.right if rating.left.is_real else rating.left
    return item.source, item.weights


def _fooled(ratings: Sequence[Rating]) -> Share:
    """How often the sample of a run was taken for real, beside a real one; half where nobody could say."""
    items = [rating.chosen_item for rating in ratings]
    return share(sum(0.5 if item is None else float(not item.is_real) for item in items), len(items))


# As people read it


def heading(summary: Summary) -> str:
    """Of which data, and how many said something."""
    people = "1 person" if summary.people == 1 else f"{summary.people} people"
    return f"{summary.data} ({summary.modality}): {summary.count} judgements of {people}"


def rows(summary: Summary) -> list[tuple[str, ...]]:
    """A heading, and a row for each run and real data, from the strongest on."""
    lines: list[tuple[str, ...]] = [("", "strength", "95%", "taken for real", "95%", "of")]
    for strength in summary.strengths:
        is_reference = strength.low == strength.high
        interval = "" if is_reference else f"{strength.low:+.2f} to {strength.high:+.2f}"
        cells = ("0" if is_reference else f"{strength.value:+.2f}", interval)
        fooled = summary.fooling.get(strength.name)
        rates = ("", "", "") if fooled is None else (f"{fooled.value:.0%}", _interval(fooled), str(fooled.count))
        lines.append((strength.name, *cells, *rates))
    return lines


def facts(summary: Summary) -> dict[str, str]:
    """What else there is to say, by title: how sure people are, how far they agree, and what the control says."""
    lines = {"can't say": f"{summary.unsure.value:.0%} of all answers"}
    agreed, control = summary.agreement, summary.control
    lines["agreement"] = "no pair was judged by two people yet"
    if agreed is not None:
        alpha = "" if agreed.alpha is None else f", Krippendorff's alpha {agreed.alpha:.2f}"
        lines["agreement"] = f"{agreed.share:.0%} of answers to the same pair{alpha}; {agreed.pairs} pairs"
    lines["control"] = f"of {summary.controls} pairs of real data none was decided"
    if control is not None:
        fair = "no side is favoured" if control.low <= 0.5 <= control.high else "a side is favoured, so doubt the rest"
        lines["control"] = (
            f"of {summary.controls} pairs of real data {control.count} were decided, {control.value:.0%} of them for"
            f" the left one ({_interval(control)}): {fair}"
        )
    return lines


def _interval(of: Share) -> str:
    return f"{of.low:.0%} to {of.high:.0%}"


# As measures of `genzoo compare`


def _of_run(run: RunFolder) -> list[Rating]:
    """The judgements of a run as its weights are now, beside real data."""
    weights = str(run.weights().get("sha256", ""))
    one_is_real = (rating for rating in read(run.path.resolve().parent) if rating.left.is_real != rating.right.is_real)
    return [rating for rating in one_is_real if _run_of(rating) == (run.name, weights)]


def fooling_rate(run: RunFolder) -> Estimate | None:
    """The share of the judgements in which its sample was taken for the real one; None where there are none."""
    ratings = _of_run(run)
    if not ratings:
        return None
    fooled, count = _fooled(ratings), len(ratings)
    mended = (fooled.value * count + 2) / (count + 4)  # Agresti & Coull 1998: an error also where all answers are alike
    return Estimate(fooled.value, math.sqrt(mended * (1 - mended) / (count + 4)))


def judgements(run: RunFolder) -> Estimate | None:
    """How many there are; None where there are none."""
    count = len(_of_run(run))
    return Estimate(float(count)) if count else None
