"""What the tests share: the toy plugin, plugins made on the spot, and the command."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import textwrap
import venv
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from genzoo.registry.plugins import registry

TOY = Path(__file__).parent / "toy"


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The toy plugin, installed."""
    monkeypatch.syspath_prepend(str(TOY))


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """A function that installs a plugin of one module: `install("my_plugin", code)`."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    made = []

    def make(
        module: str, code: str, *, distribution: str | None = None, entry: str | None = None, group: str = "genzoo"
    ) -> None:
        name = distribution or module.replace("_", "-")
        (site / f"{module}.py").write_text(textwrap.dedent(code), "utf-8")
        info = site / f"{name.replace('-', '_')}-1.0.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", "utf-8")
        (info / "entry_points.txt").write_text(f"[{group}]\n{entry or module} = {module}\n", "utf-8")
        made.append(module)
        registry.cache_clear()

    yield make
    for module in made:
        sys.modules.pop(module, None)


@pytest.fixture
def genzoo_command(genzoo_command: Callable[..., Any]) -> Callable[..., Any]:
    """The `genzoo` command, in this process: its status, and what it printed, warnings too."""

    def call(*arguments: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            return genzoo_command(*arguments)

    return call


@pytest.fixture(scope="session")
def outside(tmp_path_factory):
    """A clean environment that has genzoo's wheel, and torch from the one that runs the tests; `call` calls in it."""
    root = tmp_path_factory.mktemp("outside")
    venv.create(root / "env", with_pip=True)
    scripts = root / "env" / ("Scripts" if os.name == "nt" else "bin")
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))

    def call(*command, status=0, folder=root):
        path = {
            "PATH": os.pathsep.join([str(scripts), os.defpath])
        }  # without uv: pip sees what is on it, and fetches no torch
        here = {k: v for k, v in os.environ.items() if not k.startswith(("GENZOO_", "PYTHON", "VIRTUAL_ENV"))} | path
        done = subprocess.run(
            [*map(str, command)], cwd=folder, env=here, capture_output=True, text=True, encoding="utf-8"
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout

    wheels = root / "wheels"
    source = Path(__file__).parents[1]
    subprocess.run([uv, "build", "--wheel", "--quiet", "--out-dir", wheels, source], check=True)
    (wheel,) = wheels.glob("genzoo-*.whl")
    call(scripts / "python", "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel)
    (site,) = (root / "env").rglob("site-packages")
    (site / "others.pth").write_text(sysconfig.get_path("purelib"), "utf-8")
    call.root, call.uv, call.scripts = root, uv, scripts
    return call


CODER = """
    import torch, genzoo
    from dataclasses import dataclass
    from genzoo import GeneratorSpec, option

    @dataclass(frozen=True, kw_only=True)
    class Options:
        conditional: bool = option(False, help="Learn from labels.")

    class Coder(genzoo.Generator):
        "Its code of an image is the upper half; decoding says it twice, darker by half for the first class."
        def __init__(self, config, data):
            super().__init__(config, data)
            self.scale = torch.nn.Parameter(torch.ones(()))
        def fit(self, run):
            for _ in run.batches():
                run.log(loss=0.0)
        def sample(self, count, *, options, rng, labels=None):
            return rng.uniform(*self.data.shape)
        def encode(self, examples, **labels):
            assert (len(labels) == 1) == self.conditional
            return examples[:, :, : examples.shape[2] // 2].flatten(1) * self.scale
        def decode(self, latents, labels=None):
            assert (labels is not None) == self.conditional
            channels, height, width = self.data.shape
            half = latents.view(-1, channels, height // 2, width)
            if labels is not None:
                half = half * (0.5 + 0.5 * labels.view(-1, 1, 1, 1))
            return torch.cat([half, half], dim=2)

    class Mirror(Coder):
        "It has a way of its own, which goes before."
        def reconstruct(self, examples, **labels):
            return examples.flip(3)

    @genzoo.hookimpl
    def genzoo_generators():
        defaults = {"steps": 1, "data": "dots", "batch_size": 4, "sample_every": 0, "eval_every": 0}
        return [GeneratorSpec(name=name, summary="-", modality="image", target=f"zoo_coder:{kind}", config=Options,
            defaults=defaults) for name, kind in (("coder", "Coder"), ("mirror", "Mirror"))]
"""


@pytest.fixture
def coder(toy: None, install: Callable[..., None]) -> None:
    """The models `coder` and `mirror`, which have a latent space."""
    install("zoo_coder", CODER)
