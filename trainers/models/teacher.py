"""The teacher: a copy of the student that follows it as an exponential moving average."""

import copy
from typing import TypeVar

import torch
from timm.layers.drop import DropPath
from torch import nn

N = TypeVar("N", bound=nn.Module)


def make_teacher(student: N) -> N:
    """Copy a module; the copy gets no gradient and no drop-path."""
    teacher = copy.deepcopy(student).requires_grad_(False)
    for module in teacher.modules():
        if isinstance(module, DropPath):
            module.drop_prob = 0.0
    return teacher


@torch.no_grad()
def update_teacher(teacher: nn.Module, student: nn.Module, momentum: float) -> None:
    """Move the teacher's parameters: teacher = momentum * teacher + (1 - momentum) * student.

    Only parameters: the teacher's BatchNorm statistics come from its own forward passes (BYOL and MoCo, official code).
    """
    torch._foreach_lerp_(list(teacher.parameters()), list(student.parameters()), 1 - momentum)
