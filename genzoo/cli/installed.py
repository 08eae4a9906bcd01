"""`genzoo data` and `genzoo plugins`: what is here."""

from __future__ import annotations

from pathlib import Path

import click

from genzoo.cli.options import as_json_option
from genzoo.cli.output import print_json, printable, table
from genzoo.interface.errors import traceback_of
from genzoo.registry.data import data_folder
from genzoo.registry.plugins import registry


@click.command("data")
@click.option(
    "--data-dir",
    metavar="FOLDER",
    help="Folder where data sets are kept. Default: GENZOO_DATA_DIR, or the user's cache.",
)
@as_json_option
def data_command(data_dir: str | None, as_json: bool) -> None:
    """List the data sets, and which of them are on the disk."""
    folder = data_folder(data_dir)
    datasets = [(name, plugin, spec, _on_disk(folder, spec.files)) for name, plugin, spec in registry().datasets]
    if as_json:
        print_json([
            {"name": n, "summary": s.summary, "modality": s.modality, "plugin": p.distribution, "source": s.source,
             "files": list(s.files), "on_disk": on_disk}
            for n, p, s, on_disk in datasets
        ])  # fmt: skip
        return
    lines = [("DATA", "MODALITY", "ON DISK", "SUMMARY")]
    lines += [(n, s.modality, "yes" if on_disk else "no", s.summary) for n, _, s, on_disk in datasets]
    click.echo(table(lines))
    click.echo(f"\nfolder: {folder}\nalso taken:")
    for name, _, modality in registry().modalities:
        click.echo(f"  {name}: {printable(modality.sources)}")


def _on_disk(folder: Path, files: tuple[str, ...]) -> bool:
    return all((folder / name).exists() or (folder / f"{name}.gz").exists() for name in files)


@click.command("plugins")
@click.option(
    "--timing", is_flag=True, help="Show how long each takes to import and to say what it gives, slowest first."
)
@click.option("-v", "--verbose", is_flag=True, help="Show where those that failed did so.")
@as_json_option
def plugins_command(timing: bool, verbose: bool, as_json: bool) -> None:
    """List the plugins, and what is wrong with those that failed."""
    plugins = registry().plugins
    if timing:
        plugins = sorted(plugins, key=lambda plugin: -plugin.seconds)
    if as_json:
        keys = ("name", "distribution", "version", "status", "problems", "seconds")
        print_json([
            {**{key: getattr(p, key) for key in keys}, "traceback": traceback_of(p.error)}
            for p in plugins
        ])  # fmt: skip
        return
    lines = [("PLUGIN", "DISTRIBUTION", "VERSION", "STATUS", *(("SECONDS",) if timing else ()))]
    for p in plugins:
        lines.append((p.name, p.distribution, p.version, p.status, *((f"{p.seconds:.3f}",) if timing else ())))
    click.echo(table(lines))
    for plugin in plugins:
        for problem in plugin.problems:
            click.echo("\n" + printable(f"{plugin.name} ({plugin.distribution} {plugin.version}): {problem}"))
        if verbose and plugin.error:
            click.echo(printable(traceback_of(plugin.error), "\n"), nl=False)
    if not verbose and any(plugin.error for plugin in plugins):
        click.echo("\n`genzoo plugins -v` shows where")
