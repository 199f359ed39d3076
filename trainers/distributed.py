"""Tensors of several processes as one; with a single process everything here returns its argument.

A loss of gathered rows is computed whole in every process. `gather` sends gradients back to the rows' owners, summed over processes, and
DistributedDataParallel averages them: together the gradient of one process with the whole batch.
"""

import torch
import torch.distributed as dist
import torch.distributed.nn.functional as dist_functional
from torch import Tensor


def world_size() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def gather(x: Tensor) -> Tensor:
    """Concatenate the rows of all processes in order of their rank, (N, ...), with gradient."""
    if world_size() == 1:
        return x
    return torch.cat(dist_functional.all_gather(x))  # type: ignore[no-untyped-call]


@torch.no_grad()
def gather_keys(x: Tensor) -> Tensor:
    """The same without gradient."""
    if world_size() == 1:
        return x
    parts = [torch.empty_like(x) for _ in range(world_size())]
    dist.all_gather(parts, x.contiguous())
    return torch.cat(parts)
