"""What people say of samples is kept, and says what it should."""

import io
import json
import math
import sys
from dataclasses import replace

import numpy as np
import pytest

import genzoo
from genzoo import UsageError
from genzoo_web import ratings
from genzoo_web.pairs import Contest
from genzoo_web.ratings import REAL, Item, Rating
from genzoo_web.statistics import agreement, bradley_terry, share


def rating(left, right, answer, who="a", index=0):
    items = [Item(source, index, "" if source == REAL else "w") for source in (left, right)]
    return Rating(
        when="2026-01-01T00:00:00+00:00", who=who, modality="image", data="digits", fingerprint="f", seed=0,
        left=items[0], right=items[1], answer=answer, seconds=1.0,
    )  # fmt: skip


def test_two_strengths_are_the_log_odds_of_what_was_chosen():
    """In closed form, as far as the wide prior lets them."""
    first, second = bradley_terry({("a", "b"): 300.0, ("b", "a"): 100.0}, "b")
    assert (first.name, second.value, second.low) == ("a", 0.0, 0.0)
    assert first.value == pytest.approx(math.log(3), abs=0.01)
    assert first.high - first.value == pytest.approx(1.96 * math.sqrt(1 / 300 + 1 / 100), rel=0.01)


def test_strengths_are_found_again_and_their_intervals_hold_them():
    rng, truth, inside = np.random.default_rng(0), {"a": 1.0, "b": 0.0, "c": -0.7}, []
    for _ in range(100):
        wins = {}
        for one, other in (("a", "b"), ("b", "c"), ("a", "c")):
            won = rng.binomial(60, 1 / (1 + math.exp(truth[other] - truth[one])))
            wins[one, other], wins[other, one] = float(won), float(60 - won)
        fitted = {strength.name: strength for strength in bradley_terry(wins, "b")}
        inside += [fitted[name].low <= truth[name] <= fitted[name].high for name in ("a", "c")]
    assert 0.9 <= np.mean(inside) <= 0.99


def test_one_who_always_wins_has_a_finite_strength():
    first, second = bradley_terry({("a", "b"): 20.0}, "")
    assert 1 < first.value < 10
    assert first.value == pytest.approx(-second.value)


def test_intervals_of_shares_are_wilsons():
    half = share(5, 10)
    assert (half.low, half.high) == (pytest.approx(0.2366, abs=1e-4), pytest.approx(0.7634, abs=1e-4))
    assert share(0, 10).low == 0
    assert share(0, 10).high == pytest.approx(0.2775, abs=1e-4)


def test_agreement_is_that_of_krippendorffs_example():
    """Two people, ten units, nominal (Krippendorff 2011, example A): alpha is 0.095."""
    values = agreement(list(zip("0100000010", "1110010000", strict=True)))
    assert (values.share, values.pairs) == (0.6, 10)
    assert values.alpha == pytest.approx(0.095, abs=5e-4)
    assert agreement([("a",), ("b",)]) is None
    assert agreement([("a", "a")]).alpha is None


def test_what_is_kept_is_read_again_and_damage_is_left_out(tmp_path):
    first, second = rating("one", REAL, "left"), rating(REAL, "one", "neither", who="b")
    ratings.keep(first, tmp_path)
    with open(tmp_path / ratings.FILE, "ab") as file:
        file.write(b'{"half of a li\n[]\n{"when": 1}\n')
    ratings.keep(second, tmp_path)
    assert ratings.read(tmp_path) == [first, second]
    assert ratings.read(tmp_path / "nowhere") == []


def test_names_of_people_are_of_their_choosing_and_short():
    assert ratings.check_name("  light  blue ") == "light blue"
    for name in ("", " ", "x" * 41, "a\x1bb"):
        with pytest.raises(UsageError, match="a name is needed"):
            ratings.check_name(name)


def test_a_summary_counts_who_was_taken_for_real():
    """The sample of `one` is taken for real once and undecided once, that of `two` always; left or right is one."""
    said = [rating("one", REAL, "right", index=n) for n in range(2)]
    said += [rating(REAL, "one", "right", index=2), rating("one", REAL, "neither", index=3)]
    said += [rating("two", REAL, "left", index=n) for n in range(2)]
    said += [rating(REAL, REAL, answer) for answer in ("left", "right", "right", "neither")]
    said += [rating(REAL, "one", "left", who="b"), rating(REAL, "one", "left", who="b", index=2)]
    (summary,) = ratings.summaries(said)
    assert (summary.count, summary.people, summary.controls) == (12, 2, 4)
    assert summary.fooling["one"].value == pytest.approx((0 + 0 + 1 + 0.5 + 0 + 0) / 6)
    assert summary.fooling["two"].value == 1
    assert (summary.control.value, summary.control.count) == (pytest.approx(1 / 3), 3)
    assert [strength.name for strength in summary.strengths] == ["two", REAL, "one"]
    assert (summary.agreement.pairs, summary.agreement.share) == (2, 0.5)  # of item 0 alike, of item 2 not


def test_runs_of_a_name_with_other_weights_are_apart():
    said = [rating("one", REAL, "left")]
    said.append(replace(said[0], left=Item("one", 0, "x" * 64)))
    (summary,) = ratings.summaries(said)
    assert set(summary.fooling) == {"one@w", "one@xxxxxxxx"}


# With runs


@pytest.fixture
def texts(tmp_path, monkeypatch):
    """Two runs of a small model of text."""
    path = tmp_path / "text.txt"
    path.write_text("the quick brown fox jumps over the lazy dog;\n" * 60, "utf-8")
    options = {"num_states": 2, "restarts": 1, "steps": 1, "sample_every": 0, "eval_every": 0}
    return [genzoo.train("hmm", data=str(path), seed=seed, name=f"run{seed}", **options) for seed in (0, 1)]


def test_pairs_are_the_same_for_all_with_sides_and_order_of_their_own(texts):
    contest = Contest(texts[0], None)
    mine, theirs = contest.pairs(40, "me"), contest.pairs(40, "you")
    assert {frozenset(pair) for pair in mine} == {frozenset(pair) for pair in theirs}
    assert mine != theirs
    assert mine == contest.pairs(40, "me")
    controls = [pair for pair in mine if pair[0].is_real and pair[1].is_real]
    assert len(controls) == 10
    real = [item.index for pair in mine for item in pair if item.is_real]
    assert len(set(real)) == len(real) == 50  # no example is seen twice
    left = sum(pair[0].is_real for pair in mine if pair not in controls)
    assert 5 < left < 25


def test_what_cannot_be_judged_is_refused(texts, tmp_path):
    with pytest.raises(UsageError, match="beside itself"):
        Contest(texts[0], texts[0])
    with pytest.raises(UsageError, match="allowed are 1 to 100"):
        Contest(texts[0], None).pairs(101, "me")


def test_texts_are_judged_on_a_terminal_and_stand_in_a_comparison(texts, genzoo_command, monkeypatch, tmp_path):
    """Eight pairs: the second is always the real one, says this person; then the other side, and it is stopped."""
    monkeypatch.setattr(sys, "stdin", io.StringIO("2\n" * 3 + "what?\n1\n0\n2\n2\n2\n"))
    judged = genzoo_command("rate", "run0", "real", "-n", "8", "--who", "grey")
    assert judged.status == 0, judged.err
    assert "--- 8 of 8: 2 ---" in judged.out
    assert "Keys are 1, 2, 0 and q." in judged.out
    assert "run0" not in judged.out.partition("Thank you")[0]  # blind
    said = ratings.read(texts[0].path.parent)
    assert [r.answer for r in said] == ["right"] * 3 + ["left", "neither"] + ["right"] * 3
    assert sum(r.is_control for r in said) == 2
    monkeypatch.setattr(sys, "stdin", io.StringIO("1\nq\n"))
    assert genzoo_command("rate", "run0", "run1", "--who", "blue").status == 0
    assert len(ratings.read(texts[0].path.parent)) == 9

    shown = genzoo_command("ratings")
    assert "9 judgements of 2 people" in shown.out
    assert "of 2 pairs of real data" in shown.out
    as_json = json.loads(genzoo_command("ratings", "--json").out)[0]
    of_run0 = [r for r in said if not r.is_control]
    fooled = sum(0.5 if r.chosen_item is None else float(not r.chosen_item.is_real) for r in of_run0)
    assert as_json["fooling"]["run0"]["value"] == pytest.approx(fooled / 6)

    results = genzoo.compare(["run0", "run1"], 4)
    first = {measure.name: measure for measure in results[0].measures}
    assert first["judgements"].value == 6
    assert first["fooling_rate"].value == pytest.approx(fooled / 6)
    assert "fooling_rate" not in {measure.name for measure in results[1].measures}
    ratings.keep(replace(of_run0[0], who="new"), texts[0].path.parent)
    again = genzoo.compare(["run0"], 4)[0]  # which is kept, and counts what was said since
    assert {m.name: m.value for m in again.measures}["judgements"] == 7
    assert "fooling_rate" not in results[0].path.read_text("utf-8")
    assert "gradio" not in sys.modules  # none of it is needed for this


def test_images_are_not_judged_on_a_terminal_and_no_ratings_are_said(genzoo_command, tmp_path):
    genzoo.train("vae", data="digits-8x8", steps=1, architecture="mlp", hidden_sizes=(4,), latent_dim=2, sample_every=0,
                 eval_every=0, prior="gaussian", name="pictures")  # fmt: skip
    refused = genzoo_command("rate", "pictures", "real")
    assert (refused.status, "judged on the page of `genzoo serve`" in refused.err) == (2, True)
    none = genzoo_command("ratings")
    assert (none.status, none.err.count("\n")) == (1, 1)
