"""Signs that a GAN's training has failed, which its losses do not show: collapse, and a discriminator that wins."""

from __future__ import annotations

from torch import Tensor

from genzoo import Alarms, Run

COLLAPSED = 0.25  # diversity below this: mode collapse
WON = 0.995  # accuracy on both real and fake images above this: the discriminator has won
PATIENCE = 1000  # steps


def spread(images: Tensor) -> Tensor:
    """The mean squared distance between two different ones of (N, ...) images, over all pairs."""
    flat = images.flatten(1)  # (N, D)
    return 2 * flat.var(dim=0, unbiased=True).sum()


class Health:
    """Watches the discriminator's accuracy and the samples' diversity, and warns once of each that stays bad."""

    def __init__(self, run: Run) -> None:
        self._alarms = Alarms(run, PATIENCE)

    def look(self, real_accuracy: float, fake_accuracy: float, diversity: float) -> None:
        """Take the measures of a step; `diversity` is the samples' spread over that of the data."""
        self._alarms.look(
            "the samples have collapsed to nearly the same picture",
            diversity < COLLAPSED,
            f"their diversity is {diversity:.2f} of the data's. Try --loss wasserstein-gp, --r1 1, --spectral-norm, a"
            " smaller --learning-rate, or another --seed",
        )
        self._alarms.look(
            "the discriminator has won",
            min(real_accuracy, fake_accuracy) > WON,
            f"it tells {real_accuracy:.1%} of real and {fake_accuracy:.1%} of fake images, and the generator learns"
            " nothing from it. Try --discriminator-learning-rate below --learning-rate, --discriminator-dropout 0.3,"
            " --label-smoothing 0.1, or --r1 1",
        )
