"""Trees and drives that have moved: the store follows, without reading an image."""

import os
from dataclasses import asdict, dataclass
from pathlib import Path

from featurestore.catalog.paths import Relocation
from featurestore.errors import SourceError
from featurestore.sources import is_missing
from featurestore.sources.filesystem import is_url
from featurestore.storage import Storage

CHECKED = 100  # files that are looked for at the new place
ROOTS = 5  # shown at most


@dataclass(frozen=True, slots=True)
class RelocateReport:
    """The result of `relocate`; counts are rows that have another path now."""

    new: str  # the new place, absolute
    items: int  # removed ones, too
    sources: int
    deleted: int
    failures: int
    checked: int  # of the first items, whose files were looked for
    there: int  # of these


def relocate(store: Storage, old: str | Path, new: str | Path, missing_ok: bool = False) -> RelocateReport:
    """Rewrite the paths of items, sources, deleted files and failures from `old` to `new`, for a tree, file, container or URL that has moved.

    Whole path components count: `old` is a path itself, or a folder or container above it. Nothing is hashed or encoded. missing_ok: `new`
    need not be there now. Raises SourceError when nothing has a path at or below `old`, when `new` or all of the first files are not there,
    or when a new path is that of another item; then nothing has changed.
    """
    is_remote = is_url(str(new))
    checks = not missing_ok and not is_remote
    if checks and is_missing(os.path.expanduser(new)):
        raise SourceError(
            f"{str(new)!r}: expected the new place of the images, found nothing there; check the path, or for a drive that is not mounted now: --missing-ok"
        )
    spellings = list(dict.fromkeys((_place(old), _place(old, resolve=True))))
    relocation = Relocation(spellings, _place(new, resolve=True), _place(new))
    with store.writing():
        count, first = store.catalog.paths.relocated(relocation, CHECKED)
        if not count:
            raise SourceError(
                f"{str(old)!r}: the store has nothing at or below {_place(old) or '/'}; it has {_roots(store)}"
            )
        there = 0 if is_remote else sum(not is_missing(path) for path in first)
        if checks and first and not there:
            raise SourceError(
                f"none of the first {len(first)} files is at its new path, such as {first[0]!r}; nothing was changed: check OLD and NEW, or for files "
                "that are not there now: --missing-ok"
            )
        counts = store.catalog.paths.relocate(relocation)
    return RelocateReport(relocation.new_source, **asdict(counts), checked=0 if is_remote else len(first), there=there)


def _place(path: str | Path, resolve: bool = False) -> str:
    """Give an absolute path or URL without a slash at its end; resolve: with symbolic links followed, as the paths of most items are."""
    text = str(path)
    if is_url(text):
        return text.rstrip("/") if text.partition("://")[2].strip("/") else text.removesuffix("/")
    return (os.path.realpath if resolve else os.path.abspath)(os.path.expanduser(text)).rstrip("/")


def _roots(store: Storage) -> str:
    roots = store.catalog.paths.roots()
    more = f" and {len(roots) - ROOTS} more" if len(roots) > ROOTS else ""
    return ", ".join(f"{n} items below {root}" for root, n in roots[:ROOTS]) + more or "no items"
