"""`genzoo runs`, `show` and `provenance`: what was made."""

from __future__ import annotations

import sys

import click

from genzoo.cli.options import as_json_option, overwrite_option, run_argument, runs_dir_option
from genzoo.cli.output import print_json, printable, say, table
from genzoo.interface.specs import Json
from genzoo.runs.find import find_run, output_path, runs_and_broken


@click.command("runs")
@runs_dir_option
@as_json_option
def runs_command(runs_dir: str | None, as_json: bool) -> None:
    """List the runs, newest first."""
    runs, broken = runs_and_broken(runs_dir)
    if as_json:
        whole = [{"name": r.name, "folder": str(r.path), **r.record, "status": r.status} for r in runs]
        rest = [{"name": p.name, "folder": str(p), "status": "broken", "error": why} for p, why in broken.items()]
        print_json([*whole, *rest])
        return
    lines: list[tuple[str, ...]] = [("RUN", "GROUP", "MODEL", "DATA", "STATUS", "STEPS", "SECONDS", "STARTED")]
    for r in runs:
        record = r.record
        steps = f"{r.step:,}/{record['steps_total']:,}"
        seconds, started = f"{record['seconds']:,.0f}", record["started"][:19].replace("T", " ")
        lines.append((r.name, r.group or "", r.model, record["data_spec"]["name"], r.status, steps, seconds, started))
    lines += [(path.name, "", "", "", "broken", "", "", "") for path in broken]
    if not any(r.group for r in runs):
        lines = [(run, *rest) for run, _, *rest in lines]
    click.echo(table(lines) if lines[1:] else "no runs yet; begin with: genzoo train MODEL")
    for reason in broken.values():
        say(f"genzoo: {reason}")


@click.command("show")
@run_argument
@click.option("--out", metavar="FILE", help="Default: show.png in the run's folder.")
@overwrite_option
@runs_dir_option
@as_json_option
def show_command(run: str, out: str | None, overwrite: bool, runs_dir: str | None, as_json: bool) -> None:
    """Show a run: what it is, how its samples and its losses went, in one picture."""
    folder = find_run(run, runs_dir, any_status=True)
    pictures = (".png", ".jpg", ".jpeg")
    path = folder.overview_file if out is None else output_path(folder, "show", out, pictures, overwrite=overwrite)
    from genzoo.interface.pictures import write_picture
    from genzoo.runs.show import facts, picture

    shown = facts(folder)
    write_picture(picture(folder), path, folder.provenance(folder.record["training"]["seed"], operation="show"))
    if as_json:
        print_json({**shown, "picture": str(path)})
        return
    for key, value in {**shown, "picture": path}.items():
        if value is not None:
            click.echo(f"{key:16} {printable(str(value))}")


@click.command("provenance")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@as_json_option
def provenance_command(files: tuple[str, ...], as_json: bool) -> None:
    """Show what generated files say about themselves. Exit status 1 if one says nothing."""
    from genzoo.registry.provenance import read_provenance

    labels = {file: read_provenance(file) for file in files}
    if as_json:
        several = [{"file": file, **values} for file, values in labels.items()]
        print_json(labels[files[0]] if len(files) == 1 else several)
    else:
        for file, values in labels.items():
            if len(files) > 1:
                click.echo(printable(f"{file}:"))
            _print(file, values)
    sys.exit(0 if all(any(values.values()) for values in labels.values()) else 1)


def _print(file: str, labels: Json) -> None:
    if not any(labels.values()):
        click.echo(printable(f"{file} does not say that it was generated"))
        return
    click.echo(f"digital source type  {labels['digital_source_type']}")
    for title, values in (("GB 45438-2025", labels["aigc"]), ("genzoo", labels["genzoo"])):
        click.echo(f"{title}:")
        for key, value in (values or {}).items():
            click.echo(f"  {printable(str(key)):18} {printable(str(value))}")
