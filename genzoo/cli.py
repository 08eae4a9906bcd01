"""The `genzoo` command: parse, call, print. Nothing else. What is heavy is imported when it is needed."""

from __future__ import annotations

import json
import os
import re
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from genzoo import __version__
from genzoo.arguments import ModelCommand, SampleCommand, complete_run, table
from genzoo.data import data_folder
from genzoo.errors import GenzooError, GenzooWarning, UsageError, unknown
from genzoo.options import options_of, read_pairs, rows
from genzoo.plan import plan
from genzoo.registry import registry
from genzoo.run_folder import FORMAT_OF, RunFolder, check_empty, find_run, runs
from genzoo.spec import TRAIN_OPTIONS, GeneratorSpec, load_target

if TYPE_CHECKING:
    from torch import Tensor

TOOLS = ("new", "check", "install", "uninstall", "doctor")  # in their own file, so that others need not wait for it
DEVICES = "auto (CUDA, then MPS, then CPU), cpu, cuda, cuda:N or mps."
as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
runs_dir_option = click.option(
    "--runs-dir", metavar="FOLDER", help="Folder of runs. Default: GENZOO_RUNS_DIR, or runs."
)
device_option = click.option("--device", default="auto", metavar="TEXT", help=DEVICES)
batch_size_option = click.option(
    "--batch-size", type=click.IntRange(1), default=64, show_default=True, help="Images drawn at a time."
)
weights_option = click.option(
    "--weights", type=click.Choice(["best", "last"]), default="best", show_default=True,
    help="Those with the best score, if the run keeps them, or the last.",
)  # fmt: skip
run_argument = click.argument("run", shell_complete=complete_run)
seed_type = click.IntRange(0, 2**31 - 1)


def picture_options(command: Any) -> Any:
    """The options of commands that make one picture from held-out images."""
    for option in (
        as_json_option,
        runs_dir_option,
        device_option,
        click.option("--overwrite", is_flag=True, help="Let --out take the place of what is there."),
        click.option("--out", metavar="FILE", help="Default: a new file in the run's samples."),
        click.option("--seed", type=seed_type, default=0, show_default=True, help="Which held-out images."),
    ):
        command = option(command)
    return command


def main() -> None:
    """Run the command line: one line for an error, exit status 2 for a wrong request, 1 for a failure."""
    warnings.showwarning = _show_warning(warnings.showwarning)
    try:
        status = cli.main(prog_name="genzoo", standalone_mode=False)
        sys.exit(status if isinstance(status, int) else 0)
    except GenzooError as error:
        _fail(str(error), error.exit_status)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        _fail(error.format_message(), error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _fail("stopped", 130)
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and not re.search("out of memory|can't allocate memory", str(error)):
            raise
        _fail("out of memory; try a smaller model, --batch-size or --image-size", 1)
    except BrokenPipeError:  # `genzoo runs | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        _fail(f"{error.filename or 'a file'}: {error.strerror or error}", 1)


def _fail(message: str, status: int) -> None:
    if os.environ.get("RANK", "0") == "0":
        print(f"genzoo: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(status)


def _show_warning(usual: Any) -> Any:
    def show(message: Warning | str, category: type[Warning], *rest: Any, **more: Any) -> None:
        if issubclass(category, GenzooWarning):
            print(f"genzoo: warning: {message}", file=sys.stderr)
        else:
            usual(message, category, *rest, **more)

    return show


class Zoo(click.Group):
    """The built-in commands, and those that plugins add."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        own = [*self.commands, *TOOLS]
        return [*own, *(name for name in registry().commands.names() if name not in own)]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name in self.commands:
            return self.commands[name]
        if name in TOOLS:
            command: click.Command = load_target(f"genzoo.tools:{name}", f"command {name!r}")
            return command
        if name not in registry().commands.names():
            return None
        spec = registry().commands.get(name)[1]
        return click.Command(name, short_help=spec.summary)  # for the list; `resolve_command` loads the real one

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name in self.commands or name in TOOLS or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        if name not in registry().commands.names():
            raise unknown("command", name, self.list_commands(ctx))
        plugin, spec = registry().commands.get(name)
        command = load_target(spec.target, f"command {name!r} of {plugin.distribution}")
        return name, command, args[1:]


class Models(click.Group):
    """One command a model, made from its spec when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return registry().generators.names()

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if ctx.resilient_parsing and name not in registry().generators.names():
            return None
        return ModelCommand(registry().generators.get(name)[1], train_model)


@click.group(cls=Zoo, no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="genzoo", message="%(prog)s %(version)s")
def cli() -> None:
    """Every family of generative model behind one interface and one command.

    \b
    genzoo list                 what can be trained
    genzoo train vae            train on handwritten digits, offline
    genzoo sample vae           draw from the newest run
    """


@cli.command("list")
@as_json_option
def list_command(as_json: bool) -> None:
    """List the models."""
    found = list(registry().generators)
    if as_json:
        print_json([_model(name, plugin, spec) for name, plugin, spec in found])
        return
    heading = ("MODEL", "MODALITY", "PLUGIN", "SUMMARY")
    lines = [(n, s.modality, f"{p.distribution} {p.version}", s.summary) for n, p, s in found]
    click.echo(table([heading, *lines]) if lines else 'no models are installed; pip install "genzoo[all]" brings some')
    failed = [plugin.name for plugin in registry().plugins if plugin.status == "failed"]
    if failed:
        click.echo(f"genzoo: {len(failed)} plugin(s) failed: {', '.join(failed)}; see `genzoo plugins`", err=True)


def _model(name: str, plugin: Any, spec: GeneratorSpec) -> dict[str, Any]:
    return {
        "name": name, "summary": spec.summary, "modality": spec.modality, "paper": spec.paper, "tags": list(spec.tags),
        "plugin": plugin.distribution, "version": plugin.version, "presets": list(spec.presets),
    }  # fmt: skip


@cli.command()
@click.argument("name")
@as_json_option
def info(name: str, as_json: bool) -> None:
    """Show a model: its paper, options and presets."""
    plugin, spec = registry().generators.get(name)
    if as_json:
        options = [
            {"flag": flag, "default": default, "allowed": allowed, "help": text}
            for flag, default, allowed, text in rows(spec.config)
        ]
        presets = {preset: dict(values) for preset, values in spec.presets.items()}
        print_json(
            _model(name, plugin, spec) | {"presets": presets, "defaults": dict(spec.defaults), "options": options}
        )
        return
    click.echo(f"{name}: {spec.summary}\n")
    click.echo(f"plugin    {plugin.distribution} {plugin.version}")
    click.echo(f"modality  {spec.modality}")
    click.echo(f"paper     {spec.paper}\n")
    click.echo(table([("OPTION", "DEFAULT", "ALLOWED"), *(row[:3] for row in rows(spec.config))]) + "\n")
    every = {**options_of(TRAIN_OPTIONS[spec.modality]), **options_of(spec.config)}
    for title, values in [
        ("defaults", spec.defaults),
        *((f"preset {n}", v) for n, v in spec.presets.items()),
    ]:
        click.echo(f"{title}: " + ", ".join(f"{every[key].flag} {every[key].shown(v)}" for key, v in values.items()))
    click.echo(f"\nwhat each option does: genzoo train {name} --help")


@cli.group(cls=Models, no_args_is_help=True)
def train() -> None:
    """Train a model."""


def train_model(
    preset: str | None, config_file: str | None, settings: tuple[str, ...], as_json: bool, **given: Any
) -> None:
    """What `genzoo train MODEL` does."""
    name = click.get_current_context().info_name or ""
    chosen = {key: value for key, value in given.items() if value is not None}
    what = plan(name, chosen, settings=read_pairs(settings), config_file=config_file, preset=preset)
    from genzoo.training import carry_out

    with Watched() as watched:
        run = carry_out(what, watched.watchers, watched.data)
    _report_training(run, as_json)


@cli.command()
@run_argument
@click.option("--steps", type=click.IntRange(min=1), help="A new total, to train further than was planned.")
@click.option("--device", metavar="TEXT", help=DEVICES)
@click.option("--threads", type=click.IntRange(1, 1024), help="CPU threads.")
@runs_dir_option
@as_json_option
def resume(
    run: str, steps: int | None, device: str | None, threads: int | None, runs_dir: str | None, as_json: bool
) -> None:
    """Go on with a run that was stopped, from its newest checkpoint.

    RUN is a run's folder or name, or a model's name for its newest run that is not finished.
    """
    folder = find_run(run, runs_dir, to_resume=True)
    from genzoo.training import resume as go_on

    with Watched() as watched:
        go_on(
            folder,
            steps=steps,
            device=device,
            threads=threads,
            watchers=watched.watchers,
            progress=watched.data,
        )
    _report_training(RunFolder(folder.path), as_json)


@cli.command(cls=SampleCommand)
@run_argument
@click.option(
    "-n", "count", type=click.IntRange(1, 1_000_000), help="How many.  [default: 64, or 8 of each class; 1 text]"
)
@click.option("--label", metavar="CLASS", help="Draw this class, if the model was trained --conditional.")
@click.option(
    "--seed",
    type=seed_type,
    default=0,
    show_default=True,
    help="Sample i is a function of (seed, i).",
)
@click.option(
    "--out",
    metavar="PATH",
    help="File, or folder with --separate. Default: a new one in the run's samples; text is printed.",
)
@click.option("--format", "kind", type=click.Choice(["png", "jpeg", "npz"]), help="Default: as --out says, or png.")
@click.option("--separate", is_flag=True, help="One file an image instead of a grid.")
@click.option("--overwrite", is_flag=True, help="Let --out take the place of what is there.")
@click.option("--visible-label", is_flag=True, help="Write AI-generated below the picture.")
@batch_size_option
@weights_option
@device_option
@runs_dir_option
@as_json_option
def sample(
    run: str, count: int | None, label: str | None, seed: int, out: str | None, kind: str | None, separate: bool,
    overwrite: bool, visible_label: bool, batch_size: int, weights: str, device: str, runs_dir: str | None,
    as_json: bool, **options: Any,
) -> None:  # fmt: skip
    """Draw samples from a trained model and write them, marked as generated.

    A model trained --conditional draws each class in turn, a row of the grid for each, or one with --label. Text is
    printed as it comes; what is piped in is its prompt, unless --prompt is given.

    RUN is a run's folder or name, or a model's name for its newest finished run. The model's own sampling options
    are listed by `genzoo sample RUN --help`.
    """
    folder = find_run(run, runs_dir)
    number = None if label is None else folder.class_number(label)
    given = {key: value for key, value in options.items() if value is not None}
    if folder.data_spec.modality == "text":
        pictures = {"--format": kind, "--separate": separate, "--visible-label": visible_label}
        if wrong := [name for name, value in pictures.items() if value]:
            raise UsageError(f"{wrong[0]} is for pictures, and run {folder.name!r} is of text")
        from genzoo.streaming import sample_text

        sample_text(folder, count or 1, seed, out, overwrite, batch_size, weights, device, as_json, given)
        return
    path, kind = _target(folder, out, kind, separate, overwrite)
    from genzoo import samples, sampling

    classes = folder.data_spec if folder.conditional else None
    count = count or sampling.grid_size(classes if label is None else None)
    with Watched() as watched:
        images = sampling.sample(
            folder, count, seed=seed, label=label, batch_size=batch_size, weights=weights, device=device,
            progress=watched.data, **given,
        )  # fmt: skip
    assert not isinstance(images, list), "text is sampled above"
    labels = sampling.labels_of_samples(count, classes, number) if classes else None
    marks = samples.marks(folder, seed=seed, **({} if label is None else {"label": label}), **given)
    if kind == "npz":
        samples.write_arrays(images, path, marks, labels=labels)
    elif separate:
        samples.write_separate(images, path, marks, kind, visible_label=visible_label)
    else:
        samples.write_grid(images, path, marks, labels=labels, visible_label=visible_label)
    _report_picture(folder, path, as_json, count=count, seed=seed)


def evaluation_options(command: Any) -> Any:
    """The options of commands that measure."""
    for option in (
        runs_dir_option,
        click.option("--overwrite", is_flag=True, help="Let --html take the place of what is there."),
        click.option("--html", "html_file", metavar="FILE", help="Write a page with tables and pictures besides."),
        click.option("--markdown", "as_markdown", is_flag=True, help="Print Markdown."),
        as_json_option,
        click.option("--data-dir", metavar="FOLDER", help="Where the data are now, if not where they were."),
        device_option,
        click.option(
            "--features", default="auto", show_default=True, metavar="NAME",
            help="What to compare in: classifier (of the data's labels), random, inception, or a plugin's.",
        ),
        click.option(
            "--seed", type=seed_type, default=0, show_default=True, help="Of the samples, and of all that is drawn.",
        ),
        click.option(
            "-n", "count", type=click.IntRange(1),
            help="Samples to measure.  [default: as many as training images, at most 10,000]",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


@cli.command(cls=SampleCommand)
@run_argument
@batch_size_option
@weights_option
@evaluation_options
def evaluate(
    run: str, count: int | None, seed: int, features: str, batch_size: int, weights: str, device: str,
    data_dir: str | None, as_json: bool, as_markdown: bool, html_file: str | None, overwrite: bool,
    runs_dir: str | None, **options: Any,
) -> None:  # fmt: skip
    """Measure a run against held-out data, beside what real data and trivial models score.

    The result is kept in the run. RUN is a run's folder or name, or a model's name for its newest finished run. The
    model's own sampling options are listed by `genzoo evaluate RUN --help`.
    """
    folder = find_run(run, runs_dir)
    _check_report(as_json, as_markdown, html_file, overwrite)
    from genzoo.evaluation.evaluate import evaluate

    given = {key: value for key, value in options.items() if value is not None}
    with Watched() as watched:
        result = evaluate(
            folder, count, seed=seed, features=features, batch_size=batch_size, weights=weights, device=device,
            data_dir=data_dir, progress=watched.data, **given,
        )  # fmt: skip
    if as_json:
        print_json(result.to_json())
    _report_evaluations([result], [folder], as_json, as_markdown, html_file)


@cli.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", shell_complete=complete_run)
@evaluation_options
def compare(
    runs: tuple[str, ...], count: int | None, seed: int, features: str, device: str, data_dir: str | None,
    as_json: bool, as_markdown: bool, html_file: str | None, overwrite: bool, runs_dir: str | None,
) -> None:  # fmt: skip
    """Lay runs side by side, measuring those that were not yet.

    RUN is as for `genzoo evaluate`, or the result.json of an evaluation.
    """
    _check_report(as_json, as_markdown, html_file, overwrite)
    folders = [None if Path(run).is_file() else find_run(run, runs_dir) for run in runs]
    from genzoo.evaluation.compare import compare

    chosen: list[Any] = [folder or run for folder, run in zip(folders, runs, strict=True)]
    with Watched() as watched:
        found = compare(
            chosen, count, seed=seed, features=features, device=device, data_dir=data_dir, progress=watched.data
        )
    if as_json:
        print_json([result.to_json() for result in found])
    _report_evaluations(found, folders, as_json, as_markdown, html_file)


def _check_report(as_json: bool, as_markdown: bool, html_file: str | None, overwrite: bool) -> None:
    if as_json and as_markdown:
        raise UsageError("--json and --markdown are both given; give one")
    if html_file is None:
        return
    path = Path(html_file)
    if path.suffix.lower() not in (".html", ".htm") or not path.parent.is_dir():
        raise UsageError(f"--html is {html_file!r}; allowed is a file that ends in .html, in a folder that is there")
    if path.exists() and not overwrite:
        raise UsageError(f"--html {html_file} exists; give --overwrite to replace it")


def _report_evaluations(
    found: list[Any], folders: list[RunFolder | None], as_json: bool, as_markdown: bool, html_file: str | None
) -> None:
    from genzoo.evaluation import report

    if html_file is not None:
        report.write_page(Path(html_file), found, folders)
    if as_markdown:
        click.echo(report.markdown(found), nl=False)
    elif not as_json:
        click.echo(report.heading(found[0]) + "\n")
        click.echo(table(report.rows(found)))
        for note in report.notes(found):
            click.echo(f"\n{note}")
        click.echo("\n" + "\n".join(f"kept  {result.path}" for result in found))


@cli.command()
@run_argument
@click.option("-n", "count", type=click.IntRange(1, 10_000), default=32, show_default=True, help="How many.")
@picture_options
def reconstruct(
    run: str,
    count: int,
    seed: int,
    out: str | None,
    overwrite: bool,
    device: str,
    runs_dir: str | None,
    as_json: bool,
) -> None:
    """Show held-out images, each row above what the model makes of it."""
    folder = find_run(run, runs_dir)
    path = folder.picture_path("reconstruct", out, overwrite=overwrite)
    from genzoo import samples, sampling

    images, copies = sampling.reconstruct(folder, count, seed=seed, device=device)
    columns = min(8, len(images))
    pairs = zip(_split(images, columns), _split(copies, columns), strict=True)
    pictures = samples.filled_up([part for pair in pairs for part in pair], columns)
    samples.write_grid(pictures, path, samples.marks(folder, seed=seed, operation="reconstruct"), columns=columns)
    error = (images - copies).square().mean().item()
    _report_picture(folder, path, as_json, count=len(images), seed=seed, mean_squared_error=round(error, 6))


@cli.command()
@run_argument
@click.option("-n", "count", type=click.IntRange(1, 1000), default=8, show_default=True, help="How many pairs.")
@click.option("--num-steps", type=click.IntRange(2, 1000), default=10, show_default=True, help="Images on each way.")
@picture_options
def interpolate(
    run: str, count: int, num_steps: int, seed: int, out: str | None, overwrite: bool, device: str,
    runs_dir: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Show ways between pairs of held-out images through the latent space, a row a pair."""
    folder = find_run(run, runs_dir)
    path = folder.picture_path("interpolate", out, overwrite=overwrite)
    from genzoo import samples, sampling

    ways = sampling.interpolate(folder, count, num_steps=num_steps, seed=seed, device=device)
    marks = samples.marks(folder, seed=seed, operation="interpolate")
    samples.write_grid(ways.flatten(0, 1), path, marks, columns=num_steps)
    _report_picture(folder, path, as_json, count=len(ways), seed=seed)


@cli.command()
@run_argument
@click.option("--out", metavar="FILE", help="Default: show.png in the run's folder.")
@click.option("--overwrite", is_flag=True, help="Let --out take the place of what is there.")
@runs_dir_option
@as_json_option
def show(run: str, out: str | None, overwrite: bool, runs_dir: str | None, as_json: bool) -> None:
    """Show a run: what it is, how its samples and its losses went, in one picture."""
    folder = find_run(run, runs_dir, any_status=True)
    path = folder.path / "show.png" if out is None else folder.picture_path("show", out, overwrite=overwrite)
    from genzoo import samples
    from genzoo.show import facts, picture

    found = facts(folder)
    samples.write_picture(picture(folder), path, samples.marks(folder, seed=found["seed"], operation="show"))
    if as_json:
        print_json({**found, "picture": str(path)})
        return
    for key, value in {**found, "picture": path}.items():
        if value is not None:
            click.echo(f"{key:16} {value}")


@cli.command()
@run_argument
@click.option("--to", "folder", metavar="FOLDER", required=True, help="A new folder.")
@runs_dir_option
@as_json_option
def export(run: str, folder: str, runs_dir: str | None, as_json: bool) -> None:
    """Write a model in the format of the library that it is made of, for use without genzoo."""
    found = find_run(run, runs_dir)
    check_empty(Path(folder).expanduser())
    from genzoo import sampling

    line = sampling.export(found, folder)
    if as_json:
        print_json({"run": found.name, "folder": folder, "load": line})
    else:
        click.echo(f"{folder}\nload it with: {line}")


@cli.command("runs")
@runs_dir_option
@as_json_option
def runs_command(runs_dir: str | None, as_json: bool) -> None:
    """List the runs, newest first."""
    found = runs(runs_dir)
    if as_json:
        print_json([{"name": r.name, "folder": str(r.path), **r.record, "status": r.status} for r in found])
        return
    lines = [("RUN", "MODEL", "DATA", "STATUS", "STEPS", "SECONDS", "STARTED")]
    for r in found:
        record = r.record
        steps = f"{r.step:,}/{record['steps_total']:,}"
        seconds, started = f"{record['seconds']:,.0f}", record["started"][:19].replace("T", " ")
        lines.append((r.name, r.model, record["data_spec"]["name"], r.status, steps, seconds, started))
    click.echo(table(lines) if found else "no runs yet; begin with: genzoo train MODEL")


@cli.command("data")
@click.option(
    "--data-dir",
    metavar="FOLDER",
    help="Folder where data sets are kept. Default: GENZOO_DATA_DIR, or the user's cache.",
)
@as_json_option
def data_command(data_dir: str | None, as_json: bool) -> None:
    """List the data sets, and which of them are on the disk."""
    folder = data_folder(data_dir)
    found = [(name, plugin, spec, _there(folder, spec.files)) for name, plugin, spec in registry().datasets]
    if as_json:
        print_json([
            {"name": n, "summary": s.summary, "modality": s.modality, "plugin": p.distribution, "source": s.source,
             "files": list(s.files), "on_disk": there}
            for n, p, s, there in found
        ])  # fmt: skip
        return
    lines = [("DATA", "MODALITY", "ON DISK", "SUMMARY")]
    lines += [(n, s.modality, "yes" if there else "no", s.summary) for n, _, s, there in found]
    click.echo(table(lines))
    click.echo(
        f"\nfolder: {folder}\nalso taken: a folder of images, an .npz file with `images`, text files (see the docs)"
    )


def _there(folder: Path, files: tuple[str, ...]) -> bool:
    return all((folder / name).exists() or (folder / f"{name}.gz").exists() for name in files)


@cli.command()
@click.option(
    "--timing", is_flag=True, help="Show how long each takes to import and to say what it gives, slowest first."
)
@as_json_option
def plugins(timing: bool, as_json: bool) -> None:
    """List the plugins, and what is wrong with those that failed."""
    found = registry().plugins
    if timing:
        found = sorted(found, key=lambda plugin: -plugin.seconds)
    if as_json:
        keys = ("name", "distribution", "version", "status", "problems", "seconds")
        print_json([{key: getattr(plugin, key) for key in keys} for plugin in found])
        return
    lines = [("PLUGIN", "DISTRIBUTION", "VERSION", "STATUS", *(("SECONDS",) if timing else ()))]
    for p in found:
        lines.append((p.name, p.distribution, p.version, p.status, *((f"{p.seconds:.3f}",) if timing else ())))
    click.echo(table(lines))
    for plugin in found:
        for problem in plugin.problems:
            click.echo(f"\n{plugin.name} ({plugin.distribution} {plugin.version}): {problem}")


@cli.command("provenance")
@click.argument("file")
@as_json_option
def provenance_command(file: str, as_json: bool) -> None:
    """Show what a generated file says about itself. Exit status 1 if it says nothing."""
    from genzoo import provenance

    found = provenance.read(file)
    if as_json:
        print_json(found)
    elif any(found.values()):
        click.echo(f"digital source type  {found['digital_source_type']}")
        for title, values in (("GB 45438-2025", found["aigc"]), ("genzoo", found["genzoo"])):
            click.echo(f"{title}:")
            for key, value in (values or {}).items():
                click.echo(f"  {key:18} {value}")
    else:
        click.echo(f"{file} does not say that it was generated")
    sys.exit(0 if any(found.values()) else 1)


class Watched:
    """The progress display of a training, closed whatever happens; silent on all but the first process."""

    def __enter__(self) -> Watched:
        from genzoo.progress import watcher

        self._watcher = watcher() if os.environ.get("RANK", "0") == "0" else None
        self.watchers = [self._watcher] if self._watcher else []
        return self

    def data(self, what: str, done: int, total: int) -> None:
        if self._watcher:
            self._watcher.data(what, done, total)

    def __exit__(self, *_: object) -> None:
        if self._watcher:
            self._watcher.close()


def _report_training(run: RunFolder, as_json: bool) -> None:
    if os.environ.get("RANK", "0") != "0":
        return
    pictures = [path for path in run.samples() if path.name.startswith("step-")]
    if as_json:
        print_json({"name": run.name, "folder": str(run.path), "samples": str(pictures[-1]), **run.record})
        return
    record = run.record
    click.echo(
        f"trained  {record['model']} on {record['data_spec']['name']}: {run.step:,} steps in {record['seconds']:,.1f} s"
    )
    if best := run.best():
        click.echo(f"best     step {best['step']:,}, with {best['score_name']} {best['score']:.4g}; it is sampled from")
    many = " -n 64" if run.data_spec.modality == "image" else ""
    click.echo(f"run      {run.path}\nsamples  {pictures[-1]}\nnext     genzoo sample {run.name}{many}")


def _report_picture(run: RunFolder, path: Path, as_json: bool, **facts: Any) -> None:
    if as_json:
        print_json({"run": run.name, "path": str(path), **facts})
    else:
        click.echo(path)


def _target(run: RunFolder, out: str | None, kind: str | None, separate: bool, overwrite: bool) -> tuple[Path, str]:
    """Where samples go and in which format. Raises `UsageError` rather than write over something."""
    if separate and kind == "npz":
        raise UsageError("--separate writes pictures, and --format is npz; give one")
    if out is None:
        kind = kind or "png"
        return run.new_sample("sample", "" if separate else f".{kind}"), kind
    path = Path(out).expanduser()
    if not separate:
        named = FORMAT_OF.get(path.suffix.lower())
        if named is None:
            raise UsageError(
                f"--out is {out!r}; allowed is a file that ends in .png, .jpeg or .npz, or a folder with --separate"
            )
        if kind not in (None, named):
            raise UsageError(f"--out is {out!r} and --format is {kind}; make them agree")
        kind = named
    if path.exists() and not overwrite and not (separate and path.is_dir() and not any(path.iterdir())):
        raise UsageError(f"--out {out} exists; give --overwrite to replace it")
    return path, kind or "png"


def _split(images: Tensor, size: int) -> list[Tensor]:
    return [images[start : start + size] for start in range(0, len(images), size)]


def print_json(content: Any) -> None:
    click.echo(json.dumps(content, indent=2, ensure_ascii=False))
