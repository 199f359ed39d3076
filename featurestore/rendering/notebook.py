"""Hits and galleries in a notebook: a part of a page, with small pictures inside and without scripts."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from featurestore.rendering.galleries import NOTEBOOK, Gallery, left_out, limited
from featurestore.rendering.html import InlineImage, templates
from featurestore.rendering.inline_image import inline_image

if TYPE_CHECKING:
    from PIL import Image

    from featurestore.rendering.query_image import QueryImage

SIDE, QUALITY = 128, 75  # some 4 kB a picture, since a notebook keeps its output


def render(
    title: str, examples: Sequence["QueryImage"], hits: Sequence[dict[str, Any]], bands: Sequence[int] | None = None
) -> str:
    """Write HTML of the query's examples and of hits as `Matches.to_json` gives them, best first; bands: those to show."""
    template = templates("featurestore.rendering").get_template("notebook.html")
    return template.render(title=title, examples=examples, hits=hits, load=partial(_load, bands=bands))


def render_galleries(
    title: str, summary: Sequence[str], galleries: Sequence[Gallery], bands: Sequence[int] | None = None
) -> str:
    """Write HTML of a heading, sentences and the first galleries; bands: those to show."""
    template = templates("featurestore.rendering").get_template("notebook_galleries.html")
    lines = [*summary, *left_out(galleries, NOTEBOOK)]
    return template.render(
        title=title, summary=lines, galleries=limited(galleries, NOTEBOOK), load=partial(_load, bands=bands)
    )


def _load(picture: "Image.Image | str | None", bands: Sequence[int] | None) -> InlineImage:
    return inline_image(picture, SIDE, bands, QUALITY)
