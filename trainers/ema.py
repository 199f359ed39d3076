"""The teacher: a copy of the student that follows it as an exponential moving average."""

import copy

import torch
from torch import nn


def make_teacher(student: nn.Module) -> nn.Module:
    """Copy a module; the copy takes no gradient."""
    return copy.deepcopy(student).requires_grad_(False)


@torch.no_grad()
def update_teacher(teacher: nn.Module, student: nn.Module, momentum: float) -> None:
    """Move the teacher's parameters: teacher = momentum * teacher + (1 - momentum) * student.

    Parameters only: BatchNorm statistics of the teacher come from its own forward passes (BYOL and MoCo, official code).
    """
    torch._foreach_lerp_(list(teacher.parameters()), list(student.parameters()), 1 - momentum)
