"""Write one tiny run of every family as this version writes it: `uv run python tests/kept/write.py VERSION`.

The runs go to tests/kept/VERSION. They are written once for a version, and
stay as they are: the test of later versions is that they read them.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

os.environ["GENZOO_BLOCK"] = "tensorboard"

import genzoo

HERE = Path(__file__).parent
TINY = {"steps": 4, "batch_size": 4, "save_every": 4, "log_every": 2, "sample_every": 0, "threads": 1, "device": "cpu"}

FAMILIES: dict[str, dict[str, object]] = {
    "vae": {"architecture": "mlp", "hidden_sizes": (8,), "latent_dim": 2},
    "gan": {"generator_sizes": (4,), "discriminator_sizes": (2,), "latent_dim": 2},
    "dcgan": {"width": 2, "latent_dim": 2, "data": "mnist-5k", "image_size": 16},
    "diffusion": {"width": 4, "channel_multipliers": (1,), "layers_per_block": 1, "num_timesteps": 20},
    "transformer": {"hidden_size": 8, "num_layers": 1, "num_heads": 2, "context_length": 16},
}
SAMPLING: dict[str, dict[str, object]] = {"diffusion": {"num_steps": 4}, "transformer": {"max_new_tokens": 20}}
TEXT = "the quick brown fox jumps over the lazy dog;\n" * 40


def data_of(family: str, folder: Path) -> str:
    """What a family's run is trained on: the name of a data set, or a file that is written into `folder`."""
    if family != "transformer":
        return "digits-8x8"
    path = folder / "kept.txt"
    path.write_text(TEXT, "utf-8", newline="\n")
    return str(path)


def write(version: str) -> None:
    """Train every family, and keep the runs."""
    target = HERE / version
    if target.exists():
        raise SystemExit(f"{target} exists; the runs of a version are written once")
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # so that no path of this machine is in a run
        for family, options in FAMILIES.items():
            data = Path(data_of(family, Path())).name
            extra = {"eval_every": 0, "seed": 0, "runs_dir": "runs", "name": family}
            run = genzoo.train(family, **{"data": data, **TINY, **extra, **options})
            name = options.get("data", data)  # without this machine's path
            run.update(training={**run.record["training"], "data": name})
        os.chdir(before)
        shutil.copytree(Path(folder) / "runs", target, ignore=shutil.ignore_patterns("run.lock", "tensorboard"))


if __name__ == "__main__":
    write(sys.argv[1])
