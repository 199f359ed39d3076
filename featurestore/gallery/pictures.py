"""Pictures as the server sends them: encoded by us, so that no byte of a stranger's file reaches the browser as anything but pixels."""

import io
from functools import cache

from PIL import Image
from starlette.responses import Response

from featurestore.gallery.contents import Content
from featurestore.system.text import printable, shortened

FOR_GOOD = "private, max-age=31536000, immutable"  # for an address that names the content
BRIEFLY = "private, max-age=10"  # for a failure: the file may be there again
REASON = 300  # characters
GREY = (0x80, 0x80, 0x80)
SANDBOX = "default-src 'none'; sandbox"


def picture_answer(data: bytes, kind: str, content: Content, mark: str | None) -> Response:
    """Answer with a picture; for good, when the address names the content that the item has."""
    caching = FOR_GOOD if content.mark and mark == content.mark else "no-store"
    return Response(data, 200, {"Cache-Control": caching, "Content-Security-Policy": SANDBOX}, kind)


def grey_tile(reason: str) -> Response:
    """Answer with a grey tile, and say in a header why there is no picture."""
    text = shortened(printable(reason), REASON).encode("ascii", "backslashreplace").decode("ascii")
    headers = {"Cache-Control": BRIEFLY, "Content-Security-Policy": SANDBOX, "X-Failure": text}
    return Response(_grey(), 200, headers, "image/png")


@cache
def _grey() -> bytes:
    return _saved(Image.new("RGB", (8, 8), GREY), "PNG")


def webp(image: Image.Image) -> bytes:
    """Encode a small picture."""
    return _saved(image, "WEBP", quality=82, method=1)


def jpeg(image: Image.Image) -> bytes:
    """Encode a large picture."""
    return _saved(image, "JPEG", quality=90)


def _saved(image: Image.Image, form: str, **options: int) -> bytes:
    data = io.BytesIO()
    image.save(data, form, **options)
    return data.getvalue()
