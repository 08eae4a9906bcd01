"""Write one tiny run of every family as this version writes it: `uv run python tests/kept/write.py VERSION`.

The runs go to tests/kept/VERSION. They are written once for a version, and stay as they are: the test of later versions
is that they read them. A family that is there is left alone.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import wave
from pathlib import Path

os.environ["GENZOO_BLOCK"] = "tensorboard"

import genzoo

HERE = Path(__file__).parent
TINY = {"steps": 4, "save_every": 4, "log_every": 2, "sample_every": 0, "threads": 1, "device": "cpu"}

FAMILIES: dict[str, dict[str, object]] = {
    "vae": {"architecture": "mlp", "hidden_sizes": (8,), "latent_dim": 2},
    "gan": {"generator_sizes": (4,), "discriminator_sizes": (2,), "latent_dim": 2},
    "dcgan": {"width": 2, "latent_dim": 2, "data": "mnist-5k", "image_size": 16},
    "diffusion": {"width": 4, "channel_multipliers": (1,), "layers_per_block": 1, "num_timesteps": 20},
    "transformer": {"hidden_size": 8, "num_layers": 1, "num_heads": 2, "context_length": 16},
    "hmm": {"num_states": 4, "passage_length": 64, "restarts": 2},
    "melgan": {
        "width": 8, "layers": 1, "segment": 8, "discriminator_width": 4, "discriminators": 1,
        "adversarial_share": 0.0,  # without the optimiser of discriminators, which would be 3 MB
    },
    "mel-diffusion": {
        "width": 4, "channel_multipliers": (1,), "layers_per_block": 1, "num_timesteps": 20, "patch": 8,
        "attention_resolutions": (),
    },
}  # fmt: skip
SAMPLING: dict[str, dict[str, object]] = {
    "diffusion": {"num_steps": 4},
    "mel-diffusion": {"num_steps": 4},
    "transformer": {"max_new_tokens": 20},
    "hmm": {"max_new_tokens": 20},
}
TEXT = "the quick brown fox jumps over the lazy dog;\n" * 40


def options_of(family: str) -> dict[str, object]:
    """Those of a tiny training, but for its data."""
    batches = {} if family == "hmm" else {"batch_size": 4}
    return {**TINY, **batches, **FAMILIES[family]}


def data_of(family: str, folder: Path) -> str:
    """What a family's run is trained on: the name of a data set, or a file or folder that is written into `folder`."""
    if family in ("melgan", "mel-diffusion"):
        return str(_tones(folder / "kept-tones"))
    if family not in ("transformer", "hmm"):
        return str(FAMILIES[family].get("data", "digits-8x8"))
    path = folder / "kept.txt"
    path.write_text(TEXT, "utf-8", newline="\n")
    return str(path)


def _tones(folder: Path) -> Path:
    """Sawtooth waves of 24 pitches at 4 kHz, the same numbers on every machine."""
    folder.mkdir()
    for number in range(24):
        with wave.open(str(folder / f"{number:02}.wav"), "wb") as file:
            file.setparams((1, 2, 4000, 0, "NONE", None))
            samples = ((t * (number + 5) % 256 - 128) * (512 - t) // 4 for t in range(512))
            file.writeframes(b"".join(sample.to_bytes(2, "little", signed=True) for sample in samples))
    return folder


def write(version: str) -> None:
    """Train every family that is not there yet, and keep the runs."""
    before, target = Path.cwd(), HERE / version
    for family in [name for name in FAMILIES if not (target / name).exists()]:
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)  # so that no path of this machine is in a run
            data = Path(data_of(family, Path())).name
            extra = {"eval_every": 0, "seed": 0, "runs_dir": "runs", "name": family}
            run = genzoo.train(family, **{**options_of(family), **extra, "data": data})
            run.update(training={**run.record["training"], "data": data})  # without this machine's path
            os.chdir(before)
            ignored = shutil.ignore_patterns("run.lock", "tensorboard")
            shutil.copytree(Path(folder) / "runs" / family, target / family, ignore=ignored)


if __name__ == "__main__":
    write(sys.argv[1])
