"""Tensors of several processes, concatenated; with a single process everything here returns its argument.

Every process computes the loss of the gathered rows of all. `gather` sends gradients back to the process that each row came from,
summed over processes, and DistributedDataParallel averages them. The result is the gradient of one process with the whole batch.
"""

from typing import TYPE_CHECKING, Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

if TYPE_CHECKING:
    from lightning_fabric import Fabric

T = TypeVar("T")


def world_size() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def agree(fabric: "Fabric", value: T) -> T:
    """Give all processes the value that the first one has."""
    return fabric.broadcast(value) if fabric.world_size > 1 else value


def gather(x: Tensor) -> Tensor:
    """Concatenate the rows of all processes in order of their rank, (N, ...), with gradient. Each has the same number of rows."""
    return x if world_size() == 1 else torch.as_tensor(_Gather.apply(x))


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return gather_keys(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total.chunk(world_size())[rank()]


@torch.no_grad()
def gather_keys(x: Tensor) -> Tensor:
    """Concatenate the rows of all processes in order of their rank, (N, ...), without gradient."""
    if world_size() == 1:
        return x
    parts = [torch.empty_like(x) for _ in range(world_size())]
    dist.all_gather(parts, x.contiguous())
    return torch.cat(parts)
