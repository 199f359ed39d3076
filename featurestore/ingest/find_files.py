"""List the files of all sources of a run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from featurestore.catalog import Scope
from featurestore.catalog.diff import FOUND
from featurestore.progress import Listener
from featurestore.sources import Failure, open_sources
from featurestore.sources.column_names import USUAL, ColumnNames
from featurestore.sources.listing import Listing, is_within, may_overlap
from featurestore.system.spool import Spool


@dataclass(frozen=True)
class Found:
    """What the sources of one run hold."""

    files: Spool  # rows of FOUND
    has_duplicates: bool  # several sources may hold the same file
    unlisted: list[Failure]  # places that could not be listed
    scopes: list[Scope]
    listing: Listing


def find_files(
    sources: Sequence[tuple[str | Path, Sequence[str]]], listener: Listener, named: ColumnNames = USUAL
) -> Found:
    """List all sources, each given with its patterns of what to leave out. Raises SourceError when one is missing, or when there is no image in any.

    named: the columns of tables that the user chose.
    """
    listener.start("looking for images", None)
    opened = open_sources(sources, named)
    files, unlisted, scopes, listing = Spool(FOUND), dict[str, Failure](), list[Scope](), Listing()
    has_duplicates, seen = may_overlap(opened), set[int]()
    for number, source in enumerate(opened):
        before = files.rows
        listing.start(source)
        for entry in source:
            if not has_duplicates or (key := hash(entry.path)) not in seen:
                listing.count(entry)
                if has_duplicates:
                    seen.add(key)
            if isinstance(entry, Failure):
                unlisted[entry.path] = entry
            else:
                files.add(
                    (files.rows, entry.path, entry.label, entry.labels or None, entry.split, entry.size, entry.mtime_ns)
                )
        if not is_within(source, opened[:number]):
            listing.passed_over += source.passed_over
        if source.prefix is not None and files.rows > before:  # an empty folder may be a drive that is not mounted
            scopes.append(Scope(source.prefix, source.within_containers))
    listing.check_images([source for source, _ in sources])
    return Found(files, has_duplicates, list(unlisted.values()), scopes, listing)
