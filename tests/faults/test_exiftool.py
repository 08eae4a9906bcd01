"""What is written says where it is from to a reader that is not ours: exiftool (Debian's libimage-exiftool-perl)."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

import genzoo

pytestmark = [
    pytest.mark.usefixtures("toy"),
    pytest.mark.skipif(shutil.which("exiftool") is None, reason="there is no exiftool here"),
]
SOURCE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
KEPT = Path(__file__).parents[1] / "kept" / "0.1"


def tags(file):
    command = ["exiftool", "-json", "-n", "-G", str(file)]
    (read,) = json.loads(subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=True).stdout)
    return read


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_exiftool_reads_where_a_picture_is_from(genzoo_command, tmp_path, suffix):
    genzoo.train("toy", name="one", steps=2, eval_every=0, sample_every=0)
    file = tmp_path / f"picture{suffix}"
    assert genzoo_command("sample", "one", "-n", "2", "--out", file).status == 0
    read = tags(file)
    assert read["XMP:DigitalSourceType"] == SOURCE
    assert '"model": "toy"' in json.dumps(read).replace("\\", "")


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".pdf", ".svg", ".gif", ".npz"])
def test_exiftool_reads_where_what_is_no_photograph_is_from(genzoo_command, tmp_path, suffix):
    genzoo.train("toy", name="one", steps=2, eval_every=0, sample_every=0)
    file = tmp_path / f"samples{suffix}"
    assert genzoo_command("sample", "one", "-n", "2", "--out", file).status == 0
    read = json.dumps(tags(file)).replace("\\", "")
    assert SOURCE in read, read
    assert '"model": "toy"' in read, read


@pytest.mark.slow
@pytest.mark.parametrize(("suffix", "tag"), [(".wav", "RIFF:Comment"), (".flac", "Vorbis:Comment")])
def test_exiftool_reads_where_a_recording_is_from(tmp_path, suffix, tag):
    import torch

    write = pytest.importorskip("genzoo_audio.write")
    facts = {"generator": "genzoo", "version": "0.1.0", "model": "melgan", "run": "one", "seed": 0}
    file = tmp_path / f"one{suffix}"
    write.write_joined(torch.zeros(2, 1, 800), file, facts, 8000, columns=1)
    labels = json.loads(tags(file)[tag])
    assert (labels["digital_source_type"], labels["genzoo"]["model"]) == (SOURCE, "melgan")
    assert tags(f"{file}.json")["JSON:Digital_source_type"] == SOURCE


@pytest.mark.slow
def test_exiftool_reads_where_a_text_is_from_beside_it(genzoo_command, tmp_path):
    file = tmp_path / "one.txt"
    assert genzoo_command("sample", KEPT / "transformer", "--prompt", "a", "--out", file).status == 0
    read = tags(f"{file}.json")
    assert (read["JSON:Digital_source_type"], read["JSON:GenzooModel"]) == (SOURCE, "transformer")


@pytest.mark.slow
@pytest.mark.parametrize(("suffix", "tag"), [(".pdf", "PDF:Keywords"), (".svg", "XMP:Description"), (".png", "")])
def test_exiftool_reads_which_runs_a_plot_is_of(genzoo_command, tmp_path, suffix, tag):
    file = tmp_path / f"plot{suffix}"
    outcome = genzoo_command("plot", KEPT / "vae", "--out", file)
    assert outcome.status == 0, outcome.err
    text = tags(file).get(tag) or tags(file)
    assert all(word in json.dumps(text).replace("\\", "") for word in ("genzoo", '"runs": ["vae"]'))
