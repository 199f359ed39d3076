"""The queue: a ring buffer of unit-length keys of earlier batches."""

import torch
import torch.nn.functional as F
from torch import Tensor


def new_queue(rows: int, dim: int) -> Tensor:
    """Make a queue of random directions: (Q, D)."""
    return F.normalize(torch.randn(rows, dim), dim=1)


@torch.no_grad()
def enqueue(queue: Tensor, pointer: Tensor, keys: Tensor) -> None:
    """Replace the oldest keys by new ones; of more keys than rows the last ones stay.

    queue: (Q, D), changed; pointer: integer (), the row of the oldest key, changed; keys: (N, D), of any length.
    """
    rows = len(queue)
    keys = F.normalize(keys.float(), dim=1)
    targets = (pointer + torch.arange(len(keys), device=queue.device)) % rows
    queue[targets[-rows:]] = keys[-rows:]
    pointer.copy_((pointer + len(keys)) % rows)
