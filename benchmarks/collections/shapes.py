"""Drawn outlines in three collections: the outline is the class, or its direction, or its colour."""

import numpy as np
from PIL import Image

from benchmarks.collections.canvas import (
    Outline,
    apart,
    background,
    mask,
    paint,
    photograph,
    random_colour,
    random_pose,
)
from benchmarks.collections.collection import drawn

SIZE = 64


def regular(corners: int, inner: float = 1.0) -> Outline:
    """A polygon with a corner at the top; with `inner`, a star whose inner corners are that far from the centre."""
    steps = corners if inner == 1 else 2 * corners
    turns = 2 * np.pi * np.arange(steps) / steps
    far = np.where(np.arange(steps) % 2, inner, 1.0) if inner != 1 else np.ones(steps)
    return [(float(f * np.sin(t)), float(-f * np.cos(t))) for f, t in zip(far, turns, strict=True)]


def turned(outline: Outline, quarters: int) -> Outline:
    """The outline after quarter turns clockwise."""
    for _ in range(quarters % 4):
        outline = [(-y, x) for x, y in outline]
    return outline


def crescent() -> Outline:
    """A moon whose bow is on the left."""
    outer = [(float(np.cos(t)), float(np.sin(t))) for t in np.linspace(np.pi / 2, 3 * np.pi / 2, 20)]
    inner = [(0.45 * float(np.cos(t)), float(np.sin(t))) for t in np.linspace(3 * np.pi / 2, np.pi / 2, 20)]
    return [*outer, *inner]


ARROW: Outline = [(0, -1), (0.8, -0.1), (0.3, -0.1), (0.3, 1), (-0.3, 1), (-0.3, -0.1), (-0.8, -0.1)]  # all point up
NEEDLE: Outline = [(0, -1), (0.35, 0.8), (0, 1), (-0.35, 0.8)]
CHEVRON: Outline = [(0, -0.8), (0.9, 0.3), (0.9, 0.9), (0, -0.2), (-0.9, 0.9), (-0.9, 0.3)]
DROP: Outline = [
    (0, -1),
    *((0.55 * float(np.cos(t)), 0.4 + 0.55 * float(np.sin(t))) for t in np.linspace(-0.4, np.pi + 0.4, 20)),
]
POINTERS = (ARROW, NEEDLE, CHEVRON, DROP)
CROSS: Outline = [
    *((-0.3, -1), (0.3, -1), (0.3, -0.3), (1, -0.3), (1, 0.3), (0.3, 0.3)),
    *((0.3, 1), (-0.3, 1), (-0.3, 0.3), (-1, 0.3), (-1, -0.3), (-0.3, -0.3)),
]
SQUARE: Outline = [(-0.8, -0.8), (0.8, -0.8), (0.8, 0.8), (-0.8, 0.8)]
OUTLINES: dict[str, Outline] = {
    "arrow_up": ARROW,
    "arrow_right": turned(ARROW, 1),
    "arrow_down": turned(ARROW, 2),
    "arrow_left": turned(ARROW, 3),
    "circle": regular(40),
    "cross": CROSS,
    "moon_left": crescent(),
    "moon_right": turned(crescent(), 2),
    "square": SQUARE,
    "star": regular(5, 0.42),
    "triangle": regular(3),
}
DIRECTIONS = ("north", "north_east", "east", "south_east", "south", "south_west", "west", "north_west")
HUES = ("red", "orange", "yellow", "lime", "green", "cyan", "azure", "blue", "violet", "pink")
HUE_CENTRES = (0.0, 0.07, 0.15, 0.23, 0.36, 0.5, 0.57, 0.66, 0.78, 0.9)  # apart about as the eye sees them


def draw_shape(label: str, random: np.random.Generator) -> Image.Image:
    """The outline of a class, filled or as a line, in any colours."""
    ground = random_colour(random)
    cover = mask(
        [OUTLINES[label]],
        random_pose(random, (0.22, 0.42), 12),
        SIZE,
        random.uniform(0.04, 0.07) if random.uniform() < 0.4 else None,
    )
    return photograph(random, paint(background(random, SIZE, ground), cover, apart(random, ground)), 0.08)


def draw_direction(label: str, random: np.random.Generator) -> Image.Image:
    """One of four pointers, which points to where the class says."""
    ground = random_colour(random)
    pose = random_pose(random, (0.22, 0.42), 10, 45 * DIRECTIONS.index(label))
    cover = mask([POINTERS[random.integers(len(POINTERS))]], pose, SIZE)
    return photograph(random, paint(background(random, SIZE, ground), cover, apart(random, ground)), 0.08)


def draw_hue(label: str, random: np.random.Generator) -> Image.Image:
    """Any outline in the hue of the class on grey."""
    grey = random.uniform(0.15, 0.85)
    hue = HUE_CENTRES[HUES.index(label)] + random.uniform(-0.015, 0.015)
    cover = mask([list(OUTLINES.values())[random.integers(len(OUTLINES))]], random_pose(random, (0.2, 0.35), 180), SIZE)
    colour = random_colour(random, hue, (0.55, 1), (0.5, 1))
    return photograph(random, paint(background(random, SIZE, (grey, grey, grey), 0.2, 1), cover, colour), 0.08)


SHAPES = drawn(
    "shapes",
    "shape",
    "64",
    tuple(OUTLINES),
    (150, 50),
    draw_shape,
    content="outline, and whether it is mirrored or lies on its side",
    nuisance="colours, place, size, fill, small turns, noise",
)
DIRECTION = drawn(
    "directions",
    "orientation",
    "64",
    DIRECTIONS,
    (200, 60),
    draw_direction,
    content="one of eight directions",
    nuisance="which pointer, colours, place, size, noise",
)
COLOURS = drawn(
    "colours",
    "colour",
    "64",
    HUES,
    (150, 50),
    draw_hue,
    content="hue of the shape",
    nuisance="outline, place, size, turn, saturation, brightness, grey background",
)
