"""`genzoo runs`, `show` and `provenance`: what was made."""

from __future__ import annotations

import sys

import click

from genzoo.cli.options import as_json_option, overwrite_option, run_argument, runs_dir_option
from genzoo.cli.output import print_json, show
from genzoo.interface.parsing import aligned, printable, say
from genzoo.interface.specs import Json
from genzoo.runs import manage
from genzoo.runs.find import check_takes_file, find_run, output_path, runs_and_broken

PICTURES = (".png", ".jpg", ".jpeg")
SHORTEST, WHOLE = 100, 4000  # milliseconds of a frame at least, and about of an animation


@click.command("runs")
@click.option("--sort", metavar="NAME", help="By a column, the lowest first; -NAME: the highest first.")
@click.option(
    "--where", default="", metavar="CONDITIONS", help="Only these, such as 'model=gan seed<3 frechet_distance<=20'."
)
@click.option(
    "--columns",
    metavar="NAME,...",
    help=printable(
        f"What to show: {', '.join(manage.FACTS)}, an option's name, or a measure's of the run's newest evaluation."
    ),
)
@runs_dir_option
@as_json_option
def runs_command(sort: str | None, where: str, columns: str | None, runs_dir: str | None, as_json: bool) -> None:
    """List the runs, newest first."""
    runs, broken = runs_and_broken(runs_dir)
    listed = [name for name in manage.LISTED if name != "group" or any(run.group for run in runs)]
    names = [name.strip() for name in columns.split(",") if name.strip()] if columns else listed
    entries = manage.listed(runs, sort=sort, where=where, columns=names)
    broken = {} if where else broken
    if as_json:
        whole = [
            {"name": run.name, "folder": str(run.path), **run.record,
             **{name: facts[name] for name in manage.FACTS}, "scores": facts.scores}
            for run, facts in entries
        ]  # fmt: skip
        rest = [{"name": p.name, "folder": str(p), "status": "broken", "error": why} for p, why in broken.items()]
        print_json([*whole, *rest])
        return
    lines = [tuple(name.upper().replace("_", " ") for name in names)]
    lines += [tuple(_cell(name, facts) for name in names) for _, facts in entries]
    lines += [tuple({"run": path.name, "status": "broken"}.get(name, "") for name in names) for path in broken]
    nothing = "no run is so" if where else "no runs yet; begin with: genzoo train MODEL"
    show(aligned(lines) if lines[1:] else nothing)
    for reason in broken.values():
        say(f"genzoo: {reason}")


def _cell(name: str, facts: manage.Facts) -> str:
    value = facts.get(name)
    if value is None:
        return ""
    if name == "steps":
        return f"{value:,}/{facts['total']:,}"
    if name == "size":
        return manage.in_bytes(value)
    if name == "seconds":
        return f"{value:,.0f}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


@click.command("show")
@run_argument
@click.option("--out", metavar="FILE", help="Default: show.png, or show.gif, in the run's folder.")
@click.option("--animate", is_flag=True, help="The samples of the training one after another, as a GIF.")
@overwrite_option
@runs_dir_option
@as_json_option
def show_command(
    run: str, out: str | None, animate: bool, overwrite: bool, runs_dir: str | None, as_json: bool
) -> None:
    """Show a run: what it is, how its samples and its losses went, in one picture."""
    folder = find_run(run, runs_dir, any_status=True)
    usual, suffixes = (folder.animation_file, (".gif",)) if animate else (folder.overview_file, PICTURES)
    path = check_takes_file(usual) if out is None else output_path(folder, "show", out, suffixes, overwrite=overwrite)
    from genzoo.interface.pictures import write_animation, write_picture
    from genzoo.runs.show import animation, facts, picture

    shown = facts(folder)
    marks = folder.provenance(folder.record["training"]["seed"], operation="show")
    if animate:
        frames, captions = animation(folder)
        write_animation(frames, path, marks, milliseconds=max(SHORTEST, WHOLE // len(frames)), captions=captions)
    else:
        write_picture(picture(folder), path, marks)
    if as_json:
        print_json({**shown, "picture": str(path)})
        return
    for key, value in {**shown, "picture": path}.items():
        if value is not None:
            show(f"{key:16} {printable(str(value))}")


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
                show(printable(f"{file}:"))
            _print(file, values)
    sys.exit(0 if all(any(values.values()) for values in labels.values()) else 1)


def _print(file: str, labels: Json) -> None:
    if not any(labels.values()):
        show(printable(f"{file} does not say that it was generated"))
        return
    show(f"digital source type  {labels['digital_source_type']}")
    for title, values in (("GB 45438-2025", labels["aigc"]), ("genzoo", labels["genzoo"])):
        show(f"{title}:")
        for key, value in (values or {}).items():
            show(f"  {printable(str(key)):18} {printable(str(value))}")
