"""HTML pages from Jinja2 templates. Every value is escaped, unsafe characters in it are spelled out, and a very long one is cut."""

import base64
import hashlib
import io
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import quote

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from PIL import Image

from featurestore.system.text import printable, shortened

QUALITY = 85  # of a JPEG
LONGEST_VALUE = 2_000  # characters: a page repeats a label in many places
URL_MARKS = "/:@!$&()*+,;=?#%~[]"  # characters that a URL may contain unescaped


@cache
def templates(room: str) -> Environment:
    """Load the templates of a package such as "featurestore.report", and the shared ones that stand here."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(room), PackageLoader("featurestore.rendering")]),
        autoescape=True, finalize=_finalize, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters.update(link=link, breakable=breakable, csp_hash=csp_hash)
    environment.globals["verbatim"] = lambda name: Markup(_source(environment, name))  # a style or script of ours
    return environment


def _finalize(value: object) -> object:
    """Prepare the value of an expression: jinja escapes it afterwards, unless it is markup of our own templates."""
    return value if isinstance(value, Markup) else _shown(value)


def _shown(value: object) -> str:
    return shortened(printable(str(value)), LONGEST_VALUE)


def _source(environment: Environment, name: str) -> str:
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


def text(value: object) -> str:
    """Escape a value for markup that is written in Python, as the templates do; safe in double-quoted attributes too."""
    return str(escape(_shown(value)))


def breakable(path: str) -> Markup:
    """Escape a path, with places where a line may break: after slashes, and after underscores and hyphens of long names."""
    return Markup(re.sub(r"(?<=[/_-])(?=[^/_-])", "<wbr>", text(path)))


def csp_hash(script: str) -> str:
    """Hash a script for a Content-Security-Policy, so that a browser runs this script and no other."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode('ascii')}"


@dataclass(frozen=True, slots=True)
class InlineImage:
    """A picture inside a page, or the reason why it cannot be shown."""

    src: Markup | None = None  # a data: URL
    tiny: bool = False  # so few pixels that they are drawn with sharp edges
    reason: str = ""


def data_url(image: Image.Image, quality: int = QUALITY) -> Markup:
    """Encode a picture as a data: URL of a JPEG."""
    data = io.BytesIO()
    image.save(data, "JPEG", quality=quality)
    return Markup(f"data:image/jpeg;base64,{base64.b64encode(data.getvalue()).decode('ascii')}")


def link(path: str) -> Markup | None:
    """Give the URL by which a browser opens an image; None when it cannot, as for images inside containers."""
    if path.startswith(("http://", "https://")):
        return escape(quote(path, safe=URL_MARKS, errors="replace"))
    return escape(Path(path).as_uri()) if path.startswith("/") and "::" not in path else None
