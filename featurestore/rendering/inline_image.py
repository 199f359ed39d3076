"""Small pictures inside a page."""

from collections.abc import Sequence

from PIL import Image

from featurestore.errors import ImageError
from featurestore.imaging.single import thumbnail
from featurestore.rendering.html import QUALITY, InlineImage, data_url


def inline_image(
    picture: Image.Image | str | None, side: int, bands: Sequence[int] | None, quality: int = QUALITY
) -> InlineImage:
    """Make a small picture of an image or a file, of at most `side` pixels, or say why there is none; bands: those to show."""
    if picture is None:
        return InlineImage(reason="no picture")
    try:
        small = thumbnail(picture, side, bands)
    except ImageError as error:
        return InlineImage(reason=str(error))
    return InlineImage(data_url(small, quality), tiny=max(small.size) <= side // 4)
