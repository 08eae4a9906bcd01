"""The wheels work where there is no checkout: built, installed by pip into an empty environment, and used there."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LIGHT = ("click", "pluggy", "platformdirs", "filelock", "rich", "markdown_it", "mdurl", "pygments")


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """The wheels of every distribution of the workspace."""
    folder = tmp_path_factory.mktemp("wheels")
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    command = [uv, "build", "--all-packages", "--wheel", "--quiet", "--out-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    return sorted(folder.glob("*.whl"))


class Environment:
    """A virtual environment with the wheels, and a folder to work in."""

    def __init__(self, folder, wheels):
        venv.create(folder / "env", with_pip=True)
        self.scripts = folder / "env" / ("Scripts" if os.name == "nt" else "bin")
        self.folder = folder / "empty"
        self.folder.mkdir()
        pip = [self.scripts / "python", "-m", "pip", "install", "--no-deps", "--no-index", "--quiet", *wheels]
        done = subprocess.run([*map(str, pip)], capture_output=True, text=True, encoding="utf-8", cwd=self.folder)
        assert done.returncode == 0, done.stderr
        self.site = Path(next((folder / "env").rglob("site-packages")))

    def genzoo(self, *arguments):
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("GENZOO_", "PYTHON", "VIRTUAL_ENV"))}
        command = [str(self.scripts / "genzoo"), *arguments]
        return subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, encoding="utf-8", env=environment
        )


@pytest.fixture(scope="module")
def without_torch(wheels, tmp_path_factory):
    """An environment with the few light packages that genzoo imports before torch, and no torch."""
    made = Environment(tmp_path_factory.mktemp("light"), wheels)
    here = Path(sysconfig.get_path("purelib"))
    for name in LIGHT:
        shutil.copytree(here / name, made.site / name)
    return made


@pytest.fixture(scope="module")
def with_torch(wheels, tmp_path_factory):
    """An environment that finds everything else, torch too, in the one that runs the tests."""
    made = Environment(tmp_path_factory.mktemp("heavy"), wheels)
    (made.site / "others.pth").write_text(sysconfig.get_path("purelib"), "utf-8")
    return made


def test_wheels_hold_the_package_and_nothing_else(wheels):
    assert [wheel.name.partition("-")[0] for wheel in wheels] == [
        "genzoo",
        "genzoo_audio",
        "genzoo_dcgan",
        "genzoo_diffusion",
        "genzoo_emoji",
        "genzoo_gan",
        "genzoo_hmm",
        "genzoo_sklearn",
        "genzoo_speech",
        "genzoo_sweep",
        "genzoo_tensorboard",
        "genzoo_trackers",
        "genzoo_transformer",
        "genzoo_vae",
        "genzoo_web",
    ]
    for wheel in wheels:
        package = wheel.name.partition("-")[0]
        names = zipfile.ZipFile(wheel).namelist()
        assert all(name.startswith((f"{package}/", f"{package}-0.1.0.dist-info/")) for name in names)
        assert f"{package}/py.typed" in names
        ships = {
            "genzoo": "image/classifiers/mnist-5k",
            "genzoo_emoji": "classifiers/emoji",
            "genzoo_sklearn": "classifiers",
        }
        if package in ships:
            weights = [name for name in names if name.endswith("/classifier.safetensors")]
            assert len(weights) == 1
            assert weights[0].startswith(f"{package}/{ships[package]}")
        metadata = zipfile.ZipFile(wheel).read(f"{package}-0.1.0.dist-info/METADATA").decode()
        terms = "GPL-3.0-or-later" if package == "genzoo_speech" else "Apache-2.0"  # as espeak-ng is
        assert f"License-Expression: {terms}" in metadata
        assert "Requires-Python: >=3.11" in metadata


def test_what_needs_no_torch_works_without_it(without_torch):
    listed = without_torch.genzoo("list")
    assert (listed.returncode, "genzoo-vae 0.1.0" in listed.stdout) == (0, True), listed.stderr
    assert "--latent-dim" in without_torch.genzoo("train", "vae", "--help").stdout
    refused = without_torch.genzoo("train", "vae", "--latent-dim", "0")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    for arguments in (["info", "vae"], ["plugins"], ["data"], ["runs"], ["--version"]):
        assert without_torch.genzoo(*arguments).returncode == 0
    assert without_torch.genzoo("sample", "vae").returncode == 2


def test_a_model_trains_and_samples_from_the_wheels(with_torch):
    options = ["--steps", "20", "--prior", "gaussian", "--sample-every", "0", "--name", "one"]
    trained = with_torch.genzoo("train", "vae", *options)
    assert trained.returncode == 0, trained.stderr
    assert (with_torch.folder / "runs" / "one" / "samples" / "step-00000020.png").exists()
    sampled = with_torch.genzoo("sample", "vae", "-n", "4")
    assert Path(sampled.stdout.rstrip("\n")) == Path("runs/one/samples/sample-001.png")
    where = [
        str(with_torch.scripts / "python"),
        "-c",
        "import genzoo, genzoo_vae; print(genzoo.__file__, genzoo_vae.__file__)",
    ]
    files = subprocess.run(
        where, cwd=with_torch.folder, capture_output=True, text=True, encoding="utf-8"
    ).stdout.split()
    assert all(Path(file).is_relative_to(with_torch.site) for file in files)
