"""The loader: the batches of an epoch on the device of the training, from pixels on that device, in memory or on disk."""

import time
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

import torch
from torch import Tensor

from trainers.runtime.seeds import mix

AHEAD = 2  # batches gathered while the device works on another
SHARE_OF_FREE = 0.25  # of a GPU's free memory: smaller collections move there as a whole


class Loader:
    """Draws batches of `pixels`, uint8 (N, 3, H, W), for one of `world` processes.

    `batch_size` is that of all processes together. `waited` counts the seconds that steps waited for a batch.
    """

    def __init__(
        self, pixels: Tensor, device: torch.device, batch_size: int, seed: int, rank: int = 0, world: int = 1
    ) -> None:
        self.batch_size = batch_size
        self._device, self._seed, self._mine = device, seed, slice(rank, None, world)
        self._pixels = pixels.to(device) if _fits(pixels, device) else pixels
        self.waited = 0.0

    @property
    def steps_per_epoch(self) -> int:
        return len(self._pixels) // self.batch_size

    def rows(self, epoch: int, skip: int = 0) -> Iterator[Tensor]:
        """Yield the rows of each batch of an epoch but the first `skip`: int64 (B,), where the pixels are."""
        order = draw_batches(len(self._pixels), self.batch_size, self._seed, epoch, self._pixels.device)
        return (rows[self._mine] for rows in islice(order, skip, None))

    def epoch(self, number: int, skip: int = 0) -> Generator[Tensor]:
        """Yield the batches of an epoch but the first `skip`: uint8 (B, 3, H, W) on the device."""
        rows = self.rows(number, skip)
        if self._pixels.device.type != "cpu":
            yield from (self._pixels[places] for places in rows)
            return
        with ThreadPoolExecutor(1, "loader") as pool:
            ahead: deque[Future[Tensor]] = deque(pool.submit(self._gather, places) for places in islice(rows, AHEAD))
            while ahead:
                began = time.monotonic()
                batch = ahead.popleft().result()
                self.waited += time.monotonic() - began
                ahead.extend(pool.submit(self._gather, places) for places in islice(rows, 1))
                yield batch.to(self._device, non_blocking=batch.is_pinned())

    def _gather(self, rows: Tensor) -> Tensor:
        batch = self._pixels[rows]
        return batch.pin_memory() if self._device.type == "cuda" else batch


def draw_batches(
    count: int, batch_size: int, seed: int, epoch: int, device: torch.device | str = "cpu"
) -> Iterator[Tensor]:
    """Draw the rows of each batch of an epoch: a permutation that depends on seed and epoch alone, without the short rest."""
    rng = torch.Generator().manual_seed(mix(seed, epoch, -1))
    order = torch.randperm(count, generator=rng).to(device)
    for start in range(0, count - batch_size + 1, batch_size):
        yield order[start : start + batch_size]


def _fits(pixels: Tensor, device: torch.device) -> bool:
    return device.type == "cuda" and pixels.nbytes < SHARE_OF_FREE * torch.cuda.mem_get_info(device)[0]
