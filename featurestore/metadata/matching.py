"""The items that the rows of a user's file are about."""

import os
from collections.abc import Callable
from pathlib import Path

from featurestore.catalog import Catalog, Matched
from featurestore.errors import SourceError
from featurestore.sources.keyed_table import KeyedTable


def find_items(catalog: Catalog, given: KeyedTable) -> Matched:
    """Find the items that the rows are about; raises SourceError when there is none.

    Paths are absolute, URLs, or relative to the folder of the file or else to the current one; links in them may be followed.
    """
    matched = catalog.match(given.rows, given.key == "path", _spellings(given.path.parent))
    if given.rows.rows and not matched.items.rows:
        first = matched.unknown[0].as_py()
        if given.key == "id":
            raise SourceError(
                f"{given.path}: none of its {given.rows.rows} ids is an item of the store, the first: {first}; see which there are: "
                "featurestore sql STORE 'SELECT id, path FROM items'"
            )
        raise SourceError(
            f"{given.path}: none of its {given.rows.rows} paths is an item of the store, the first: {first!r}, taken as "
            f"{os.path.abspath(given.path.parent / first)}; give absolute paths, or paths relative to the file"
        )
    return matched


def _spellings(beside: Path) -> list[Callable[[str], list[str]]]:
    def as_written(folder: str) -> list[str]:
        return [os.path.join(os.path.abspath(base / folder), "") for base in (beside, Path())]

    def links_followed(folder: str) -> list[str]:
        return [os.path.join(os.path.realpath(spelled), "") for spelled in as_written(folder)]

    return [as_written, links_followed]
