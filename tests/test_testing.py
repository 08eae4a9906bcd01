"""The conformance suite finds what is wrong, and nothing else: for each check a plugin that breaks it alone."""

import importlib
import json
import re
import sys
import textwrap

import pytest

from genzoo import UsageError
from genzoo.image.modality import ImageModality
from genzoo.registry.plugins import registry
from genzoo.testing import CHECKS, parametrize_with_checks, run_checks
from genzoo.training import processes

TOP = """
from dataclasses import dataclass
import genzoo
from genzoo import GeneratorSpec, option


@dataclass(frozen=True, kw_only=True)
class Options:
    width: int = option(4, help="Size of a code.", minimum=1, maximum=64)
    rate: float = option(0.05, help="Step size.", above=0, below=1)
    style: str = option("plain", help="One of two.", choices=("plain", "fancy"))
    # more options
    conditional: bool = option(False, help="Learn from labels.")


@dataclass(frozen=True, kw_only=True)
class SampleOptions:
    shift: float = option(0.0, help="Added to the noise.", minimum=-1, maximum=1)


@genzoo.hookimpl
def genzoo_generators():
    return [
        GeneratorSpec(
            name="good", summary="A good one", modality="image", target="genzoo_good_model:Good", config=Options,
            sample_options=SampleOptions, defaults={"steps": 20, "batch_size": 8}, presets={"wide": {"width": 8}},
        )
    ]
"""

MODEL = """
import math, os, socket, tempfile
import torch
from torch import nn
import genzoo


class Good(genzoo.Generator):
    likelihood_kind = "exact"
    pixel_values = 2

    def __init__(self, config, data):
        super().__init__(config, data)
        pixels = math.prod(data.shape)
        self.logits = nn.Parameter(torch.zeros(pixels))  # of white pixels, which are independent
        self.encoder, self.decoder = nn.Linear(pixels, config.width), nn.Linear(config.width, pixels)
        self.dropout = nn.Dropout(0.1)
        self.drawn = 0

    def fit(self, run):
        optimizer = torch.optim.Adam(self.parameters(), self.config.rate)
        optimizer = run.prepare(optimizer)
        average = genzoo.EMA(self, 0.5)
        run.track(average=average)
        own_step = 0
        try:
            for batch in run.batches():
                own_step += 1
                scale = 1
                images = batch.images.flatten(1)
                codes = self.dropout(self.encode(batch.images))
                loss = (self.decode(codes).flatten(1) - images).square().mean() * scale
                loss = loss - self.log_likelihood(batch.images).mean() / 1000
                optimizer.zero_grad()
                run.backward(loss)
                optimizer.step()
                average.update()
                run.log(loss=loss)
        except ZeroDivisionError:
            pass
        # the end

    def sample(self, count, *, options, rng, labels=None):
        self.drawn += 1
        z = rng.normal(self.config.width) + options.shift
        return self.decode(z)

    def encode(self, images):
        return self.encoder(images.flatten(1))

    def decode(self, latents):
        return self.decoder(latents).sigmoid().view(len(latents), *self.data.shape)

    def reconstruct(self, images, labels=None):
        return self.decode(self.encode(images))

    def evaluate(self, batch):
        scores = (self.reconstruct(batch.images) - batch.images).square().flatten(1).mean(1)
        return {"error": scores}

    def log_likelihood(self, images, labels=None):
        white = images.flatten(1)
        nats = (white * self.logits).sum(1) + nn.functional.logsigmoid(-self.logits).sum()
        return nats

    def export(self, folder):
        (folder / "weights.txt").write_text("some", "utf-8")
        return "open('weights.txt')"
"""

TEXT_TOP = """
from dataclasses import dataclass
import genzoo
from genzoo import GeneratorSpec, option


@dataclass(frozen=True, kw_only=True)
class SampleOptions:
    length: int = option(20, help="How long a text is.", minimum=1)


@genzoo.hookimpl
def genzoo_generators():
    return [
        GeneratorSpec(
            name="good", summary="A good one", modality="text", target="genzoo_good_model:Good",
            sample_options=SampleOptions, defaults={"steps": 20, "batch_size": 8},
        )
    ]
"""

TEXT_MODEL = """
import torch
from torch import nn
import genzoo


class Good(genzoo.Generator):
    likelihood_kind = "exact"

    def __init__(self, config, data):
        super().__init__(config, data)
        self.logits = nn.Parameter(torch.zeros(data.shape[0]))

    def fit(self, run):
        optimizer = run.prepare(torch.optim.Adam(self.parameters(), 0.05))
        for batch in run.batches(length=8):
            loss = -self.logits.log_softmax(0)[batch.tokens].mean()
            optimizer.zero_grad()
            run.backward(loss)
            optimizer.step()
            run.log(loss=loss)

    def log_likelihood(self, data):
        return self.logits.log_softmax(0)[data]

    def sample(self, count, *, options, rng):
        cumulated = self.logits.softmax(0).cumsum(0)
        drawn = torch.searchsorted(cumulated, rng.uniform(options.length)).clamp_max(len(cumulated) - 1)
        return [self.tokenizer.decode(row) for row in drawn.tolist()]

    def stream(self, *, options, rng):
        (text,) = self.sample(1, options=options, rng=rng)
        yield from text
"""

METADATA = """Metadata-Version: 2.4
Name: genzoo-good
Version: 1.0
License-Expression: MIT
Requires-Python: >=3.11
Requires-Dist: genzoo<0.2,>=0.1
"""

MUTANTS = {  # by check: what is replaced by what, in which part
    "imports_lightly": ("top", "import genzoo\n", "import genzoo\nimport numpy\n"),
    "metadata_are_complete": ("metadata", "genzoo<0.2,>=0.1", "genzoo>=0.1"),
    "options_are_declared": ("top", 'help="Size of a code."', 'help=""'),
    "options_mean_the_same_everywhere": (
        "top", "# more options", 'names: tuple[str, ...] = option(("a,b",), help="Two in one.")',
    ),
    "options_out_of_bounds_are_refused": ("top", "    return [\n", "    import torch\n    return [\n"),
    "presets_are_allowed": ("top", '"steps": 20, ', ""),
    "target_is_a_generator": ("top", "genzoo_good_model:Good", "genzoo_good_model:Missing"),
    "importing_changes_no_global_state": ("model", "import genzoo\n", "import genzoo\ntorch.manual_seed(1)\n"),
    "a_training_is_logged": ("model", "run.log(loss=loss)", "run.log(loss=loss) if own_step < 3 else None"),
    "best_by_names_a_score": (
        "model", "pixel_values = 2", 'pixel_values = 2\n    best_by = ("validation/loss", "lower")',
    ),
    "training_moves_the_weights": ("model", "                optimizer.step()\n", ""),
    "samples_have_their_shape": ("model", "return self.decode(z)", "return self.decode(z) * 1.5"),
    "samples_follow_the_seed": ("model", "rng.normal(self.config.width)", "torch.zeros(count, self.config.width)"),
    "samples_do_not_depend_on_how_many": ("model", "return self.decode(z)", "return self.decode(z - z.mean(0))"),
    "sampling_leaves_all_as_it_was": ("model", "self.drawn += 1", "torch.rand(1)"),
    "a_fresh_process_draws_the_same": ("model", "+ options.shift", "+ os.getpid() % 97 / 97"),
    "nothing_is_a_pickle": ("model", "# the end", 'torch.save({}, run.path / "extra.pt")'),
    "resuming_is_exact": ("model", "scale = 1\n", "scale = own_step\n"),
    "a_stopped_run_can_go_on": ("model", "except ZeroDivisionError:", "except genzoo.Interrupted:"),
    "drawing_does_not_change_a_training": ("model", "scale = 1\n", "scale = 1 + self.drawn\n"),
    "files_stay_in_the_run": ("model", "# the end", 'open(os.path.join(tempfile.gettempdir(), "mutant"), "w").close()'),
    "nothing_is_called": ("model", "# the end", 'socket.getaddrinfo("localhost", 80)'),
    "a_missing_device_is_refused": (
        "model", "import genzoo\n",
        'import genzoo\nfrom genzoo.training import processes\n'
        'processes.choose_device = lambda _: torch.device("cpu")\n',
    ),
    "scores_are_one_an_example": ("model", '{"error": scores}', '{"error": scores[:, None].expand(-1, 2)}'),
    "reconstructions_are_samples": (
        "model", "return self.decode(self.encode(images))", "return 2 * self.decode(self.encode(images))",
    ),
    "codes_are_deterministic": ("model", "return self.encoder(images.flatten(1))",
                                "return self.encoder(images.flatten(1) + 0.01 * torch.rand_like(images.flatten(1)))"),
    "likelihoods_are_of_examples": ("model", "return nats\n", "return nats + torch.rand(1)\n"),
    "likelihoods_sum_to_one": ("model", "return nats\n", "return nats + 0.02\n"),
    "labels_are_obeyed": ("model", "self.drawn += 1", "self.drawn += 1 if labels is None else 1 // 0"),
    "what_is_exported_is_there": ("model", '"open(\'weights.txt\')"', '""'),
}  # fmt: skip
TEXT_MUTANTS = {
    "a_stream_is_the_sample": ("model", "yield from text", "yield from text.upper()"),
    "likelihoods_sum_to_one": ("model", "log_softmax(0)[data]", "log_softmax(0)[data] * 0.99"),
    "likelihoods_are_of_examples": ("model", 'likelihood_kind = "exact"', 'likelihood_kind = "sure"'),
    "samples_have_their_shape": ("model", "for row in drawn.tolist()]", "for row in drawn.tolist()] or ['']"),
}  # fmt: skip
LIGHT = [
    name for name, (part, *_) in MUTANTS.items()
    if part != "model" and name not in ("options_out_of_bounds_are_refused", "target_is_a_generator")
]  # fmt: skip


LIGHT_CHECKS = tuple(check.name for check in CHECKS if check.function.__module__.endswith("of_plugins"))


@pytest.fixture
def plant(tmp_path, monkeypatch):
    """A function that installs the good plugin, or one that differs in one place."""
    site = tmp_path / "site"
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setattr(processes, "choose_device", processes.choose_device)  # a mutant changes it

    def make(mutant=None, *, text=False, model=MODEL):
        parts = {"top": TEXT_TOP if text else TOP, "model": TEXT_MODEL if text else model, "metadata": METADATA}
        if mutant:
            part, old, new = mutant
            assert old in parts[part]
            parts[part] = parts[part].replace(old, new, 1)
        info = site / "genzoo_good-1.0.dist-info"
        info.mkdir(parents=True, exist_ok=True)
        for name in ("genzoo_good", "genzoo_good_model"):
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
        (site / "genzoo_good.py").write_text(parts["top"], "utf-8")
        (site / "genzoo_good_model.py").write_text(parts["model"], "utf-8")
        (info / "METADATA").write_text(parts["metadata"], "utf-8")
        (info / "entry_points.txt").write_text("[genzoo]\ngood = genzoo_good\n", "utf-8")
        registry.cache_clear()

    yield make
    for name in ("genzoo_good", "genzoo_good_model"):
        sys.modules.pop(name, None)


UNLOADABLE = {  # what a plugin must not be, and how the one check that fails then says it
    "hook": (
        ("top", "@genzoo.hookimpl", "@genzoo.hookimpl\ndef genzoo_run_began(run): pass\n\n@genzoo.hookimpl"),
        "unknown hook 'genzoo_run_began'; did you mean 'genzoo_run_ended'?",
    ),
    "name": (("top", 'name="good"', 'name="Good_One"'), "model name 'Good_One' is not lower-case letters"),
    "tag": (("top", 'name="good"', 'tags=("one",), name="good"'), "has a tag 'one'; allowed are closed-form, density"),
    "clash": (
        ("top", "# more options", 'seed: int = option(0, help="Of my own.")'),
        "has an option 'seed', which every training has",
    ),
    "preset": (("top", '"wide": {"width": 8}', '"wide": {"width": 99}'), "--width is 99; allowed is a whole number"),
    "batch": (
        ("top", '"batch_size": 8}, presets', '"batch_size": 8}, mini_batches=False, presets'),
        "gives a value to 'batch_size' and says mini_batches=False",
    ),
    "error": (("top", "    return [\n", "    1 / 0\n    return [\n"), "ZeroDivisionError: division by zero"),
}  # fmt: skip


def failed(**arguments):
    return [outcome.check for outcome in run_checks("genzoo-good/good", **arguments) if outcome.status == "failed"]


def test_every_check_has_a_promise_and_a_mutant():
    assert len({check.name for check in CHECKS}) == len(CHECKS)
    for check in CHECKS:
        assert check.promise.endswith("."), check.name
    without = {check.name for check in CHECKS} - {*MUTANTS, *TEXT_MUTANTS}
    others = {  # they have tests of their own below; the last is on CUDA
        "plugin_loads", "name_is_free", "a_training_ends", "samples_are_written_and_shown",
        "memory_of_the_device_is_given_back",
    }  # fmt: skip
    assert without == others


@pytest.mark.parametrize("text", [False, True], ids=["image", "text"])
def test_a_good_plugin_passes(plant, text):
    plant(text=text)
    outcomes = {outcome.check: outcome for outcome in run_checks("good")}
    assert [o for o in outcomes.values() if o.status == "failed"] == []
    skipped = {name for name, outcome in outcomes.items() if outcome.status == "skipped"}
    assert all(outcomes[name].reason for name in skipped)
    without = {"a_stream_is_the_sample", "best_by_names_a_score"} if not text else {
        "best_by_names_a_score",
        "scores_are_one_an_example", "reconstructions_are_samples", "codes_are_deterministic", "labels_are_obeyed",
        "what_is_exported_is_there",
    }  # fmt: skip
    assert skipped - {"memory_of_the_device_is_given_back"} == without


@pytest.mark.parametrize("check", LIGHT)
def test_what_is_wrong_with_a_plugin_is_found_without_a_training(plant, check):
    plant(MUTANTS[check])
    assert failed(only=LIGHT_CHECKS) == [check]


@pytest.mark.slow
@pytest.mark.parametrize("check", MUTANTS)
def test_a_mutant_fails_its_check_and_only_it(plant, check):
    plant(MUTANTS[check])
    assert failed() == [check]


@pytest.mark.slow
@pytest.mark.parametrize("check", TEXT_MUTANTS)
def test_a_mutant_of_text_fails_its_check_and_only_it(plant, check):
    plant(TEXT_MUTANTS[check], text=True)
    assert failed() == [check]


def test_texts_that_are_no_list_are_refused_by_name(plant):
    plant(("model", "return [self.tokenizer.decode(row) for row in drawn.tolist()]",
           "return tuple(self.tokenizer.decode(row) for row in drawn.tolist())"), text=True)  # fmt: skip
    training, samples = run_checks("good", only=("samples_have_their_shape",))
    assert (training.check, training.status, samples.status) == ("a_training_ends", "failed", "not run")
    assert re.search(r"the model gave tuple for \d texts; promised is a list of texts", training.reason)


def test_a_name_that_two_plugins_give_is_found(plant, install):
    plant()
    install("other_plugin", textwrap.dedent(TOP).replace("genzoo_good_model", "nothing"))
    assert failed(only=("options_are_declared", "name_is_free")) == ["name_is_free"]


@pytest.mark.parametrize("wrong", UNLOADABLE)
def test_a_plugin_that_does_not_load_is_one_line(plant, wrong, genzoo_command):
    mutant, reason = UNLOADABLE[wrong]
    plant(mutant)
    outcomes = list(run_checks("genzoo-good/good"))
    assert {(o.check, o.status) for o in outcomes} - {("plugin_loads", "failed")} == {
        (check.name, "not run") for check in CHECKS[1:]
    }
    assert reason in outcomes[0].reason
    shown = genzoo_command("check", "genzoo-good/good")
    assert shown.status == 3
    assert f"not run  {len(CHECKS) - 1} checks, as plugin_loads failed" in shown.out
    assert shown.out.count(reason) == 1


def test_a_training_that_fails_is_told_once_with_its_place(plant, genzoo_command):
    plant(("model", "scale = 1\n", "scale = [][own_step]\n"))
    line = MODEL[: MODEL.index("scale = 1\n")].count("\n") + 1
    outcomes = list(run_checks("good"))
    (outcome,) = [o for o in outcomes if o.status == "failed"]
    assert (outcome.check, outcome.reason) == ("a_training_ends", "IndexError: list index out of range")
    assert outcome.where == f"genzoo_good_model.py:{line}"
    assert "in fit\n    scale = [][own_step]" in outcome.traceback
    missed = [o for o in outcomes if o.status == "not run"]
    assert {o.reason for o in missed} == {"a_training_ends failed"}
    later = [check.name for check in CHECKS[[check.name for check in CHECKS].index("a_training_ends") + 1 :]]
    assert {o.check for o in missed} >= {*later} - {
        "labels_are_obeyed", "best_by_names_a_score"
    }  # fmt: skip
    shown = genzoo_command("check", "good", "--only", "samples_follow_the_seed", "--only", "resuming_is_exact")
    assert shown.status == 3
    assert shown.out.count("IndexError") == 1
    assert shown.out.count("failed   ") == 1
    assert "not run  2 checks, as a_training_ends failed" in shown.out
    assert "File " in shown.out
    assert "Traceback" not in shown.out
    assert "Traceback" in genzoo_command("check", "good", "-v", "--only", "a_training_ends").out
    (told, *_) = json.loads(genzoo_command("check", "good", "--only", "a_training_ends", "--json").out)["checks"]
    assert told["where"] == outcome.where
    assert told["traceback"].rstrip().endswith("IndexError: list index out of range")


def test_an_error_where_the_models_module_is_imported_has_its_place(plant):
    plant(("model", "import genzoo\n", "import genzoo\nimport no_such_library\n"))
    outcomes = [o for o in run_checks("good") if o.status == "failed"]
    assert [(o.check, o.where) for o in outcomes] == [("target_is_a_generator", "genzoo_good_model.py:6")]
    assert "No module named 'no_such_library'" in outcomes[0].reason
    assert "import no_such_library" in outcomes[0].traceback


def test_what_draws_from_elsewhere_is_told_once(plant):
    plant(("model", "rng.normal(self.config.width)", "torch.randn(count, self.config.width)"))
    only = tuple(check.name for check in CHECKS if "sampl" in check.name or "fresh" in check.name)
    assert failed(only=only) == ["samples_follow_the_seed"]


def test_a_likelihood_without_its_kind_is_no_model_without_likelihood(plant):
    plant(("model", 'likelihood_kind = "exact"', "pass"))
    only = ("likelihoods_are_of_examples", "likelihoods_sum_to_one")
    first, second = run_checks("good", only=only)
    assert (first.status, second.status) == ("failed", "not run")
    assert "log_likelihood needs a class attribute beside it" in first.reason


def test_a_passed_sum_is_shown(plant, genzoo_command):
    plant()
    shown = genzoo_command("check", "good", "--only", "likelihoods_sum_to_one").out
    assert "all 16 possible examples of (1, 2, 2) sum to 1" in shown


def test_a_vector_is_no_value_to_log(plant):
    plant(("model", "run.log(loss=loss)", "run.log(loss=loss, each=images)"))
    (outcome,) = run_checks("good", only=("a_training_ends",))
    assert "run.log(each=...) takes one number, not a tensor of shape (8, 784)" in outcome.reason


def test_in_pytest_a_cause_is_told_once_too(plant):
    plant(("model", "scale = 1\n", "scale = [][own_step]\n"))
    cases = {case.id: case.values[0] for case in parametrize_with_checks("good").mark.args[1]}
    with pytest.raises(IndexError):
        cases["good-samples_follow_the_seed"]()  # alone, it must not pass for skipped
    with pytest.raises(pytest.skip.Exception, match="not run: a_training_ends failed"):
        cases["good-resuming_is_exact"]()
    with pytest.raises(IndexError):
        cases["good-a_training_ends"]()
    missing = [case.values[0] for case in parametrize_with_checks("no-such").mark.args[1]]
    with pytest.raises(UsageError, match="unknown model 'no-such'"):
        missing[0]()
    with pytest.raises(pytest.skip.Exception, match="not run"):
        missing[1]()


def test_the_trainings_of_the_checks_have_options_and_presets(plant, genzoo_command):
    plant(
        (
            "model",
            "scale = 1\n",
            "scale = 1 / 0 if self.config.width == 9 else [][0] if self.config.width == 8 else 1\n",
        )
    )
    only = ["--only", "a_training_ends"]
    assert genzoo_command("check", "good", *only).status == 0
    assert "IndexError" in genzoo_command("check", "good", *only, "--preset", "wide").out
    small = genzoo_command("check", "good", *only, "--preset", "wide", "--set", "width=7", "--set", "batch-size=4")
    assert small.status == 0
    refused = genzoo_command("check", "good", *only, "--set", "width=99")
    assert (refused.status, "--width is '99'; allowed is" in refused.err) == (2, True)
    unknown = genzoo_command("check", "good", *only, "--preset", "wid")
    assert (unknown.status, unknown.err) == (2, "genzoo: unknown preset of good 'wid'; did you mean 'wide'?\n")


def test_x_stops_at_the_first_failure(plant, genzoo_command):
    plant(MUTANTS["metadata_are_complete"])
    shown = genzoo_command("check", "good", "-x").out.splitlines()
    assert shown[-1].endswith("; stopped at the first failure")
    assert next(line for line in shown if line.startswith("failed")).startswith("failed   metadata_are_complete")
    assert sum(line.startswith(("passed", "failed", "skipped")) for line in shown) < len(LIGHT_CHECKS)


def test_a_closed_form_is_known_by_its_tag(plant):
    """Weights that the first step sets, and no other."""
    once = ("model", "run.log(loss=loss)", "run.log(loss=loss)\n                self.logits.data.fill_(1)")
    still = {"optimizer.step()": "pass", "average.update()": "pass"}
    model = MODEL.replace(*once[1:])
    for old, new in still.items():
        model = model.replace(old, new)
    for tags, wrong in (("", ["training_moves_the_weights"]), ('tags=("closed-form",), ', [])):
        plant(("top", 'name="good"', f'{tags}name="good"'), model=model)
        assert failed(only=("training_moves_the_weights",)) == wrong
    plant(("top", 'name="good"', 'tags=("closed-form",), name="good"'))
    assert failed(only=("training_moves_the_weights",)) == ["training_moves_the_weights"]
    plant(("top", 'name="good"', 'tags=("density",), name="good"'), model=MODEL.replace('"exact"', '"lower bound"'))
    assert failed(only=("likelihoods_are_of_examples",)) == ["likelihoods_are_of_examples"]


def test_files_that_say_nothing_of_themselves_are_found(plant, monkeypatch):
    plant()
    monkeypatch.setattr(ImageModality, "provenance", lambda self, path: {})
    assert failed(only=("samples_are_written_and_shown",)) == ["samples_are_written_and_shown"]


def test_expected_failures_are_strict(plant):
    plant(MUTANTS["options_are_declared"])
    expected = {"options_are_declared": "no help yet", "name_is_free": "it is free"}
    outcomes = {o.check: o for o in run_checks("good", expected_failures=expected, only=tuple(expected))}
    assert (outcomes["options_are_declared"].status, outcomes["options_are_declared"].ok) == ("xfailed", True)
    assert (outcomes["name_is_free"].status, outcomes["name_is_free"].ok) == ("xpassed", False)
    with pytest.raises(UsageError, match="unknown check 'speed'"):
        list(run_checks("good", only=("speed",)))
    with pytest.raises(UsageError, match="nothing"):
        list(run_checks("nothing"))


def test_the_decorator_makes_a_test_of_each_check():
    mark = parametrize_with_checks("vae", "gan", expected_failures={"name_is_free": "two of them"})
    _, cases = mark.mark.args
    assert len(cases) == 2 * len(CHECKS)
    strict = [case for case in cases if case.marks]
    assert [case.id for case in strict] == ["vae-name_is_free", "gan-name_is_free"]
    assert strict[0].marks[0].kwargs == {"reason": "two of them", "strict": True}
    (one,) = [case.values[0] for case in cases if case.id == "gan-name_is_free"]
    one()


def test_the_command_says_what_failed(plant, genzoo_command):
    plant(MUTANTS["metadata_are_complete"])
    outcome = genzoo_command("check", "good", "--only", "metadata_are_complete", "--only", "name_is_free")
    assert outcome.status == 1
    assert "failed   metadata_are_complete: 'genzoo>=0.1' has no upper bound" in outcome.out
    assert "good: 2 checks, 1 passed, 1 failed, 0 skipped" in outcome.out
    expecting = ["check", "good", "--only", "metadata_are_complete", "--expect-failure", "metadata_are_complete"]
    expected = genzoo_command(*expecting)
    assert (expected.status, "1 checks, 0 passed, 0 failed, 0 skipped, 1 xfailed" in expected.out) == (0, True)
    assert genzoo_command("check", "good", "--only", "name_is_free", "--expect-failure", "name_is_free").status == 1
    assert genzoo_command("check", "vae", "--only", "name_is_free", "--json").status == 0
