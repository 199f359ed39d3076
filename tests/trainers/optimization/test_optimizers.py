"""Optimisers: groups, decay, clipping, and LARS computed by hand."""

from typing import Literal

import pytest
import torch
from torch import Tensor, nn

from tests.trainers.small import make
from trainers.optimization.optimizers import OptimizerConfig, clip_each, make_optimizer


@pytest.mark.parametrize(("name", "kind"), [("sgd", torch.optim.SGD), ("adamw", torch.optim.AdamW)])
def test_optimisers_by_name(name: str, kind: type[torch.optim.Optimizer]) -> None:
    config = OptimizerConfig(name=name, lr=0.5, weight_decay=0.1)  # type: ignore[arg-type]
    optimizer = make_optimizer(nn.Linear(2, 2), config)
    assert isinstance(optimizer, kind)
    assert {group["lr"] for group in optimizer.param_groups} == {0.5}
    assert [(group["weight_decay"], [p.ndim for p in group["params"]]) for group in optimizer.param_groups] == [
        (0.1, [2]),
        (0.0, [1]),
    ]


def test_adams_betas_are_those_of_the_settings() -> None:
    """A second gradient of zero leaves the first one's mean, times beta1, over the root of its square, times beta2."""
    module = nn.Linear(1, 1, bias=False)
    optimizer = make_optimizer(module, OptimizerConfig(name="adamw", lr=1.0, weight_decay=0.0, betas=(0.5, 0.8)))
    steps = []
    for gradient in (1.0, 0.0):
        before, module.weight.grad = module.weight.item(), torch.tensor([[gradient]])
        optimizer.step()
        steps.append(before - module.weight.item())
    mean, square = 0.5 * 0.5 / (1 - 0.5**2), 0.8 * 0.2 / (1 - 0.8**2)
    assert steps == pytest.approx([1.0, mean / square**0.5], rel=1e-5)


@pytest.mark.parametrize("kind", ["sgd", "adamw", "lars"])
@pytest.mark.parametrize("name", ["byol", "dino", "ibot", "mae", "moco-v3"])
def test_matrices_and_kernels_decay_and_biases_and_norms_do_not(
    name: str, kind: Literal["sgd", "adamw", "lars"]
) -> None:
    """With gradients of zero only decay moves weights."""
    method = make(name)
    optimizer = make_optimizer(method, OptimizerConfig(name=kind, lr=1.0, weight_decay=0.1))
    with torch.no_grad():
        for p in method.parameters():
            p.add_(1.0)
    before = {key: p.detach().clone() for key, p in method.named_parameters() if p.requires_grad}
    for p in method.parameters():
        p.grad = torch.zeros_like(p) if p.requires_grad else None
    optimizer.step()
    for key, p in method.named_parameters():
        if key in before:
            assert torch.equal(p, before[key]) == (p.ndim <= 1), key


@pytest.mark.parametrize("kind", ["sgd", "adamw", "lars"])
def test_a_parameter_may_get_its_first_gradient_after_the_others(kind: Literal["sgd", "adamw", "lars"]) -> None:
    """DINO's last layer does, after the first epoch; torch's fused SGD wants the momentum of all parameters or of none."""
    module = nn.ModuleList(nn.Linear(2, 2, bias=False) for _ in range(2))
    optimizer = make_optimizer(module, OptimizerConfig(name=kind, lr=0.1, momentum=0.5, weight_decay=0.0))
    early, late = module.parameters()
    start = late.detach().clone()
    for frozen in (True, False):
        early.grad, late.grad = torch.ones(2, 2), None if frozen else torch.ones(2, 2)
        optimizer.step()
        assert torch.equal(late, start) == frozen
    if kind == "sgd":
        torch.testing.assert_close(late.detach(), start - 0.1)
        early.grad = late.grad = torch.zeros(2, 2)
        optimizer.step()
        torch.testing.assert_close(late.detach(), start - 0.1 - 0.1 * 0.5)


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


def test_lars_multiplies_its_momentum_by_the_rate() -> None:
    """So that a change of the rate works at once; in the classic form it would come late."""
    p = nn.Parameter(torch.tensor([1.0]))
    module = nn.Module()
    module.register_parameter("bias", p)
    optimizer = make_optimizer(module, OptimizerConfig(name="lars", lr=1.0, momentum=0.5))
    steps = []
    for rate in (1.0, 0.1):
        for group in optimizer.param_groups:
            group["lr"] = rate
        before, p.grad = p.item(), torch.tensor([1.0])
        optimizer.step()
        steps.append(before - p.item())
    assert steps == pytest.approx([1.0, 0.1 * 1.5])  # classic: [1.0, 0.5 * 1.0 + 0.1]
