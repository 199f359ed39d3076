"""Small pictures of images, for sheets and pages."""

from PIL import Image

from featurestore import images
from featurestore.sources import read


def thumbnail(picture: Image.Image | str, side: int) -> Image.Image:
    """Reduce a picture, or the one at a path, until no side is longer than `side` pixels: upright RGB. Raises ImageError."""
    decoded = images.decode(read(picture), shorter_side=side) if isinstance(picture, str) else images.take(picture)
    image = decoded.image
    scale = min(1.0, side / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image if size == image.size else image.resize(size, Image.Resampling.BICUBIC)
