"""What a stranger is given: a plugin to begin with, installing, a doctor, and a zoo that bears bad plugins."""

import itertools
import json
import re
import shutil
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import pytest

import genzoo
from genzoo import GenzooError, UsageError
from genzoo.cli import doctor
from genzoo.registry import install as installer
from genzoo.registry.plugins import registry
from genzoo.registry.scaffold import new
from genzoo.testing import run_checks


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder to work in."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def planted(folder, monkeypatch):
    """Make a plugin's folder importable, as an editable installation does."""
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    info = folder / f"{project['name'].replace('-', '_')}-0.1.0.dist-info"
    info.mkdir()
    entries = "".join(f"{name} = {module}\n" for name, module in project["entry-points"]["genzoo"].items())
    (info / "entry_points.txt").write_text(f"[genzoo]\n{entries}")
    needs = "".join(f"Requires-Dist: {need}\n" for need in project["dependencies"])
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.4\nName: {project['name']}\nVersion: 0.1.0\nLicense-Expression: {project['license']}\n"
        f"Requires-Python: {project['requires-python']}\n{needs}"
    )
    monkeypatch.syspath_prepend(str(folder))
    registry.cache_clear()


# genzoo new


@pytest.mark.parametrize("modality", ["image", "text"])
def test_a_new_plugin_passes_the_checks_and_trains(here, monkeypatch, genzoo_command, modality):
    made = genzoo_command("new", "my-model", "--modality", modality)
    assert (made.status, made.out.splitlines()[0]) == (0, "genzoo-my-model")
    folder = here / "genzoo-my-model"
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert names == {
        "pyproject.toml", "README.md", ".gitignore", ".github/workflows/test.yml", "tests/test_my_model.py",
        "genzoo_my_model/__init__.py", "genzoo_my_model/model.py", "genzoo_my_model/py.typed",
    }  # fmt: skip
    assert not [name for name in names if re.search(r"\$\{?[a-zA-Z]", (folder / name).read_text())]
    planted(folder, monkeypatch)
    try:
        assert "my-model" in genzoo_command("list").out
        failed = [outcome for outcome in run_checks("my-model") if not outcome.ok]
        assert failed == []
        run = genzoo.train("my-model", steps=200, sample_every=0)
        lines = run.metrics()
        assert lines[-1]["loss"] < 0.9 * lines[0]["loss"]
        again = genzoo_command("new", "my-model")
        assert (again.status, "is taken by genzoo-my-model" in again.err) == (2, True)
    finally:
        for name in [name for name in sys.modules if name.startswith("genzoo_my_model")]:
            del sys.modules[name]


@pytest.mark.parametrize("name", ["My-Model", "3d", "a_b", "a--b", "-a", "", "true", "list", "class", "é"])
def test_an_unusable_name_is_said(here, name):
    with pytest.raises(UsageError):
        new(name)
    assert not list(here.iterdir())


def test_a_name_or_folder_that_is_taken_is_said(here):
    with pytest.raises(UsageError, match="'vae' is taken by genzoo-vae"):
        new("vae")
    (here / "genzoo-mine").mkdir()
    (here / "genzoo-mine" / "work.py").write_text("mine")
    with pytest.raises(UsageError, match="exists and is not an empty folder; choose another with --to"):
        new("mine")
    assert (here / "genzoo-mine" / "work.py").read_text() == "mine"
    with pytest.raises(UsageError, match="unknown modality 'sound'; there is image, text"):
        new("mine", "sound", "elsewhere")
    with pytest.raises(GenzooError, match="cannot write"):
        new("mine", folder=here / "genzoo-mine" / "work.py" / "deep")


# genzoo install, uninstall


def test_the_installer_is_called_for_this_environment(monkeypatch, genzoo_command, install):
    called = []

    def run(command, **_):
        called.append(command)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(installer.subprocess, "run", run)
    monkeypatch.setattr(installer.shutil, "which", lambda _: "/bin/uv")
    assert genzoo_command("install", "-e", "some/folder").status == 0
    assert called.pop() == [
        "/bin/uv", "pip", "install", "--quiet", "--python", sys.executable, "--editable", "some/folder",
    ]  # fmt: skip
    monkeypatch.setattr(installer.shutil, "which", lambda _: None)
    monkeypatch.setattr(installer.importlib.util, "find_spec", lambda _: True)
    install("broken_plugin", "raise RuntimeError('broken')")
    assert genzoo_command("uninstall", "--yes", "broken-plugin").out == "removed broken-plugin\n"
    assert called.pop() == [sys.executable, "-m", "pip", "uninstall", "--quiet", "--yes", "broken-plugin"]
    for name in ("vae", "genzoo-vae"):
        assert installer.distribution_of(name) == "genzoo-vae"
    refused = genzoo_command("uninstall", "nothing")
    assert (refused.status, "no plugin is called 'nothing'; installed are broken-plugin, genzoo-" in refused.err) == (
        2, True,
    )  # fmt: skip
    for name in ("image", "text", "genzoo"):
        refused = genzoo_command("uninstall", "--yes", name, "broken-plugin")
        assert (refused.status, f"{name!r} is genzoo's own, and is not removed alone" in refused.err) == (2, True)
    assert called == []
    monkeypatch.setattr(installer.importlib.util, "find_spec", lambda _: None)
    assert "neither uv nor pip is here" in genzoo_command("install", "x").err


def test_a_failing_installation_says_why(genzoo_command, tmp_path):
    outcome = genzoo_command("install", tmp_path / "nowhere.whl")
    assert outcome.status == 1
    assert "genzoo: install failed: " in outcome.err


# genzoo doctor


def test_the_doctor_finds_what_is_wrong(monkeypatch, genzoo_command, install, tmp_path):
    well = genzoo_command("doctor")
    assert well.status == 0, well.out
    assert "torch and torchvision" in well.out
    assert "device" in well.out
    install("broken_plugin", "raise RuntimeError('broken')")
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))
    (tmp_path / "file").touch()
    ill = genzoo_command("doctor", "--data-dir", tmp_path / "file" / "data", "--json")
    wrong = {finding["what"]: finding for finding in json.loads(ill.out) if not finding["ok"]}
    assert ill.status == 1
    assert set(wrong) == {"plugin broken-plugin", "runs folder", "data folder"}
    assert "genzoo uninstall broken-plugin" in wrong["plugin broken-plugin"]["advice"]
    assert "cannot be written" in wrong["data folder"]["found"]
    assert "make room" in wrong["runs folder"]["advice"]


# Many plugins


def test_a_slow_plugin_is_named_and_broken_ones_take_nothing_along(install, genzoo_command):
    install("slow_plugin", """
        import genzoo, time
        @genzoo.hookimpl
        def genzoo_generators():
            time.sleep(0.3)
            return []
    """)  # fmt: skip
    install("broken_plugin", "raise RuntimeError('broken')")
    lines = genzoo_command("plugins", "--timing").out.splitlines()
    assert lines[0].split() == ["PLUGIN", "DISTRIBUTION", "VERSION", "STATUS", "SECONDS"]
    assert lines[1].startswith("slow_plugin")
    assert float(lines[1].split()[-1]) >= 0.3
    plugins = {plugin["name"]: plugin for plugin in json.loads(genzoo_command("plugins", "--json").out)}
    assert plugins["broken_plugin"]["status"] == "failed"
    assert plugins["vae"]["seconds"] < 0.3
    assert "1 plugin(s) failed: broken_plugin" in genzoo_command("list").err


# A stranger's plugin in a clean environment

MIXTURE = {
    "genzoo_mixture/__init__.py": '''
        """A mixture of Gaussians over pixels, trained by EM."""
        from dataclasses import dataclass

        import genzoo
        from genzoo import GeneratorSpec, option


        @dataclass(frozen=True, kw_only=True)
        class MixtureOptions:
            components: int = option(10, help="Gaussians that are mixed.", minimum=1, maximum=1000)
            floor: float = option(1e-3, help="Least variance of a pixel.", above=0, maximum=1)


        @genzoo.hookimpl
        def genzoo_generators():
            return [
                GeneratorSpec(
                    name="mixture", summary="Mixture of Gaussians", modality="image",
                    target="genzoo_mixture.model:Mixture", config=MixtureOptions,
                    defaults={"steps": 10, "log_every": 1}, mini_batches=False,
                ),
                GeneratorSpec(
                    name="two", summary="Two optimisers", modality="image", target="genzoo_mixture.model:Two",
                    defaults={"steps": 20, "batch_size": 16},
                ),
            ]
    ''',
    "genzoo_mixture/model.py": '''
        import math

        import torch
        from torch import nn

        import genzoo


        class Mixture(genzoo.Generator):
            """Dempster, Laird & Rubin 1977, with diagonal covariances; no neural network and no optimiser."""

            likelihood_kind = "exact"
            pixel_values = None

            def __init__(self, config, data):
                super().__init__(config, data)
                pixels, count = math.prod(data.shape), config.components
                self.register_buffer("weights", torch.full((count,), 1 / count))
                self.register_buffer("means", torch.rand(count, pixels))
                self.register_buffer("variances", torch.full((count, pixels), 0.1))

            def joint(self, x):
                """log p(x, k), (N, K)."""
                variances = self.variances
                squares = x.square() @ (1 / variances).T - 2 * x @ (self.means / variances).T
                squares = squares + (self.means.square() / variances).sum(1)
                constant = (2 * math.pi * variances).log().sum(1)
                return self.weights.log() - 0.5 * (squares + constant)

            @torch.no_grad()
            def fit(self, run):
                images = torch.cat([batch.images for batch in run.training_examples(5000)]).flatten(1)
                for _ in run.steps():
                    joint = self.joint(images)
                    run.log(nll=-joint.logsumexp(1).mean())
                    shares = joint.softmax(1)
                    total = shares.sum(0).clamp_min(1e-6)
                    self.weights.copy_(total / total.sum())
                    self.means.copy_(shares.T @ images / total[:, None])
                    spread = shares.T @ images.square() / total[:, None] - self.means.square()
                    self.variances.copy_(spread.clamp_min(self.config.floor))

            def log_likelihood(self, images):
                return self.joint(images.flatten(1)).logsumexp(1)

            def sample(self, count, *, options, rng):
                component = torch.searchsorted(self.weights.cumsum(0), rng.uniform()).clamp_max(len(self.weights) - 1)
                noise = rng.normal(self.means.shape[1]) * self.variances[component].sqrt()
                return (self.means[component] + noise).clamp(0, 1).view(count, *self.data.shape)


        class Two(genzoo.Generator):
            """A generator and a critic, an optimiser each."""

            training_only = ("critic",)

            def __init__(self, config, data):
                super().__init__(config, data)
                pixels = math.prod(data.shape)
                self.generator = nn.Sequential(nn.Linear(8, pixels), nn.Sigmoid())
                self.critic = nn.Linear(pixels, 1)

            def fit(self, run):
                one = torch.optim.Adam(self.generator.parameters(), 1e-2)
                other = torch.optim.SGD(self.critic.parameters(), 1e-2, momentum=0.9)
                one, other = run.prepare(one, other)
                for batch in run.batches():
                    fake = self.generator(torch.randn(len(batch), 8))
                    judged = self.critic(batch.images.flatten(1)) - self.critic(fake.detach())
                    other.zero_grad()
                    run.backward((judged - 1).square().mean())
                    other.step()
                    loss = -self.critic(fake).mean()
                    one.zero_grad()
                    run.backward(loss)
                    one.step()
                    run.log(loss=loss, judged=judged.mean())

            def sample(self, count, *, options, rng):
                return self.generator(rng.normal(8)).view(count, *self.data.shape)
    ''',
    "pyproject.toml": '''
        [build-system]
        requires = ["hatchling>=1.27"]
        build-backend = "hatchling.build"

        [project]
        name = "genzoo-mixture"
        version = "0.3.0"
        requires-python = ">=3.11"
        license = "MIT"
        dependencies = ["genzoo>=0.1,<0.2"]

        [project.entry-points.genzoo]
        mixture = "genzoo_mixture"
    ''',
}  # fmt: skip


def test_an_outsiders_plugin_works_in_a_clean_environment(outside):
    project = outside.root / "genzoo-mixture"
    for name, content in MIXTURE.items():
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(content).lstrip())
    outside(outside.uv, "build", "--wheel", "--quiet", "--python", sys.executable, project)
    (wheel,) = (project / "dist").glob("*.whl")
    outside(outside.scripts / "python", "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel)
    command = outside.scripts / "genzoo"
    assert "genzoo-mixture 0.3.0" in outside(command, "list")
    checked = outside(command, "check", "mixture")
    assert "0 failed" in checked
    assert "0 failed" in outside(command, "check", "two")
    outside(command, "train", "mixture", "--name", "one", "--steps", "6", "--threads", "1")
    outside(command, "resume", "one", "--steps", "8")
    lines = [json.loads(line) for line in (outside.root / "runs" / "one" / "metrics.jsonl").read_text().splitlines()]
    likelihoods = [line["nll"] for line in lines]
    assert all(later <= earlier + 1e-3 for earlier, later in itertools.pairwise(likelihoods))  # EM's law
    assert outside(command, "sample", "mixture", "-n", "4").strip().endswith("sample-001.png")
    report = json.loads(outside(command, "evaluate", "mixture", "-n", "100", "--features", "random", "--json"))
    assert {"frechet_distance", "nll"} <= {m["name"] for m in report["measures"]}


def test_from_an_empty_folder_to_a_trained_plugin_in_five_commands(outside):
    """The commands of the page, but for the first, which installs genzoo, as the fixture did."""
    page = (Path(__file__).parents[1] / "docs" / "writing-a-plugin.md").read_text()
    block = page.partition("```console\n")[2].partition("```")[0]
    commands = [line.removeprefix("$ ") for line in block.splitlines() if line.startswith("$ ")]
    assert len(commands) <= 5
    assert commands[0] == "pip install genzoo"
    folder = outside.root / "empty"
    folder.mkdir()
    for line in commands[1:]:
        words = line.split("#")[0].split()
        assert words[0] == "genzoo"
        more = ["--steps", "20", "--threads", "1"] if words[1] == "train" else []
        output = outside(outside.scripts / "genzoo", *words[1:], *more, folder=folder)
        assert output
    assert list((folder / "runs").glob("*/model/state.safetensors"))
