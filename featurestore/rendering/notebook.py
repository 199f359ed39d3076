"""Hits in a notebook: a part of a page, with small pictures inside and without scripts."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from PIL import Image

from featurestore.errors import ImageError
from featurestore.imaging.single import thumbnail
from featurestore.rendering.html import InlineImage, data_url, templates

if TYPE_CHECKING:
    from featurestore.rendering.query_image import QueryImage

SIDE, QUALITY = 128, 75  # some 4 kB a picture, since a notebook keeps its output


def render(
    title: str, examples: Sequence["QueryImage"], hits: Sequence[dict[str, Any]], bands: Sequence[int] | None = None
) -> str:
    """Write HTML of the query's examples and of hits as `Matches.to_json` gives them, best first; bands: those to show."""
    template = templates("featurestore.rendering").get_template("notebook.html")
    return template.render(title=title, examples=examples, hits=hits, load=partial(_load, bands=bands))


def _load(picture: Image.Image | str | None, bands: Sequence[int] | None) -> InlineImage:
    if picture is None:
        return InlineImage(reason="no picture")
    try:
        small = thumbnail(picture, SIDE, bands)
    except ImageError as error:
        return InlineImage(reason=str(error))
    return InlineImage(data_url(small, QUALITY), tiny=max(small.size) <= SIDE // 4)
