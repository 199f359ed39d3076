"""Masks of patches: which ones are hidden from a network."""

import math

import torch
from torch import Tensor

BLOCKS = 10  # rectangles drawn for an image; more than it takes to cover half of it
LONGEST = 1 / 0.3  # aspect ratio of a rectangle, either way (BEiT)


def count_hidden(images: int, patches: int, shares: tuple[float, float]) -> list[int]:
    """Give the numbers of hidden patches of the masked images, which are half of all: evenly from the least to the most.

    shares: least and most hidden share of the patches. Evenly spread shares have a sum that is known before a mask is drawn (DINOv2,
    official code), so that all steps have the same shapes.
    """
    low, high = _fewest_and_most(patches, shares)
    masked = max(1, images // 2)
    return [low + (high - low + 1) * number // masked for number in range(masked)]


def block_masks(
    images: int, grid: tuple[int, int], shares: tuple[float, float], rng: torch.Generator, device: torch.device
) -> Tensor:
    """Hide patches by blocks, in a random half of the images: bool (N, h w), True where hidden.

    grid: rows and columns of patches; shares: least and most hidden share of the patches. The numbers of hidden patches are those
    of `count_hidden`, in random order. Hidden are the patches that random rectangles cover, one rectangle after another, until there
    are enough. Bao et al. 2022 (BEiT), algorithm 1; there a rectangle that covers too many is drawn again, here it loses rows at one end.
    """
    rows, columns = grid
    patches = rows * columns
    low, high = _fewest_and_most(patches, shares)
    masked = max(1, images // 2)
    turn = torch.rand(images, generator=rng, device=device).argsort()
    counts = torch.where(turn < masked, low + (high - low + 1) * turn // masked, 0)[:, None]  # (N, 1)
    smallest = counts.clamp(max=(min(rows, columns) // 3) ** 2)  # area (iBOT, official code)
    place = torch.arange(patches, device=device)
    row, column = place // columns, place % columns

    order = BLOCKS + torch.rand(images, patches, generator=rng, device=device)  # in which patches are hidden
    for block in reversed(range(BLOCKS)):  # a patch counts for the first rectangle that covers it
        u = torch.rand(5, images, 1, generator=rng, device=device)
        area = smallest + u[0] * (counts - smallest)
        aspect = torch.exp((2 * u[1] - 1) * math.log(LONGEST))
        height = (area * aspect).sqrt().round().clamp(1, rows)
        width = (area / aspect).sqrt().round().clamp(1, columns)
        top, left = (u[2] * (rows - height + 1)).floor(), (u[3] * (columns - width + 1)).floor()
        inside = (row >= top) & (row < top + height) & (column >= left) & (column < left + width)
        along = torch.where(u[4] < 0.5, place, patches - 1 - place)  # from the top or from the bottom
        order = torch.where(inside, block + along / patches, order)
    return order.argsort(dim=1).argsort(dim=1) < counts


def _fewest_and_most(patches: int, shares: tuple[float, float]) -> tuple[int, int]:
    low = max(1, round(shares[0] * patches))
    return low, max(low, round(shares[1] * patches))
