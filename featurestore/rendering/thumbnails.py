"""Thumbnails of images, for contact sheets and pages."""

from collections.abc import Sequence

from PIL import Image

from featurestore.imaging import decode as images
from featurestore.sources import read


def thumbnail(picture: Image.Image | str, side: int, bands: Sequence[int] | None = None) -> Image.Image:
    """Scale a picture, or the one at a path, down until no side is longer than `side` pixels: upright RGB.

    bands: those to show, from 1, as an encoder reads them; None: the colours, of many bands the first. Raises ImageError.
    """
    if isinstance(picture, str):
        image = images.decode(read(picture), side, bands, preview=True).image
    else:
        image = images.upright(picture, bands).image
    return image if max(image.size) <= side else scaled(image, side, Image.Resampling.BICUBIC)


def scaled(image: Image.Image, side: int, filter: Image.Resampling) -> Image.Image:
    """Scale an image so that its longer side has `side` pixels."""
    scale = side / max(image.size)
    return image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))), filter)
