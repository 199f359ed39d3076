"""Drawn shapes: images whose class is plain to see and whose colour and place say nothing."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

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
