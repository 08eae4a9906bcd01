"""`genzoo data` and `genzoo plugins`: what is here."""

from __future__ import annotations

from pathlib import Path

import click

from genzoo.cli.options import as_json_option
from genzoo.cli.output import print_json, show
from genzoo.interface.errors import UsageError, traceback_of
from genzoo.interface.parsing import aligned, printable
from genzoo.interface.specs import check_file_name
from genzoo.registry.data import data_folder, survey
from genzoo.registry.plugins import registry
from genzoo.runs.progress import Watched


@click.command("data")
@click.argument("path", required=False)
@click.option("--modality", metavar="NAME", help="What kind of data PATH is.  [default: the first that takes it]")
@click.option("--out", metavar="FILE", help="A sheet of examples of PATH, a .png.")
@click.option(
    "--classifier",
    metavar="FOLDER",
    help="Write the classifier that evaluations on the data set PATH compare by there, to be shipped with it.",
)
@click.option(
    "--data-dir",
    metavar="FOLDER",
    help="Folder where data sets are kept. Default: GENZOO_DATA_DIR, or the user's cache.",
)
@as_json_option
def data_command(
    path: str | None, modality: str | None, out: str | None, classifier: str | None, data_dir: str | None, as_json: bool
) -> None:
    """List the data sets, and which of them are on the disk; or look at those at PATH, before a training does."""
    if path is not None and classifier is not None:
        _write_classifier(path, classifier, data_dir, as_json)
        return
    if path is not None:
        _look(path, modality, out, as_json)
        return
    if modality is not None or out is not None or classifier is not None:
        raise UsageError("--modality, --out and --classifier are of some data; say of which: genzoo data PATH")
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
    show(aligned(lines))
    show(f"\nfolder: {folder}\nalso taken:")
    for name, _, spec in registry().modalities:
        show(f"  {name}: {printable(spec.sources)}")


def _write_classifier(data: str, folder: str, data_dir: str | None, as_json: bool) -> None:
    """What `genzoo data NAME --classifier FOLDER` does."""
    from genzoo.evaluation.classifier import write_classifier

    with Watched() as watched:
        path, accuracy = write_classifier(data, Path(folder).expanduser(), data_dir, watched.data)
    if as_json:
        print_json({"data": data, "classifier": str(path), "accuracy": accuracy})
        return
    show(f"{printable(str(path))}  {accuracy:.1%} of the test part right")


def _look(path: str, modality: str | None, out: str | None, as_json: bool) -> None:
    """What `genzoo data PATH` does. Exit status 1 if there is something that a training would refuse."""
    if out is not None:
        check_file_name("--out", out)
    sheet = None if out is None else Path(out).expanduser()
    if sheet is not None and (sheet.suffix.lower() != ".png" or sheet.exists()):
        raise UsageError(f"--out is {out!r}; allowed is a new file that ends in .png")
    with Watched() as watched:
        name, looked = survey(path, modality, watched.data)
    if sheet is not None:
        if looked.sheet is None:
            raise UsageError(f"there is no sheet of examples of {name} data; leave --out out")
        from genzoo.interface.pictures import write_plain

        write_plain(looked.sheet, sheet)
    if as_json:
        picture = {} if sheet is None else {"sheet": str(sheet)}
        facts = {"problems": list(looked.problems), "options": list(looked.options)}
        print_json({"data": path, "modality": name, **looked.facts, **facts, **picture})
        return
    for title, value in {"modality": name, **looked.facts}.items():
        for line in _lines(value):
            show(printable(f"{title:10} {line}"))
    for problem in looked.problems:
        show(printable(f"{'note':10} {problem}"))
    options = "".join(f" {option}" for option in looked.options)
    show(printable(f"{'train with':10} --data {path}{options}"))
    if sheet is not None:
        show(printable(f"{'sheet':10} {sheet}"))


def _lines(value: object) -> list[str]:
    """A fact in lines: of numbers by name in one, of such by name in one each."""
    if isinstance(value, dict) and any(isinstance(part, dict) for part in value.values()):
        return [f"{name}: {line}" for name, part in value.items() for line in _lines(part)]
    if isinstance(value, dict):
        return [", ".join(f"{name} {number:,}" for name, number in value.items())]
    if isinstance(value, list):
        return ["x".join(map(str, value)) if all(isinstance(v, int) for v in value) else ", ".join(map(str, value))]
    return [f"{value:,}" if isinstance(value, int) else str(value)]


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
    show(aligned(lines))
    for plugin in plugins:
        for problem in plugin.problems:
            show("\n" + printable(f"{plugin.name} ({plugin.distribution} {plugin.version}): {problem}"))
        if verbose and plugin.error:
            show(printable(traceback_of(plugin.error), "\n"), newline=False)
    if not verbose and any(plugin.error for plugin in plugins):
        show("\n`genzoo plugins -v` shows where")
