"""Drawn microscopy: grey pictures of one cell, whose form and size are the class."""

from collections.abc import Callable

import numpy as np
from PIL import Image

from benchmarks.collections.canvas import Array, cloud, photograph
from benchmarks.collections.collection import drawn

SIZE = 48
Grid = tuple[Array, Array]  # coordinates in pixels, from the centre of a cell, turned


def around(random: np.random.Generator, x: float, y: float, wobble: float = 1.0) -> Grid:
    """Coordinates from a centre in a random direction, bent by up to `wobble` pixels."""
    bend = wobble * cloud(random, SIZE, 5, 2)
    rows, columns = np.mgrid[:SIZE, :SIZE].astype(np.float32)
    turn = random.uniform(0, 2 * np.pi)
    dx, dy = columns - x + bend[..., 0], rows - y + bend[..., 1]
    u, v = dx * np.cos(turn) + dy * np.sin(turn), dy * np.cos(turn) - dx * np.sin(turn)
    return u.astype(np.float32), v.astype(np.float32)


def soft(inside: Array) -> Array:
    """From a distance to the edge in pixels, positive inside, to brightness."""
    return np.asarray(1 / (1 + np.exp(np.clip(-1.5 * inside, -30, 30))), np.float32)


def oval(grid: Grid, long: float, short: float) -> Array:
    """Brightness of a filled ellipse with these half axes."""
    far = np.hypot(grid[0] / long, grid[1] / short)
    return soft((1 - far) * short)


def small(grid: Grid, random: np.random.Generator) -> Array:
    radius = random.uniform(3.5, 5)
    return oval(grid, radius, radius)


def large(grid: Grid, random: np.random.Generator) -> Array:
    radius = random.uniform(9, 12)
    return oval(grid, radius, radius)


def rod(grid: Grid, random: np.random.Generator) -> Array:
    return oval(grid, random.uniform(10, 13), random.uniform(3, 4))


def ring(grid: Grid, random: np.random.Generator) -> Array:
    radius = random.uniform(7, 10)
    return oval(grid, radius, radius) - 0.8 * oval(grid, 0.6 * radius, 0.6 * radius)


def nucleus(grid: Grid, random: np.random.Generator) -> Array:
    radius = random.uniform(9, 12)
    core = (grid[0] - random.uniform(-2, 2), grid[1] - random.uniform(-2, 2))
    return 0.5 * oval(grid, radius, radius) + 0.5 * oval(core, 0.4 * radius, 0.4 * radius)


def dividing(grid: Grid, random: np.random.Generator) -> Array:
    radius = random.uniform(5, 7)
    halves = [oval((grid[0] + side * 0.95 * radius, grid[1]), radius, radius) for side in (-1, 1)]
    return np.maximum(*halves)


def spiky(grid: Grid, random: np.random.Generator) -> Array:
    spikes = random.integers(6, 10)
    far, turn = np.hypot(*grid), np.arctan2(grid[1], grid[0])
    return soft(random.uniform(7, 9) * (1 + 0.35 * np.sin(spikes * turn)) - far)


def grains(grid: Grid, random: np.random.Generator) -> Array:
    radius = random.uniform(9, 12)
    speckle = np.clip(0.5 + cloud(random, SIZE, 16)[..., 0], 0, 1)
    return np.asarray(oval(grid, radius, radius) * speckle, np.float32)


FORMS: dict[str, Callable[[Grid, np.random.Generator], Array]] = {
    "dividing": dividing,
    "grains": grains,
    "large": large,
    "nucleus": nucleus,
    "ring": ring,
    "rod": rod,
    "small": small,
    "spiky": spiky,
}


def draw_cell(label: str, random: np.random.Generator) -> Image.Image:
    """A cell near the middle, pieces of others at the edge, uneven light and noise."""
    x, y = random.uniform(15, SIZE - 15, 2)
    strength = random.uniform(0.3, 0.7)
    picture = random.uniform(0.05, 0.25) + 0.06 * cloud(random, SIZE, 3)[..., 0]
    picture = picture + strength * FORMS[label](around(random, x, y), random)
    for _ in range(random.integers(0, 3)):
        turn = random.uniform(0, 2 * np.pi)
        grid = around(random, SIZE * (0.5 + 0.68 * np.cos(turn)), SIZE * (0.5 + 0.68 * np.sin(turn)))
        picture = picture + strength * random.uniform(0.6, 1) * oval(grid, *random.uniform(4, 10, 2))
    return photograph(random, np.asarray(picture, np.float32)[..., None], 0.15, 0.8)


CELLS = drawn(
    "cells",
    "grey, size",
    "48",
    tuple(FORMS),
    (200, 60),
    draw_cell,
    content="form and size of the cell",
    nuisance="turn, place, light, contrast, noise, blur, other cells",
)
