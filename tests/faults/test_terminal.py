"""What a person is shown goes through one place, which leaves nothing that a terminal or a browser would obey."""

import ast
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

import genzoo.cli
from genzoo.cli import output
from genzoo.evaluation import report
from genzoo.interface import parsing
from genzoo.runs import terminal

RAW = "x\x1b]0;title\x07\n\rEND\x9b31m\u202e"
OBEYED = {chr(code) for code in (*range(32), *range(127, 160))} | {"\u202e"}


def test_only_one_file_prints():
    for file in Path(genzoo.cli.__file__).parent.glob("*.py"):
        calls = [node.func for node in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(node, ast.Call)]
        names = [ast.unparse(function) for function in calls]
        allowed = 4 if file.name == "output.py" else 1 if file.name == "command.py" else 0  # click's own help
        assert names.count("click.echo") + names.count("print") <= allowed, file.name


def test_a_line_stays_one_line(capsys):
    output.show(output.printable(RAW))
    output.show(Path(RAW.replace("\n", "")))
    output.show(parsing.aligned([("A", "B"), (RAW, "b")]))
    parsing.say(RAW.replace("\n", ""))
    printed = capsys.readouterr()
    assert not (set(printed.out + printed.err) - {"\n"}) & OBEYED
    assert printed.out.count("\n") == 4


def test_json_is_whole_and_holds_nothing_that_is_obeyed(capsys):
    output.print_json({"name": RAW, "half": "\ud800"})
    printed = capsys.readouterr().out
    assert not (set(printed) - {"\n"}) & OBEYED
    assert json.loads(printed) == {"name": RAW, "half": "\ud800"}


def test_a_page_and_markdown_hold_none_of_it():
    assert not (set(report._shown(RAW)) - {"\n"}) & (OBEYED - {"\u202e"})
    line = report._escaped("<img onerror=x> [a](javascript:x) | `b` " + RAW)
    assert not set(line) & OBEYED
    assert all(line[line.index(sign) - 1] == "\\" for sign in "<>[]|`")


@pytest.mark.parametrize("columns", [30, 60, 80, 200])
def test_a_narrow_terminal_shows_how_far_a_training_is(monkeypatch, capsys, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    display = terminal.bar()
    monkeypatch.setattr(display._progress, "start", lambda: None)  # which would draw at its own times
    run = SimpleNamespace(
        dataset=SimpleNamespace(summary=str), memory=None, name="vae-mnist-5k-20261124-120825", steps_total=2500, step=7
    )
    display.genzoo_run_started(run)
    display.genzoo_run_logged({"step": 7, "images_per_second": 5123.0, "loss": 123.4})
    with display._console.capture() as capture:
        display._console.print(display._progress.get_renderable())
    (line,) = capture.get().splitlines()
    assert len(line) <= columns
    assert line.startswith("vae-mnist")
    assert " 7/2500 --:-- " in line
    assert ("loss 123.4" in line) == (columns == 200)


def test_a_table_keeps_its_columns_on_a_narrow_terminal(genzoo_command, monkeypatch):
    wide = genzoo_command("list").out
    monkeypatch.setenv("COLUMNS", "40")
    assert genzoo_command("list").out == wide
