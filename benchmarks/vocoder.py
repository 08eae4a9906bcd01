"""How fast a vocoder is beside Griffin-Lim, on one core: `uv run python benchmarks/vocoder.py RUN`.

Seconds of sound that a second makes, one recording at a time and 16 together. They are noise: what is vocoded makes no
difference.
"""

from __future__ import annotations

import sys
import time

import torch

import genzoo
from genzoo_audio.spectrograms import griffin_lim
from genzoo_audio.vocoder import MelGAN

ROUNDS = 5


def main(run: str) -> None:
    torch.set_num_threads(1)
    model = genzoo.load(run, device="cpu")
    if not isinstance(model, MelGAN):
        raise SystemExit(f"{run} is a run of {model.spec.name}, not of melgan")
    samples, rate = model.data.shape[1], model.mel.sample_rate
    waves = 0.1 * torch.randn(16, samples, generator=torch.Generator().manual_seed(0))
    log_mel = model.mel.of(waves)  # (16, bands, F)
    phases = torch.rand(len(waves), model.mel.window // 2 + 1, model.mel.frames(samples))

    def vocoder(size: int) -> None:
        for start in range(0, len(waves), size):
            model.generator(log_mel[start : start + size], samples)

    def baseline(size: int) -> None:
        for start in range(0, len(waves), size):
            part = slice(start, start + size)
            griffin_lim(model.mel.magnitudes(log_mel[part]), model.mel, samples, phases[part])

    print(f"torch {torch.__version__}, 1 thread, the best of {ROUNDS} rounds")
    with torch.no_grad():
        for name, function in (("vocoder", vocoder), ("Griffin-Lim, 32 iterations", baseline)):
            for size in (1, 16):
                best = min(_seconds(function, size) for _ in range(ROUNDS))
                print(f"{len(waves) * samples / rate / best:9,.0f} times real time  {name}, {size} at a time")


def _seconds(function: object, size: int) -> float:
    start = time.perf_counter()
    function(size)  # type: ignore[operator]
    return time.perf_counter() - start


if __name__ == "__main__":
    main(sys.argv[1])
