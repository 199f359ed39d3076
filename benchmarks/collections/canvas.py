"""Drawing: colours, backgrounds, outlines that are placed and turned, and what a camera adds."""

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

FINE = 4  # outlines are drawn this much larger and scaled down, for soft edges
Array = NDArray[np.floating[Any]]
Colour = tuple[float, float, float]  # red, green, blue between 0 and 1
Outline = Sequence[tuple[float, float]]  # corners between -1 and 1; x to the right, y down


@dataclass(frozen=True)
class Pose:
    """Where an outline goes: its centre and its half size in parts of the image, and its turn clockwise in degrees."""

    x: float
    y: float
    half: float
    turn: float = 0

    def place(self, outline: Outline, size: int) -> list[tuple[float, float]]:
        """Give the corners in pixels of an image of size `size`."""
        turn = np.deg2rad(self.turn)
        cos, sin = np.cos(turn), np.sin(turn)
        return [
            (size * (self.x + self.half * (x * cos - y * sin)), size * (self.y + self.half * (x * sin + y * cos)))
            for x, y in outline
        ]


def random_pose(random: np.random.Generator, half: tuple[float, float], turn: float, middle: float = 0) -> Pose:
    """A pose at any place where the outline lies wholly in the image, turned by `middle` and up to `turn` degrees to both sides."""
    size = random.uniform(*half)
    x, y = random.uniform(size, 1 - size, 2)
    return Pose(x, y, size, middle + random.uniform(-turn, turn))


def random_colour(
    random: np.random.Generator,
    hue: float | None = None,
    saturation: tuple[float, float] = (0.2, 1),
    value: tuple[float, float] = (0.15, 1),
) -> Colour:
    """A colour of the hue (0 to 1, any by default)."""
    hue = random.uniform() if hue is None else hue % 1
    return colorsys.hsv_to_rgb(hue, random.uniform(*saturation), random.uniform(*value))


def brightness(colour: Colour | Array) -> float:
    """Between 0 and 1, as the eye weighs the colours."""
    return float(np.mean(np.asarray(colour) @ np.array([0.299, 0.587, 0.114])))


def apart(random: np.random.Generator, other: Colour, least: float = 0.25) -> Colour:
    """A random colour that is brighter or darker than `other` by at least `least`."""
    while True:
        colour = random_colour(random)
        if abs(brightness(colour) - brightness(other)) >= least:
            return colour


def cloud(random: np.random.Generator, size: int, cells: int, channels: int = 1) -> Array:
    """Smooth random values (size, size, channels), about -1 to 1, from a grid of `cells` x `cells`."""
    layers = [
        Image.fromarray(random.uniform(-1, 1, (cells, cells)).astype(np.float32)).resize(
            (size, size), Image.Resampling.BICUBIC
        )
        for _ in range(channels)
    ]
    return np.stack([np.asarray(layer, np.float32) for layer in layers], axis=-1)


def background(random: np.random.Generator, size: int, colour: Colour, rough: float = 0.15, channels: int = 3) -> Array:
    """A surface (size, size, 3) of about one colour: coarse and fine clouds of strength `rough`, coloured if `channels` is 3."""
    surface = np.asarray(colour, np.float32) + rough * cloud(random, size, 3, channels)
    return np.asarray(surface + 0.5 * rough * cloud(random, size, max(size // 4, 3), channels), np.float32)


def mask(outlines: Sequence[Outline], pose: Pose, size: int, line: float | None = None) -> Array:
    """How much of each pixel is inside (size, size, 1), between 0 and 1; with `line`, only the edge of that width (in parts of the image)."""
    image = Image.new("L", (size * FINE, size * FINE))
    draw = ImageDraw.Draw(image)
    for outline in outlines:
        corners = pose.place(outline, size * FINE)
        if line is None:
            draw.polygon(corners, fill=255)
        else:
            draw.line([*corners, *corners[:2]], fill=255, width=max(round(line * size * FINE), FINE), joint="curve")
    return np.asarray(image.reduce(FINE), np.float32)[..., None] / 255


def paint(surface: Array, cover: Array, colour: Colour | Array) -> Array:
    """Lay a colour over a surface where the mask says so."""
    return surface * (1 - cover) + cover * np.asarray(colour, np.float32)


def photograph(random: np.random.Generator, surface: Array, noise: float = 0.03, blur: float = 0.0) -> Image.Image:
    """Make an image of a surface: blur of up to `blur` pixels, then noise of up to `noise` (1 is white). One channel gives a grey image."""
    surface = surface + random.uniform(0, noise) * random.standard_normal(surface.shape, np.float32)
    pixels = np.rint(np.clip(surface, 0, 1) * 255).astype(np.uint8)
    image = Image.fromarray(pixels.squeeze(axis=-1) if pixels.shape[-1] == 1 else pixels)
    return image.filter(ImageFilter.GaussianBlur(random.uniform(0, blur))) if blur else image
