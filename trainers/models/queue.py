"""The queue: a ring of unit-length keys of earlier batches."""

import torch
import torch.nn.functional as F
from torch import Tensor


def new_queue(rows: int, dim: int) -> Tensor:
    """Fill a queue with random directions: (Q, D)."""
    return F.normalize(torch.randn(rows, dim), dim=1)


@torch.no_grad()
def enqueue(queue: Tensor, pointer: Tensor, keys: Tensor) -> None:
    """Write keys, oldest places first, wrapping at the end; of more keys than places the last ones stay.

    queue: (Q, D), changed; pointer: integer (), changed to the next place; keys: (N, D), of any length.
    """
    rows = len(queue)
    keys = F.normalize(keys.float(), dim=1)
    places = (pointer + torch.arange(len(keys), device=queue.device)) % rows
    queue[places[-rows:]] = keys[-rows:]
    pointer.copy_((pointer + len(keys)) % rows)
