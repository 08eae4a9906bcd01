"""The documentation says what is there, and what it shows works."""

import re
import tomllib
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
import torch

import genzoo
from genzoo.cli import cli
from genzoo.cli.command import FILE_OF
from genzoo.interface import hookspecs
from genzoo.registry.plugins import RESERVED_COMMANDS, registry

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
README = (ROOT / "README.md").read_text("utf-8")


def blocks(text, language):
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def own_models():
    return [spec for _, plugin, spec in registry().generators if plugin.distribution.startswith("genzoo-")]


def test_the_two_lines_of_the_readme():
    assert "    pip install uv && uv run genzoo train vae\n" in README
    assert "    pip install uv && uv run pytest\n" in README
    assert "pip install uv && uv run pytest" in (ROOT / ".ci" / "run").read_text("utf-8")


def test_every_model_is_documented():
    for spec in own_models():
        assert re.search(
            rf"^\| `{spec.name}` \| {spec.modality} \| .* \| {re.escape(spec.summary)} \|$", README, flags=re.M
        )
        page = (DOCS / "models" / f"{spec.name}.md").read_text("utf-8")
        assert f"```{{genzoo-options}} {spec.name}" in page
        assert f"```{{genzoo-presets}} {spec.name}" in page
        assert f"models/{spec.name}\n" in (DOCS / "index.md").read_text("utf-8")


def test_every_hook_and_public_name_is_documented():
    page = (DOCS / "hooks.md").read_text("utf-8")
    for name in vars(hookspecs):
        if name.startswith("genzoo_"):
            assert re.search(rf":members:.*\b{name}\b", page), name
    page = (DOCS / "library.md").read_text("utf-8")
    for name in set(genzoo.__all__) - {"__version__", "API_VERSION", "hookimpl"}:
        full = getattr(getattr(genzoo, name), "__name__", name)  # of a module, with its room
        assert f":: genzoo.{name}\n" in page or f":: {full}\n" in page, name


def test_every_command_is_documented():
    page = (DOCS / "cli.md").read_text("utf-8")
    assert ".. click:: genzoo.cli:cli\n   :prog: genzoo\n   :nested: full\n" in page  # all that the group holds
    assert set(FILE_OF) == RESERVED_COMMANDS
    assert set(FILE_OF) < set(cli.list_commands(None))


def test_every_modality_is_documented():
    page = (DOCS / "data.md").read_text("utf-8")
    assert "```{genzoo-modalities}" in page
    for name in ("image", "text"):
        assert registry().modalities.get(name)[1].template


def test_listed_plugins_are_named_once_in_order_with_a_summary_and_a_source():
    plugins = tomllib.loads((DOCS / "plugins.toml").read_text("utf-8")).get("plugin", [])
    names = [plugin["distribution"] for plugin in plugins]
    assert names == sorted(set(names))
    for plugin in plugins:
        assert set(plugin) == {"distribution", "summary", "source"}
        assert plugin["source"].startswith("https://")
    shown = blocks((DOCS / "plugins.md").read_text("utf-8"), "toml")[0]
    assert set(tomllib.loads(shown)["plugin"][0]) == {"distribution", "summary", "source"}
    workflow = (ROOT / ".github" / "workflows" / "plugins.yml").read_text("utf-8")
    assert "docs/plugins.toml" in workflow
    assert "genzoo check" in workflow


def test_every_picture_and_page_that_is_named_is_there():
    for path in [ROOT / "README.md", *DOCS.rglob("*.md")]:
        for target in re.findall(r"\]\((?!http)([^)#]+)", path.read_text("utf-8")):
            assert (path.parent / target).exists(), (path, target)


def test_pictures_in_the_docs_say_that_they_were_generated():
    pictures = list((DOCS / "images").glob("*.png"))
    assert pictures
    for path in pictures:
        assert genzoo.read_provenance(path)["digital_source_type"], path


def exec_quietly(block):
    exec(block, names := {})
    return names


def tutorial(install, monkeypatch, name, top, model):
    """Install a plugin of the docs as two modules, as if it were a package."""
    install(f"genzoo_{name}", top.replace(f"genzoo_{name}.model", f"genzoo_{name}_model"), entry=name)
    install(f"genzoo_{name}_model", model, distribution="unused", entry="unused")
    monkeypatch.setenv("GENZOO_BLOCK", "unused,tensorboard")
    registry.cache_clear()


def test_the_plugin_of_the_tutorial_works(install, monkeypatch):
    text = (DOCS / "writing-a-plugin.md").read_text("utf-8")
    bare, top, model, test = blocks(text, "python")
    names = exec_quietly(bare.replace("range(300)", "range(30)"))
    assert names["samples"].shape == (64, 1, 28, 28)
    project = tomllib.loads(blocks(text, "toml")[0])["project"]
    assert project["entry-points"]["genzoo"] == {"blur": "genzoo_blur"}
    tutorial(install, monkeypatch, "blur", top, model)
    run = genzoo.train("blur", rank=8)
    lines = run.metrics()
    assert lines[-1]["loss"] < 0.6 * lines[0]["loss"]
    assert genzoo.sample(run, 3).shape == (3, 1, 28, 28)
    (mark,) = exec_quietly(test)["test_it_keeps_what_every_model_promises"].pytestmark
    cases = {case.id.removeprefix("blur-"): case.values[0] for case in mark.args[1]}
    skipped = set()
    del cases["metadata_are_complete"]  # the packaging of this test is not that of the page
    for name, check in cases.items():
        try:
            check()
        except pytest.skip.Exception:
            skipped.add(name)
    assert skipped == {
        "scores_are_one_an_example", "reconstructions_are_samples", "codes_are_deterministic", "a_stream_is_the_sample",
        "likelihoods_are_of_examples", "likelihoods_sum_to_one", "labels_are_obeyed", "what_is_exported_is_there",
        "memory_of_the_device_is_given_back",
        "best_by_names_a_score",
    } - ({"memory_of_the_device_is_given_back"} if torch.cuda.is_available() else set())  # fmt: skip


def test_the_moved_script_works(install, monkeypatch):
    before, after = blocks((DOCS / "moving-a-script.md").read_text("utf-8"), "python")
    with redirect_stdout(StringIO()) as said:
        exec_quietly(before)
    assert said.getvalue()
    top = blocks((DOCS / "writing-a-plugin.md").read_text("utf-8"), "python")[1]
    tutorial(install, monkeypatch, "moved", top.replace("blur", "moved").replace(":Blur", ":Moved"), after)
    run = genzoo.train("moved", steps=100)
    lines = run.metrics()
    assert lines[-1]["loss"] < lines[0]["loss"]
    assert genzoo.sample(run, 2).shape == (2, 1, 28, 28)


@pytest.mark.parametrize("text", [README, (DOCS / "library.md").read_text("utf-8")], ids=["README", "library"])
def test_the_library_as_it_is_shown(text):
    for block in blocks(text, "python"):
        assert "steps=500" in block
        names = {}
        exec(block.replace("steps=500", "steps=5"), names)
        assert names["images"].shape == (16, 1, 28, 28)


def test_the_tutorial_of_a_modality_shows_the_plugin_that_is_tested():
    page = (DOCS / "a-modality-of-your-own.md").read_text("utf-8")
    shown = set(re.findall(r"```{literalinclude} \.\./(\S+)", page))
    files = ("__init__.py", "modality.py", "model.py", "template/init.py.in")
    assert shown == {f"tests/curves/genzoo_curves/{name}" for name in files}
    commands = re.findall(r"^\$ genzoo (\w+)", page, flags=re.M)
    assert {"list", "train", "sample", "provenance", "show", "evaluate", "check", "new"} <= set(commands)
