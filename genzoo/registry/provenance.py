"""What a generated file says about itself, by the modalities that write such files."""

from __future__ import annotations

import zipfile
from pathlib import Path

from genzoo.interface.errors import UsageError
from genzoo.interface.specs import Json
from genzoo.registry.plugins import modality_of, registry


def read_provenance(path: str | Path) -> Json:
    """The labels of a file that genzoo wrote: the keys of `genzoo.provenance.labels`, each None where the file does not
    have it.

    Raises `UsageError` if the file cannot be read, or if it is no longer the one that its labels are of.
    """
    path = Path(path)
    if not path.is_file():
        raise UsageError(f"{path} is not a file")
    suffixes = {suffix for _, _, spec in registry().modalities for suffix in spec.write_options.suffixes}
    labels: Json = {}
    for name in [
        spec.name for _, _, spec in registry().modalities if path.suffix.lower() in spec.write_options.suffixes
    ]:
        try:
            labels = labels or modality_of(name).provenance(path)
        except (OSError, EOFError, ValueError, zipfile.BadZipFile, SyntaxError) as error:
            raise UsageError(
                f"{path} cannot be read: {error}; allowed are {', '.join(sorted(suffixes))} files"
            ) from None
    if path.suffix.lower() not in suffixes:
        raise UsageError(f"{path} is no file that genzoo writes; allowed are {', '.join(sorted(suffixes))} files")
    return {"digital_source_type": None, "aigc": None, "genzoo": None} | labels
