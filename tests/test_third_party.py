"""What a stranger is given: a plugin to begin with, installing, a doctor, and a zoo that bears bad plugins."""

import bz2
import hashlib
import itertools
import json
import random
import re
import shutil
import subprocess
import sys
import tomllib
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

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
    project = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]
    info = folder / f"{project['name'].replace('-', '_')}-0.1.0.dist-info"
    info.mkdir()
    entries = "".join(f"{name} = {module}\n" for name, module in project["entry-points"]["genzoo"].items())
    (info / "entry_points.txt").write_text(f"[genzoo]\n{entries}", "utf-8")
    needs = "".join(f"Requires-Dist: {need}\n" for need in project["dependencies"])
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.4\nName: {project['name']}\nVersion: 0.1.0\nLicense-Expression: {project['license']}\n"
        f"Requires-Python: {project['requires-python']}\n{needs}",
        "utf-8",
    )
    monkeypatch.syspath_prepend(str(folder))
    registry.cache_clear()


# genzoo new


@pytest.mark.parametrize("modality", [pytest.param("image", marks=pytest.mark.slow), "text"])
def test_a_new_plugin_passes_the_checks_and_trains(here, monkeypatch, genzoo_command, modality):
    made = genzoo_command("new", "my-model", "--modality", modality)
    assert (made.status, made.out.splitlines()[0]) == (0, "genzoo-my-model")
    folder = here / "genzoo-my-model"
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert names == {
        "pyproject.toml", "README.md", ".gitignore", ".github/workflows/test.yml", "tests/test_my_model.py",
        "genzoo_my_model/__init__.py", "genzoo_my_model/model.py", "genzoo_my_model/py.typed",
    }  # fmt: skip
    assert not [name for name in names if re.search(r"\$\{?[a-zA-Z]", (folder / name).read_text("utf-8"))]
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
    (here / "genzoo-mine" / "work.py").write_text("mine", "utf-8")
    with pytest.raises(UsageError, match="exists and is not an empty folder; choose another"):
        new("mine")
    assert (here / "genzoo-mine" / "work.py").read_text("utf-8") == "mine"
    with pytest.raises(UsageError, match="unknown modality 'sound'; there is audio, image, text"):
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


def test_the_doctor_names_a_torchaudio_that_does_not_go_with_torch(genzoo_command, monkeypatch, tmp_path):
    assert "torchaudio" not in genzoo_command("doctor").out
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "torchaudio.py").write_text("raise OSError('undefined symbol: aoti')", "utf-8")
    ill = genzoo_command("doctor")
    assert ill.status == 1
    assert re.search(
        r"torchaudio +does not go with torch .*undefined symbol: aoti.*pip uninstall torchaudio", ill.out, re.S
    )


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

EXAMPLES = Path(__file__).parents[1] / "docs" / "examples"


@pytest.fixture
def example(tmp_path, monkeypatch):
    """A function that installs an example of the documentation, with changes of its files' text if they are given."""
    modules = []

    def install(name, **changes):
        folder = tmp_path / name
        shutil.copytree(EXAMPLES / name, folder)
        for path in folder.rglob("*.py"):
            text = path.read_text("utf-8")
            for before, after in changes.get(path.stem, ()):
                assert before in text
                text = text.replace(before, after)
            path.write_text(text, "utf-8")
        monkeypatch.syspath_prepend(str(folder))
        planted(folder, monkeypatch)
        modules.append(f"genzoo_{name}")

    yield install
    for module in [m for m in sys.modules if m.partition(".")[0] in modules]:
        del sys.modules[module]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mixture", "flow"])
def test_the_models_among_the_examples_keep_every_promise(example, name):
    example(name)
    assert [outcome for outcome in run_checks(name) if not outcome.ok] == []


def test_a_model_fitted_by_em_is_an_image_model_like_any_other(example, genzoo_command):
    example("mixture")
    only = ("training_moves_the_weights", "resuming_is_exact", "likelihoods_sum_to_one")
    assert [outcome.status for outcome in run_checks("mixture", only=only)] == ["passed"] * 3
    genzoo.train("mixture", name="one", steps=6, threads=1)
    lines = genzoo.resume("one", steps=8).metrics()
    assert all(later["nll"] <= earlier["nll"] + 1e-3 for earlier, later in itertools.pairwise(lines))  # EM's law
    assert genzoo_command("sample", "mixture", "-n", "4").out.strip().endswith("sample-001.png")
    measures = {measure.name for measure in genzoo.evaluate("one", n=100, features="random").measures}
    assert {"frechet_distance", "nll"} <= measures


JACOBIANS = {"sign": "-scale.sum(1)", "twice": "2 * scale.sum(1)", "none": "torch.zeros(len(x))"}


@pytest.mark.parametrize("mistake", [None, *JACOBIANS])
def test_a_mistake_in_a_flows_jacobian_is_named(example, mistake):
    example("flow", model=[("+ shift, scale.sum(1)", f"+ shift, {JACOBIANS[mistake]}")] if mistake else [])
    only = ("likelihoods_are_of_examples", "likelihoods_sum_to_one")
    outcomes = {outcome.check: outcome for outcome in run_checks("flow", only=only)}
    wrong = [name for name, outcome in outcomes.items() if outcome.status == "failed"]
    assert wrong == (["likelihoods_sum_to_one"] if mistake else [])
    if mistake:
        assert "which must not be above 1 for a bound from below" in outcomes[wrong[0]].reason


@pytest.fixture
def served(tmp_path):
    """A folder, and the address at which a server of this machine has it."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Silent(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=folder)) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # torchvision closes no refused answer
def test_a_data_set_that_is_fetched_is_fetched_once(example, served, monkeypatch, genzoo_command):
    from torchvision.datasets import USPS

    folder, address = served
    rng, parts = random.Random(0), {}
    for part, name, count in (("train", "usps.bz2", 60), ("test", "usps.t.bz2", 20)):
        lines = (
            f"{number % 10 + 1} " + " ".join(f"{pixel + 1}:{rng.uniform(-1, 1):.3f}" for pixel in range(256))
            for number in range(count)
        )
        content = bz2.compress("\n".join(lines).encode())
        (folder / name).write_bytes(content)
        parts[part] = [f"{address}/{name}", name, hashlib.md5(content).hexdigest()]
    monkeypatch.setattr(USPS, "split_list", {part: [f"{address}/gone", *rest] for part, (_, *rest) in parts.items()})
    example("extras")
    options = {"steps": 2, "batch_size": 4, "threads": 1}
    with pytest.raises(GenzooError, match=r"'usps' cannot be loaded: .*; it needs USPS/usps.bz2, USPS/usps.t.bz2 in "):
        genzoo.train("gan", data="usps", **options)
    monkeypatch.setattr(USPS, "split_list", parts)
    run = genzoo.train("gan", data="usps", **options)
    assert run.data_spec.shape == (1, 16, 16)
    shutil.rmtree(folder)
    genzoo.train("gan", data="usps", **options)
    assert re.search(r"usps +image +yes", genzoo_command("data").out)
    assert "ink_distance" in {measure.name for measure in genzoo.evaluate(run, n=10, features="random").measures}
    other = genzoo.evaluate(genzoo.train("gan", data="mnist-5k", **options), n=10, features="random")
    assert "ink_distance" not in {measure.name for measure in other.measures} | set(other.left_out)
    written = genzoo_command("average", run.name, "-n", "3").out.strip()
    assert genzoo.read_provenance(Path(written))["genzoo"]["operation"] == "average"


def test_a_watcher_can_stop_a_run(example, monkeypatch, capfd):
    example("extras")
    monkeypatch.setenv("EXTRAS_PRUNE", "0")
    with pytest.warns(genzoo.GenzooWarning, match="above EXTRAS_PRUNE=0: stopped"), pytest.raises(genzoo.Interrupted):
        genzoo.train("vae", name="bad", steps=200, batch_size=4, log_every=50, threads=1, prior="gaussian")
    assert (genzoo.find_run("bad").status, genzoo.find_run("bad").step) == ("interrupted", 100)


def test_the_page_of_examples_shows_all_that_is_tested():
    page = (EXAMPLES.parent / "examples.md").read_text("utf-8")
    shown = set(re.findall(r"```{literalinclude} (\S+)", page))
    files = {
        path.relative_to(EXAMPLES.parent).as_posix() for path in EXAMPLES.rglob("*") if path.suffix in (".py", ".toml")
    }
    assert shown == {f for f in files if not f.endswith("pyproject.toml") or "mixture" in f}


def test_from_an_empty_folder_to_a_trained_plugin_in_five_commands(outside):
    """The commands of the page, but for the first, which installs genzoo, as the fixture did."""
    page = (Path(__file__).parents[1] / "docs" / "writing-a-plugin.md").read_text("utf-8")
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
