"""Drawn surfaces: the pattern is the class, whatever its scale, turn and colours."""

from collections.abc import Callable

import numpy as np
from PIL import Image

from benchmarks.collections.canvas import Array, cloud, paint, photograph, random_colour
from benchmarks.collections.collection import drawn

SIZES = (64, 80, 96)


def plane(random: np.random.Generator, size: int, period: tuple[float, float] = (8, 18)) -> tuple[Array, Array]:
    """Coordinates (size, size) of a plane that is turned, shifted and a little bent, in periods of so many pixels."""
    y, x = np.mgrid[:size, :size].astype(np.float32)
    bend = 2.0 * cloud(random, size, 3, 2)
    turn, scale = random.uniform(0, np.pi), random.uniform(*period)
    x, y = x + bend[..., 0], y + bend[..., 1]
    u = (x * np.cos(turn) + y * np.sin(turn)) / scale + random.uniform()
    v = (y * np.cos(turn) - x * np.sin(turn)) / scale + random.uniform()
    return u.astype(np.float32), v.astype(np.float32)


def nearest(random: np.random.Generator, size: int) -> tuple[Array, Array]:
    """For each pixel the number of its nearest random point, and how much farther the second nearest is, in pixels."""
    count = int(random.integers(20, 50) * (size / 64) ** 2)
    points = random.uniform(-8, size + 8, (count, 2))
    y, x = np.mgrid[:size, :size]
    far = np.hypot(x[..., None] - points[:, 0], y[..., None] - points[:, 1])
    two = np.partition(far, 1, axis=-1)
    return far.argmin(axis=-1).astype(np.float32), (two[..., 1] - two[..., 0]).astype(np.float32)


def spectrum(random: np.random.Generator, size: int, power: float) -> Array:
    """Noise whose amplitude falls with this power of the frequency, from 0 to 1."""
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None])
    frequency[0, 0] = np.inf
    waves = np.fft.rfft2(random.standard_normal((size, size))) * frequency**-power
    noise = np.fft.irfft2(waves, (size, size))
    return np.asarray(np.clip(0.5 + noise / (4 * noise.std()), 0, 1), np.float32)


def waves(random: np.random.Generator, size: int) -> Array:
    u, _ = plane(random, size)
    return np.asarray(0.5 + 0.5 * np.sin(2 * np.pi * u), np.float32)


def bars(random: np.random.Generator, size: int) -> Array:
    u, _ = plane(random, size)
    return np.asarray(u % 1 < random.uniform(0.25, 0.6), np.float32)


def checks(random: np.random.Generator, size: int) -> Array:
    u, v = plane(random, size)
    return np.asarray((u % 1 < 0.5) ^ (v % 1 < 0.5), np.float32)


def grid(random: np.random.Generator, size: int) -> Array:
    u, v = plane(random, size)
    width = random.uniform(0.15, 0.3)
    return np.asarray((u % 1 < width) | (v % 1 < width), np.float32)


def dots(random: np.random.Generator, size: int) -> Array:
    u, v = plane(random, size)
    return np.asarray(np.hypot(u % 1 - 0.5, v % 1 - 0.5) < random.uniform(0.25, 0.38), np.float32)


def spots(random: np.random.Generator, size: int) -> Array:
    y, x = np.mgrid[:size, :size]
    surface = np.zeros((size, size), np.float32)
    for _ in range(int(random.integers(20, 40) * (size / 64) ** 2)):
        a, b = random.uniform(0, size, 2)
        surface[np.hypot(x - a, y - b) < random.uniform(2, 6)] = 1
    return surface


def bricks(random: np.random.Generator, size: int) -> Array:
    u, v = plane(random, size, (9, 16))
    along = u / 2 + 0.5 * (np.floor(v) % 2)
    return np.asarray((v % 1 > 0.18) & (along % 1 > 0.09), np.float32)


def rings(random: np.random.Generator, size: int) -> Array:
    y, x = np.mgrid[:size, :size]
    a, b = random.uniform(0, size, 2)
    far = np.hypot(x - a, y - b) + 2 * cloud(random, size, 4)[..., 0]
    return np.asarray(0.5 + 0.5 * np.sin(2 * np.pi * far / random.uniform(8, 16)), np.float32)


def patches(random: np.random.Generator, size: int) -> Array:
    number, _ = nearest(random, size)
    return np.asarray(random.uniform(0, 1, int(number.max()) + 1)[number.astype(int)], np.float32)


def cracks(random: np.random.Generator, size: int) -> Array:
    _, edge = nearest(random, size)
    return np.asarray(edge < random.uniform(1.2, 2.5), np.float32)


PATTERNS: dict[str, Callable[[np.random.Generator, int], Array]] = {
    "bars": bars,
    "bricks": bricks,
    "checks": checks,
    "clouds": lambda random, size: spectrum(random, size, random.uniform(1.8, 2.2)),
    "cracks": cracks,
    "dots": dots,
    "grain": lambda random, size: spectrum(random, size, random.uniform(0, 0.3)),
    "grid": grid,
    "marble": lambda random, size: spectrum(random, size, random.uniform(0.9, 1.2)),
    "patches": patches,
    "rings": rings,
    "spots": spots,
    "waves": waves,
}


def draw_texture(label: str, random: np.random.Generator) -> Image.Image:
    """A pattern in two colours, lit unevenly."""
    size = int(random.choice(SIZES))
    pattern = PATTERNS[label](random, size)[..., None]
    dark = random_colour(random, saturation=(0, 0.4), value=(0.1, 0.4))
    light = random_colour(random, saturation=(0, 0.4), value=(0.6, 1))
    surface = paint(np.broadcast_to(np.asarray(dark, np.float32), (size, size, 3)), pattern, light)
    lit = surface * (1 + 0.3 * cloud(random, size, 2))
    return photograph(random, np.asarray(lit, np.float32), 0.1, 0.8)


TEXTURES = drawn(
    "textures",
    "texture",
    "64, 80, 96",
    tuple(PATTERNS),
    (120, 40),
    draw_texture,
    content="pattern",
    nuisance="scale, turn, bend, colours, light, blur, noise, image size",
)
