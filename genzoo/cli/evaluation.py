"""`genzoo evaluate` and `genzoo compare`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from genzoo.cli.options import (
    RunCommand,
    as_json_option,
    batch_size_option,
    complete_run,
    data_options,
    device_option,
    not_none,
    run_argument,
    runs_dir_option,
    seed_type,
    weights_option,
    with_options,
)
from genzoo.cli.output import print_json, show
from genzoo.interface.errors import Interrupted, UsageError, unknown
from genzoo.interface.parsing import aligned, printable
from genzoo.interface.specs import check_file_name
from genzoo.registry.plugins import registry
from genzoo.runs.find import find_run
from genzoo.runs.folder import RunFolder
from genzoo.runs.groups import columns_of
from genzoo.runs.progress import Watched

if TYPE_CHECKING:
    from genzoo.evaluation.result import Evaluation

evaluation_options = with_options(
    click.option(
        "-n", "count", type=click.IntRange(1),
        help="Samples to measure.  [default: as many as training images, at most 10,000; 32 texts]",
    ),
    click.option(
        "--seed", type=seed_type, default=0, show_default=True, help="Of the samples, and of all that is drawn.",
    ),
    click.option(
        "--features", default="auto", show_default=True, metavar="NAME",
        help="What to compare in, for images: classifier (of the data's labels), random, inception, or a plugin's.",
    ),
    click.option(
        "--fast", is_flag=True,
        help="A first look: few samples, and features that need no training. What it gives compares with nothing else.",
    ),
    device_option,
    data_options,
    as_json_option,
    click.option("--markdown", "as_markdown", is_flag=True, help="The same as --format markdown."),
    click.option(
        "--format", "format_", type=click.Choice(["table", "csv", "latex", "markdown", "json"]),
        help="How it is printed; latex needs the package booktabs alone.",
    ),
    click.option("--measures", metavar="NAME,...", help="Only these, in this order."),
    click.option("--html", "html_file", metavar="FILE", help="Write a page with tables and pictures besides."),
    click.option("--overwrite", is_flag=True, help="Let --html take the place of what is there."),
    runs_dir_option,
)  # fmt: skip


FEW = 8  # times as many samples as are drawn by default, for a first look
UNTRAINED = "random"  # features


def _request(folder: RunFolder | None, count: int | None, features: str, *, fast: bool) -> dict[str, Any]:
    """How many samples are measured and in what, for a first look where that is asked for. Raises `UsageError`."""
    if not fast:
        return {"n": count, "features": features}
    if count is not None or features != "auto":
        raise UsageError("--fast says how many samples and which features; leave -n and --features out")
    if folder is None:
        raise UsageError("--fast is of runs; the result.json of an evaluation is measured already")
    known = [spec.name for _, spec in registry().features.of_modality(folder.data_spec.modality)]
    most = min(FEW * folder.modality.count, folder.data_spec.train_count)
    return {"n": most, "features": UNTRAINED if UNTRAINED in known else "auto"}


@dataclass(frozen=True)
class Output:
    """How results are given: in a format, with some of the measures or all, and on a page besides."""

    format: str
    measures: list[str]
    html_file: str | None

    @classmethod
    def of(
        cls, *, as_json: bool, as_markdown: bool, format_: str | None, measures: str | None, html_file: str | None
    ) -> Output:
        """Raises `UsageError` for two formats."""
        wanted = [format_] if format_ else []
        wanted += [name for name, asked in (("json", as_json), ("markdown", as_markdown)) if asked and name != format_]
        if len(wanted) > 1:
            raise UsageError(f"{' and '.join(f'--{name}' for name in wanted)} are both given; give one")
        names = [name.strip() for name in (measures or "").split(",") if name.strip()]
        return cls(wanted[0] if wanted else "table", names, html_file)

    def check(self, folders: Sequence[RunFolder | None], *, overwrite: bool) -> None:
        """Raises `UsageError` for what cannot be, before anything is measured."""
        modalities = {folder.data_spec.modality for folder in folders if folder is not None}
        known = {spec.name for name in modalities for _, spec in registry().metrics.of_modality(name)}
        if strange := [name for name in self.measures if known and name not in known]:
            raise unknown("measure", strange[0], known)
        if self.html_file is None:
            return
        check_file_name("--html", self.html_file)
        path = Path(self.html_file)
        if path.suffix.lower() not in (".html", ".htm") or not path.parent.is_dir():
            raise UsageError(
                f"--html is {self.html_file!r}; allowed is a file that ends in .html, in a folder that is there"
            )
        if path.exists() and not overwrite:
            raise UsageError(f"--html {self.html_file} exists; give --overwrite to replace it")

    def give(
        self, results: Sequence[Evaluation], folders: Sequence[RunFolder | None], *, several: bool = False
    ) -> None:
        """Print the results, those of several runs as a list, and write the page."""
        from genzoo.evaluation import report

        if self.measures:
            results = report.only(results, self.measures)
        if self.html_file is not None:
            report.write_page(Path(self.html_file), results, folders)
        texts = {"markdown": report.markdown, "latex": report.latex, "csv": report.as_csv}
        if self.format == "json":
            print_json([result.to_json() for result in results] if several else results[0].to_json())
        elif self.format in texts:
            show(texts[self.format](results), newline=False)
        else:
            show(printable(results[0].heading) + "\n")
            show(aligned(report.rows(results)))
            for note in report.notes(results):
                show("\n" + printable(note))
            each = [one for result in results for one in result.of_seeds or (result,)]
            show("\n" + "\n".join(f"kept  {result.path}" for result in each))


@click.command("evaluate", cls=RunCommand)
@run_argument
@batch_size_option
@weights_option
@evaluation_options
def evaluate_command(
    run: str, runs_dir: str | None, as_json: bool, as_markdown: bool, format_: str | None, measures: str | None,
    html_file: str | None, overwrite: bool, count: int | None, features: str, fast: bool, **options: Any,
) -> None:  # fmt: skip
    """Measure a run against held-out data, beside what real data and trivial models score.

    The result is kept in the run. RUN is a run's folder or name, or a model's name for its newest finished run. The
    model's own sampling options are listed by `genzoo evaluate RUN --help`.
    """
    folder = find_run(run, runs_dir)
    output = Output.of(
        as_json=as_json, as_markdown=as_markdown, format_=format_, measures=measures, html_file=html_file
    )
    output.check([folder], overwrite=overwrite)
    request = _request(folder, count, features, fast=fast)
    from genzoo.evaluation.evaluate import evaluate

    with Watched() as watched:
        result = evaluate(folder, progress=watched.data, **request, **not_none(options))
    output.give([result], [folder])


@click.command("compare")
@click.argument("runs", nargs=-1, metavar="RUN...", shell_complete=complete_run)
@click.option(
    "--leaderboard",
    metavar="FOLDER",
    help="In place of RUN...: the runs in a folder, as others handed them in, measured anew on --data and ranked.",
)
@click.option("--seeds", is_flag=True, help="Runs that differ in the seed alone are one column.")
@evaluation_options
def compare_command(
    runs: tuple[str, ...], leaderboard: str | None, seeds: bool, runs_dir: str | None, as_json: bool,
    as_markdown: bool, format_: str | None, measures: str | None, html_file: str | None, overwrite: bool,
    count: int | None, features: str, fast: bool, **options: Any,
) -> None:  # fmt: skip
    """Lay runs side by side, measuring those that were not yet.

    RUN is as for `genzoo evaluate`, or the result.json of an evaluation, or the name of a group (`genzoo train MODEL
    --seeds 5`): one column, mean and standard deviation over its runs.

    --leaderboard is for a contest: nothing that a run says it scored is read, each is sampled and measured on your
    --data, and the first of --measures decides.
    """
    if leaderboard is not None:
        if runs or seeds or html_file or format_ or as_markdown or fast:
            raise UsageError("--leaderboard takes --data, -n, --seed, --features, --measures and --json alone")
        _leaderboard(leaderboard, count, features, measures, as_json=as_json, **options)
        return
    if not runs:
        raise UsageError("no run is named; give RUN..., or --leaderboard FOLDER")
    output = Output.of(
        as_json=as_json, as_markdown=as_markdown, format_=format_, measures=measures, html_file=html_file
    )
    columns = columns_of(runs, runs_dir, seeds=seeds)
    folders = [run if isinstance(run, RunFolder) else None for column in columns for run in column]
    output.check(folders, overwrite=overwrite)
    request = _request(folders[0], count, features, fast=fast)
    from genzoo.evaluation.compare import compare

    try:
        with Watched() as watched:
            results = compare(runs, **request, runs_dir=runs_dir, seeds=seeds, progress=watched.data, **options)
    except KeyboardInterrupt:
        raise Interrupted("stopped; the runs that were measured keep it, and the same command goes on", 130) from None
    output.give(results, folders, several=True)


def _leaderboard(
    folder: str, count: int | None, features: str, measures: str | None, *, as_json: bool, data: str | None,
    **options: Any,
) -> None:  # fmt: skip
    """What `genzoo compare --leaderboard` does. Exit status 1 if something that was handed in could not be measured."""
    if data is None:
        raise UsageError("--leaderboard measures on data of yours; give --data")
    from genzoo.evaluation.leaderboard import leaderboard

    names = [name.strip() for name in (measures or "").split(",") if name.strip()]
    with Watched() as watched:
        board = leaderboard(folder, data, n=count, features=features, measures=names, progress=watched.data, **options)
    if as_json:
        print_json({"ranked": [result.to_json() for result in board.ranked], "left_out": board.left_out})
    else:
        show(printable(board.ranked[0].heading) + "\n")
        show(aligned(board.rows()))
        for name, why in board.left_out.items():
            show(printable(f"\nleft out  {name}: {why}", "\n"))
    sys.exit(1 if board.left_out else 0)
