"""The random numbers of a view, drawn for the whole batch before it is made: a compiled function cannot draw them."""

from functools import cache
from typing import Any

import torch
from torch import Generator, Tensor

from trainers.augmentations.colour_space import GREY, HUE

TRIES = 10  # crops drawn for an image until one fits, as in torchvision's RandomResizedCrop
DRAWS = 2 * TRIES + 17  # numbers that a view uses for each image, at most


def draw(count: int, rng: Generator) -> Tensor:
    """Draw all numbers that a view of `count` images may use: (DRAWS, count), on the device of `rng`."""
    return torch.rand(DRAWS, count, generator=rng, device=rng.device)


class Draws:
    """The numbers drawn for a batch, (DRAWS, B); every call uses the next ones, one for each image.

    It also holds the constants of the augmentation on the same device, because a compiled function cannot fetch them.
    """

    def __init__(self, numbers: Tensor) -> None:
        self.count = numbers.shape[1]
        self.constants = {values: constant(values, numbers.device) for values in (GREY, HUE)}
        self._numbers, self._used = numbers, 0

    def uniform(self, low: float, high: float, times: int = 1) -> Tensor:
        """Give numbers in [low, high): float32 (count,), or (times, count) when `times` is more than one."""
        return self._next(times).mul(high - low).add_(low)

    def chance(self, probability: float) -> Tensor:
        """Give one decision an image: bool (count,)."""
        return self._next(1).lt(probability)

    def skip(self, times: int) -> None:
        """Leave numbers unused."""
        self._used += times

    def _next(self, times: int) -> Tensor:
        numbers = self._numbers[self._used : self._used + times]
        self._used += times
        return numbers[0] if times == 1 else numbers


@cache
def constant(values: tuple[Any, ...], device: torch.device) -> Tensor:
    """Give numbers as a tensor on a device, moved there once: each move makes the processor wait for the device."""
    return torch.tensor(values, dtype=torch.float32, device=device)
