"""Values as HTML: text that a browser shows and never obeys, pictures inside the page, and the colours that all pages share."""

import base64
import io
from html import escape
from pathlib import Path
from urllib.parse import quote

from PIL import Image

from featurestore.system.text import printable

QUALITY = 85  # of a JPEG
URL_MARKS = "/:@!$&()*+,;=?#%~[]"  # what a URL may hold as it is

PALETTE = """:root {
  --paper: #f6f6f4; --card: #ffffff; --line: #e2e2de; --well: #efefec; --ink: #1c1c1c; --pale: #63635f;
  --accent: #0a5fb4; --negative: #b3261e;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #161617; --card: #1f1f21; --line: #333336; --well: #29292c; --ink: #ececea; --pale: #a2a29e;
    --accent: #6fb1f5; --negative: #f2877f;
  }
}
* { box-sizing: border-box; }
"""
SANS = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", sans-serif'


def text(value: object) -> str:
    """Spell a value out so that nothing of it is markup; for attributes in double quotes too."""
    return escape(printable(str(value)))


def embedded(image: Image.Image, quality: int = QUALITY) -> str:
    """Give a picture as an address that holds all of it."""
    data = io.BytesIO()
    image.save(data, "JPEG", quality=quality)
    return f"data:image/jpeg;base64,{base64.b64encode(data.getvalue()).decode('ascii')}"


def address(path: str) -> str | None:
    """What a browser opens an image by; None for places that it does not know, and for those within containers."""
    if path.startswith(("http://", "https://")):
        return quote(path, safe=URL_MARKS, errors="replace")
    return Path(path).as_uri() if path.startswith("/") and "::" not in path else None
