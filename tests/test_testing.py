"""The conformance suite finds what is wrong, and nothing else: for each check a plugin that breaks it alone."""

import sys
import textwrap

import pytest

from genzoo import UsageError
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
    pixel_values = None

    def __init__(self, config, data):
        super().__init__(config, data)
        pixels = math.prod(data.shape)
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
        nats = -(self.reconstruct(images) - images).square().flatten(1).sum(1)
        return nats

    def export(self, folder):
        (folder / "weights.txt").write_text("some")
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
    "hooks_match": ("top", "@genzoo.hookimpl", "@genzoo.hookimpl\ndef genzoo_run_began(run): pass\n\n@genzoo.hookimpl"),
    "name_is_valid": ("top", 'name="good"', 'name="Good_One"'),
    "api_is_supported": ("top", "import genzoo\n", "import genzoo\nGENZOO_API = 99\n"),
    "metadata_are_complete": ("metadata", "genzoo<0.2,>=0.1", "genzoo>=0.1"),
    "options_are_declared": ("top", 'help="Size of a code."', 'help=""'),
    "options_do_not_clash": ("top", "# more options", 'seed: int = option(0, help="Of my own.")'),
    "options_mean_the_same_everywhere": (
        "top", "# more options", 'names: tuple[str, ...] = option(("a,b",), help="Two in one.")',
    ),
    "options_out_of_bounds_are_refused": ("top", "    return [\n", "    import torch\n    return [\n"),
    "presets_are_allowed": ("top", '"wide": {"width": 8}', '"wide": {"width": 99}'),
    "target_is_a_generator": ("top", "genzoo_good_model:Good", "genzoo_good_model:Missing"),
    "importing_changes_no_global_state": ("model", "import genzoo\n", "import genzoo\ntorch.manual_seed(1)\n"),
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
    "likelihoods_are_likelihoods": ("model", "return nats\n", "return nats.mean()\n"),
    "labels_are_obeyed": ("model", "self.drawn += 1", "self.drawn += 1 if labels is None else 1 // 0"),
    "what_is_exported_is_there": ("model", '"open(\'weights.txt\')"', '""'),
}  # fmt: skip
TEXT_MUTANTS = {
    "a_stream_is_the_sample": ("model", "yield from text", "yield from text.upper()"),
    "promises_of_the_modality_are_kept": ("model", "log_softmax(0)[data]", "log_softmax(0)[data] / 2"),
    "likelihoods_are_likelihoods": ("model", 'likelihood_kind = "exact"', 'likelihood_kind = "sure"'),
    "samples_have_their_shape": ("model", "for row in drawn.tolist()]", "for row in drawn.tolist()] or ['']"),
}  # fmt: skip
LIGHT = [
    name for name, (part, *_) in MUTANTS.items() if part != "model" and name != "options_out_of_bounds_are_refused"
]


@pytest.fixture
def plant(tmp_path, monkeypatch):
    """A function that installs the good plugin, or one that differs in one place."""
    site = tmp_path / "site"
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setattr(processes, "choose_device", processes.choose_device)  # a mutant changes it

    def make(mutant=None, *, text=False):
        parts = {"top": TEXT_TOP if text else TOP, "model": TEXT_MODEL if text else MODEL, "metadata": METADATA}
        if mutant:
            part, old, new = mutant
            assert old in parts[part]
            parts[part] = parts[part].replace(old, new, 1)
        info = site / "genzoo_good-1.0.dist-info"
        info.mkdir(parents=True)
        (site / "genzoo_good.py").write_text(parts["top"])
        (site / "genzoo_good_model.py").write_text(parts["model"])
        (info / "METADATA").write_text(parts["metadata"])
        (info / "entry_points.txt").write_text("[genzoo]\ngood = genzoo_good\n")
        registry.cache_clear()

    yield make
    for name in ("genzoo_good", "genzoo_good_model"):
        sys.modules.pop(name, None)


def failed(**arguments):
    return [outcome.check for outcome in run_checks("genzoo-good/good", **arguments) if outcome.status == "failed"]


def test_every_check_has_a_promise_and_a_mutant():
    assert len({check.name for check in CHECKS}) == len(CHECKS)
    for check in CHECKS:
        assert check.promise.endswith("."), check.name
    without = {check.name for check in CHECKS} - {*MUTANTS, *TEXT_MUTANTS}
    assert without == {"name_is_free", "memory_of_the_device_is_given_back"}  # below, and on CUDA


@pytest.mark.parametrize("text", [False, True], ids=["image", "text"])
def test_a_good_plugin_passes(plant, text):
    plant(text=text)
    outcomes = {outcome.check: outcome for outcome in run_checks("good")}
    assert [o for o in outcomes.values() if o.status == "failed"] == []
    skipped = {name for name, outcome in outcomes.items() if outcome.status == "skipped"}
    assert all(outcomes[name].reason for name in skipped)
    without = {"a_stream_is_the_sample", "promises_of_the_modality_are_kept"} if not text else {
        "scores_are_one_an_example", "reconstructions_are_samples", "codes_are_deterministic", "labels_are_obeyed",
        "what_is_exported_is_there",
    }  # fmt: skip
    assert skipped - {"memory_of_the_device_is_given_back"} == without


@pytest.mark.parametrize("check", LIGHT)
def test_what_is_wrong_with_a_plugin_is_found_without_a_training(plant, check):
    plant(MUTANTS[check])
    assert failed(only=tuple(other.name for other in CHECKS[:12])) == [check]


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
    (outcome,) = run_checks("good", only=("samples_have_their_shape",))
    assert outcome.status == "failed"
    assert "the model gave tuple for 3 texts; promised is a list of texts" in outcome.reason


def test_a_name_that_two_plugins_give_is_found(plant, install):
    plant()
    install("other_plugin", textwrap.dedent(TOP).replace("genzoo_good_model", "nothing"))
    assert failed(only=("name_is_valid", "name_is_free")) == ["name_is_free"]


def test_expected_failures_are_strict(plant):
    plant(MUTANTS["options_are_declared"])
    expected = {"options_are_declared": "no help yet", "name_is_valid": "it is valid"}
    outcomes = {o.check: o for o in run_checks("good", expected_failures=expected, only=tuple(expected))}
    assert (outcomes["options_are_declared"].status, outcomes["options_are_declared"].ok) == ("xfailed", True)
    assert (outcomes["name_is_valid"].status, outcomes["name_is_valid"].ok) == ("xpassed", False)
    with pytest.raises(UsageError, match="there is no check 'speed'"):
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
    (one,) = [case.values[0] for case in cases if case.id == "gan-name_is_valid"]
    one()


def test_the_command_says_what_failed(plant, genzoo_command):
    plant(MUTANTS["metadata_are_complete"])
    outcome = genzoo_command("check", "good", "--only", "metadata_are_complete", "--only", "name_is_valid")
    assert outcome.status == 1
    assert "failed   metadata_are_complete: 'genzoo>=0.1' has no upper bound" in outcome.out
    assert "good: 2 checks, 1 passed, 1 failed, 0 skipped" in outcome.out
    expecting = ["check", "good", "--only", "metadata_are_complete", "--expect-failure", "metadata_are_complete"]
    expected = genzoo_command(*expecting)
    assert (expected.status, "1 checks, 0 passed, 0 failed, 0 skipped, 1 xfailed" in expected.out) == (0, True)
    assert genzoo_command("check", "good", "--only", "name_is_valid", "--expect-failure", "name_is_valid").status == 1
    assert genzoo_command("check", "vae", "--only", "name_is_valid", "--json").status == 0
