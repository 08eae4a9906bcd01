"""What authors of plugins and keepers of an environment type: `genzoo new`, `check`, `install`, `uninstall`, `doctor`.
Imported when one of them is called."""

from __future__ import annotations

import os
import sys
from collections import Counter
from typing import TYPE_CHECKING

import click

from genzoo.cli.options import as_json_option, runs_dir_option
from genzoo.cli.output import print_json, show
from genzoo.interface.errors import UsageError
from genzoo.interface.parsing import aligned, printable

if TYPE_CHECKING:
    from genzoo.testing import Outcome


@click.command("new")
@click.argument("name", required=False)
@click.option("--modality", metavar="NAME", help="What it generates.  [default: genzoo's first, pictures]")
@click.option("--from", "from_file", metavar="FILE", help="A file of yours that has a model, as --plugin takes it.")
@click.option("--copy", metavar="MODEL", help="The sources of an installed model, to be changed.")
@click.option("--to", "folder", metavar="FOLDER", help="A new folder. Default: genzoo-NAME, here.")
@as_json_option
def new_command(
    name: str | None, modality: str | None, from_file: str | None, copy: str | None, folder: str | None, as_json: bool
) -> None:
    """Write a plugin to begin with: a small model, or one that is there already, its options, tests and packaging.

    NAME is the model's; with --from it may be left out.
    """
    from genzoo.registry.copying import model_in
    from genzoo.registry.scaffold import new

    if name is None:
        if from_file is None:
            raise UsageError("the new model has no name; give one: genzoo new NAME")
        name = model_in(from_file).name
    path = new(name, modality, folder, from_file=from_file, copy=copy)
    if as_json:
        print_json({"name": name, "folder": str(path)})
        return
    show(f"{path}\ninstall it with   genzoo install -e {path}\nthen              genzoo train {name}")
    show(f"and check it with genzoo check {name}")


@click.command("check")
@click.argument("name")
@click.option("--only", multiple=True, metavar="CHECK", help="This check alone; may be given again.")
@click.option(
    "--expect-failure",
    "expected",
    multiple=True,
    metavar="CHECK",
    help="This check fails, and must; may be given again.",
)
@click.option("--preset", metavar="NAME", help="Of the trainings.  [default: tiny, if there is one]")
@click.option("--set", "settings", metavar="OPTION=VALUE", multiple=True, help="Any option of the trainings.")
@click.option("-x", "first", is_flag=True, help="Stop at the first failure.")
@click.option("-v", "--verbose", is_flag=True, help="Show all of the plugin's traceback, and what each check promises.")
@as_json_option
def check_command(
    name: str, only: tuple[str, ...], expected: tuple[str, ...], preset: str | None, settings: tuple[str, ...],
    first: bool, verbose: bool, as_json: bool,
) -> None:  # fmt: skip
    """Check that a model keeps what every model promises. NAME is a model's or a plugin's.

    Exit status 1 if a promise is not kept; 3 if the rest could not be looked at, as the plugin does not load, its model
    cannot be imported, or no training ends; 2 if there is no such model, preset, option or check.
    """
    from genzoo.interface.options import read_pairs

    os.environ.setdefault(
        "OMP_NUM_THREADS", "1"
    )  # before torch is imported: for models as small as these more cost time
    from genzoo.testing import run_checks

    expecting = dict.fromkeys(expected, "expected to fail")
    outcomes = []
    for outcome in run_checks(
        name, only=only, expected_failures=expecting, preset=preset, options=read_pairs(settings)
    ):
        outcomes.append(outcome)
        if not as_json and outcome.status != "not run":
            _print_outcome(outcome, verbose)
        if first and not outcome.ok:
            break
    missed = Counter(outcome.reason for outcome in outcomes if outcome.status == "not run")
    kinds = (
        "passed",
        "failed",
        "skipped",
        *(("xfailed", "xpassed") if expected else ()),
        *(["not run"] if missed else []),
    )
    counts = {kind: sum(o.status == kind for o in outcomes) for kind in kinds}
    if as_json:
        keys = ("check", "status", "promise", "reason", "seconds", "where", "traceback")
        checks = [{key: getattr(outcome, key) for key in keys} for outcome in outcomes]
        print_json({"model": name, **counts, "checks": checks})
    else:
        for reason, count in missed.items():
            show(f"not run  {count} checks, as {reason}")
        seconds = sum(outcome.seconds for outcome in outcomes)
        summary = ", ".join(f"{count} {status}" for status, count in counts.items())
        end = "; stopped at the first failure" if first and not outcomes[-1].ok else ""
        show(f"\n{name}: {len(outcomes)} checks, {summary}, in {seconds:.0f} s{end}")
    failed = not all(outcome.ok for outcome in outcomes)
    sys.exit(3 if failed and missed else 1 if failed else 0)


def _print_outcome(outcome: Outcome, verbose: bool) -> None:
    show(outcome)
    if verbose or outcome.status == "failed":
        show(f"         promised: {outcome.promise}")
    if outcome.status != "failed" or not outcome.traceback:
        return
    lines = printable(outcome.traceback, "\n").rstrip().splitlines()
    frames = [number for number, line in enumerate(lines) if line.startswith("  File ")]
    shown = lines if verbose else lines[frames[-1] : -1]
    show("\n".join(f"         {line}" for line in shown))


@click.command("install")
@click.argument("packages", nargs=-1, required=True, metavar="PACKAGE...")
@click.option("-e", "--editable", is_flag=True, help="PACKAGE is a folder; later changes in it count.")
@click.option("-U", "--upgrade", is_flag=True, help="Take the newest version.")
def install_command(packages: tuple[str, ...], editable: bool, upgrade: bool) -> None:
    """Install plugins into the environment that genzoo runs in.

    PACKAGE is what pip takes: a name on the package index, a wheel, a folder.
    """
    from genzoo.registry.install import install

    distributions = install(list(packages), editable=editable, upgrade=upgrade)
    show(f"installed {', '.join(distributions)}" if distributions else "installed; no plugin is new")


@click.command("uninstall")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def uninstall_command(names: tuple[str, ...], yes: bool) -> None:
    """Remove plugins, also those that are broken. NAME is a distribution's, a plugin's or a model's.

    Runs are left as they are.
    """
    from genzoo.registry.install import distribution_of, uninstall

    distributions = sorted({distribution_of(name) for name in names})
    if not yes:
        click.confirm(f"remove {', '.join(distributions)}?", abort=True)
    show(f"removed {', '.join(uninstall(distributions))}")


@click.command("doctor")
@runs_dir_option
@click.option("--data-dir", metavar="FOLDER", help="Folder where data sets are kept.")
@as_json_option
def doctor_command(runs_dir: str | None, data_dir: str | None, as_json: bool) -> None:
    """Look at versions, device, plugins, folders and disk. Exit status 1 if something is wrong."""
    from genzoo.cli.doctor import examine

    findings = list(examine(runs_dir, data_dir))
    wrong = [finding for finding in findings if not finding.ok]
    if as_json:
        keys = {"what": "subject", "found": "state", "ok": "ok", "advice": "advice", "traceback": "traceback"}
        print_json([{key: getattr(finding, name) for key, name in keys.items()} for finding in findings])
    else:
        show(aligned([("", "WHAT", "FOUND"), *(("ok" if f.ok else "WRONG", f.subject, f.state) for f in findings)]))
        for finding in wrong:
            show("\n" + printable(f"{finding.subject}: {finding.advice}\n{finding.traceback}".rstrip(), "\n"))
    sys.exit(1 if wrong else 0)
