"""What every model promises."""

from genzoo.testing import parametrize_with_checks


@parametrize_with_checks("vae")
def test_it_keeps_what_every_model_promises(check):
    check()
