"""Files as text: which of a folder are read, and what is in them. Imports no torch, so that what cannot be read is said
at once."""

from __future__ import annotations

import codecs
import csv
import fnmatch
import gzip
import hashlib
import io
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO, TextIO, cast

from genzoo.interface.errors import GenzooError, UsageError
from genzoo.interface.parsing import parse_json
from genzoo.interface.specs import TrainOptions
from genzoo.text import TextTrainOptions

PIECE = 2**20  # characters read at a time
BLOCK = 2**16  # bytes read at a time
CHECKED = 2**28  # bytes that are read before torch is imported; what is behind them, when the data are
HELD = 2**24  # characters of a text that is kept as it was read
GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
COMPRESSED = (".gz", ".zst")
TABLES = (".jsonl", ".csv")
MESSAGES = "messages"  # the field of .jsonl that holds a conversation
END = "<|end|>"  # after each message


def role_token(role: str) -> str:
    """What a message of a role begins with."""
    return f"<|{role}|>"


@dataclass(frozen=True)
class Survey:
    """What one reading of a text shows.

    Attributes:
        characters: how many.
        fingerprint: the SHA-256 of its UTF-8.
        alphabet: the characters that it has.
        pieces: all of it, if it has no more than `HELD` characters.
    """

    characters: int
    fingerprint: str
    alphabet: frozenset[str]
    pieces: tuple[str, ...] | None


def survey(pieces: Iterable[str], progress: Callable[[str, int, int], None], total: int) -> Survey:
    """Read a text once; `total` is about how many bytes it has. Raises `GenzooError` for one of fewer than three
    characters, and for what is no text."""
    digest, alphabet, count, done = hashlib.sha256(), set[str](), 0, 0
    held: list[str] | None = []
    for piece in pieces:
        raw = encoded(piece, f"the text, {count:,} characters on")
        digest.update(raw)
        alphabet.update(piece)
        count, done = count + len(piece), done + len(raw)
        if count > HELD:
            held = None
        if held is not None:
            held.append(piece)
        progress("reading text (bytes)", min(done, total), total)
    if count < 3:
        raise GenzooError("the data hold no text")
    return Survey(count, digest.hexdigest(), frozenset(alphabet), None if held is None else tuple(held))


def encoded(text: str, where: str) -> bytes:
    """A text's UTF-8. Raises `GenzooError` where half of a character stands alone, which JSON can write."""
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        half = ascii(text[error.start])[1:-1]
        raise GenzooError(f"{where}: {half} is half of a character and no text; mend it or leave it out") from None


@dataclass(frozen=True)
class Sources:
    """The files that are read, in their order.

    Attributes:
        files: those.
        left_out: how many files of folders are not read, by ending and reason.
        roles: those of the conversations that were read so far.
    """

    files: tuple[Path, ...]
    options: TextTrainOptions
    left_out: Counter[tuple[str, str]] = field(default_factory=Counter)
    roles: set[str] = field(default_factory=set)

    @property
    def size(self) -> int:
        """Bytes, as they are on the disk."""
        return sum(path.stat().st_size for path in self.files)

    def pieces(self) -> Iterator[str]:
        """The text in pieces that end with a line, files with a line between. Raises `GenzooError` for what cannot be
        read."""
        for number, path in enumerate(self.files):
            if number:
                yield "\n"
            yield from self._text_of(path)

    def survey(self, progress: Callable[[str, int, int], None]) -> Survey:
        """What the files hold; those that did not change since they were read last are not read again. Raises
        `GenzooError` for what cannot be read, and if there is no text."""
        key = (*map(stamp, self.files), self.options.encoding, self.options.text_field)
        if key not in _surveyed:
            _surveyed.clear()
            _surveyed[key] = survey(self.pieces(), progress, self.size), frozenset(self.roles)
        result, roles = _surveyed[key]
        self.roles.update(roles)
        return result

    def _text_of(self, path: Path) -> Iterator[str]:
        try:
            with opened(path, self.options.encoding) as file:
                match kind_of(path):
                    case ".jsonl":
                        yield from self._rows(file, path)
                    case ".csv":
                        yield from self._columns(file, path)
                    case _:
                        while lines := _lines(file):
                            yield lines
        except UnicodeDecodeError:
            raise not_decodable(path, self.options.encoding) from None
        except (OSError, EOFError) as error:
            raise GenzooError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None

    def _rows(self, file: TextIO, path: Path) -> Iterator[str]:
        """The field of each line, or the conversation that it holds, with an empty line behind."""
        name = self.options.text_field
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = parse_json(line)
            except ValueError:
                raise GenzooError(f"{path}, line {number}: no JSON") from None
            if not isinstance(row, dict):
                raise GenzooError(f"{path}, line {number}: no JSON object, but a {type(row).__name__}")
            yield text_of_row(row, name, f"{path}, line {number}", self.roles)

    def _columns(self, file: TextIO, path: Path) -> Iterator[str]:
        name, reader = self.options.text_field, csv.DictReader(file)
        if name not in (reader.fieldnames or ()):
            raise _no_field(str(path), name, list(reader.fieldnames or ()))
        try:
            for row in reader:
                yield (row[name] or "") + "\n\n"
        except csv.Error as error:
            raise GenzooError(f"{path}, line {reader.line_num}: no CSV: {error}") from None


def text_of_row(row: Mapping[str, Any], name: str, where: str, roles: set[str]) -> str:
    """The text in the field of a row, or the conversation that it holds, with an empty line behind; the roles of that
    are added to `roles`. Raises `GenzooError`, which begins with `where`, for a row without."""
    if name not in row and MESSAGES in row:
        text = _conversation(row[MESSAGES], where, roles)
    elif isinstance(row.get(name), str):
        text = row[name] + "\n\n"
    else:
        raise _no_field(where, name, [key for key in row if isinstance(row[key], str)])
    encoded(text, where)
    return text


def _conversation(messages: Any, where: str, roles: set[str]) -> str:
    text = ""
    for message in messages if isinstance(messages, list) else [None]:
        role, content = (message.get("role"), message.get("content")) if isinstance(message, dict) else (None, None)
        if not isinstance(role, str) or not role.isidentifier() or not isinstance(content, str):
            raise GenzooError(f"{where}: {MESSAGES!r} is no list of objects with a 'role' and a 'content' of text")
        roles.add(role)
        text += role_token(role) + content + END
    return text + "\n"


_surveyed: dict[tuple[object, ...], tuple[Survey, frozenset[str]]] = {}  # the last one, and the roles in it


def stamp(path: Path) -> tuple[Path, int, int]:
    """What changes where a file does."""
    status = path.stat()
    return path, status.st_size, status.st_mtime_ns


def check(paths: tuple[Path, ...], options: TrainOptions) -> None:
    """Read what `--data` names; of more than 256 MB the beginning. Raises `GenzooError` for what cannot be read."""
    assert isinstance(options, TextTrainOptions), "the modality's own options are given"
    sources = find(paths, options)
    if sources.size <= CHECKED:
        sources.survey(lambda *_: None)
        return
    characters = 0
    for piece in sources.pieces():
        characters += len(encoded(piece, str(paths[0])))
        if characters > CHECKED:
            return


def find(paths: tuple[Path, ...], options: TextTrainOptions) -> Sources:
    """The text files at paths. Files that are named are all read; of a folder those that `--include` names, or without
    it those that decode as text, but for hidden ones. Raises `UsageError` if there are none."""
    try:
        codecs.lookup(options.encoding)
    except (LookupError, ValueError):  # the latter for what no name can be
        raise UsageError(
            f"--encoding is {options.encoding!r}; allowed is an encoding that Python knows, such as utf-8 or cp1252"
        ) from None
    left_out: Counter[tuple[str, str]] = Counter()
    files: list[Path] = []
    for path in paths:
        if not path.is_dir():
            files.append(path)
            continue
        for file in _walk(path):
            reason = _reason_against(file, path, options)
            if reason is None:
                files.append(file)
            else:
                left_out[file.suffix.lower() or "without ending", reason] += 1
    sources = Sources(tuple(files), options, left_out)
    if not files:
        looked = f"; left out: {in_words(left_out)}" if left_out else ""
        raise UsageError(f"--data {paths[0]} holds no text file{looked}")
    if not sources.size:
        raise UsageError(f"--data {', '.join(map(str, paths[:3]))} is empty")
    return sources


def in_words(left_out: Counter[tuple[str, str]]) -> str:
    """What was left out, by ending and reason."""
    return ", ".join(f"{count:,} {suffix} ({reason})" for (suffix, reason), count in left_out.most_common())


def _walk(folder: Path) -> Iterator[Path]:
    """All files below a folder, in the order of their names."""
    yield from sorted(path for path in folder.rglob("*") if path.is_file())


def _reason_against(path: Path, folder: Path, options: TextTrainOptions) -> str | None:
    """Why a file of a folder is not read; None if it is."""
    inside = path.relative_to(folder)
    if options.include:
        names = (inside.as_posix(), path.name)
        matches = any(fnmatch.fnmatch(name, pattern) for pattern in options.include for name in names)
        return None if matches else "not in --include"
    if any(part.startswith(".") for part in inside.parts):
        return "hidden"
    try:
        with content_of(path) as file:
            first = file.read(BLOCK)
        if not first:
            return "empty"
        wide = codecs.lookup(options.encoding).name.startswith(("utf-16", "utf-32"))
        if b"\0" in first and not wide:
            return "binary"
        if kind_of(path) == ".csv":
            with opened(path, options.encoding) as table:
                if options.text_field not in (csv.DictReader(table).fieldnames or ()):
                    return f"no column {options.text_field!r}"
        return None if _decodes(stamp(path), options.encoding) else f"not {options.encoding.upper()}"
    except (OSError, EOFError, GenzooError, UnicodeDecodeError, csv.Error):
        return "cannot be read"


@lru_cache(2**16)
def _decodes(file: tuple[Path, int, int], encoding: str) -> bool:
    """Whether a file, as it is stamped, is of an encoding; it is read once."""
    return first_undecodable(file[0], encoding) is None


def kind_of(path: Path) -> str:
    """The ending of what is in a file, but for that of its compression."""
    return (Path(path.stem) if path.suffix.lower() in COMPRESSED else path).suffix.lower()


def content_of(path: Path) -> BinaryIO:
    """What is in a file, decompressed if it is gzip or zstd."""
    with open(path, "rb") as file:
        magic = file.read(4)
    if magic.startswith(GZIP):
        return cast(BinaryIO, gzip.open(path))
    if magic.startswith(ZSTD):
        return cast(BinaryIO, _zstd(path).open(path))
    return open(path, "rb")


def _zstd(path: Path) -> ModuleType:
    """Python's own module from 3.14 on, else the package zstandard. Raises `GenzooError` without either."""
    for name in ("compression.zstd", "zstandard"):
        with suppress(ModuleNotFoundError):
            return import_module(name)
    raise GenzooError(f"{path} is compressed with zstd, which this Python needs zstandard for; pip install zstandard")


def opened(path: Path, encoding: str) -> TextIO:
    """A file as text, with `\\n` for the end of a line and without a mark of its encoding."""
    plain = codecs.lookup(encoding).name == "utf-8"
    return io.TextIOWrapper(content_of(path), encoding="utf-8-sig" if plain else encoding)


def first_undecodable(path: Path, encoding: str) -> tuple[int, int] | None:
    """The offset and value of the first byte that is not of an encoding; None if all are."""
    decoder, before = codecs.getincrementaldecoder(encoding)(), 0
    with content_of(path) as file:
        while True:
            block = file.read(BLOCK)
            held_back = len(decoder.getstate()[0])
            try:
                decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                return before - held_back + error.start, error.object[error.start]
            if not block:
                return None
            before += len(block)


def not_decodable(path: Path, encoding: str) -> GenzooError:
    """The error for a file that is not of an encoding, with what it looks like and how it is converted."""
    offset, value = first_undecodable(path, encoding) or (0, 0)
    with content_of(path) as file:
        file.read(max(0, offset - BLOCK // 2))
        guess = _guess(file.read(BLOCK))
    problem = f"{path} is not {encoding.upper()}: byte {value:#04x} at offset {offset:,}"
    if guess is None or guess == codecs.lookup(encoding).name:
        return GenzooError(f"{problem}; it looks like no text: leave it out, or give its --encoding")
    target = path.with_name(f"{path.stem}.utf-8{path.suffix}")
    command = f"iconv -f {guess.upper()} -t UTF-8 {shlex.quote(str(path))} > {shlex.quote(str(target))}"
    return GenzooError(f"{problem}; it looks like {guess}: give --encoding {guess}, or convert it: {command}")


def _guess(content: bytes) -> str | None:
    """The encoding that bytes look like, Western Europe's where others are as likely."""
    import charset_normalizer

    matches = list(charset_normalizer.from_bytes(content))
    if not matches:
        return None
    alike = [match.encoding for match in matches if match.chaos <= matches[0].chaos]
    return codecs.lookup("cp1252" if "cp1252" in alike else matches[0].encoding).name


def _no_field(where: str, name: str, fields: list[str]) -> GenzooError:
    there = f"there is {', '.join(fields[:20])}" if fields else "there is none with a text"
    return GenzooError(f"{where}: no text in the field {name!r}; {there}; see --text-field")


def _lines(file: TextIO) -> str:
    """Whole lines of about `PIECE` characters; a line that is longer is cut."""
    lines: list[str] = []
    size = 0
    while size < PIECE and (line := file.readline(PIECE)):
        lines.append(line)
        size += len(line)
    return "".join(lines)
