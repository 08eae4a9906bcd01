"""What a VAE's losses do not show: a posterior that says nothing of an image, a likelihood that does not suit it."""

from __future__ import annotations

from torch import Tensor

from genzoo import Alarms, DataSpec, Run

ACTIVE = 0.01  # least variance of an active unit's posterior mean over the data (Burda et al. 2016)
COLLAPSED = 0.5  # nats of KL an image, below which the posterior says nothing of it
PATIENCE, LEAST_PATIENCE = 500, 100  # steps; of a shorter training a fifth of it


def active_units(mu: Tensor) -> Tensor:
    """How many latent dimensions vary over the data (Burda et al. 2016), by the posteriors' means (N, latent_dim)."""
    return (mu.var(0) > ACTIVE).sum()


def is_nearly_binary(data: DataSpec) -> bool:
    """Whether images are grey, and vary more than drawing each of their pixels as black or white adds noise."""
    return data.shape[0] == 1 and data.extra.get("binarisation_noise", 0.0) <= 1


class Health:
    """Watches the KL, and warns once where it stays near zero: posterior collapse."""

    def __init__(self, run: Run, latent_dim: int, likelihood: str) -> None:
        self._alarms = Alarms(run, max(LEAST_PATIENCE, min(PATIENCE, run.steps_total // 5)))
        self._latent_dim, self._likelihood = latent_dim, likelihood

    def look(self, kl: float, active: int) -> None:
        """Take the KL of a step, nats an image, and how many units are active."""
        smaller = "--beta 0.001, as the mean of squares is small" if self._likelihood == "mse" else "a smaller --beta"
        self._alarms.look(
            "the posterior has collapsed to the prior",
            kl < COLLAPSED,
            f"the KL is {kl:.2g} nats, {active} of {self._latent_dim} latent dimensions are active, and all images are"
            f" reconstructed alike. Try {smaller}, --kl-warmup-steps {PATIENCE}, --free-bits 0.25, or a smaller"
            " --learning-rate",
        )


def check_likelihood(likelihood: str, run: Run) -> None:
    """Warn before the first step of a Bernoulli likelihood of images that it does not suit: in colour, or such that
    binarising them adds more noise than they vary."""
    if likelihood == "bernoulli" and not is_nearly_binary(run.data):
        grey = "pixels become 0 or 1, which adds more noise than these images vary"
        colour = "each channel of a pixel becomes 0 or 1, which leaves eight colours"
        reason = grey if run.data.shape[0] == 1 else colour
        run.warn(f"--likelihood bernoulli does not suit these images: {reason}. Try --likelihood gaussian")
