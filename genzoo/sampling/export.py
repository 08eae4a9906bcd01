"""A model in the format of another library."""

from __future__ import annotations

from pathlib import Path

from genzoo.interface.errors import GenzooError, UsageError
from genzoo.interface.files import check_new_folder, write_folder
from genzoo.interface.generator import Exports, Generator
from genzoo.interface.parsing import printable
from genzoo.runs.find import find_run
from genzoo.runs.folder import RunFolder
from genzoo.sampling.model import load


def export(run: str | Path | RunFolder | Generator, to: str | Path, *, runs_dir: str | None = None) -> str:
    """Write a model in a format that other libraries read.

    Args:
        run: a model, a run's folder or name, or a model's name for its newest finished run.
        to: the folder; must not exist, or be empty.

    Returns:
        The line of Python that reads it.

    Raises:
        UsageError: the model has no such format, there is no such run, or the folder holds something.
        GenzooError: the folder cannot be written.
    """
    source, target = run if isinstance(run, Generator) else find_run(run, runs_dir), check_new_folder(to)
    model = source if isinstance(source, Generator) else load(source, device="cpu")
    if not isinstance(model, Exports):
        raise UsageError(f"model {model.spec.name!r} cannot be exported: no other library has its format")
    lines: list[str] = []
    try:
        str(target).encode()
    except UnicodeEncodeError:
        raise UsageError(
            f"{printable(str(target))} is no Unicode, and other libraries cannot open it; choose another folder"
        ) from None
    try:
        write_folder(target, lambda aside: lines.append(model.export(aside).replace(str(aside), str(target))))
    except OSError as error:
        raise GenzooError(f"cannot write {target}: {error.strerror}") from None
    return lines[0]
