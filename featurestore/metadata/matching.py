"""The items that the rows of a user's file are about."""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from featurestore.catalog import Catalog, MatchedItems, Spelling
from featurestore.errors import SourceError
from featurestore.metadata.suggestions import did_you_mean
from featurestore.sources.keyed_table import KeyedTable
from featurestore.sources.relative_paths import absolute_paths, below_sources, resolved_paths
from featurestore.system.text import counted

SHOWN = 3  # paths of each side


def find_items(catalog: Catalog, table: KeyedTable) -> MatchedItems:
    """Find the items that the rows are about. Raises SourceError when there is none.

    Paths are absolute, URLs, or relative to the folder of the file or else to the current one; symbolic links are followed if needed.
    What fits no item so is read with slashes for backslashes, relative to a source, and with accents in another form of Unicode; of
    these, what could mean several items means none.
    """
    is_path = table.key == "path"
    matched = catalog.items.look_up(table.rows, is_path, _spellings(table.path.parent, list(catalog.sources.all())))
    unknown = matched.unknown
    if matched.items.rows:
        hint = suggestion(catalog, unknown.to_pylist()) if is_path and len(unknown) else ""
        return replace(matched, notes=(*matched.notes, *[hint] * bool(hint)))
    shown = quoted_list(unknown[:SHOWN].to_pylist(), len(unknown))
    if not is_path:
        raise SourceError(
            f"{table.path}: none of its ids ({counted(table.rows.rows, 'row')}) belongs to an item of the store; in the file: {shown}; "
            "to see the ids: featurestore sql STORE 'SELECT id, path FROM items'"
        )
    known = quoted_list(catalog.items.first_paths(SHOWN), SHOWN + 1)
    raise SourceError(
        f"{table.path}: none of its paths ({counted(table.rows.rows, 'row')}) belongs to an item of the store; "
        f"in the file: {shown}; in the store: {known}; "
        + (
            suggestion(catalog, unknown.to_pylist())
            or "give absolute paths, or paths relative to the file or to a source"
        )
    )


def suggestion(catalog: Catalog, unknown: Sequence[str]) -> str:
    """Say what a path that no item has may mean; empty when no item has a similar name."""
    return did_you_mean(catalog.items.similar_paths(unknown[:SHOWN]))


def unknown_note(key: str, first: Sequence[str], total: int) -> list[str]:
    """Say how many keys of a file no item has, and the first of them."""
    return [f"{counted(total, key)} without an item in the store: {quoted_list(first[:SHOWN], total)}"] * bool(total)


def quoted_list(shown: Iterable[str], total: int) -> str:
    """Write some paths, and that there are more."""
    paths = list(shown)
    return ", ".join(f"'{path}'" for path in paths) + ", …" * (total > len(paths)) if paths else "none"


def _spellings(folder_of_file: Path, sources: Sequence[str]) -> list[Spelling]:
    """What a folder in the file may mean, most likely first."""

    def beside(rule: Callable[[str, Path], list[str]]) -> Callable[[str], list[str]]:
        return lambda folder: [os.path.join(path, "") for path in rule(folder, folder_of_file)]

    def below(folder: str) -> list[str]:
        return below_sources(folder, sources)

    absolute = beside(absolute_paths)
    return [
        Spelling(absolute),
        Spelling(beside(resolved_paths)),
        Spelling(absolute, "read with \\ as / and without blanks around", cleaned=True),
        Spelling(below, "read as relative to a source", cleaned=True, unique=True),
        Spelling(
            lambda folder: [*absolute(folder), *below(folder)],
            "written with accents in another form of Unicode than the file names",
            cleaned=True, normalized=True, unique=True,
        ),
    ]  # fmt: skip
