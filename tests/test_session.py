"""A model that no distribution gives: a class in a cell, an object with hooks, a file; and what is made of it."""

import subprocess
import sys
from dataclasses import dataclass

import pytest
import torch

import genzoo
import genzoo.testing
from genzoo import GeneratorSpec, GenzooError, GenzooWarning, UsageError, option

MODEL = '''"""A plain picture, in one file."""

from dataclasses import dataclass

import torch

import genzoo
from genzoo import option


@dataclass(frozen=True, kw_only=True)
class PlainOptions:
    """How it is trained."""

    rate: float = option(0.1, help="Step size.", above=0)


class Plain(genzoo.Generator):
    """All pixels of one grey."""

    def __init__(self, config, data):
        super().__init__(config, data)
        self.grey = torch.nn.Parameter(torch.zeros(()))

    def fit(self, run):
        optimizer = run.prepare(torch.optim.SGD(self.parameters(), self.config.rate))
        for batch in run.batches():
            loss = (self.grey.sigmoid() - batch.images).square().mean()
            optimizer.zero_grad()
            run.backward(loss)
            optimizer.step()
            run.log(loss=loss)

    def sample(self, count, *, options, rng):
        noise = 0.01 * rng.uniform(*self.data.shape)
        return (self.grey.sigmoid() + noise).clamp(0, 1)


# as in a cell
genzoo.register(
    Plain,
    name="plain",
    config=PlainOptions,
    defaults={
        "steps": 3,
        "batch_size": 4,
    },
)

if __name__ == "__main__":
    print("a script")
'''
SMALL = {"data": "dots", "sample_every": 0, "eval_every": 0, "device": "cpu"}


@pytest.fixture
def file(tmp_path):
    """The model in a file of its own name, as modules stay where they are loaded."""
    yield (path := tmp_path / f"plain_{abs(hash(str(tmp_path)))}.py")
    sys.modules.pop(path.stem, None)


@pytest.fixture
def plain(file, toy):
    file.write_text(MODEL, "utf-8")
    return file


def test_a_file_is_trained_sampled_and_asked_for_elsewhere(plain, genzoo_command):
    (spec,) = genzoo.register(plain)
    assert (spec.name, spec.modality, spec.summary) == ("plain", "image", "All pixels of one grey")
    run = genzoo.train("plain", name="one", **SMALL)
    sha256 = genzoo.registry.session.source_of(sys.modules[plain.stem]).sha256
    assert run.record["plugin"] == plain.name
    assert run.record["source"] == {"name": plain.name, "sha256": sha256, "file": True}
    assert len(genzoo.sample(run, 2)) == 2
    genzoo.registry.plugins.registry.cache_clear()
    with pytest.raises(
        UsageError, match=rf"which {plain.name} had \(SHA-256 {sha256[:12]}\); give that file: genzoo --plugin"
    ):
        genzoo.load(run)
    plain.write_text(MODEL + "# changed\n", "utf-8")
    assert genzoo_command("--plugin", plain, "sample", "one", "-n", 1).err.count("was trained by another plain") == 1
    assert plain.name in genzoo_command("-p", plain, "list").out


def test_a_class_of_a_cell_is_replaced_by_the_next(toy):
    def written(grey):
        class Even(genzoo.Generator):
            """All pixels alike."""

            def fit(self, run):
                for _ in run.batches():
                    run.log(loss=0.0)

            def sample(self, count, *, options, rng):
                return torch.full((count, *self.data.shape), grey)

        Even.__module__ = "__main__"
        return Even

    for grey in (0.25, 0.75):
        (spec,) = genzoo.register(written(grey), defaults={"steps": 1, "batch_size": 4})
        assert (spec.name, spec.summary) == ("even", "All pixels alike")
        assert genzoo.sample(genzoo.train("even", **SMALL), 1).mean() == grey
    assert [model.name for model in genzoo.list_models()].count("even") == 1


def test_an_object_with_hooks_is_taken_as_pluggy_takes_it(toy):
    seen = []

    class Hooks:
        @genzoo.hookimpl
        def genzoo_generators(self):
            target = "genzoo_toy_model:Toy"
            return [
                GeneratorSpec(
                    name="other", summary="-", modality="image", target=target, config=Other, sample_options=Draws
                )
            ]

        @genzoo.hookimpl
        def genzoo_run_ended(self, status):
            seen.append(status)

    @dataclass(frozen=True, kw_only=True)
    class Other:
        width: int = option(8, help="Hidden units.")
        bias: bool = option(True, help="Whether there is one.")
        rate: float = option(0.05, help="Step size.")
        pause: float = option(0.0, help="Seconds.")
        break_at: int = option(0, help="A step.")
        break_weights: int = option(0, help="A step.")

    @dataclass(frozen=True, kw_only=True)
    class Draws:
        shift: float = option(0.0, help="Added to the noise.")

    assert [spec.name for spec in genzoo.register(Hooks())] == ["other"]
    genzoo.train("other", steps=1, batch_size=4, **SMALL)
    assert seen == ["finished"]


def test_what_is_no_plugin_is_refused(toy, tmp_path, file):
    class Even(genzoo.Generator):
        pass

    wrong = [
        (5, {}, "a int is no plugin; allowed is a genzoo.Generator"),
        (Even, {"sumary": "x"}, "unknown fact of a model 'sumary'; did you mean 'summary'"),
        (Even, {"name": "toy"}, "model 'toy' is taken by genzoo-toy; choose another name"),
        (Even, {"name": "Not OK"}, "is not lower-case letters"),
        (Even, {"modality": "smell"}, "is of modality 'smell'; installed are"),
        (Even, {"defaults": {"nothing": 1}}, "gives a value to 'nothing', which is no option"),
        (tmp_path / "none.py", {}, "none.py does not exist"),
        (tmp_path / "no name.py", {}, "allowed is a file of Python with a name like my_model.py"),
        (tmp_path / "json.py", {}, "json.py does not exist"),
    ]
    for plugin, facts, message in wrong:
        with pytest.raises(UsageError, match=message):
            genzoo.register(plugin, **facts)
    (tmp_path / "json.py").write_text("", "utf-8")
    with pytest.raises(UsageError, match="called as a module that is installed; give the file another name"):
        genzoo.register(tmp_path / "json.py")
    for text, message in (
        ("x = 1\n", "gives nothing: it calls no genzoo.register"),
        ("\n1 / 0\n", "line 2: ZeroDivisionError"),
    ):
        file.write_text(text, "utf-8")
        with pytest.raises(GenzooError, match=message):
            genzoo.register(file)


@pytest.mark.slow
def test_the_checks_are_made_of_a_file_and_named_by_a_line_each(plain):
    genzoo.register(plain)
    only = ("plugin_loads", "imports_lightly", "a_training_ends", "a_fresh_process_draws_the_same")
    outcomes = {outcome.check: outcome for outcome in genzoo.testing.run_checks("plain", only=only)}
    assert [outcomes[name].status for name in only] == ["passed", "skipped", "passed", "passed"]
    assert str(outcomes["plugin_loads"]) == "passed   plugin_loads"


def test_a_distribution_of_a_file_has_its_options_apart_from_torch(plain, tmp_path, genzoo_command):
    outcome = genzoo_command("new", "--from", plain, "--to", tmp_path / "made")
    assert outcome.status == 0, outcome.err
    package = tmp_path / "made" / "genzoo_plain"
    light, model = ((package / name).read_text("utf-8") for name in ("__init__.py", "model.py"))
    assert "class PlainOptions" in light
    assert 'target="genzoo_plain.model:Plain"' in light
    assert "class Plain(" in model
    assert "register" not in model
    assert "__main__" not in model
    code = (
        "import sys, genzoo_plain; (spec,) = genzoo_plain.genzoo_generators(); assert 'torch' not in sys.modules;"
        "assert spec.defaults == {'steps': 3, 'batch_size': 4}; from genzoo_plain.model import Plain"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path / "made", check=True)
    refused = genzoo_command("new", "--from", plain, "--copy", "vae")
    assert "--modality, --from and --copy each say what the plugin begins with; give one" in refused.err
    assert "the new model has no name" in genzoo_command("new").err


MORE = [("gan", "GAN"), ("dcgan", "DCGAN"), ("diffusion", "Diffusion"), ("transformer", "Transformer"), ("hmm", "HMM")]
COPIED = [("vae", "VAE"), *(pytest.param(*pair, marks=pytest.mark.slow) for pair in MORE)]


@pytest.mark.parametrize(("model", "kind"), COPIED)
def test_a_copy_of_a_plugin_has_that_model_under_another_name_alone(tmp_path, genzoo_command, model, kind):
    outcome = genzoo_command("new", "mine", "--copy", model, "--to", tmp_path / "made")
    assert outcome.status == 0, outcome.err
    code = (
        "import sys, genzoo_mine; (spec,) = genzoo_mine.genzoo_generators(); assert 'torch' not in sys.modules;"
        f"assert (spec.name, spec.target) == ('mine', 'genzoo_mine.model:{kind}'), spec;"
        f"from genzoo_mine.model import {kind}; assert not [m for m in sys.modules if m.startswith('genzoo_{model}')]"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path / "made", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "genzoo_commands" not in (tmp_path / "made" / "genzoo_mine" / "__init__.py").read_text("utf-8")


def test_what_cannot_be_copied_alone_is_said(genzoo_command):
    assert (
        "comes with its kind of data and cannot be copied alone"
        in genzoo_command("new", "mine", "--copy", "melgan").err
    )
    assert "did you mean 'vae'" in genzoo_command("new", "mine", "--copy", "vea").err


def test_a_run_of_a_file_goes_on_with_the_distribution_of_it(plain, install):
    genzoo.register(plain)
    run = genzoo.train("plain", **SMALL)
    spec = (
        'GeneratorSpec(name="plain", summary="-", modality="image", target="genzoo_plain:Plain", config=PlainOptions)'
    )
    hook = f"@genzoo.hookimpl\ndef genzoo_generators():\n    return [genzoo.{spec}]\n"
    code = MODEL.partition("# as in a cell")[0] + hook
    install("genzoo_plain", code)
    with pytest.warns(GenzooWarning, match="was trained by another plain"):
        assert len(genzoo.sample(run, 2)) == 2
