"""Drawn shapes: images whose class is plain to see and whose colour and place say nothing."""

from itertools import product
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

CLASSES = ("cross", "disc", "ring", "stripes")
SIDE = 24  # pixels


def draw(kind: str, rng: np.random.Generator) -> Image.Image:
    """Draw one shape of a faint random colour, of random place and size, on a strong random one."""
    ground = rng.integers(40, 216, 3)
    ink = (ground + 110 * rng.choice([-1, 1])).clip(0, 255)
    image = Image.fromarray((ground + rng.integers(-12, 13, (SIDE, SIDE, 3))).clip(0, 255).astype(np.uint8))
    pen = ImageDraw.Draw(image)
    colour = tuple(int(v) for v in ink)
    r = int(rng.integers(5, 9))
    x, y = (int(v) for v in rng.integers(r + 1, SIDE - r - 1, 2))
    box = (x - r, y - r, x + r, y + r)
    match kind:
        case "disc":
            pen.ellipse(box, fill=colour)
        case "ring":
            pen.ellipse(box, outline=colour, width=2)
        case "cross":
            pen.line((x - r, y, x + r, y), fill=colour, width=3)
            pen.line((x, y - r, x, y + r), fill=colour, width=3)
        case "stripes":
            for offset in range(-r, r + 1, 4):
                pen.line((x - r, y + offset, x + r, y + offset), fill=colour, width=1)
    return image


def write(folder: Path, train: int, test: int, seed: int = 0) -> Path:
    """Write `train` and `test` shapes of each class as <split>/<class>/<number>.png."""
    rng = np.random.default_rng(seed)
    for split, count in (("train", train), ("test", test)):
        for kind in CLASSES:
            (folder / split / kind).mkdir(parents=True)
            for number in range(count):
                draw(kind, rng).save(folder / split / kind / f"{number:03d}.png")
    return folder


PATTERNS = ("level", "upright", "dots", "disc")
PATTERN_SIDE = 16  # pixels


def pattern(kind: str, rng: np.random.Generator) -> Image.Image:
    """Draw one pattern of random place in two random colours, one clearly brighter than the other."""
    ground, ink = rng.integers(0, 256, (2, 3))
    while abs(int(ground.sum()) - int(ink.sum())) <= 200:
        ground, ink = rng.integers(0, 256, (2, 3))
    side = PATTERN_SIDE
    image = Image.fromarray((ground + rng.integers(-12, 13, (side, side, 3))).clip(0, 255).astype(np.uint8))
    pen, colour = ImageDraw.Draw(image), tuple(int(v) for v in ink)
    x, y = (int(v) for v in rng.integers(0, 4, 2))
    match kind:
        case "level":
            for top in range(y - 4, side, 4):
                pen.line((0, top, side, top), fill=colour, width=2)
        case "upright":
            for left in range(x - 4, side, 4):
                pen.line((left, 0, left, side), fill=colour, width=2)
        case "dots":
            for left, top in product(range(x - 4, side, 4), range(y - 4, side, 4)):
                pen.rectangle((left, top, left + 1, top + 1), fill=colour)
        case "disc":
            r = int(rng.integers(3, 6))
            pen.ellipse((5 + x - r, 5 + y - r, 5 + x + r, 5 + y + r), fill=colour)
    return image


def patterns(each: int, seed: int) -> tuple[Tensor, Tensor]:
    """Draw `each` of every pattern: pixels, uint8 (N, 3, 16, 16), and the number of each image's class, (N,)."""
    rng = np.random.default_rng(seed)
    pixels = np.stack([np.asarray(pattern(kind, rng)) for _ in range(each) for kind in PATTERNS])
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(), torch.arange(len(PATTERNS)).repeat(each)
