"""The images of a source as training sees them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from featurestore.sources import Failure, ImageFile, open_source
from featurestore.sources.column_names import USUAL, ColumnNames
from featurestore.sources.listing import Listing


class ListedImages(NamedTuple):
    """What a source lists. A split that the source as a whole is, such as data/test, does not count: it was named to be used."""

    files: list[ImageFile]
    unlisted: list[Failure]  # places that could not be listed
    listing: Listing
    named_split: str | None  # that the source as a whole is


def list_images(source: str | Path, exclude: Sequence[str] = (), named: ColumnNames = USUAL) -> ListedImages:
    """List a source without what matches a pattern of `exclude`; `named` are the columns of a table. Raises SourceError when there is no image."""
    opened, listing = open_source(source, exclude, named), Listing()
    listing.start(opened)
    files, unlisted = list[ImageFile](), list[Failure]()
    for entry in opened:
        listing.count(entry)
        if isinstance(entry, Failure):
            unlisted.append(entry)
        else:
            is_named = entry.split is not None and entry.split == opened.own_split
            files.append(replace(entry, split=None) if is_named else entry)
    listing.passed_over += opened.passed_over
    listing.check_images([source])
    return ListedImages(files, unlisted, listing, opened.own_split)
