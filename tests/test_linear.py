"""`genzoo.kernels.Linear` computes what `torch.nn.Linear` does, to every derivative."""

import pytest
import torch
from torch import nn

from genzoo.kernels import Linear, linear


@pytest.fixture(params=["onednn", "torch"])
def kernel(request, monkeypatch):
    if request.param == "onednn" and not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        pytest.skip("this torch has no oneDNN")
    monkeypatch.setattr(linear, "onednn_is_faster", lambda: request.param == "onednn")


def values(layer, x, create_graph):
    x = x.clone().requires_grad_()
    y = layer(x)
    loss = y.square().sum() + y.sin().sum()
    first = torch.autograd.grad(loss, [x, *layer.parameters()], create_graph=create_graph)
    if not create_graph:
        return [y, *first]
    penalty = (first[0].norm(dim=1) - 1).square().sum()  # as the gradient penalty of a Wasserstein GAN
    return [y, *first, *torch.autograd.grad(penalty, list(layer.parameters())[:1])]


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("bias", [True, False])
def test_results_and_derivatives_are_those_of_torch(kernel, bias, create_graph):
    torch.manual_seed(0)
    layer, reference = Linear(20, 30, bias), nn.Linear(20, 30, bias)
    reference.load_state_dict(layer.state_dict())
    x = torch.randn(7, 20)
    for a, b in zip(values(layer, x, create_graph), values(reference, x, create_graph), strict=True):
        assert torch.allclose(a, b, rtol=1e-4, atol=1e-4)


def test_other_inputs_go_torchs_way(kernel):
    layer = Linear(20, 30)
    assert layer(torch.randn(2, 3, 20)).shape == (2, 3, 30)
    assert layer.double()(torch.randn(2, 20, dtype=torch.float64)).dtype == torch.float64
    with torch.autocast("cpu", torch.bfloat16):
        assert layer.float()(torch.randn(2, 20)).dtype == torch.bfloat16


def test_the_same_input_gives_the_same_bits(kernel):
    layer, x = Linear(300, 200), torch.randn(64, 300)
    assert torch.equal(layer(x), layer(x))
