"""The loader gives the draw_batches of `data.batches`, to each process its rows, and says how long a step stood waiting."""

import threading
import time
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from trainers.data.loader import Loader, draw_batches

CPU = torch.device("cpu")
PIXELS = torch.arange(23, dtype=torch.uint8).view(23, 1, 1, 1).expand(23, 3, 2, 2).contiguous()


def numbers(batch: Tensor) -> list[int]:
    return batch[:, 0, 0, 0].tolist()


def test_batches_cover_an_epoch_and_depend_on_seed_and_epoch_alone() -> None:
    first = torch.cat(list(draw_batches(10, 3, seed=1, epoch=0)))
    assert len(first) == len(set(first.tolist())) == 9
    assert torch.equal(first, torch.cat(list(draw_batches(10, 3, seed=1, epoch=0))))
    for seed, epoch in ((1, 1), (2, 0)):
        assert not torch.equal(first, torch.cat(list(draw_batches(10, 3, seed, epoch))))


@pytest.mark.parametrize("skip", [0, 2, 4])
def test_batches_are_those_of_the_epoch_but_for_what_is_skipped(skip: int) -> None:
    expected = [rows.tolist() for rows in draw_batches(23, 5, seed=1, epoch=3)][skip:]
    loader = Loader(PIXELS, CPU, 5, seed=1)
    assert [numbers(batch) for batch in loader.epoch(3, skip)] == expected
    assert [rows.tolist() for rows in loader.rows(3, skip)] == expected


def test_processes_share_each_batch() -> None:
    whole, *shares = (Loader(PIXELS, CPU, 6, 0, rank, world) for rank, world in ((0, 1), (0, 2), (1, 2)))
    for all_of_it, first, second in zip(whole.epoch(0), *(share.epoch(0) for share in shares), strict=True):
        assert numbers(all_of_it) == [n for pair in zip(numbers(first), numbers(second), strict=True) for n in pair]


def test_it_counts_how_long_a_step_waits_and_gathers_while_one_works(monkeypatch: pytest.MonkeyPatch) -> None:
    gather: Callable[[Loader, Tensor], Tensor] = Loader._gather

    def slow(loader: Loader, places: Tensor) -> Tensor:
        time.sleep(0.05)
        return gather(loader, places)

    monkeypatch.setattr(Loader, "_gather", slow)
    hasty, busy = Loader(PIXELS, CPU, 5, 0), Loader(PIXELS, CPU, 5, 0)
    for _ in hasty.epoch(0):
        pass
    for _ in busy.epoch(0):
        time.sleep(0.06)
    assert hasty.waited > 0.15
    assert busy.waited < 0.12  # for the first alone


def test_a_reader_that_stops_early_leaves_no_thread() -> None:
    batch_by_batch = Loader(PIXELS, CPU, 5, 0).epoch(0)
    next(batch_by_batch)
    batch_by_batch.close()
    assert not any(thread.name.startswith("loader") for thread in threading.enumerate())
