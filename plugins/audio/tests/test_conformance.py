"""What every model promises."""

import pytest

from genzoo.testing import parametrize_with_checks


@parametrize_with_checks("melgan")
def test_the_vocoder_keeps_what_every_model_promises(check):
    check()


@pytest.mark.slow  # the process that it shares with diffusion is checked there
@parametrize_with_checks("mel-diffusion")
def test_the_diffusion_model_keeps_what_every_model_promises(check):
    check()
