"""`genzoo list` and `genzoo info`: what can be trained."""

from __future__ import annotations

import click

from genzoo.cli.options import as_json_option
from genzoo.cli.output import print_json, show
from genzoo.interface.options import options_of, rows
from genzoo.interface.parsing import aligned, printable, say
from genzoo.interface.specs import TAGS, GeneratorSpec
from genzoo.registry.installed import Plugin
from genzoo.registry.plugins import registry


@click.command("list")
@click.option("--modality", metavar="NAME", help="Only models of this kind of data.")
@as_json_option
def list_command(modality: str | None, as_json: bool) -> None:
    """List the models."""
    if modality is not None:
        registry().modalities.get(modality)  # raises for one that is not there
    models = [entry for entry in registry().generators if modality in (None, entry[2].modality)]
    if as_json:
        print_json([_facts(name, plugin, spec) for name, plugin, spec in models])
        return
    heading = ("MODEL", "MODALITY", "PLUGIN", "SUMMARY")
    lines = [(n, s.modality, f"{p.distribution} {p.version}", s.summary) for n, p, s in models]
    none = f"no models of modality {modality} are installed" if modality else "no models are installed"
    show(aligned([heading, *lines]) if lines else f'{none}; pip install "genzoo[all]" brings some')
    failed = [f"{plugin.name} of {plugin.distribution}" for plugin in registry().plugins if plugin.status == "failed"]
    if failed:
        say(f"genzoo: {len(failed)} plugin(s) failed: {', '.join(failed)}; see `genzoo plugins`")


def _facts(name: str, plugin: Plugin, spec: GeneratorSpec) -> dict[str, object]:
    return {
        "name": name, "summary": spec.summary, "modality": spec.modality, "paper": spec.paper, "tags": list(spec.tags),
        "plugin": plugin.distribution, "version": plugin.version, "presets": list(spec.presets),
    }  # fmt: skip


@click.command("info")
@click.argument("name")
@as_json_option
def info_command(name: str, as_json: bool) -> None:
    """Show a model: its paper, options and presets."""
    plugin, spec = registry().generators.get(name)
    if as_json:
        options = [
            {"flag": flag, "default": default, "allowed": allowed, "help": text}
            for flag, default, allowed, text in rows(spec.config)
        ]
        presets = {preset: dict(values) for preset, values in spec.presets.items()}
        facts = _facts(name, plugin, spec)
        print_json(facts | {"presets": presets, "defaults": dict(spec.defaults), "options": options})
        return
    modality = registry().modalities.get(spec.modality)[1]
    show(printable(f"{name}: {spec.summary}") + "\n")
    show(printable(f"plugin    {plugin.distribution} {plugin.version}"))
    show(f"modality  {spec.modality}: {printable(modality.summary)}")
    show(f"paper     {printable(spec.paper)}")
    for tag in spec.tags:
        show(f"tag       {tag}: {TAGS[tag]}")
    show()
    show(aligned([("OPTION", "DEFAULT", "ALLOWED"), *(row[:3] for row in rows(spec.config))]) + "\n")
    every = {**options_of(modality.train_options), **options_of(spec.config)}
    for title, values in [("defaults", spec.defaults), *((f"preset {n}", v) for n, v in spec.presets.items())]:
        settings = ", ".join(f"{every[key].flag} {every[key].shown(v)}" for key, v in values.items())
        show(printable(f"{title}: {settings or 'all as by default'}"))
    show(f"\nwhat each option does: genzoo train {name} --help")
