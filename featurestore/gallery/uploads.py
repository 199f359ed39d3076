"""Pictures that were dropped into the page, kept in memory for the searches that follow."""

import secrets
from typing import Any

from featurestore.errors import ImageError
from featurestore.gallery.answers import NotFound
from featurestore.gallery.endpoints import Endpoint
from featurestore.imaging.single import check_decodes
from featurestore.sources.lru_cache import LruCache

MOST_BYTES = 64 << 20  # of one picture
KEPT_BYTES = 256 << 20


class Uploads:
    """The last uploads, by a name that cannot be guessed."""

    def __init__(self) -> None:
        self._kept = LruCache[bytes](KEPT_BYTES)

    def add(self, data: bytes) -> str:
        name = secrets.token_urlsafe(16)
        self._kept.put(name, data, len(data))
        return name

    def get(self, name: str) -> bytes:
        """Give a picture. Raises NotFound when it is not kept any more."""
        found = self._kept.get(name)
        if found is None:
            raise NotFound(f"the upload {name[:40]!r} is not kept any more; upload the picture again")
        return found


def _upload(gallery: Any, data: bytes) -> dict[str, Any]:
    if not data:
        raise ImageError("empty file (0 bytes)")
    width, height = check_decodes(data)
    return {"upload": gallery.uploads.add(data), "width": width, "height": height}


ENDPOINTS = (
    Endpoint(
        "POST",
        "/uploads",
        "Give a picture to search by; its bytes are the body, with the type image/… in `Content-Type`.",
        '{"upload": a name for `search`, "width", "height"}; it is kept in memory until newer ones take its place',
        _upload,
        image_body=True,
        workers="pictures",
    ),
)
