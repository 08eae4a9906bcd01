"""`genzoo sample`, `reconstruct`, `interpolate` and `export`: what a trained model gives."""

from __future__ import annotations

import os
import stat
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any, TypedDict

import click

from genzoo.cli.options import (
    RunCommand,
    as_json_option,
    batch_size_option,
    click_options,
    device_option,
    not_none,
    overwrite_option,
    run_argument,
    runs_dir_option,
    seed_type,
    weights_option,
    with_options,
)
from genzoo.cli.output import print_json, print_text, show
from genzoo.interface.errors import UsageError, one_line
from genzoo.interface.files import check_new_folder, holds_something
from genzoo.interface.options import build, options_of
from genzoo.interface.parsing import printable
from genzoo.interface.provenance import sidecar
from genzoo.interface.specs import GeneratorSpec, WriteOptions, check_file_name
from genzoo.registry.plugins import registry
from genzoo.runs.find import check_takes_file, find_run
from genzoo.runs.folder import RunFolder
from genzoo.runs.progress import Watched

if TYPE_CHECKING:
    from genzoo.interface.generator import Generator

PROMPT = "prompt"  # the sampling option that may come from standard input


class SampleCommand(RunCommand):
    """`genzoo sample RUN`, with the options of the modality's writing besides."""

    def options_for(self, spec: GeneratorSpec) -> list[click.Option]:
        modality = registry().modalities.get(spec.modality)[1]
        options = [*super().options_for(spec), *click_options(modality.write_options, "sample")]
        if PROMPT in options_of(spec.sample_options):
            place = next(i for i, option in enumerate(options) if option.name == PROMPT) + 1
            options[place:place] = [
                click.Option(["--prompt-file"], metavar="FILE", help="A file that has the text to continue."),
                click.Option(["--chat"], is_flag=True, default=None, help="Answer each line that is typed."),
            ]
        return options


class Drawing(TypedDict):
    """How samples are drawn of any model."""

    batch_size: int
    weights: str
    device: str


@dataclass(frozen=True)
class Request:
    """Samples that were asked for: of which run, how drawn, where to. `path` is None where they are printed alone."""

    folder: RunFolder
    count: int
    seed: int
    label: str | None
    drawing: Drawing
    options: dict[str, Any]  # the model's own
    writing: WriteOptions
    path: Path | None
    chat: bool = False

    @classmethod
    def of(
        cls, folder: RunFolder, *, count: int | None, seed: int, label: str | None, out: str | None, overwrite: bool,
        drawing: Drawing, options: dict[str, Any],
    ) -> Request:  # fmt: skip
        """Raises `UsageError` for all that cannot be done as it was asked, before torch is imported."""
        classes = [] if label is None else folder.class_numbers(label)
        modality = folder.modality
        known = options_of(folder.spec()[0].sample_options)
        prompt_file, chat = options.pop("prompt_file", None), bool(options.pop("chat", False))
        writing = build(modality.write_options, {k: v for k, v in options.items() if k not in known}, "sample")
        if out is not None:
            check_file_name("--out", out)
        suffix = writing.suffix(out)
        path = None if writing.printed else folder.new_sample("sample", suffix)
        if out is not None:
            path = _free(Path(out).expanduser(), out, overwrite)
        if count is None:
            data = folder.data_spec
            data = replace(data, classes=tuple(data.classes[number] for number in classes) or data.classes)
            count = modality.default_count(data, folder.conditional and len(classes) != 1)
        sampling = {name: value for name, value in options.items() if name in known}
        if chat and (out is not None or count != 1 or "-" in (sampling.get(PROMPT), prompt_file)):
            raise UsageError("--chat prints answers to standard input; leave -n, --out and a prompt of - out")
        if prompt_file is not None:
            sampling[PROMPT] = _prompt_in(prompt_file, sampling.get(PROMPT))
        elif not chat and PROMPT in known and (prompt := _prompt(sampling.get(PROMPT))) is not None:
            sampling[PROMPT] = prompt
        if path is not None:
            check_takes_file(path)
        return cls(folder, count, seed, label, drawing, sampling, writing, path, chat)


def _free(path: Path, out: str, overwrite: bool) -> Path:
    for place in (path, sidecar(path)):
        if holds_something(place) and not overwrite:
            raise UsageError(f"--out {out if place == path else place} exists; give --overwrite to replace it")
    return path


@click.command("sample", cls=SampleCommand)
@run_argument
@with_options(
    click.option(
        "-n", "count", type=click.IntRange(1, 1_000_000),
        help="How many.  [default: as the data are; 64 images, or 8 of each class; 1 text]",
    ),
    click.option(
        "--label", metavar="CLASS,...",
        help="Draw this class, or each of several in turn, or all, if the model was trained --conditional.",
    ),
    click.option(
        "--seed", type=seed_type, default=0, show_default=True, help="Sample i is a function of (seed, i)."
    ),
    click.option(
        "--out", metavar="PATH", help="File or folder. Default: a new one in the run's samples; text is printed."
    ),
    overwrite_option, batch_size_option, weights_option, device_option, runs_dir_option, as_json_option,
)  # fmt: skip
def sample_command(
    run: str, runs_dir: str | None, as_json: bool, batch_size: int, weights: str, device: str, count: int | None,
    seed: int, label: str | None, out: str | None, overwrite: bool, **options: Any,
) -> None:  # fmt: skip
    """Draw samples from a trained model and write them, marked as generated.

    A model trained --conditional draws each class in turn, a row of the grid for each, or one with --label. Text is
    printed as it comes; what is piped in is its prompt, unless --prompt is given.

    RUN is a run's folder or name, or a model's name for its newest finished run. The model's own sampling options, and
    those of how its samples are written, are listed by `genzoo sample RUN --help`.
    """
    drawing: Drawing = {"batch_size": batch_size, "weights": weights, "device": device}
    request = Request.of(
        find_run(run, runs_dir), count=count, seed=seed, label=label, out=out, overwrite=overwrite, drawing=drawing,
        options=not_none(options),
    )  # fmt: skip
    if request.chat:
        _chat(request)
        return
    samples, stopped = _drawn(request, quiet=as_json)
    _written(request, samples, as_json)
    if stopped:
        raise KeyboardInterrupt


def _chat(request: Request) -> None:
    from genzoo.cli.chat import chat
    from genzoo.interface.generator import Streams
    from genzoo.sampling.model import load

    model = load(request.folder, weights=request.drawing["weights"], device=request.drawing["device"])
    if not isinstance(model, Streams):
        raise UsageError(f"model {model.spec.name!r} cannot stream, and so cannot --chat")
    chat(model, request.seed, request.label, request.options)


def _drawn(request: Request, *, quiet: bool) -> tuple[Any, bool]:
    """The samples, printed if they are of that kind, and whether they were stopped in the middle."""
    from genzoo.interface.generator import Streams
    from genzoo.registry.plugins import modality_of
    from genzoo.sampling.draw import sample
    from genzoo.sampling.model import load

    folder, drawing = request.folder, request.drawing
    printed = request.writing.printed and not quiet
    with Watched() as watched:
        model = load(folder, weights=drawing["weights"], device=drawing["device"])
        if printed and request.count == 1 and isinstance(model, Streams):
            return _streamed(request, model)
        samples = sample(
            model, request.count, seed=request.seed, label=request.label, batch_size=drawing["batch_size"],
            progress=watched.data, **request.options,
        )  # fmt: skip
    if printed:
        print_text(modality_of(folder.data_spec.modality).text(samples))
    return samples, False


def _streamed(request: Request, model: Generator) -> tuple[list[str], bool]:
    """One sample, printed as it comes."""
    from genzoo.sampling.draw import stream

    text, stopped = request.options.get(PROMPT, ""), False
    print_text(text, newline=False)
    try:
        for piece in stream(model, seed=request.seed, label=request.label, **request.options):
            text += piece
            print_text(piece, newline=False)
    except KeyboardInterrupt:
        stopped = True
    show()
    return [text], stopped


def _written(request: Request, samples: object, as_json: bool) -> None:
    from genzoo.sampling.write import write_samples

    folder, path = request.folder, request.path
    if path is not None:
        write_samples(
            folder, samples, path, seed=request.seed, label=request.label, writing=request.writing, **request.options
        )
    place = {} if path is None else {"path": str(path)}
    if as_json:
        drawn = {"samples": samples} if request.writing.printed else {}
        print_json({"run": folder.name, **place, "count": request.count, "seed": request.seed, **drawn})
    elif path is not None and not request.writing.printed:
        show(printable(str(path)))


def _prompt_in(file: str, prompt: str | None) -> str:
    """The text in a file, without the end of its last line. Raises `UsageError`."""
    if prompt is not None:
        raise UsageError("--prompt and --prompt-file are both given; give one")
    try:
        return Path(file).expanduser().read_text("utf-8").removesuffix("\n") if file != "-" else sys.stdin.read()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read --prompt-file {file}: {one_line(error)}") from None


def _prompt(option: str | None) -> str | None:
    """What is to be gone on from: --prompt, or with `-` standard input, or what is piped in."""
    if option == "-":
        return sys.stdin.read()
    if option is not None:
        return option
    piped = _piped_in()
    return None if piped is None else piped.removesuffix("\n") or None


def _piped_in() -> str | None:
    """All of standard input if it is a file, or a pipe that says something within a second. A thread waits for its
    first byte, as Windows cannot be asked whether a pipe has any."""
    first: SimpleQueue[bytes] = SimpleQueue()
    try:
        descriptor, encoding = sys.stdin.fileno(), sys.stdin.encoding
        mode = os.fstat(descriptor).st_mode
        if not (stat.S_ISFIFO(mode) or stat.S_ISREG(mode)):
            return None
        Thread(target=lambda: first.put(os.read(descriptor, 1)), daemon=True).start()
        content = first.get(timeout=1.0) + os.fdopen(descriptor, "rb", closefd=False).read()
    except (OSError, ValueError, AttributeError, Empty):  # there is none, or it says nothing
        return None
    try:
        return content.decode(encoding).replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise UsageError(f"standard input is not {encoding.upper()}: {one_line(error)}") from None


@click.command("export")
@run_argument
@click.option("--to", "folder", metavar="FOLDER", required=True, help="A new folder.")
@runs_dir_option
@as_json_option
def export_command(run: str, folder: str, runs_dir: str | None, as_json: bool) -> None:
    """Write a model in the format of the library that it is made of, for use without genzoo."""
    source = find_run(run, runs_dir)
    check_new_folder(folder)
    from genzoo.sampling.export import export

    line = export(source, folder)
    if as_json:
        print_json({"run": source.name, "folder": folder, "load": line})
    else:
        show(f"{printable(str(folder))}\nload it with: {line}")
