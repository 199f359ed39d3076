"""The loader: the batches of an epoch on the device of the training, from pixels that lie there, in memory or on disk."""

import time
from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

import torch
from torch import Tensor

from trainers.data.images import batches

AHEAD = 2  # batches gathered while the device works on another
SHARE_OF_FREE = 0.25  # of a GPU's memory: smaller collections move there as a whole


class Loader:
    """Draws batches of `pixels`, uint8 (N, 3, H, W), for one of `world` processes; `waited` counts the seconds a step stood waiting."""

    def __init__(
        self, pixels: Tensor, device: torch.device, batch_size: int, seed: int, rank: int = 0, world: int = 1
    ) -> None:
        self._device, self._batch_size, self._seed, self._mine = device, batch_size, seed, slice(rank, None, world)
        self._pixels = pixels.to(device) if _fits(pixels, device) else pixels
        self.waited = 0.0

    @property
    def steps_per_epoch(self) -> int:
        return len(self._pixels) // self._batch_size

    def epoch(self, number: int, skip: int = 0) -> Generator[Tensor]:
        """Yield the batches of an epoch but the first `skip`: uint8 (B, 3, H, W) on the device."""
        order = batches(len(self._pixels), self._batch_size, self._seed, number, self._pixels.device)
        rows = (places[self._mine] for places in islice(order, skip, None))
        if self._pixels.device.type != "cpu":
            yield from (self._pixels[places] for places in rows)
            return
        with ThreadPoolExecutor(1, "loader") as pool:
            ahead: deque[Future[Tensor]] = deque(pool.submit(self._gather, places) for places in islice(rows, AHEAD))
            while ahead:
                asked = time.monotonic()
                batch = ahead.popleft().result()
                self.waited += time.monotonic() - asked
                ahead.extend(pool.submit(self._gather, places) for places in islice(rows, 1))
                yield batch.to(self._device, non_blocking=batch.is_pinned())

    def _gather(self, places: Tensor) -> Tensor:
        batch = self._pixels[places]
        return batch.pin_memory() if self._device.type == "cuda" else batch


def _fits(pixels: Tensor, device: torch.device) -> bool:
    return device.type == "cuda" and pixels.nbytes < SHARE_OF_FREE * torch.cuda.mem_get_info(device)[0]
