"""Windows' rules hold under `--like windows`, and what they forced in genzoo holds without them too."""

from __future__ import annotations

import io
import json
import mmap
import os
import signal
import sys

import pytest

import genzoo
from genzoo.cli.output import escape_the_unknown, print_json
from genzoo.cli.sampling import _piped_in
from genzoo.interface.specs import OF_WINDOWS
from genzoo.registry.scaffold import check_name
from genzoo.runs import checkpoint
from genzoo.runs.folder import RunFolder

rules = pytest.mark.skipif(not hasattr(signal, "SIGBREAK"), reason="a rule of Windows; give --like windows")


@rules
@pytest.mark.parametrize("name", ["a:b", "what?", "end.", "end ", "con", "NUL.txt", "com1.log"])
def test_names_that_windows_does_not_have_are_refused(tmp_path, name):
    with pytest.raises(OSError, match="no such name|Invalid"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(OSError, match="no such name|Invalid|cannot find"):
        (tmp_path / name).mkdir()


@rules
def test_a_file_in_use_is_neither_replaced_nor_removed(tmp_path):
    path, other = tmp_path / "path", tmp_path / "other"
    path.write_bytes(b"1" * 4096)
    other.write_bytes(b"2")
    with open(path, "rb") as file:
        for refused in (lambda: os.replace(other, path), path.unlink, lambda: path.rename(tmp_path / "new")):
            with pytest.raises(PermissionError):
                refused()
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    with pytest.raises(PermissionError):
        path.unlink()
    mapped.close()
    path.unlink()


@rules
def test_a_descriptor_for_reading_is_not_synced_and_a_folder_is_not_opened(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    descriptor = os.open(tmp_path / "file", os.O_RDONLY)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fsync(descriptor)
    os.close(descriptor)
    with pytest.raises(PermissionError):
        os.open(tmp_path, os.O_RDONLY)


@rules
def test_text_is_written_with_windows_ends_of_lines_where_nothing_else_is_asked_for(tmp_path):
    (tmp_path / "file").write_text("a\nb", "utf-8")
    assert (tmp_path / "file").read_bytes() == b"a\r\nb"
    with pytest.raises(EncodingWarning):
        (tmp_path / "file").read_text()


def test_all_text_in_a_run_has_the_same_ends_of_lines_everywhere(toy):
    run = genzoo.train("toy", steps=4, save_every=2, log_every=1)
    for path in run.path.rglob("*"):
        if path.suffix in (".json", ".jsonl"):
            assert b"\r" not in path.read_bytes(), path


def test_the_loaded_state_of_a_checkpoint_lies_in_no_file(toy):
    run = RunFolder(genzoo.train("toy", steps=4, save_every=2).path)
    _, state = checkpoint.load_newest(run)
    _, weights = checkpoint.load_model(run)
    if sys.platform == "linux":
        with open("/proc/self/maps", encoding="utf-8") as maps:
            assert str(run.path) not in maps.read()
    assert state
    assert weights


@pytest.mark.parametrize("name", ["con", "NUL", "com1", "aux.old", "end."])
def test_names_of_runs_that_windows_does_not_have_are_refused(toy, name):
    with pytest.raises(genzoo.UsageError, match="no folder on Windows"):
        genzoo.train("toy", name=name)


def test_classes_are_folders_that_windows_can_have():
    folders = genzoo.class_folders(["aux", "A", "a", "T-shirt/top", "NUL.txt", "a", "end.", "a-"])
    assert folders["aux"] == "_aux"
    assert folders["T-shirt/top"] == "T-shirt-top"
    assert genzoo.class_folders(["../.."]) == {"../..": "-"}
    assert len({folder.lower() for folder in folders.values()}) == 7
    assert not any(OF_WINDOWS.fullmatch(folder) for folder in folders.values())


@rules
def test_a_run_whose_files_have_too_long_paths_is_refused_in_one_line(toy, tmp_path):
    room = 255 - len(str(tmp_path / "runs"))
    for length in (room - 90, room - 70, room):  # the first has room for what is in it
        name = "n" * length
        if length == room - 90:
            assert genzoo.train("toy", name=name, steps=1, sample_every=0).status == "finished"
            continue
        with pytest.raises(genzoo.UsageError, match="characters, which leaves too few for the files.*shorter --name"):
            genzoo.train("toy", name=name)
        assert not (tmp_path / "runs" / name).exists()


def test_a_model_is_named_so_that_windows_can_have_its_files():
    with pytest.raises(genzoo.UsageError, match="cannot name a file on Windows"):
        check_name("aux")


def test_output_that_a_code_page_does_not_have_is_escaped(monkeypatch):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, "cp1252", newline="\n"))
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(io.BytesIO(), "cp1252"))
    escape_the_unknown()
    print("é 日 ↓日↑")
    print_json({"text": "日"})
    sys.stdout.flush()
    first, _, rest = written.getvalue().partition(b"\n")
    assert first == b"\xe9 \\u65e5 v\\u65e5^"
    assert json.loads(rest) == {"text": "日"}


@pytest.mark.parametrize(("piped", "text"), [(b"a prompt\r\nof two lines\n", "a prompt\nof two lines\n"), (b"", "")])
def test_a_prompt_is_piped_in_where_a_pipe_cannot_be_asked_whether_it_has_one(monkeypatch, piped, text):
    reader, writer = os.pipe()
    os.write(writer, piped)
    os.close(writer)
    with os.fdopen(reader, encoding="utf-8") as standard_input:
        monkeypatch.setattr(sys, "stdin", standard_input)
        assert _piped_in() == text


def test_a_pipe_that_says_nothing_is_not_waited_for(monkeypatch):
    reader, writer = os.pipe()
    with os.fdopen(reader, encoding="utf-8") as standard_input:
        monkeypatch.setattr(sys, "stdin", standard_input)
        assert _piped_in() is None
        os.close(writer)  # so that the thread ends


@rules
def test_the_rules_hold_in_processes_that_are_started(tmp_path):
    import subprocess

    code = "import os; os.open('.', os.O_RDONLY)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="cp1252", cwd=tmp_path)
    assert "PermissionError" in done.stderr
