"""What was drawn, into files that say so."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from genzoo.interface.options import Option, options_of
from genzoo.interface.specs import WriteOptions
from genzoo.registry.plugins import modality_of
from genzoo.runs.find import find_run
from genzoo.runs.folder import RunFolder
from genzoo.sampling.draw import labels_of_samples


def write_samples(
    run: str | Path | RunFolder,
    samples: Any,
    path: str | Path,
    *,
    seed: int = 0,
    label: str | int | Sequence[str | int] | None = None,
    writing: WriteOptions | None = None,
    runs_dir: str | None = None,
    **options: object,
) -> None:
    """Write what `sample` drew from a run, marked as generated, as `genzoo sample --out` does.

        genzoo.write_samples(run, genzoo.sample(run, 16, seed=1), "digits.png", seed=1)

    Args:
        path: a file that the modality writes, by its ending, or with `separate` a folder.
        seed, label, options: what the samples were drawn with; it is in their provenance, but for free text, such as a
            prompt or a path, which may be a person's own.
        writing: an instance of the modality's `write_options`; None: the defaults.

    Raises:
        UsageError: there is no such run, class or ending.
        GenzooError: the file cannot be written.
    """
    folder = find_run(run, runs_dir)
    data, labels = folder.data_spec, None
    writing = writing or folder.modality.write_options()
    writing.suffix(str(path))
    if folder.conditional:
        classes = [] if label is None else folder.class_numbers(label)
        labels = labels_of_samples(len(samples), data, classes)
    free = {option.name for option in options_of(folder.spec()[0].sample_options).values() if _is_free(option)}
    facts: dict[str, object] = {} if label is None else {"label": label}
    facts |= {name: value for name, value in options.items() if name not in free}
    marks = folder.provenance(seed, **facts)
    modality_of(data.modality).write(samples, Path(path), marks, writing, data, labels)


def _is_free(option: Option) -> bool:
    return option.type is str and not option.choices
