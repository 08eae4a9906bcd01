"""The documentation says what is there, and what it shows works."""

import re
from pathlib import Path

import pytest

import genzoo
from genzoo import hookspecs, provenance
from genzoo.registry import registry

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
README = (ROOT / "README.md").read_text()


def blocks(text, language):
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def own_models():
    return [spec for _, plugin, spec in registry().generators if plugin.distribution.startswith("genzoo-")]


def test_the_two_lines_of_the_readme():
    assert "    pip install uv && uv run genzoo train vae\n" in README
    assert "    pip install uv && uv run pytest\n" in README
    assert "pip install uv && uv run pytest" in (ROOT / ".ci" / "run").read_text()


def test_every_model_is_documented():
    for spec in own_models():
        assert re.search(
            rf"^\| `{spec.name}` \| {spec.modality} \| .* \| {re.escape(spec.summary)} \|$", README, flags=re.M
        )
        page = (DOCS / "models" / f"{spec.name}.md").read_text()
        assert f"```{{genzoo-options}} {spec.name}" in page
        assert f"```{{genzoo-presets}} {spec.name}" in page
        assert f"models/{spec.name}\n" in (DOCS / "index.md").read_text()


def test_every_hook_and_public_name_is_documented():
    page = (DOCS / "hooks.md").read_text()
    for name in vars(hookspecs):
        if name.startswith("genzoo_"):
            assert re.search(rf":members:.*\b{name}\b", page), name
    page = (DOCS / "library.md").read_text()
    for name in set(genzoo.__all__) - {"__version__", "API_VERSION", "hookimpl"}:
        assert f":: genzoo.{name}\n" in page, name


def test_every_picture_and_page_that_is_named_is_there():
    for path in [ROOT / "README.md", *DOCS.rglob("*.md")]:
        for target in re.findall(r"\]\((?!http)([^)#]+)", path.read_text()):
            assert (path.parent / target).exists(), (path, target)


def test_pictures_in_the_docs_say_that_they_were_generated():
    pictures = list((DOCS / "images").glob("*.png"))
    assert pictures
    for path in pictures:
        assert provenance.read(path)["digital_source_type"], path


def test_the_plugin_of_the_tutorial_works(install, monkeypatch):
    text = (DOCS / "writing-a-plugin.md").read_text()
    top, model = blocks(text, "python")
    project = blocks(text, "toml")[0]
    assert 'blur = "genzoo_blur"' in project
    install(
        "genzoo_blur", top.replace("genzoo_blur.model", "genzoo_blur_model"), distribution="genzoo-blur", entry="blur"
    )
    install("genzoo_blur_model", model, distribution="unused", entry="unused")
    monkeypatch.setenv("GENZOO_BLOCK", "unused")
    registry.cache_clear()
    run = genzoo.train("blur", rank=8)
    lines = run.metrics()
    assert lines[-1]["loss"] < 0.6 * lines[0]["loss"]
    assert genzoo.sample(run, 3).shape == (3, 1, 28, 28)


@pytest.mark.parametrize("text", [README, (DOCS / "library.md").read_text()], ids=["README", "library"])
def test_the_library_as_it_is_shown(text):
    for block in blocks(text, "python"):
        assert "steps=500" in block
        names = {}
        exec(block.replace("steps=500", "steps=5"), names)
        assert names["images"].shape == (16, 1, 28, 28)
