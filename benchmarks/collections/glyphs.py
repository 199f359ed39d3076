"""Printed letters: 26 small letters in the fonts that matplotlib ships, bent a little."""

from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from benchmarks.collections.canvas import cloud, photograph
from benchmarks.collections.collection import drawn

SIZE, FINE = 32, 2  # pixels; letters are drawn that much larger
FONTS = (
    *("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSansMono", "DejaVuSansMono-Bold", "DejaVuSerif"),
    *("DejaVuSerif-Bold", "DejaVuSerif-Italic", "STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic"),
    *("cmr10", "cmss10", "cmtt10", "cmti10", "cmb10"),
)


@cache
def font(name: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{name}.ttf", size)


def draw_letter(label: str, random: np.random.Generator) -> Image.Image:
    """A letter as ink on paper or light on dark, sheared, turned and smeared, among scratches."""
    side = SIZE * FINE
    image = Image.new("L", (side, side))
    letters = font(FONTS[random.integers(len(FONTS))], int(random.integers(18, 29)) * FINE)
    ImageDraw.Draw(image).text((side / 2, side / 2), label, fill=255, font=letters, anchor="mm")
    (a, b), (c, d) = np.eye(2) + random.uniform(-0.2, 0.2, (2, 2))
    x, y = random.uniform(-3, 3, 2) * FINE
    middle = side / 2
    shift = (x + middle * (1 - a - b), y + middle * (1 - c - d))
    moved = image.transform(
        (side, side), Image.Transform.AFFINE, (a, b, shift[0], c, d, shift[1]), Image.Resampling.BILINEAR
    )
    scratches = ImageDraw.Draw(moved)
    for _ in range(random.integers(0, 2)):
        scratches.line(tuple(random.uniform(0, side, 4).tolist()), fill=int(random.integers(100, 255)), width=FINE)
    ink = np.asarray(moved.reduce(FINE), np.float32)[..., None] / 255
    paper, strength = random.uniform(0.6, 0.95), random.uniform(0.4, 0.65)
    page = paper - strength * ink + 0.1 * cloud(random, SIZE, 3)
    return photograph(random, np.asarray(1 - page if random.uniform() < 0.15 else page, np.float32), 0.1, 0.8)


LETTERS = drawn(
    "letters",
    "grey, shape",
    "32",
    tuple("abcdefghijklmnopqrstuvwxyz"),
    (60, 20),
    draw_letter,
    content="letter; b, d, p and q are mirrored or turned",
    nuisance="font, weight, slant, place, size, ink, scratches, noise",
)
