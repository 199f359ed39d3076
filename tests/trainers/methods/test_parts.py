"""Schedules, the teacher, optimiser groups and heads: small parts on known numbers."""

import math

import pytest
import torch
from torch import nn

from trainers.models.heads import byol_mlp, simclr_projection
from trainers.models.teacher import make_teacher, update_teacher
from trainers.optimization.optimizers import OptimizerConfig, make_optimizer
from trainers.optimization.schedules import cosine, learning_rate


def test_cosine_passes_its_ends_and_its_middle() -> None:
    assert [cosine(f, 0.9, 1.0) for f in (0.0, 0.5, 1.0)] == pytest.approx([0.9, 0.95, 1.0])
    assert cosine(1.5, 0.9, 1.0) == 1.0  # a clock that runs over does not turn back


def test_a_rate_rises_in_a_line_and_falls_along_a_cosine() -> None:
    rates = [learning_rate(f, 2.0, 0.1, "cosine") for f in (0.0, 0.05, 0.1, 0.55, 1.0)]
    assert rates == pytest.approx([0.0, 1.0, 2.0, 1.0, 0.0])
    assert learning_rate(0.25, 2.0, 0.0, "cosine") == pytest.approx(1 + math.cos(math.pi / 4))


def test_moco_v1s_rate_falls_to_a_tenth_twice() -> None:
    rates = [learning_rate(f, 2.0, 0.1, "steps") for f in (0.05, 0.1, 0.59, 0.6, 0.79, 0.8, 1.0)]
    assert rates == pytest.approx([1.0, 2.0, 2.0, 0.2, 0.2, 0.02, 0.02])


def test_update_teacher_on_known_numbers() -> None:
    student, teacher = nn.Linear(2, 1), nn.Linear(2, 1)
    with torch.no_grad():
        student.weight.copy_(torch.tensor([[1.0, 2.0]]))
        teacher.weight.copy_(torch.tensor([[3.0, 4.0]]))
    update_teacher(teacher, student, 0.75)
    torch.testing.assert_close(teacher.weight.data, torch.tensor([[2.5, 3.5]]))


def test_the_teacher_takes_parameters_but_never_batch_statistics() -> None:
    student = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    teacher = make_teacher(student)
    for _ in range(5):
        student(torch.randn(8, 3) * 10 + 5)
    before = {name: buffer.clone() for name, buffer in teacher.named_buffers()}
    update_teacher(teacher, student, 0.0)
    assert all(torch.equal(a, b) for a, b in zip(teacher.parameters(), student.parameters(), strict=True))
    assert all(torch.equal(before[name], buffer) for name, buffer in teacher.named_buffers())
    assert not any(p.requires_grad for p in teacher.parameters())


def test_biases_and_norms_do_not_decay() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
    decays, stays = make_optimizer(module, OptimizerConfig(weight_decay=0.1)).param_groups
    assert (decays["weight_decay"], [p.ndim for p in decays["params"]]) == (0.1, [4, 2])
    assert (stays["weight_decay"], [p.ndim for p in stays["params"]]) == (0.0, [1, 1, 1, 1])


@pytest.mark.parametrize(("name", "kind"), [("sgd", torch.optim.SGD), ("adamw", torch.optim.AdamW)])
def test_optimisers_by_name(name: str, kind: type[torch.optim.Optimizer]) -> None:
    config = OptimizerConfig(name=name, lr=0.5)  # type: ignore[arg-type]
    optimizer = make_optimizer(nn.Linear(2, 2), config)
    assert isinstance(optimizer, kind)
    assert {group["lr"] for group in optimizer.param_groups} == {0.5}


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_simclr_projection_ends_in_a_norm_without_shift(layers: int) -> None:
    head = simclr_projection(8, 16, 4, layers)
    assert sum(isinstance(m, nn.Linear) for m in head) == layers
    assert sum(isinstance(m, nn.ReLU) for m in head) == layers - 1
    last = head[-1]
    assert isinstance(last, nn.BatchNorm1d)
    assert not last.bias.requires_grad
    z = head(torch.randn(32, 8))
    torch.testing.assert_close(z.mean(dim=0), torch.zeros(4), atol=1e-5, rtol=0)


def test_byol_mlp_has_a_bare_last_layer() -> None:
    head = byol_mlp(8, 16, 4)
    assert [type(m) for m in head] == [nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Linear]
    assert head[0].bias is not None
    assert head[-1].bias is None
