"""What a person types and sees."""

import json
import os
import subprocess
import sys

import pytest

import genzoo
from genzoo.cli import cli

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
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
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
    code = "import sys, genzoo; genzoo.list_models(); genzoo.runs(); print(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {name.partition(".")[0] for name in out.split()} & set(HEAVY)


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


@pytest.mark.parametrize("arguments", [[], ["train"]])
def test_a_bare_command_shows_its_help(genzoo_command, arguments):
    outcome = genzoo_command(*arguments)
    assert outcome.status == 2
    assert outcome.err.startswith("Usage: genzoo")
    assert outcome.err.count("\n") > 5


def test_without_models_the_list_says_where_they_are(genzoo_command, monkeypatch):
    monkeypatch.setenv("GENZOO_PLUGINS", "")
    assert 'pip install "genzoo[all]"' in genzoo_command("list").out
    assert genzoo_command("train", "vae").err == "genzoo: unknown model 'vae'; there is none yet\n"


def test_a_disk_that_fails_is_one_line(genzoo_command, monkeypatch):
    from genzoo.logbook import Logbook

    def full(*_):
        raise OSError(28, "No space left on device", "metrics.jsonl")

    monkeypatch.setattr(Logbook, "write", full)
    outcome = genzoo_command("train", "toy", "--name", "one")
    assert (outcome.status, outcome.err.splitlines()[-1]) == (1, "genzoo: metrics.jsonl: No space left on device")
    assert genzoo.find_run("one").status == "failed"


def test_precedence_and_what_run_json_keeps(tmp_path, genzoo_command):
    (tmp_path / "o.toml").write_text('width = 10\nrate = 0.1\nstyle = "fancy"\nsteps = 7\npreset = "wide"\n')
    given = [
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
    assert genzoo_command("train", "toy", *given).status == 0
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
    own, _, training = text.partition("Options of every training:")
    assert "--width INT" in own
    assert "[1 <= x <= 64; default: 8]" in " ".join(own.split())
    assert "--pause" in own
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
    (tmp_path / "a.png").write_text("precious")
    refused = genzoo_command("sample", "toy", "--out", tmp_path / "a.png")
    assert (refused.status, (tmp_path / "a.png").read_text()) == (2, "precious")
    assert "give --overwrite" in refused.err
    assert genzoo_command("sample", "toy", "--out", tmp_path / "a.png", "--overwrite").status == 0
    for arguments, why in (
        (["--out", tmp_path / "a.gif"], "ends in .png, .jpeg or .npz"),
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


def test_runs_that_cannot_be_found(genzoo_command, tmp_path):
    genzoo_command("train", "toy", "--name", "first-one")
    assert "did you mean 'first-one'?" in genzoo_command("sample", "first-on").err
    assert "is a folder, but not a run" in genzoo_command("sample", tmp_path).err
    assert "every run of 'toy' in" in genzoo_command("resume", "toy").err
    run = genzoo.find_run("first-one")
    run.update(status="failed")
    assert "no run of 'toy' in" in genzoo_command("sample", "toy").err
    (run.path / "run.json").write_text("{")
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
    assert genzoo.provenance.read(run.path / "show.png")["genzoo"]["operation"] == "show"
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


def test_a_bar_is_drawn_on_a_terminal():
    import pty

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
    text = seen.decode()
    assert "12/12" in text
    assert "samples/s" in text
    assert "loss" in text
