"""The items that the rows of a user's file are about."""

import os
from collections.abc import Callable
from pathlib import Path

from featurestore.catalog import Catalog, MatchedItems
from featurestore.errors import SourceError
from featurestore.sources.keyed_table import KeyedTable
from featurestore.sources.relative_paths import absolute_paths, resolved_paths


def find_items(catalog: Catalog, table: KeyedTable) -> MatchedItems:
    """Find the items that the rows are about. Raises SourceError when there is none.

    Paths are absolute, URLs, or relative to the folder of the file or else to the current one; symbolic links are followed if needed.
    """
    matched = catalog.items.look_up(table.rows, table.key == "path", _spellings(table.path.parent))
    if table.rows.rows and not matched.items.rows:
        first = matched.unknown[0].as_py()
        if table.key == "id":
            raise SourceError(
                f"{table.path}: none of its {table.rows.rows} ids belongs to an item of the store, the first: {first}; to see the ids: "
                "featurestore sql STORE 'SELECT id, path FROM items'"
            )
        raise SourceError(
            f"{table.path}: none of its {table.rows.rows} paths belongs to an item of the store, the first: {first!r}, read as "
            f"{absolute_paths(first, table.path.parent)[0]}; give absolute paths, or paths relative to the file"
        )
    return matched


def _spellings(folder_of_file: Path) -> list[Callable[[str], list[str]]]:
    """The absolute folders that a folder in the file may mean, most likely first; then the same with links followed."""

    def of(rule: Callable[[str, Path], list[str]]) -> Callable[[str], list[str]]:
        return lambda folder: [os.path.join(path, "") for path in rule(folder, folder_of_file)]

    return [of(absolute_paths), of(resolved_paths)]
