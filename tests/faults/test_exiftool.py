"""What is written says where it is from to a reader that is not ours: exiftool (Debian's libimage-exiftool-perl)."""

import json
import shutil
import subprocess

import pytest

import genzoo

pytestmark = [
    pytest.mark.usefixtures("toy"),
    pytest.mark.skipif(shutil.which("exiftool") is None, reason="there is no exiftool here"),
]
SOURCE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_exiftool_reads_where_a_picture_is_from(genzoo_command, tmp_path, suffix):
    genzoo.train("toy", name="one", steps=2, eval_every=0, sample_every=0)
    file = tmp_path / f"picture{suffix}"
    assert genzoo_command("sample", "one", "-n", "2", "--out", file).status == 0
    command = ["exiftool", "-json", "-n", "-G", str(file)]
    (tags,) = json.loads(subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=True).stdout)
    assert tags["XMP:DigitalSourceType"] == SOURCE
    assert '"model": "toy"' in json.dumps(tags).replace("\\", "")
