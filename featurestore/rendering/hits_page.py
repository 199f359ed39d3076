"""The page of matches: one HTML file with all pictures inside, without scripts, for any browser."""

from collections.abc import Sequence
from functools import partial
from os.path import commonprefix
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featurestore.rendering.html import templates
from featurestore.rendering.inline_image import inline_image
from featurestore.system.disk import atomic_write

if TYPE_CHECKING:
    from featurestore.rendering.query_image import QueryImage

SIDE = 320  # pixels of a thumbnail's longer side


def write(
    path: Path,
    title: str,
    note: str,
    examples: Sequence["QueryImage"],
    hits: Sequence[dict[str, Any]],
    facts: Sequence[tuple[str, str]] = (),
    query_labels: Sequence[str] = (),
    bands: Sequence[int] | None = None,
) -> None:
    """Write a page of the query's examples and of hits as `Matches.to_json` gives them, best first.

    facts: names and values of what was asked. query_labels: hits that have one of them are marked. bands: those to show. A file that cannot
    be read gets a grey tile with the reason. Raises DiskError.
    """

    def shares(hit: dict[str, Any]) -> bool:
        return not set(query_labels).isdisjoint(labels_of(hit))

    folder = common_folder([hit["path"] for hit in hits])
    template = templates("featurestore.rendering").get_template("hits.html")
    parts = template.generate(
        title=title, note=note, examples=examples, hits=hits, load=partial(inline_image, side=SIDE, bands=bands), facts=facts, query_labels=query_labels, folder=folder,
        labels_of=labels_of, shares=shares, sharing=sum(map(shares, hits)),
    )  # fmt: skip
    with atomic_write(path, "expected a name such as hits.html in an existing folder") as file:
        file.writelines(
            part.encode() for part in parts
        )  # tile by tile: a thousand pictures are never in memory together


def labels_of(hit: dict[str, Any]) -> list[str]:
    """Give the labels of a hit: none, one or several."""
    return hit["labels"] or [label for label in [hit["label"]] if label is not None]


def common_folder(paths: Sequence[str]) -> str:
    """Give the folder that all paths have in common, with its last slash; empty when there is none worth naming, such as the root."""
    folder = commonprefix(paths).rpartition("/")[0]  # noqa: RUF071 (commonpath does not know URLs)
    return f"{folder}/" if folder.rpartition("/")[2] else ""
