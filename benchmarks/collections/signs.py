"""Drawn signs for a road: few small pictures of each of thirty classes, in any light and weather."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from benchmarks.collections.canvas import (
    Array,
    Colour,
    Outline,
    background,
    cloud,
    mask,
    paint,
    photograph,
    random_colour,
    random_pose,
)
from benchmarks.collections.collection import drawn
from benchmarks.collections.shapes import ARROW, CHEVRON, CROSS, OUTLINES, SQUARE, regular, turned

SIZE, PLATE = 32, 96  # pixels of the image, and of the sign before it is scaled down
RED, BLUE, YELLOW, WHITE, BLACK = (0.78, 0.08, 0.1), (0.05, 0.25, 0.65), (0.95, 0.75, 0.1), (0.95,) * 3, (0.06,) * 3
BAR: Outline = [(-0.9, -0.25), (0.9, -0.25), (0.9, 0.25), (-0.9, 0.25)]
SLASH: Outline = [(-0.8, 0.6), (0.6, -0.8), (0.8, -0.6), (-0.6, 0.8)]
BEND: Outline = [
    (0.2, 1),
    (0.2, 0),
    (-0.25, -0.25),
    (-0.25, -0.5),
    (-0.9, -0.1),
    (-0.25, 0.5),
    (-0.25, 0.2),
    (-0.2, 0.25),
    (-0.2, 1),
]
HOUSE: Outline = [(0, -0.9), (0.9, 0), (0.6, 0), (0.6, 0.8), (-0.6, 0.8), (-0.6, 0), (-0.9, 0)]
CAR: Outline = [(-1, 0.4), (-1, 0), (-0.6, -0.1), (-0.35, -0.5), (0.35, -0.5), (0.6, -0.1), (1, 0), (1, 0.4)]
HOURGLASS: Outline = [(-0.7, -0.9), (0.7, -0.9), (0.15, 0), (0.7, 0.9), (-0.7, 0.9), (-0.15, 0)]


@dataclass(frozen=True)
class Sign:
    """A plate with a rim, and a pictogram: a text, outlines, or none."""

    plate: Outline
    rim: Colour
    fill: Colour
    ink: Colour = BLACK
    picture: str | tuple[Outline, ...] = ()


def mirrored(outline: Outline) -> Outline:
    """The outline with left and right exchanged."""
    return [(-x, y) for x, y in outline]


CIRCLE, WARNING, YIELD = regular(40), regular(3), turned(regular(3), 2)
OCTAGON: Outline = [(float(np.cos(t)), float(np.sin(t))) for t in np.pi / 8 + np.pi / 4 * np.arange(8)]
DIAMOND: Outline = regular(4)
SIGNS = {
    **{f"limit_{n}": Sign(CIRCLE, RED, WHITE, BLACK, str(n)) for n in (20, 30, 50, 60, 80)},
    **{f"least_{n}": Sign(CIRCLE, WHITE, BLUE, WHITE, str(n)) for n in (30, 60)},
    **{
        f"go_{where}": Sign(CIRCLE, WHITE, BLUE, WHITE, (turned(ARROW, n),))
        for n, where in ((0, "ahead"), (1, "right"), (3, "left"))
    },
    "no_entry": Sign(CIRCLE, RED, RED, WHITE, (BAR,)),
    "no_stopping": Sign(CIRCLE, RED, BLUE, RED, (CROSS,)),
    "no_parking": Sign(CIRCLE, RED, BLUE, RED, (SLASH,)),
    "no_cars": Sign(CIRCLE, RED, WHITE, BLACK, (CAR,)),
    "closed": Sign(CIRCLE, RED, WHITE),
    "end": Sign(CIRCLE, BLACK, WHITE, BLACK, (SLASH,)),
    "stop": Sign(OCTAGON, WHITE, RED, WHITE, "STOP"),
    "give_way": Sign(YIELD, RED, WHITE),
    "priority": Sign(DIAMOND, WHITE, YELLOW),
    "priority_ends": Sign(DIAMOND, WHITE, YELLOW, BLACK, (SLASH,)),
    "danger": Sign(WARNING, RED, WHITE, BLACK, "!"),
    "crossing": Sign(WARNING, RED, WHITE, BLACK, (CROSS,)),
    "bend_left": Sign(WARNING, RED, WHITE, BLACK, (BEND,)),
    "bend_right": Sign(WARNING, RED, WHITE, BLACK, (mirrored(BEND),)),
    "narrow": Sign(WARNING, RED, WHITE, BLACK, (HOURGLASS,)),
    "parking": Sign(SQUARE, WHITE, BLUE, WHITE, "P"),
    "hospital": Sign(SQUARE, WHITE, BLUE, WHITE, (CROSS,)),
    "one_way": Sign(SQUARE, WHITE, BLUE, WHITE, (ARROW,)),
    "works": Sign(WARNING, RED, YELLOW, BLACK, (CHEVRON,)),
    "village": Sign(SQUARE, BLACK, YELLOW, BLACK, (HOUSE,)),
}


@cache
def front(name: str) -> Array:
    """A sign of SIGNS seen from the front (PLATE, PLATE, 4): red, green, blue, and where it is."""
    sign = SIGNS[name]
    image = Image.new("RGBA", (PLATE, PLATE))
    draw = ImageDraw.Draw(image)
    draw.polygon(_fit(sign.plate, 0.98), fill=_bytes(sign.rim))
    draw.polygon(_fit(sign.plate, 0.76), fill=_bytes(sign.fill))
    half, low = (0.38, PLATE // 10) if sign.plate is WARNING else (0.5, 0)  # a triangle has most room below its middle
    if isinstance(sign.picture, str):
        height = {1: 0.52, 2: 0.5, 4: 0.27}[len(sign.picture)]
        font = ImageFont.load_default(int(height * PLATE))
        place = (PLATE // 2, PLATE // 2 + low)
        draw.text(place, sign.picture, fill=_bytes(sign.ink), font=font, anchor="mm", stroke_width=2)
    else:
        for outline in sign.picture:
            draw.polygon(_fit(outline, half, low), fill=_bytes(sign.ink))
    return np.asarray(image, np.float32) / 255


def _fit(outline: Outline, half: float, low: int = 0) -> list[tuple[float, float]]:
    return [(PLATE / 2 * (1 + half * x), PLATE / 2 * (1 + half * y) + low) for x, y in outline]


def _bytes(colour: Colour) -> tuple[int, int, int]:
    red, green, blue = (round(255 * c) for c in colour)
    return red, green, blue


def draw_sign(label: str, random: np.random.Generator) -> Image.Image:
    """A sign before a street scene: seen from aside, near or far, by day or night, blurred, sometimes partly hidden."""
    ground = random_colour(random, saturation=(0, 0.6), value=(0.2, 0.9))
    scene = background(random, PLATE, ground, 0.25)
    for _ in range(3):
        something = mask([SQUARE], random_pose(random, (0.1, 0.4), 20), PLATE)
        scene = paint(scene, something, random_colour(random, saturation=(0, 0.7)))
    seen = _seen(random, front(label))
    scene = paint(scene, seen[..., 3:], seen[..., :3])
    if random.uniform() < 0.25:
        branch = mask(
            [list(OUTLINES.values())[random.integers(len(OUTLINES))]], random_pose(random, (0.06, 0.15), 180), PLATE
        )
        scene = paint(scene, branch, random_colour(random, 0.3, value=(0.1, 0.5)))
    tint = 1 + random.uniform(-0.15, 0.15, 3)
    light = random.uniform(0.35, 1.1) * (1 + 0.35 * cloud(random, PLATE, 2))
    lit = Image.fromarray(np.rint(np.clip(scene * tint * light, 0, 1) * 255).astype(np.uint8))
    lit = lit.filter(ImageFilter.GaussianBlur(random.uniform(0, 2.5))).resize((SIZE, SIZE), Image.Resampling.BOX)
    return photograph(random, np.asarray(lit, np.float32) / 255, 0.06)


def _seen(random: np.random.Generator, sign: Array) -> Array:
    """The sign from a random distance and side: scaled, shifted, turned and in perspective."""
    half = random.uniform(0.27, 0.45) * PLATE
    middle = PLATE / 2 + random.uniform(-1, 1, 2) * (PLATE / 2 - half)
    turn = np.deg2rad(random.uniform(-8, 8))
    turning = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * random.uniform(0.85, 1, 2)
    corners = middle + half * (corners * random.uniform(0.88, 1, (4, 1))) @ turning.T
    rows = []
    for (x, y), (u, v) in zip(corners, [(0, 0), (PLATE, 0), (PLATE, PLATE), (0, PLATE)], strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y, u], [0, 0, 0, x, y, 1, -v * x, -v * y, v]]
    system = np.array(rows)
    shape = Image.fromarray(np.rint(sign * 255).astype(np.uint8))
    coefficients = tuple(np.linalg.solve(system[:, :8], system[:, 8]).tolist())
    seen = shape.transform((PLATE, PLATE), Image.Transform.PERSPECTIVE, coefficients, Image.Resampling.BILINEAR)
    return np.asarray(seen, np.float32) / 255


ROAD_SIGNS = drawn(
    "signs",
    "many classes, few images",
    "32",
    tuple(SIGNS),
    (25, 15),
    draw_sign,
    content="plate, colours and pictogram, also mirrored ones",
    nuisance="light, tint, blur, side, place, size, street, branches",
)
