"""Names, paths and texts that mean harm, for every argument and option that takes a text, of every command: an answer
in one line, nothing of it obeyed, nothing written but where a place was named. Which there are the command itself is
asked, so that a new one is tried too."""

import shutil
from pathlib import Path

import click
import pytest

import genzoo
from genzoo.cli.command import cli
from genzoo.cli.options import OptionType, RunCommand
from genzoo.runs.find import find_run

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("toy")]
KEPT = Path(__file__).parents[1] / "kept" / "0.1"
HOSTILE = (
    "", ".", "..", "../../out", "/dev/null/out", "~nobody-is-called-so/x", "a" * 300, "x\ny", "x\x1b]0;t\x07",
    "\u202egnp.x", "-n", "con", "a\udcffb", "*", "$(touch out)", "`touch out`", "; touch out", "<img onerror=x>", "a|b",
    "%s%n", "\U0001f600", "{0}", "x\x1b]0;t\x07.png", "x\ny.png", "a\udcff.png", "../../out.png",
)  # fmt: skip
OBEYED = {chr(code) for code in (*range(9), *range(11, 32), *range(127, 160))} | {"\u202e"}
PLACES = ("FILE", "FOLDER", "PATH", "PATH...")  # of what may be written where a person says
FOLDERS = ("runs_dir", "data_dir")  # likewise, whatever stands for them

LEFT_OUT = {
    "install": "it gives names to pip",
    "uninstall": "likewise",
    "serve": "it waits for requests, which its own tests make hostile",
    "rate": "it waits for a person",
    "ratings": "it takes no name but the folder of runs, and there are none",
}
SMALL = ["--steps", "1", "--sample-every", "0", "--eval-every", "0", "--batch-size", "2"]
TRANSFORMER = ["--num-layers", "1", "--num-heads", "1", "--hidden-size", "8", "--context-length", "8"]
USUAL = {  # how each command is called, and ends well
    "list": [],
    "info": ["toy"],
    "train": ["toy", *SMALL],
    "train transformer": ["transformer", "--data", "text.txt", *SMALL, *TRANSFORMER],
    "resume": ["one", "--steps", "2"],
    "sample": ["one", "-n", "1"],
    "sample transformer": ["transformer", "-n", "1"],
    "export": ["transformer", "--to", "new"],
    "reconstruct": ["vae", "-n", "1"],
    "interpolate": ["vae", "-n", "1"],
    "walk": ["vae", "-n", "2"],
    "latent": ["vae", "--grid", "2"],
    "sweep": ["run", "toy", "--vary", "width=2,4", "--measure", "loss", "--trials", "1", "--steps", "2"],
    "evaluate": ["one", "-n", "10", "--features", "random"],
    "compare": ["one", "-n", "10", "--features", "random"],
    "runs": [],
    "show": ["one"],
    "provenance": ["picture.png"],
    "prune": ["one", "--dry-run"],
    "rm": ["one", "--dry-run"],
    "rename": ["one", "two"],
    "note": ["one", "words"],
    "plot": ["one", "--out", "plot.svg"],
    "cite": ["one"],
    "data": ["dots"],
    "plugins": [],
    "new": ["mine"],
    "check": ["toy", "--only", "options_are_declared"],
    "doctor": [],
    "probe": ["transformer", "the fox"],
    "states": ["hmm", "the fox"],
    "inpaint": ["diffusion", "--image", "picture.png", "--mask", "mask.png", "-n", "1", "--num-steps", "2"],
    "trajectory": ["diffusion", "-n", "1", "--num-steps", "2"],
}


def commands():
    tree = [name for name in cli.list_commands(click.Context(cli)) if name not in LEFT_OUT]
    return sorted({*tree, *USUAL})


def parameters(verb, usual):
    """The arguments and options of a command that take a text."""
    context = click.Context(cli)
    command = cli.resolve_command(context, [verb])[1]
    if isinstance(command, click.Group):
        command = command.get_command(context, usual[0])
    context = click.Context(command)
    if isinstance(command, RunCommand):
        context.meta["genzoo.spec"] = find_run(usual[0]).spec()[0]
    return [parameter for parameter in command.get_params(context) if takes_text(parameter)]


def takes_text(parameter):
    if isinstance(parameter, click.Option) and (parameter.is_flag or parameter.count):
        return False
    if isinstance(parameter.type, OptionType):
        return parameter.type.item.type is str and not parameter.type.item.choices
    return isinstance(parameter.type, click.types.StringParamType)


def is_place(parameter):
    return parameter.metavar in PLACES or parameter.name in FOLDERS


def called(usual, parameter, position, text):
    """The words of a command with a text for one parameter: the argument at a position, or an option."""
    words = list(usual)
    options_from = next((place for place, word in enumerate(words) if word.startswith("-")), len(words))
    if isinstance(parameter, click.Argument):
        words[position : min(position + 1, max(position, options_from))] = [text]
    elif parameter.opts[0] in words:
        words[words.index(parameter.opts[0]) + 1] = text
    else:
        words += [parameter.opts[0], text]
    return words


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run of each family that has a command of its own."""
    folder = tmp_path_factory.mktemp("runs")
    for family in ("vae", "diffusion", "transformer"):
        shutil.copytree(KEPT / family, folder / family)
    return folder


@pytest.fixture
def work(runs, tmp_path, monkeypatch):
    """A folder to be called in, two below the test's own, with all that the commands take."""
    import torch
    from PIL import Image

    inside = tmp_path / "inside" / "work"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    monkeypatch.setenv("GENZOO_RUNS_DIR", str(inside / "runs"))
    monkeypatch.setenv("GENZOO_DATA_DIR", str(inside / "data"))
    (inside / "text.txt").write_text("the quick brown fox\n" * 40, "utf-8")
    shutil.copytree(runs, inside / "runs")
    genzoo.train("toy", name="one", steps=1, sample_every=0, eval_every=0)
    genzoo.train("hmm", name="hmm", data="text.txt", steps=1, sample_every=0, eval_every=0)
    modality = genzoo.modality_of("image")
    facts = genzoo.find_run("one").provenance(0)
    modality.write_rows([torch.rand(1, 1, 8, 8)], inside / "picture.png", facts, None)
    mask = Image.new("L", (8, 8))
    mask.putpixel((1, 1), 255)
    mask.save(inside / "mask.png")
    shutil.copytree(inside / "runs", tmp_path / "again")
    return inside


@pytest.mark.parametrize("command", commands())
def test_names_that_mean_harm_do_none(genzoo_command, work, tmp_path, command):
    assert command in USUAL, f"say in USUAL how {command} is called, or in LEFT_OUT why it is not"
    verb, usual = command.split()[0], USUAL[command]
    begun = genzoo_command(verb, *usual)
    assert begun.status == 0, begun.err
    outside = {path for path in tmp_path.rglob("*") if work not in path.parents}
    texts = parameters(verb, usual)
    arguments = [parameter for parameter in texts if isinstance(parameter, click.Argument)]
    counts = {0: 0, 1: 0, 2: 0}
    for parameter in texts:
        position = arguments.index(parameter) if parameter in arguments else 0
        for text in HOSTILE:
            shutil.rmtree(work / "runs" / "one", ignore_errors=True)
            shutil.copytree(tmp_path / "again" / "one", work / "runs" / "one")
            words = [verb, *called(usual, parameter, position, text)]
            outcome = genzoo_command(*words)
            assert outcome.status in counts, (words, outcome.err)
            assert "Traceback" not in outcome.err, (words, outcome.err)
            lines = [line for line in outcome.err.splitlines() if line.startswith("genzoo: ")]
            errors = [line for line in lines if not line.startswith("genzoo: warning: ")]
            assert len(errors) in {0: (0,), 1: (0, 1), 2: (1,)}[outcome.status], (words, outcome)
            printed = (
                outcome.err if parameter.name == "prompt" else outcome.err + outcome.out
            )  # which a text begins with
            assert not set(printed) & OBEYED, (words, outcome)
            assert not (work / "out").exists(), words
            counts[outcome.status] += 1
            strange = {path for path in tmp_path.rglob("*") if work not in path.parents} - outside
            place = str((work / text).resolve().with_suffix("")) if is_place(parameter) else "nowhere"
            assert all(str(path).startswith(place) for path in strange), (words, strange)
            for path in strange:
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    print(f"{command}: {len(texts)} places, {sum(counts.values())} calls; by exit status {counts}")
