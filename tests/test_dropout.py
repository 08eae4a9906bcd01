"""`genzoo.kernels.Dropout` is dropout: what is left out, what is scaled, and what goes back."""

import pytest
import torch

from genzoo.kernels import Dropout


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_each_element_is_kept_with_the_same_chance_and_scaled(p, layout):
    torch.manual_seed(0)
    x = torch.ones(64, 7, 9, 11).contiguous(memory_format=layout).requires_grad_()
    y = Dropout(p)(x)
    kept = (y > 0).float()
    assert y.stride() == x.stride()
    error = (p * (1 - p) / 64) ** 0.5
    assert kept.mean().item() == pytest.approx(1 - p, abs=5 * error / (7 * 9 * 11) ** 0.5)
    assert (kept.mean(0) - (1 - p)).abs().max() < 5.5 * error  # no place is favoured
    assert torch.allclose(y[y > 0], torch.tensor(1 / (1 - p)), rtol=1e-3)
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())  # the same mask


def test_elements_that_share_random_bits_are_independent():
    torch.manual_seed(0)
    kept = (Dropout(0.3)(torch.ones(200_000)) > 0).float().view(-1, 4)
    assert (kept.T.corrcoef() - torch.eye(4)).abs().max() < 0.03


def test_it_is_a_function_of_the_seed_and_off_where_it_should_be():
    x = torch.randn(5, 7)
    drawn = []
    for _ in range(2):
        torch.manual_seed(3)
        drawn.append(Dropout(0.4)(x))
    assert torch.equal(*drawn)
    assert torch.equal(Dropout(0.4).eval()(x), x)
    assert torch.equal(Dropout(0.0)(x), x)
    assert (Dropout(1.0)(x) == 0).all()
    assert Dropout(0.5)(torch.empty(0, 3)).shape == (0, 3)
    turned = torch.ones(6, 4).t()[:, ::2]  # with gaps
    assert set(Dropout(0.5)(turned).unique().tolist()) <= {0.0, 2.0}
