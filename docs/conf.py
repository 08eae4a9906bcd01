"""Sphinx: the pages in this folder, with what can be generated from the code generated from it."""

from __future__ import annotations

import tomllib
from pathlib import Path

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from genzoo import __version__
from genzoo.interface.options import rows
from genzoo.interface.specs import TrainOptions
from genzoo.registry.plugins import registry
from genzoo.testing import CHECKS

project, author, version = "genzoo", "The genzoo developers", __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_click"]
html_theme = "furo"
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 100
suppress_warnings = ["myst.xref_missing"]


class _Table(SphinxDirective):
    """A Markdown table, parsed in place."""

    heading: tuple[str, ...] = ()

    def cells(self) -> list[tuple[str, ...]]:
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        lines = [self.heading, tuple("---" for _ in self.heading), *self.cells()]
        text = ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]
        container = nodes.container()
        self.state.nested_parse(StringList(text), self.content_offset, container)
        return container.children


class OptionsTable(_Table):
    """`genzoo-options MODEL`: every option of a model; with `MODALITY` every option of its trainings, with
    `MODALITY-only` those of them that not every training has, or not with this default and help."""

    required_arguments = 1
    heading = ("option", "default", "allowed", "what it does")

    def cells(self) -> list[tuple[str, ...]]:
        name: str = self.arguments[0]
        modality = name.removesuffix("-only")
        if modality in registry().modalities.names():
            options = list(rows(registry().modalities.get(modality)[1].train_options))
        else:
            options = list(rows(registry().generators.get(name)[1].config))
        shared = set(rows(TrainOptions)) if name != modality else set()
        return [
            (f"`{flag}`", f"`{default}`" if default else "", allowed, text)
            for flag, default, allowed, text in options
            if (flag, default, allowed, text) not in shared
        ]


class PresetsTable(_Table):
    """`genzoo-presets MODEL`: what each preset sets."""

    required_arguments = 1
    heading = ("preset", "sets")

    def cells(self) -> list[tuple[str, ...]]:
        spec = registry().generators.get(self.arguments[0])[1]
        return [
            (f"`{name}`", ", ".join(f"`{k}={v}`" for k, v in values.items())) for name, values in spec.presets.items()
        ]


class ChecksTable(_Table):
    """`genzoo-checks`: what `genzoo check` checks."""

    heading = ("check", "promise")

    def cells(self) -> list[tuple[str, ...]]:
        return [(f"`{check.name}`", check.promise) for check in CHECKS]


class ThirdPartiesTable(_Table):
    """`genzoo-third-parties`: the plugins that `plugins.toml` lists."""

    heading = ("distribution", "what it brings", "source")

    def run(self) -> list[nodes.Node]:
        return super().run() if self.cells() else [nodes.paragraph(text="None is listed yet.")]

    def cells(self) -> list[tuple[str, ...]]:
        plugins = tomllib.loads((Path(__file__).parent / "plugins.toml").read_text("utf-8")).get("plugin", [])
        return [(f"`{p['distribution']}`", p["summary"], f"<{p['source']}>") for p in plugins]


class ModalitiesTable(_Table):
    """`genzoo-modalities`: the kinds of data that are installed."""

    heading = ("modality", "plugin", "what it is", "`--data` takes")

    def cells(self) -> list[tuple[str, ...]]:
        return [
            (f"`{name}`", plugin.distribution, spec.summary, f"a name, {spec.sources}")
            for name, plugin, spec in registry().modalities
        ]


class ModelsTable(_Table):
    """`genzoo-models`: the models that are installed."""

    heading = ("model", "modality", "plugin", "what it is", "paper")

    def cells(self) -> list[tuple[str, ...]]:
        return [
            (f"`{name}`", spec.modality, plugin.distribution, spec.summary, spec.paper)
            for name, plugin, spec in registry().generators
        ]


class DataTable(_Table):
    """`genzoo-data`: the data sets that have a name."""

    heading = ("name", "what it is", "from")

    def cells(self) -> list[tuple[str, ...]]:
        return [(f"`{name}`", spec.summary, spec.source) for name, _, spec in registry().datasets]


class MetricsTable(_Table):
    """`genzoo-metrics [MODALITY]`: the measures of `genzoo evaluate`, in the order of a report; without an argument
    those of every modality, with its name."""

    optional_arguments = 1
    heading: tuple[str, ...] = ("measure", "better", "unit", "what it is", "for")

    def run(self) -> list[nodes.Node]:
        if not self.arguments:
            self.heading = ("modality", *self.heading)
        return super().run()

    def cells(self) -> list[tuple[str, ...]]:
        if self.arguments:
            modality: str = self.arguments[0]
            registry().modalities.get(modality)  # which says that there is none
            return self.of(modality)
        return [(name, *row) for name, _, _ in registry().modalities for row in self.of(name)]

    @staticmethod
    def of(modality: str) -> list[tuple[str, ...]]:
        return [
            (
                f"`{spec.name}`", spec.better, spec.unit, spec.summary,
                ", ".join(f"`{need}`" for need in spec.needs) or "all",
            )
            for _, spec in registry().metrics.of_modality(modality)
        ]  # fmt: skip


class FeaturesTable(_Table):
    """`genzoo-features`: what `--features` takes."""

    heading = ("name", "what it is")

    def cells(self) -> list[tuple[str, ...]]:
        return [(f"`{name}`", spec.summary) for name, _, spec in registry().features]


def setup(app: Sphinx) -> None:
    """Register the directives."""
    app.add_directive("genzoo-options", OptionsTable)
    app.add_directive("genzoo-presets", PresetsTable)
    app.add_directive("genzoo-modalities", ModalitiesTable)
    app.add_directive("genzoo-models", ModelsTable)
    app.add_directive("genzoo-data", DataTable)
    app.add_directive("genzoo-metrics", MetricsTable)
    app.add_directive("genzoo-features", FeaturesTable)
    app.add_directive("genzoo-checks", ChecksTable)
    app.add_directive("genzoo-third-parties", ThirdPartiesTable)
