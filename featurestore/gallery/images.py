"""The picture of an item itself, in a form that a browser shows."""

import re
from typing import TYPE_CHECKING

from starlette.responses import Response

from featurestore.errors import ImageError
from featurestore.gallery.endpoints import Endpoint
from featurestore.gallery.items import ITEM_ID
from featurestore.gallery.pictures import grey_tile, jpeg, picture_answer
from featurestore.gallery.thumbs import MARK
from featurestore.imaging.ordinary import memory_of
from featurestore.imaging.single import read_content, thumbnail

if TYPE_CHECKING:
    from featurestore.gallery.gallery import Gallery

LARGEST = 4_096  # pixels of the longer side of a picture that is converted
AS_IT_IS = 512 << 20  # bytes of memory that a browser may need for a file that it gets as it is: some 40 megapixels
STARTS = ((b"\xff\xd8\xff", "image/jpeg"), (b"\x89PNG\r\n\x1a\n", "image/png"), (b"RIFF", "image/webp"))


def _image(gallery: "Gallery", id: int, h: str | None) -> Response:
    content = gallery.contents.of(id, h)
    try:
        data = read_content(content.file, content.sha256)
        kind = browser_kind(data) if gallery.bands is None else None
        if kind is None:
            data, kind = jpeg(thumbnail(data, LARGEST, gallery.bands)), "image/jpeg"
    except ImageError as error:
        return grey_tile(str(error))
    return picture_answer(data, kind, content, h)


def browser_kind(data: bytes) -> str | None:
    """Give the type of a file that a browser shows as we do, and that is not too large for it; None for all others."""
    kind = next((kind for start, kind in STARTS if data.startswith(start)), None)
    memory = memory_of(data) if kind is not None else None
    if not memory or memory > AS_IT_IS:
        return None
    moves = kind == "image/webp" and data[12:16] == b"VP8X"  # which may be an animation
    deep = kind == "image/png" and data[24] == 16  # bits, which we scale in our own way
    cmyk = kind == "image/jpeg" and re.search(rb"Adobe\0", data[:4096]) is not None
    return None if moves or deep or cmyk else kind


ENDPOINTS = (
    Endpoint(
        "GET", "/items/{id}/image", "The picture of an item.",
        "the file itself where it is a JPEG, PNG or WebP that any browser shows, otherwise a JPEG of it. Where there is no picture, a grey PNG, with the reason in the header `X-Failure`",
        _image, (ITEM_ID, MARK), workers="pictures",
    ),
)  # fmt: skip
