"""Thumbnails: made once for each content and size, kept on disk."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from starlette.responses import Response

from featurestore.errors import ImageError
from featurestore.gallery.contents import Content
from featurestore.gallery.endpoints import Endpoint, Parameter
from featurestore.gallery.items import ITEM_ID
from featurestore.gallery.pictures import grey_tile, picture_answer, webp
from featurestore.gallery.schemas import TEXT
from featurestore.imaging.single import read_content, thumbnail

if TYPE_CHECKING:
    from featurestore.gallery.gallery import Gallery

SIDES = (64, 128, 256, 512)  # pixels of the longer side
MARK = Parameter("h", TEXT, "The first 16 characters of the item's sha256: then the answer may be kept for good.")


def _thumb(gallery: "Gallery", id: int, side: int, h: str | None) -> Response:
    content = gallery.contents.of(id, h)
    form = f"{side}" if gallery.bands is None else f"{side}-{'.'.join(map(str, gallery.bands))}"
    data = gallery.cache.get(content.sha256, form)
    if data is None:
        if (reason := gallery.failures.get(content)) is not None:
            return grey_tile(reason)
        try:
            data = _made(content, side, gallery.bands)
        except ImageError as error:
            gallery.failures.put(content, str(error))
            return grey_tile(str(error))
        gallery.cache.put(content.sha256, form, data)
    return picture_answer(data, "image/webp", content, h)


def _made(content: Content, side: int, bands: Sequence[int] | None) -> bytes:
    return webp(thumbnail(read_content(content.file, content.sha256), side, bands))


ENDPOINTS = (
    Endpoint(
        "GET", "/thumbs/{id}/{side}", "A small picture of an item.",
        "WebP, no side longer than `side`. Where there is no picture, a grey PNG, with the reason in the header `X-Failure`",
        _thumb,
        (ITEM_ID, Parameter("side", {"type": "integer", "enum": list(SIDES)}, "Pixels.", required=True, place="path"), MARK),
        workers="pictures",
    ),
)  # fmt: skip
