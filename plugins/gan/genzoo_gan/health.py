"""Whether a GAN works. Its losses do not say, so two measures do, and words when they stay bad."""

from __future__ import annotations

from torch import Tensor

from genzoo import Run

COLLAPSED = 0.25  # diversity below this share of the data's
WON = 0.995  # accuracy on real and on fake images above this
PATIENCE = 1000  # steps that it must last, after as many that every training needs to begin


def spread(images: Tensor) -> Tensor:
    """The mean squared distance between two different ones of (N, ...) images, from all pairs."""
    flat = images.flatten(1)
    return 2 * flat.var(dim=0, unbiased=True).sum()


class Health:
    """Follows the discriminator's accuracy and the diversity of samples, and warns once of each that stays bad."""

    def __init__(self, run: Run) -> None:
        self._run, self._bad_since, self._said = run, {}, set()  # type: tuple[Run, dict[str, int], set[str]]

    def look(self, real_accuracy: float, fake_accuracy: float, diversity: float) -> None:
        """Take note of the measures after a step; `diversity` is the samples' spread over the data's."""
        self._follow(
            "the samples have collapsed to nearly the same picture",
            diversity < COLLAPSED,
            f"their diversity is {diversity:.2f} of the data's. Try --loss wasserstein-gp, --r1 1, --spectral-norm, a"
            " smaller --learning-rate, or another --seed",
        )
        self._follow(
            "the discriminator has won",
            min(real_accuracy, fake_accuracy) > WON,
            f"it tells {real_accuracy:.1%} of real and {fake_accuracy:.1%} of fake images, and the generator learns"
            " nothing from it. Try --discriminator-learning-rate below --learning-rate, --discriminator-dropout 0.3,"
            " --label-smoothing 0.1, or --r1 1",
        )

    def _follow(self, what: str, bad: bool, advice: str) -> None:
        step = self._run.step + 1
        if not bad or step <= PATIENCE:
            self._bad_since.pop(what, None)
            return
        since = self._bad_since.setdefault(what, step)
        if step - since >= PATIENCE and what not in self._said:
            self._said.add(what)
            self._run.warn(f"{what}, since step {since}: {advice}")
