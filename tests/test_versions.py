"""One version in one place, no upper bound on Python, extras and pairs of packages that are said where they matter."""

from __future__ import annotations

import re
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import genzoo
from genzoo.cli import doctor
from genzoo.text.sources import ZSTD, content_of

ROOT = Path(__file__).parents[1]
PROJECTS = {
    project["name"]: project
    for path in (ROOT / "pyproject.toml", *sorted(ROOT.glob("plugins/*/pyproject.toml")))
    for project in [tomllib.loads(path.read_text("utf-8"))["project"]]
}


@pytest.mark.parametrize("name", PROJECTS)
def test_a_distribution_has_the_one_version_and_no_upper_bound_on_python(name):
    assert (PROJECTS[name].get("version"), PROJECTS[name]["dynamic"]) == (None, ["version"])
    assert version(name) == genzoo.__version__
    assert PROJECTS[name]["requires-python"] == ">=3.11"
    for requirement in map(Requirement, PROJECTS[name]["dependencies"]):
        if requirement.name in PROJECTS:
            assert genzoo.__version__ in requirement.specifier


def test_what_states_the_version_besides_has_the_same():
    citation = (ROOT / "CITATION.cff").read_text("utf-8")
    assert re.findall(r"^version: (.*)$", citation, re.MULTILINE) == [genzoo.__version__]
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert re.findall(r"^## (\S+)", changelog, re.MULTILINE)[0] == genzoo.__version__


def test_all_distributions_are_published_after_those_that_they_need():
    workflow = (ROOT / ".github" / "workflows" / "publish.yml").read_text("utf-8")
    order = [name.replace("_", "-") for name in re.findall(r"for name in (.*);", workflow)[0].split()]
    assert sorted(order) == sorted(PROJECTS)
    for name in order:
        needed = {Requirement(line).name for line in PROJECTS[name]["dependencies"]} & PROJECTS.keys()
        assert needed <= set(order[: order.index(name)])


def test_a_file_in_zstd_says_which_package_reads_it(tmp_path, monkeypatch):
    (tmp_path / "text.zst").write_bytes(ZSTD)
    for module in ("compression.zstd", "zstandard"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(genzoo.GenzooError, match="text.zst is compressed with zstd.*pip install zstandard"):
        content_of(tmp_path / "text.zst")


def test_what_needs_transformers_says_so(monkeypatch):
    from genzoo_transformer.model import Transformer

    monkeypatch.setitem(sys.modules, "transformers", None)
    monkeypatch.delitem(sys.modules, "genzoo_transformer.huggingface", raising=False)
    monkeypatch.delattr("genzoo_transformer.huggingface", raising=False)  # where another test had it imported
    with pytest.raises(genzoo.GenzooError, match=r"transformers.*pip install 'genzoo-transformer\[huggingface\]'"):
        Transformer.export(None, Path())


@pytest.mark.parametrize(("diffusers", "breaks"), [("0.35.2", True), ("0.36.0", False)])
def test_the_doctor_names_a_pair_that_breaks(monkeypatch, diffusers, breaks):
    monkeypatch.setattr(doctor, "version", {"diffusers": diffusers, "transformers": "5.0.0"}.__getitem__)
    findings = list(doctor._diffusers())
    assert [(finding.subject, finding.ok) for finding in findings] == [("diffusers and transformers", False)] * breaks
