"""What shows itself: short in a terminal, whole and harmless in a notebook; and the display of a training there."""

import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import genzoo
from genzoo import Interrupted, UsageError
from genzoo.interface.shown import curve_as_html, escaped
from genzoo.runs.progress import Watched

SMALL = {"steps": 12, "log_every": 2, "sample_every": 6, "device": "cpu"}


@pytest.fixture
def kernel(monkeypatch):
    """IPython as a kernel has it, as far as it is looked at; gives the outputs, each with all that it showed."""
    outputs = []

    def display(content, *, raw, display_id):
        assert raw
        assert display_id
        shown = [content]
        outputs.append(shown)
        return SimpleNamespace(update=lambda content, raw: shown.append(content))

    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=object())))
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=display))
    return outputs


def harmless(html):
    """Nothing of it is run, or asked of anywhere; every tag is closed."""
    assert not re.search(r"<script|javascript:|\son\w+=|https?://|<link|<iframe", html, flags=re.IGNORECASE)
    assert all(source.startswith("data:") for source in re.findall(r'src="([^"]*)"', html))
    return html


# A training in a notebook


def test_a_training_shows_itself_in_one_output_each(toy, kernel, monkeypatch):
    monkeypatch.setattr("genzoo.runs.notebook.EVERY", 0.0)
    genzoo.train("toy", name="one", **SMALL)
    genzoo.train_seeds("toy", 2, name="two", **SMALL)
    assert len(kernel) == 3
    first, *_, last = [harmless(content["text/html"]) for content in kernel[0]]
    assert "starting" in first
    assert "<progress" in kernel[0][2]["text/html"]
    assert "step 4 of 12" in kernel[0][2]["text/plain"]
    assert "<polyline" in last
    assert "data:image/png;base64," in last
    assert "<progress" not in last
    assert "genzoo.sample(&#x27;one&#x27;)" in last


def test_an_interrupt_says_how_to_go_on(toy, kernel):
    class Stop:
        def genzoo_run_logged(self, run):
            run.stop()

    with pytest.raises(Interrupted) as error:
        genzoo.train("toy", name="one", watchers=[Stop()], **SMALL)
    assert error.value._render_traceback_() == [f"Interrupted: {error.value}"]
    assert "genzoo.resume(&#x27;one&#x27;)" in kernel[0][-1]["text/html"]
    assert genzoo.resume("one").status == "finished"
    with pytest.raises(Interrupted, match=r"go on with: genzoo.resume\('three', data=...\)"):
        data = np.zeros((40, 4, 4), np.uint8)
        genzoo.train("toy", name="three", data=data, watchers=[Stop()], **SMALL)


def test_elsewhere_it_is_silent_unless_asked(toy, capfd, monkeypatch):
    monkeypatch.setattr("genzoo.runs.terminal.NOT_BEFORE", 0.0)
    genzoo.train("toy", **SMALL)
    assert capfd.readouterr() == ("", "")
    genzoo.train("toy", name="loud", progress=True, **SMALL)
    printed = capfd.readouterr()
    assert (printed.out, "loud: to step 12" in printed.err) == ("", True)
    calls = []
    genzoo.sample("toy", 2, progress=lambda *call: calls.append(call))
    assert calls[-1] == ("sampling (samples)", 2, 2)
    assert "IPython" not in sys.modules or sys.modules["IPython"] is not None


def test_in_a_notebook_it_can_be_turned_off(toy, kernel):
    genzoo.train("toy", progress=False, **SMALL)
    assert kernel == []
    with Watched(None) as watched:
        watched.data("reading (images)", 1, 2)  # within the first second
    assert kernel == []


# What shows itself


def test_a_plugins_own_error_keeps_its_traceback():
    try:
        try:
            exec(compile("1 / 0", "their_model.py", "exec"))
        except ZeroDivisionError as error:
            raise genzoo.GenzooError("model 'x' fails") from error
    except genzoo.GenzooError as error:
        lines = error._render_traceback_()
    assert lines[-1] == "GenzooError: model 'x' fails"
    assert "their_model.py" in "\n".join(lines)


def test_runs_models_and_specs_are_short_in_a_terminal_and_tables_in_a_notebook(toy):
    run = genzoo.train("toy", name="one", **SMALL)
    assert repr(run) == "<run one: toy on dots, finished, 12 of 12 steps>"
    assert "one</b> finished 12 of 12 steps" in harmless(run._repr_html_())
    model = genzoo.load(run)
    assert repr(model).startswith("<model toy of run one: ")
    assert "Dropout" in harmless(model._repr_html_())
    spec = next(spec for spec in genzoo.list_models() if spec.name == "toy")
    assert repr(spec) == "<model toy: A toy>"
    assert "--width" in harmless(spec._repr_html_())
    assert repr(run.data_spec) == "<data dots: image 1x4x4, 36 for training>"
    assert "1x4x4" in harmless(run.data_spec._repr_html_())
    models = genzoo.list_models()
    assert repr(models).splitlines()[-1].startswith("<model")
    assert {"model": "toy", "modality": "image", "plugin": "genzoo-toy 1.0", "summary": "A toy"} in models.to_rows()
    assert "<td>toy</td>" in harmless(models._repr_html_())
    assert genzoo.list_runs().to_rows()[0]["run"] == "one"
    assert run.to_rows() == run.metrics()


def test_evaluations_and_comparisons_show_their_floor_and_baselines(toy):
    runs = [genzoo.train("toy", seed=seed, **SMALL) for seed in (0, 1)]
    result = genzoo.evaluate(runs[0], 30, features="random")
    assert repr(result).startswith(f"<evaluation of {runs[0].name}: kernel_distance ")
    assert "floor" in {name for row in result.to_rows() for name in row}
    compared = genzoo.compare(runs, 30, features="random")
    html = harmless(compared._repr_html_())
    assert all(run.name in html for run in runs)
    assert all(title.upper() in html for title in result.columns.values())
    assert len(compared.to_rows()) == sum(len(one.measures) for one in compared)
    assert compared[0] == result


def test_names_and_texts_are_escaped():
    assert escaped("<b onload=x>\x1b&\"'") == "&lt;b onload=x&gt;\ufffd&amp;&quot;&#x27;"
    assert "&lt;i&gt;" in curve_as_html("<i>", {"training": [(0, 1.0), (1, 2.0)]})
    assert curve_as_html("nothing", {"training": []}) == ""


def test_a_curve_of_many_points_is_thinned_and_ends_where_it_ends():
    points = [(float(x), float(x % 7)) for x in range(10_000)]
    svg = curve_as_html("loss", {"": points})
    places = re.search(r'points="([^"]*)"', svg)[1].split()
    assert len(places) <= 300
    assert places[-1] == f"216.0,{90 - (4 + 3 / 6 * 82):.1f}"
    assert "loss: 3" in svg


# Samples


def test_samples_are_shown_by_their_modality_and_marked_where_they_are_of_a_run(toy):
    run = genzoo.train("toy", **SMALL)
    view = genzoo.show(genzoo.sample(run, 9), run)
    assert view.picture.shape == (1, 20, 20)
    assert repr(view) == "<picture of 20x20 pixels, grey>"
    assert b"AIGC" in content(view)
    assert b"AIGC" not in content(genzoo.show(torch.zeros(4, 1, 4, 4)))
    assert genzoo.show(["some <b>text"]).text == "some <b>text"
    assert "&lt;b&gt;" in harmless(genzoo.show(["some <b>text"]).html)
    assert genzoo.show(torch.zeros(2, 3, 1, 4, 4)).picture.shape == genzoo.show(torch.zeros(6, 1, 4, 4)).picture.shape
    for wrong in (torch.zeros(3), [1, 2], "x", 5):
        with pytest.raises(UsageError, match="does not say of which modality it is; give samples, and the run"):
            genzoo.show(wrong)
    with pytest.raises(UsageError, match="the samples are shape"):
        genzoo.show(torch.zeros(2, 1, 5, 5), run)


def content(view):
    import base64

    return base64.b64decode(re.search(r"base64,([^\"]*)", view.html)[1])


# For a lecture


def test_a_latent_plane_is_of_the_codes_and_decodes_what_lies_between(coder):
    run = genzoo.train("coder", name="one")
    plane = genzoo.latent(run, 10, grid=3)
    assert plane.codes.shape == (10, 2)
    assert len(plane.samples) == 9
    assert 0 < plane.explained[1] <= plane.explained[0] < 1
    encoded = genzoo.load(run).encode(genzoo.sampling.latents.held_out(run, 10, 0).examples)
    centred = (encoded - encoded.mean(0)).detach().double()
    axes = torch.linalg.eigh(centred.T @ centred)[1][:, -2:].flip(1)  # of the largest variance
    assert torch.allclose(plane.codes.abs().double(), (centred @ axes).abs(), atol=1e-4)
    assert "<img" in harmless(plane._repr_html_())


def test_latent_and_animate_write_pictures_and_refuse_what_has_none(coder, genzoo_command):
    run = genzoo.train("coder", name="one", steps=4, sample_every=2)
    outcome = genzoo_command("latent", "one", "-n", 5, "--grid", 3)
    assert outcome.out.strip().endswith("latent-001.png"), outcome.err
    outcome = genzoo_command("show", "one", "--animate")
    assert "show.gif" in outcome.out
    assert genzoo.read_provenance(run.path / "show.gif")["genzoo"]["operation"] == "show"
    from PIL import Image

    with Image.open(run.path / "show.gif") as picture:
        assert picture.n_frames == 3
    genzoo.train("toy", name="plain", steps=2, sample_every=0)
    assert "has no latent plane: it has no encoder" in genzoo_command("latent", "plain").err
    assert "has no pictures of its training to animate" in genzoo_command("show", "plain", "--animate").err


# A contest


def test_a_leaderboard_measures_anew_and_believes_nothing(toy, genzoo_command, tmp_path):
    handed = tmp_path / "handed"
    runs = [
        genzoo.train("toy", name=name, runs_dir=str(handed / name), seed=seed, **SMALL)
        for seed, name in enumerate("ab")
    ]
    before = {path: path.read_bytes() for path in handed.rglob("*") if path.is_file()}
    (handed / "c").mkdir()
    (handed / "c" / "run.json").write_text("{}", "utf-8")
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "held.npz", images=rng.integers(0, 256, (60, 4, 4), dtype=np.uint8))
    call = (
        "compare",
        "--leaderboard",
        handed,
        "--data",
        tmp_path / "held.npz",
        "-n",
        20,
        "--measures",
        "kernel_distance",
    )
    outcome = genzoo_command(*call)
    assert outcome.status == 1, outcome.err
    assert re.search(r"^1 +[ab]/[ab] +toy +\d+ ", outcome.out, flags=re.M)
    assert "left out  c: " in outcome.out
    assert {path: path.read_bytes() for path in before} == before  # nothing is written into them
    assert not list(handed.rglob("evaluations/*"))
    scores = [genzoo.evaluate(run, 20, features="random").measures[0].value for run in runs]
    for run in runs:
        (file,) = run.evaluations()
        file.write_text(file.read_text("utf-8").replace(str(scores[0]), "0.0"), "utf-8")
    assert genzoo_command(*call).out == outcome.out
    assert (
        "--leaderboard measures on data of yours; give --data" in genzoo_command("compare", "--leaderboard", handed).err
    )
    assert "no run is named; give RUN..., or --leaderboard FOLDER" in genzoo_command("compare").err
