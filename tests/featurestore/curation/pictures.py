"""Pictures that differ from each other, and copies of them as people make them."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

from featurestore.storage.thumbnails import SIDE

Copy = Callable[[Image.Image], Image.Image]


def draw(seed: int, width: int = 120, height: int = 90) -> Image.Image:
    """Draw a picture of blots in all sizes."""
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width, 3))
    for cells in (3, 6, 12, 24):
        blots = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), np.uint8))
        total += np.asarray(blots.resize((width, height), Image.Resampling.BICUBIC), np.float64) / cells**0.5
    total -= total.min()
    return Image.fromarray((255 * total / total.max()).astype(np.uint8))


def thumbnail(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture.convert("L").resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def save(picture: Image.Image, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)
    return path


def crop(picture: Image.Image, left: float = 0.1, top: float = 0.15, share: float = 0.78) -> Image.Image:
    """Cut out a part; the numbers are shares of the sides."""
    width, height = picture.size
    x, y = round(left * width), round(top * height)
    return picture.crop((x, y, x + round(share * width), y + round(share * height)))


def jpeg(picture: Image.Image) -> Image.Image:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=30)
    return Image.open(file)


def mirror(picture: Image.Image) -> Image.Image:
    return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


COPIES: dict[str, Copy] = {
    "crop of 60 %": crop,
    "crop of 85 %": lambda picture: crop(picture, 0.05, 0.0, 0.92),
    "jpeg": jpeg,
    "half": lambda picture: picture.resize((picture.width // 2, picture.height // 2), Image.Resampling.BILINEAR),
    "twice": lambda picture: picture.resize((picture.width * 2, picture.height * 2), Image.Resampling.BICUBIC),
    "brighter": lambda picture: ImageEnhance.Brightness(picture).enhance(1.2),
    "darker": lambda picture: ImageEnhance.Brightness(picture).enhance(0.8),
    "grey": lambda picture: picture.convert("L"),
}
