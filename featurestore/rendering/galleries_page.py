"""The page of findings: galleries in one HTML file with all pictures inside, without scripts, for any browser."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from featurestore.rendering.galleries import PAGE, Gallery, left_out, limited
from featurestore.rendering.hits_page import SIDE, common_folder
from featurestore.rendering.html import templates
from featurestore.rendering.inline_image import inline_image
from featurestore.system.disk import atomic_write


def write(
    path: Path,
    title: str,
    summary: Sequence[str],
    galleries: Sequence[Gallery],
    facts: Sequence[tuple[str, str]] = (),
    bands: Sequence[int] | None = None,
) -> None:
    """Write a page with a heading, sentences, and galleries, of which the first are shown where there are many.

    facts: names and values of what was asked. bands: those to show. A file that cannot be read gets a grey tile with the reason. Raises
    DiskError.
    """
    shown = limited(galleries, PAGE)
    parts = (
        templates("featurestore.rendering")
        .get_template("galleries.html")
        .generate(
            title=title, summary=[*summary, *left_out(galleries, PAGE)], galleries=shown, facts=facts,
            folder=common_folder([picture.path for gallery in shown for picture in gallery.pictures]), load=partial(inline_image, side=SIDE, bands=bands),
        )
    )  # fmt: skip
    with atomic_write(path, "expected a name such as findings.html in an existing folder") as file:
        file.writelines(part.encode() for part in parts)  # tile by tile, so that few pictures are in memory together
