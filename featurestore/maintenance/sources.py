"""The sources that a store remembers, for `index` without a source."""

import os
from dataclasses import dataclass
from pathlib import Path

from featurestore.errors import SourceError
from featurestore.sources import is_missing
from featurestore.sources.filesystem import is_url
from featurestore.storage import Storage


@dataclass(frozen=True, slots=True)
class KnownSource:
    """A source that `index` was given."""

    path: str
    there: bool | None  # None for a URL, which is not asked
    exclude: tuple[str, ...]  # patterns of what `index` leaves out


def sources(store: Storage) -> list[KnownSource]:
    """List the sources that `index` takes when it is given none, oldest first."""
    return [
        KnownSource(path, None if is_url(path) else not is_missing(path), exclude)
        for path, exclude in store.catalog.sources.all().items()
    ]


def forget_source(store: Storage, source: str | Path) -> str:
    """Forget a source, so that `index` without a source passes it over; its items stay. Returns its path. Raises SourceError."""
    with store.writing():
        known = store.catalog.sources.all()
        absolute = str(source) if is_url(str(source)) else os.path.abspath(os.path.expanduser(source))
        found = next((path for path in (str(source), absolute) if path in known), None)
        if found is None:
            raise SourceError(
                f"source {str(source)!r}: the store remembers {', '.join(map(repr, known)) or 'none'}; name one of these"
            )
        store.catalog.sources.drop(found)
    return found
