"""What a person types and sees."""

import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import genzoo
from genzoo.cli import cli
from genzoo.runs import terminal

pytestmark = pytest.mark.usefixtures("toy")
HEAVY = ("torch", "numpy", "torchvision", "transformers", "diffusers", "accelerate", "PIL", "rich", "sklearn")


def modules_after(*arguments):
    """What is imported once `genzoo ARGUMENTS` has run, and its exit status."""
    code = f"""
import sys
sys.argv = ["genzoo", *{arguments!r}]
from genzoo.cli import main
try:
    main()
except SystemExit as ended:
    print("STATUS", ended.code or 0, *sys.modules)
"""
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, encoding="utf-8", check=True
    ).stdout
    status, *modules = out.splitlines()[-1].removeprefix("STATUS ").split()
    return int(status), modules


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["list"], 0), (["list", "--json"], 0), (["--help"], 0), (["--version"], 0), (["train", "vae", "--help"], 0),
        (["info", "vae"], 0), (["plugins"], 0), (["data"], 0), (["runs"], 0), (["train", "vea"], 2),
        (["train", "vae", "--latent-dim", "0"], 2), (["train", "vae", "--data", "mnits"], 2),
        (["train", "vae", "--set", "beta=x"], 2), (["train", "vae", "--steps", "5", "--epochs", "1"], 2),
        (["sample", "nothing"], 2), (["resume", "nothing"], 2),
    ],
)  # fmt: skip
def test_nothing_heavy_is_imported_before_it_is_needed(arguments, status):
    ended, modules = modules_after(*arguments)
    assert ended == status
    assert not {name.partition(".")[0] for name in modules} & set(HEAVY)


def test_importing_the_library_is_light():
    code = "import sys, genzoo; genzoo.list_models(); genzoo.list_runs(); print(*sys.modules)"
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, encoding="utf-8", check=True
    ).stdout
    assert not {name.partition(".")[0] for name in out.split()} & set(HEAVY)


MODELS = """
import sys, torch, genzoo
from genzoo.registry.plugins import registry
from genzoo.sampling.model import build_model
from genzoo.text.tokens import make

for name in ("dcgan", "gan", "transformer", "vae"):
    spec = registry().generators.get(name)[1]
    text = spec.modality == "text"
    data = genzoo.DataSpec(
        name="made up", modality=spec.modality, shape=(4,) if text else (1, 28, 28), train_count=9, validation_count=1,
        test_count=1, fingerprint="",
    )
    kept = {"tokenizer.json": make("characters", 0, ["abc\\n"]).json.encode()} if text else {}
    model = build_model(spec, spec.config(), data, torch.device("cpu"), kept).eval()
    assert len(genzoo.sample(model, 2, **({"max_new_tokens": 3} if text else {}))) == 2
    if text:
        assert model.log_likelihood(torch.zeros(1, 9, dtype=torch.int64)).shape == (1, 9)
        model.network(torch.zeros(2, 8, dtype=torch.int64), torch.zeros(2, 8, dtype=torch.int64)).backward()
import genzoo.evaluation.evaluate
sampled = set(sys.modules)
import genzoo.training.train
print(*sampled & {*UNUSED, "accelerate"}, *set(sys.modules) & {*UNUSED})
"""
UNUSED = (
    "transformers", "torchvision", "torch._dynamo", "torch._inductor", "sympy", "diffusers", "torchmetrics", "sklearn",
    "scipy", "matplotlib",
)  # fmt: skip


def test_models_import_nothing_that_they_do_not_use():
    """Drawing and scoring; torch's optimisers import the compiler themselves, when they are made."""
    code = f"UNUSED = {UNUSED!r}\n{MODELS}"
    outcome = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, encoding="utf-8")
    assert (outcome.returncode, outcome.stdout.split()) == (0, []), outcome.stderr


TRAINING = """
torch.optim.Adam(torch.nn.Linear(1, 1).parameters())
of_torch = unused()
for name, options in MODELS.items():
    genzoo.train(name, name=name, **SHORT, **options)
assert not unused() - of_torch, unused() - of_torch
"""
DRAWING = """
for name in MODELS:
    text = name == "transformer"
    assert len(genzoo.sample(name, 2, **({"max_new_tokens": 3} if text else {}))) == 2
    assert not unused() and "accelerate" not in sys.modules, (name, unused())
for name in MODELS:
    measured = genzoo.evaluate(name, 2 if name == "transformer" else 100).measures
    assert {measure.name for measure in measured} > {"bits_per_character" if name == "transformer" else "pair_ssim"}
    assert not unused(), (name, unused())
"""
SETTING = """
import sys, torch, genzoo

SHORT = {"steps": 2, "batch_size": 4, "save_every": 0, "sample_every": 0, "threads": 1, "device": "cpu"}
MODELS = {
    "transformer": {"data": "t.txt", "num_layers": 1, "num_heads": 2, "hidden_size": 8, "context_length": 16},
    "vae": {"data": "i.npz", "hidden_sizes": (8,), "latent_dim": 2},
    "gan": {"data": "i.npz", "generator_sizes": (4,), "discriminator_sizes": (2,), "latent_dim": 2},
    "dcgan": {"data": "i.npz", "width": 2, "latent_dim": 2},
}

def unused():
    return {name for name in UNUSED if name in sys.modules}
"""


@pytest.mark.slow
def test_trained_models_import_nothing_that_they_do_not_use(tmp_path):
    """In processes of their own: trainings of the Transformer, the VAE and the GANs, and then samples and evaluations.
    A training has what torch's own optimisers import when they are made, which is the compiler, and no more."""
    (tmp_path / "t.txt").write_text("the cat sat on the mat\n" * 100, "utf-8")
    np.savez(tmp_path / "i.npz", images=np.random.default_rng(0).integers(0, 256, (240, 16, 16), np.uint8))
    for code in (TRAINING, DRAWING):
        command = [sys.executable, "-c", f"UNUSED = {UNUSED!r}\n{SETTING}{code}"]
        outcome = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", cwd=tmp_path, check=False)
        assert outcome.returncode == 0, outcome.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "unknown command 'trian'; did you mean 'train'?"),
        (["train", "toyy"], "unknown model 'toyy'; did you mean 'toy'?"),
        (["train", "toy", "--width", "99"], "toy: --width is '99'; allowed is a whole number with 1 <= x <= 64"),
        (["train", "toy", "--width", "many"], "toy: --width is 'many'; allowed is a whole number"),
        (["train", "toy", "--style", "loud"], "allowed is one of plain, fancy"),
        (["train", "toy", "--data", "dotz"], "unknown data 'dotz'; did you mean 'dots'?"),
        (["train", "toy", "--preset", "wid"], "unknown preset of toy 'wid'; did you mean 'wide'?"),
        (["train", "toy", "--set", "widht=3"], "unknown option of toy 'widht'; did you mean 'width'?"),
        (["train", "toy", "--config", "no.toml"], "cannot read --config no.toml: No such file"),
        (["train", "toy", "--device", "gpu"], "--device is 'gpu'; allowed is auto, cpu"),
        (["train", "toy", "--name", "a/b"], "--name is 'a/b'; allowed are letters"),
        (["train", "toy", "--precision", "float16", "--device", "cpu"], "which a CPU cannot train with"),
        (["train", "toy", "--width"], "Option '--width' requires an argument"),
        (["train", "toy", "--wide", "3"], "No such option '--wide'"),
        (["sample", "toy"], "there is no run 'toy', and no other in"),
        (["sample", "toy", "--shift", "0.5"], "there is no run 'toy'"),
        (["info", "toyy"], "did you mean 'toy'?"),
        (["provenance", "nothing.png"], "nothing.png is not a file"),
    ],
)
def test_mistakes_are_answered_in_one_line(genzoo_command, arguments, message):
    outcome = genzoo_command(*arguments)
    assert outcome.status == 2
    assert outcome.out == ""
    assert outcome.err.count("\n") == 1
    assert message in outcome.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "toy", "--width", "3", "--width", "4"], "--width is given twice; give it once"),
        (["train", "toy", "--bias", "--no-bias"], "--bias or --no-bias is given twice"),
        (["list", "--json", "--json"], "--json is given twice"),
        (["train", "toy", "--set", "width=3", "--set", "width=4"], "--set width is given twice; give it once"),
        (["sample", "toy", "--seed", "1", "--seed=2"], "--seed is given twice"),
        (["--help"], ""),
    ],
)
def test_an_option_that_is_given_twice_is_not_the_last_in_silence(genzoo_command, arguments, message):
    outcome = genzoo_command(*arguments)
    assert (outcome.status, outcome.err.startswith(f"genzoo: {message}" if message else "")) == (
        2 if message else 0,
        True,
    )


@pytest.mark.parametrize(
    ("model", "name", "content", "light"),
    [
        ("transformer", "latin.txt", "caf\xe9".encode("latin-1"), ()),
        ("vae", "one.png", b"no picture", ("numpy", "PIL")),
        ("gan", "some.npz", b"no archive", ("numpy", "PIL")),
    ],
)
def test_data_that_cannot_be_read_are_told_before_torch(tmp_path, model, name, content, light):
    (tmp_path / name).write_bytes(content)
    data = tmp_path if name.endswith(".png") else tmp_path / name
    status, modules = modules_after("train", model, "--data", str(data))
    assert status == 1
    assert not {name.partition(".")[0] for name in modules} & {*HEAVY} - {*light}


@pytest.mark.parametrize("arguments", [[], ["train"]])
def test_a_bare_command_shows_its_help(genzoo_command, arguments):
    outcome = genzoo_command(*arguments)
    assert outcome.status == 2
    assert outcome.err.startswith("Usage: genzoo")
    assert outcome.err.count("\n") > 5


def test_the_list_of_one_modality(genzoo_command):
    listed = genzoo_command("list", "--modality", "text")
    assert (listed.status, [line.split()[0] for line in listed.out.splitlines()]) == (
        0,
        ["MODEL", "hmm", "transformer"],
    )
    models = json.loads(genzoo_command("list", "--modality", "image", "--json").out)
    assert {"vae", "toy"} <= {model["name"] for model in models}
    assert {model["modality"] for model in models} == {"image"}
    refused = genzoo_command("list", "--modality", "texts")
    assert (refused.status, refused.out) == (2, "")
    assert refused.err == "genzoo: unknown modality 'texts'; did you mean 'text'?\n"


def test_a_modality_without_models_is_said(genzoo_command, monkeypatch):
    monkeypatch.setenv("GENZOO_PLUGINS", "toy")
    assert genzoo_command("list", "--modality", "text").out.startswith("no models of modality text are installed")


LOUD = r"""
    from dataclasses import dataclass

    import genzoo
    from genzoo import CommandSpec, DatasetSpec, GeneratorSpec, option

    RAW = "x\x1b]0;title\x07\x1b[31m\n\rEND"

    @dataclass(frozen=True, kw_only=True)
    class Options:
        width: int = option(1, help="h" + RAW, unit="u" + RAW)
        text: str = option("d" + RAW, help="h" + RAW)
        style: str = option("c" + RAW, help="h" + RAW, choices=("c" + RAW, "plain"))

    @genzoo.hookimpl
    def genzoo_generators():
        return [
            GeneratorSpec(
                name="loud", summary="s" + RAW, modality="image", target="nothing:X", config=Options, paper="p" + RAW,
                defaults={"steps": 1, "text": "e" + RAW}, presets={"n" + RAW: {"text": "v" + RAW}},
            )
        ]

    @genzoo.hookimpl
    def genzoo_datasets():
        return [DatasetSpec(name="sky", summary="s" + RAW, modality="image", target="loud:broken")]

    @genzoo.hookimpl
    def genzoo_commands():
        return [CommandSpec(name="shout", summary="s" + RAW, target="loud:no")]

    def broken(data_dir):
        raise ValueError(RAW)
"""


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["list"], 0), (["plugins"], 0), (["data"], 0), (["doctor"], 1), (["--help"], 0), (["info", "loud"], 0),
        (["train", "--help"], 0), (["train", "loud", "--help"], 0), (["train", "toy", "--data", "sky"], 1),
        (["train", "loud"], 1), (["shout"], 1), (["train", "loud", "--style", "x\x1b]0;title\x07\n\rEND"], 2),
        (["train", "loud", "--preset", "x\x1b]0;title\x07\n\rEND"], 2), (["info", "x\x1b]0;title\x07\n\rEND"], 2),
    ],
)  # fmt: skip
def test_what_a_terminal_would_obey_is_not_printed(install, genzoo_command, monkeypatch, arguments, status):
    from click import _compat, utils

    for module in (_compat, utils):  # as on a terminal: elsewhere click leaves colours out by itself
        monkeypatch.setattr(module, "should_strip_ansi", lambda *_: False)
    install("loud", LOUD)
    install("failing", r"raise RuntimeError('x\x1b]0;title\x07\n\rEND')")
    install("refusing", r"import genzoo; raise genzoo.UsageError('x\x1b]0;title\x07\n\rEND')")
    outcome = genzoo_command(*arguments)
    assert outcome.status == status
    text = outcome.out + outcome.err
    assert not set(text) - {"\n"} & {chr(code) for code in (*range(32), *range(127, 160))}
    assert not any(line.strip().startswith("END") for line in text.splitlines() if "--help" not in arguments)
    if status == 2:
        assert outcome.err.count("\n") == 1


def test_without_models_the_list_says_where_they_are(genzoo_command, monkeypatch):
    monkeypatch.setenv("GENZOO_PLUGINS", "")
    assert 'pip install "genzoo[all]"' in genzoo_command("list").out
    assert genzoo_command("train", "vae").err == "genzoo: unknown model 'vae'; there is none yet\n"


def test_a_disk_that_fails_is_one_line(genzoo_command, monkeypatch):
    from genzoo.training.logbook import Logbook

    def full(*_):
        raise OSError(28, "No space left on device", "metrics.jsonl")

    monkeypatch.setattr(Logbook, "write", full)
    outcome = genzoo_command("train", "toy", "--name", "one")
    assert (outcome.status, outcome.err.splitlines()[-1]) == (1, "genzoo: metrics.jsonl: No space left on device")
    assert genzoo.find_run("one").status == "failed"


def test_precedence_and_what_run_json_keeps(tmp_path, genzoo_command):
    (tmp_path / "o.toml").write_text('width = 10\nrate = 0.1\nstyle = "fancy"\nsteps = 7\npreset = "wide"\n', "utf-8")
    arguments = [
        "--config",
        tmp_path / "o.toml",
        "--set",
        "rate=0.2",
        "--set",
        "width=11",
        "--width",
        "12",
        "--name",
        "one",
    ]
    assert genzoo_command("train", "toy", *arguments).status == 0
    record = genzoo.find_run("one").record
    assert (record["options"]["width"], record["options"]["rate"], record["options"]["style"]) == (12, 0.2, "fancy")
    assert record["training"]["batch_size"] == 4  # of the preset, which the file names
    assert (record["training"]["steps"], record["preset"]) == (7, "wide")
    assert record["training"]["log_every"] == 4  # the model's default
    assert (
        genzoo_command("train", "toy", "--config", tmp_path / "o.toml", "--epochs", "0.5", "--name", "two").status == 0
    )
    assert genzoo.find_run("two").step == 5  # the nearest word on how long


def test_flags_lists_and_their_negation(genzoo_command):
    assert genzoo_command("train", "toy", "--no-bias", "--sizes", "3,2,1", "--limit", "5", "--name", "one").status == 0
    options = genzoo.find_run("one").record["options"]
    assert (options["bias"], options["sizes"], options["limit"]) == (False, [3, 2, 1], 5)


def test_help_lists_the_models_options_apart(genzoo_command):
    text = genzoo_command("train", "toy", "--help").out
    of_model, _, training = text.partition("Options of every training:")
    assert "--width INT" in of_model
    assert "[1 <= x <= 64; default: 8]" in " ".join(of_model.split())
    assert "--pause" in of_model
    assert "--batch-size INT" in training
    assert "default: 8" in training.partition("--batch-size")[2].partition("--device")[0]  # the model's default
    assert "--width" not in training
    names = "data data-dir steps epochs batch-size device precision seed runs-dir name preset config set save-every"
    for name in [*names.split(), "sample-every", "eval-every", "threads", "keep", "skip-bad-files"]:
        assert f"--{name} " in training.replace("\n", " "), name


def test_a_training_ends_by_naming_the_run_and_a_picture(genzoo_command):
    outcome = genzoo_command("train", "toy", "--name", "one")
    assert outcome.status == 0
    run = genzoo.find_run("one")
    assert f"run      {run.path}\n" in outcome.out
    picture = outcome.out.partition("samples  ")[2].splitlines()[0]
    assert picture.endswith("step-00000012.png")
    assert os.path.exists(picture)
    assert "one: to step 12 on cpu" in outcome.err  # plain lines where there is no terminal
    assert "step 12/12" in outcome.err


def test_the_whole_way(genzoo_command, tmp_path):
    made = json.loads(genzoo_command("train", "toy", "--name", "one", "--steps", "6", "--json").out)
    assert (made["name"], made["status"], made["step"]) == ("one", "finished", 6)
    assert json.loads(genzoo_command("resume", "one", "--steps", "12", "--json").out)["step"] == 12
    listed = json.loads(genzoo_command("runs", "--json").out)
    assert [(run["name"], run["status"], run["step"]) for run in listed] == [("one", "finished", 12)]
    assert "one" in genzoo_command("runs").out
    first, second = (genzoo_command("sample", "toy").out.strip() for _ in range(2))
    assert first.endswith("sample-001.png")
    assert second.endswith("sample-002.png")
    outcome = genzoo_command(
        "sample", "toy", "-n", 5, "--shift", 0.5, "--seed", 3, "--out", tmp_path / "a.npz", "--json"
    )
    assert json.loads(outcome.out)["path"] == str(tmp_path / "a.npz")
    marks = json.loads(genzoo_command("provenance", tmp_path / "a.npz", "--json").out)["genzoo"]
    assert (marks["seed"], marks["shift"], marks["run"], marks["model"]) == (3, 0.5, "one", "toy")
    assert "trainedAlgorithmicMedia" in genzoo_command("provenance", first).out
    assert (
        genzoo_command("sample", "toy", "-n", 3, "--separate", "--format", "jpeg", "--out", tmp_path / "many").status
        == 0
    )
    assert len(list((tmp_path / "many").glob("*.jpeg"))) == 3


def test_nothing_is_written_over_unasked(genzoo_command, tmp_path):
    genzoo_command("train", "toy")
    (tmp_path / "a.png").write_text("precious", "utf-8")
    refused = genzoo_command("sample", "toy", "--out", tmp_path / "a.png")
    assert (refused.status, (tmp_path / "a.png").read_text("utf-8")) == (2, "precious")
    assert "give --overwrite" in refused.err
    assert genzoo_command("sample", "toy", "--out", tmp_path / "a.png", "--overwrite").status == 0
    for arguments, why in (
        (["--out", tmp_path / "a.bmp"], "ends in .png, .jpeg, .npz, .pdf, .svg or .gif"),
        (["--out", tmp_path / "b.png", "--format", "npz"], "make them agree"),
        (["--separate", "--format", "npz"], "give one"),
        (["-n", "0"], "0 is not in the range"),
    ):
        refused = genzoo_command("sample", "toy", *arguments)
        assert refused.status == 2
        assert why in refused.err


def test_a_file_that_says_nothing_is_exit_status_1(genzoo_command, tmp_path):
    from PIL import Image

    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    outcome = genzoo_command("provenance", tmp_path / "a.png")
    assert outcome.status == 1
    assert "does not say that it was generated" in outcome.out


def test_several_files_say_what_they_are(genzoo_command, tmp_path):
    from PIL import Image

    genzoo_command("train", "toy", "--name", "one")
    first, second, silent = (tmp_path / name for name in ("a.png", "b.npz", "c.png"))
    for path, seed in ((first, 3), (second, 4)):
        assert genzoo_command("sample", "one", "--seed", seed, "--out", path).status == 0
    Image.new("L", (4, 4)).save(silent)
    both = genzoo_command("provenance", first, second)
    assert both.status == 0
    of_first, _, of_second = both.out.partition(f"{second}:\n")
    assert of_first.startswith(f"{first}:\n")
    for text, seed in ((of_first, "3"), (of_second, "4")):
        assert "trainedAlgorithmicMedia" in text
        assert [line.split() for line in text.splitlines() if line.split()[0] == "seed"] == [["seed", seed]]
    listed = json.loads(genzoo_command("provenance", first, second, "--json").out)
    assert [(entry["file"], entry["genzoo"]["seed"]) for entry in listed] == [(str(first), 3), (str(second), 4)]
    for arguments in ([first, silent], [silent, first]):
        some = genzoo_command("provenance", *arguments)
        assert (some.status, f"{silent} does not say that it was generated" in some.out) == (1, True)
        assert "trainedAlgorithmicMedia" in some.out
        some = genzoo_command("provenance", *arguments, "--json")
        assert (some.status, {entry["genzoo"] is None for entry in json.loads(some.out)}) == (1, {True, False})
    assert genzoo_command("provenance", first, tmp_path / "none.png").status == 2


def test_runs_that_cannot_be_found(genzoo_command, tmp_path):
    genzoo_command("train", "toy", "--name", "first-one")
    assert "did you mean 'first-one'?" in genzoo_command("sample", "first-on").err
    assert "is a folder, but not a run" in genzoo_command("sample", tmp_path).err
    assert "every run of 'toy' in" in genzoo_command("resume", "toy").err
    run = genzoo.find_run("first-one")
    run.update(status="failed")
    assert "no run of 'toy' in" in genzoo_command("sample", "toy").err
    (run.path / "run.json").write_text("{", "utf-8")
    assert "run.json is damaged" in genzoo_command("sample", "first-one").err


def test_help_of_sample_shows_the_models_options(genzoo_command):
    genzoo_command("train", "toy", "--name", "one")
    assert "--shift FLOAT" in genzoo_command("sample", "one", "--help").out
    assert "--shift" not in genzoo_command("sample", "--help").out


def test_show_lays_grids_and_curves_in_one_picture(genzoo_command, tmp_path):
    from PIL import Image

    genzoo_command("train", "toy", "--name", "one", "--sample-every", "3")
    outcome = genzoo_command("show", "toy")
    assert outcome.status == 0
    assert "steps            12 of 12\n" in outcome.out
    run = genzoo.find_run("one")
    with Image.open(run.path / "show.png") as picture:
        assert picture.size == (1500, 590)  # grids above one line of curves
        colours = {colour for _, colour in picture.getcolors(picture.width * picture.height)}
    assert len(colours) > 100
    assert genzoo.read_provenance(run.path / "show.png")["genzoo"]["operation"] == "show"
    run.metrics_file.unlink()  # a run that was killed before its first line
    for path in run.samples():
        path.unlink()
    run.update(status="running")
    again = genzoo_command("show", "toy", "--out", tmp_path / "a.png", "--json")
    assert json.loads(again.out)["status"] == "killed"
    assert (tmp_path / "a.png").exists()
    assert "exists; give --overwrite" in genzoo_command("show", "toy", "--out", tmp_path / "a.png").err


def test_every_report_has_json(genzoo_command):
    genzoo_command("train", "toy")
    for arguments in (["list"], ["info", "toy"], ["runs"], ["data"], ["plugins"]):
        json.loads(genzoo_command(*arguments, "--json").out)


def test_shell_completion_knows_models_runs_and_choices():
    genzoo.train("toy", name="first-one")

    def complete(words, incomplete):
        from click.shell_completion import ShellComplete

        return [
            item.value
            for item in ShellComplete(cli, {}, "genzoo", "_GENZOO_COMPLETE").get_completions(words, incomplete)
        ]

    assert complete(["train"], "v") == ["vae"]
    assert complete(["sample"], "") == ["first-one", "toy"]
    assert complete(["train", "toy", "--style"], "f") == ["fancy"]
    assert "mnist-5k" in complete(["train", "toy", "--data"], "mnist")
    assert complete(["trai"], "trai") == [] or "train" in complete([], "trai")


def test_a_reader_that_goes_does_not_end_a_training():
    """`genzoo train toy 2>&1 | head -1`, with a line after each step."""
    code = (
        "from genzoo.cli import main; from genzoo.runs import terminal as t; t.PLAIN_EVERY = t.NOT_BEFORE = 0.0; main()"
    )
    settings = ["--set", "pause=0.1", "--set", "log_every=1"]
    training = subprocess.Popen(
        [sys.executable, "-c", code, "train", "toy", "--name", "one", *settings],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=os.environ
        | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent / "toy"), os.environ.get("PYTHONPATH", "")])},
    )
    reader = subprocess.Popen(
        ["head", "-1"], stdin=training.stdout, stdout=subprocess.PIPE, text=True, encoding="utf-8"
    )
    training.stdout.close()  # only the reader has it now
    line, _ = reader.communicate(timeout=120)
    assert line == "one: to step 12 on cpu\n"
    assert training.wait(timeout=120) == 0
    run = genzoo.find_run("one")
    assert (run.status, run.step, len(run.metrics())) == ("finished", 12, 12)
    assert run.training_samples()[-1][0] == 12


def test_without_a_terminal_no_line_is_printed_twice(genzoo_command, monkeypatch):
    monkeypatch.setattr(terminal, "PLAIN_EVERY", 0.0)
    monkeypatch.setattr(terminal, "NOT_BEFORE", 0.0)
    outcome = genzoo_command("train", "toy", "--name", "one", "--log-every", "1")
    lines = outcome.err.splitlines()
    assert len(lines) >= 13
    assert all(line != after for line, after in itertools.pairwise(lines))
    sampled = genzoo_command("sample", "one", "-n", 10, "--batch-size", 2).err.splitlines()
    said = [line.partition("  ")[0] for line in sampled]
    assert said == [f"sampling: {count} of 10 samples" for count in (2, 4, 6, 8, 10)]
    assert all(re.fullmatch(r"sampling: \d of 10 samples  \d+ s left", line) for line in sampled[1:-1])


def test_what_was_just_said_is_not_said_again(capsys, monkeypatch):
    clock = itertools.count(100.0, 60.0)
    monkeypatch.setattr(terminal, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    lines = terminal.PlainLines()
    for done in (1, 3, 5, 5, 5):
        lines.data("reading (images)", done, 5)
    run = SimpleNamespace(name="one", step=0, steps_total=2, seconds=3.0, device="cpu")
    for step in (1, 1, 2, 2):
        lines.genzoo_run_logged(run, step, {"step": step, "loss": 0.5})
    assert capsys.readouterr().err.splitlines() == [
        "reading: 1 of 5 images", "reading: 3 of 5 images  120 s left", "reading: 5 of 5 images",
        "step 1/2  3 s left  loss 0.5", "step 2/2  0 s left  loss 0.5",
    ]  # fmt: skip


def test_the_end_of_a_training_says_what_took_how_long(genzoo_command):
    out = genzoo_command("train", "toy", "--name", "one", "--eval-every", "4").out
    besides = re.search(
        r"^besides  ([\d.]+) s of loading, ([\d.]+) s of scoring, drawing and saving$", out, re.MULTILINE
    )
    record = genzoo.find_run("one").record
    assert record["seconds_between"] > 0
    assert float(besides[2]) == pytest.approx(record["seconds_between"], abs=0.06)
    assert float(besides[1]) >= 0


def test_a_bar_is_drawn_on_a_terminal():
    pty = pytest.importorskip("pty", reason="no terminal can be made here")
    leader, follower = pty.openpty()
    code = (
        f"import sys; sys.path.insert(0, {os.path.dirname(__file__) + '/toy'!r}); from genzoo.cli import main; main()"
    )
    arguments = ["train", "toy", "--pause", "0.1", "--log-every", "1"]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stderr=follower,
        stdout=subprocess.DEVNULL,
        env=os.environ | {"TERM": "xterm"},
    )
    os.close(follower)
    seen = b""
    try:
        while part := os.read(leader, 65536):
            seen += part
    except OSError:  # how Linux says that the other end is closed
        pass
    os.close(leader)
    assert process.wait() == 0
    text = seen.decode(errors="replace")
    assert "12/12" in text
    assert "samples/s" in text
    assert "loss" in text


def test_a_class_is_drawn_by_its_label(genzoo_command, tmp_path):
    import numpy as np

    genzoo_command("train", "toy", "--name", "one", "--conditional")
    drawn = genzoo_command("sample", "one", "-n", 3, "--label", "b", "--out", tmp_path / "b.npz")
    assert drawn.status == 0
    with np.load(tmp_path / "b.npz") as arrays:
        assert (arrays["images"] == 191).all()  # 0.75
        assert arrays["labels"].tolist() == [1, 1, 1]
    assert genzoo.read_provenance(tmp_path / "b.npz")["genzoo"]["label"] == "b"
    assert genzoo_command("sample", "one", "--out", tmp_path / "all.npz").status == 0
    with np.load(tmp_path / "all.npz") as arrays:
        assert arrays["labels"].tolist() == [0, 1] * 8  # 8 of each class
        assert arrays["images"].mean((1, 2, 3)).tolist() == [64, 191] * 8
    refused = genzoo_command("sample", "one", "--label", "c")
    assert (refused.status, "--label is 'c'; the classes of run 'one' are a, b" in refused.err) == (2, True)
    genzoo_command("train", "toy", "--name", "plain")
    refused = genzoo_command("sample", "plain", "--label", "b")
    assert (refused.status, "was not trained with labels" in refused.err) == (2, True)


WORDS = """
    from dataclasses import dataclass

    import torch

    import genzoo
    from genzoo import Batch, Dataset, DatasetSpec, DataSpec, GeneratorSpec, Modality, ModalitySpec, option
    from genzoo.text import TextTrainOptions, TextWriteOptions
    from genzoo.text.modality import TextModality

    @dataclass(frozen=True, kw_only=True)
    class Options:
        conditional: bool = option(False, help="Learn from labels.")

    class Words(Dataset):
        def spec(self, name):
            counts = {"train_count": 8, "validation_count": 8, "test_count": 8}
            return DataSpec(
                name=name, modality="words", shape=(1,), classes=("low", "high"), fingerprint="0", **counts
            )

        def count(self, part):
            return 8

        def take(self, part, index, device):
            return Batch(index[:, None].to(device), (index % 2).to(device))

    class Labelled(TextModality):
        take, score, equip = Modality.take, Modality.score, Modality.equip

    class Speller(genzoo.Generator):
        def __init__(self, config, data):
            super().__init__(config, data)
            self.weight = torch.nn.Parameter(torch.zeros(()))

        def fit(self, run):
            for _ in run.batches():
                run.log(loss=self.weight)

        def sample(self, count, *, options, rng, labels):
            return ["HIGH" if label else "low" for label in labels]

        def stream(self, *, options, rng, labels):
            yield from self.sample(1, options=options, rng=rng, labels=labels)[0]

    def load(data_dir):
        return Words()

    @genzoo.hookimpl
    def genzoo_modalities():
        return [
            ModalitySpec(
                name="words", summary="s", target="words:Labelled", train_options=TextTrainOptions,
                write_options=TextWriteOptions, count=1,
            )
        ]

    @genzoo.hookimpl
    def genzoo_datasets():
        return [DatasetSpec(name="two-words", summary="s", modality="words", target="words:load")]

    @genzoo.hookimpl
    def genzoo_generators():
        defaults = {"steps": 1, "batch_size": 4, "data": "two-words", "conditional": True}
        return [
            GeneratorSpec(
                name="speller", summary="s", modality="words", target="words:Speller", config=Options, defaults=defaults
            )
        ]
"""


def test_what_is_printed_can_have_classes_too(install, genzoo_command, tmp_path):
    install("words", WORDS)
    assert genzoo_command("train", "speller", "--name", "one").status == 0
    assert genzoo_command("sample", "one", "--label", "high").out == "HIGH\n"
    assert genzoo_command("sample", "one", "-n", 1).out == "low\n"  # streamed
    assert "".join(genzoo.stream("one")) == "low"
    assert "".join(genzoo.stream("one", label="high")) == "HIGH"
    both = json.loads(genzoo_command("sample", "one", "--json").out)
    assert (both["count"], both["samples"]) == (2, ["low", "HIGH"])
    assert genzoo_command("sample", "one", "--label", "high", "--out", tmp_path / "a.txt").status == 0
    assert (tmp_path / "a.txt").read_text("utf-8") == "HIGH"
    assert genzoo.read_provenance(tmp_path / "a.txt")["genzoo"]["label"] == "high"
    assert genzoo_command("sample", "one", "--label", "middle").status == 2
