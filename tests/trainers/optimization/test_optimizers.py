"""Clipping and LARS by hand."""

import pytest
import torch
from torch import Tensor, nn

from trainers.optimization.optimizers import OptimizerConfig, clip_each, make_optimizer


def unit(v: Tensor) -> Tensor:
    return torch.as_tensor(v / v.norm())


def test_clipping_shortens_each_long_gradient_by_itself() -> None:
    parameters = [nn.Parameter(torch.zeros(shape)) for shape in ((3, 4), (5,), (2,), (2, 2))]
    gradients = [torch.randn(3, 4) * 10, torch.randn(5) * 0.01, torch.zeros(2)]
    for parameter, gradient in zip(parameters, gradients, strict=False):
        parameter.grad = gradient.clone()
    clip_each(parameters, 3.0)
    long, short, none, missing = (p.grad for p in parameters)
    assert long is not None
    torch.testing.assert_close(long, 3 * unit(gradients[0]), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(short, gradients[1])
    torch.testing.assert_close(none, gradients[2])
    assert missing is None


@pytest.mark.parametrize("decay", [0.1, 0.0])
def test_lars_adapts_and_decays_matrices_and_does_neither_to_biases_and_norms(decay: float) -> None:
    module = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    optimizer = make_optimizer(module, OptimizerConfig(name="lars", lr=0.5, momentum=0.9, weight_decay=decay))
    expected = {}
    for name, p in module.named_parameters():
        p.grad = torch.randn_like(p)
        if p.ndim > 1:
            rate = 0.001 * p.norm() / (p.grad.norm() + decay * p.norm())
            expected[name] = p.detach() - 0.5 * rate * (p.grad + decay * p.detach())
        else:
            expected[name] = p.detach() - 0.5 * p.grad
    optimizer.step()
    for name, p in module.named_parameters():
        torch.testing.assert_close(p.detach(), expected[name], rtol=1e-4, atol=1e-6, msg=name)
