"""The queue is a ring buffer."""

import pytest
import torch
from torch import Tensor

from trainers.models.queue import enqueue, new_queue


def unit(v: Tensor) -> Tensor:
    return torch.as_tensor(v / v.norm())


@pytest.mark.parametrize(
    ("rows", "sizes"),
    [(8, [3, 3, 3, 3]), (8, [8, 8]), (8, [20, 5]), (5, [1] * 7), (6, [4, 6, 4, 13]), (1, [1, 3]), (7, [0, 2])],
)
def test_the_queue_is_a_ring_at_any_batch_size(rows: int, sizes: list[int]) -> None:
    queue, pointer = new_queue(rows, 3), torch.zeros((), dtype=torch.long)
    ring, place = list(queue.clone()), 0
    for size in sizes:
        keys = torch.randn(size, 3) * 5
        enqueue(queue, pointer, keys)
        for key in keys:
            ring[place] = unit(key)
            place = (place + 1) % rows
        torch.testing.assert_close(queue, torch.stack(ring))
        assert pointer.item() == place


def test_a_new_queue_has_rows_of_unit_length_that_differ() -> None:
    queue = new_queue(50, 16)
    torch.testing.assert_close(queue.norm(dim=1), torch.ones(50))
    assert (queue @ queue.T - torch.eye(50)).max() < 0.95
