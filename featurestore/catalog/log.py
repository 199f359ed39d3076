"""DuckDB's log beside the catalog: how much of a damaged one can still be applied."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from featurestore.catalog.connection import Database
from featurestore.errors import StoreCorrupt


def usable_log(database: Database) -> bytes | None:
    """Give the longest beginning of the log that can be applied: all transactions before the damage. None when the log is not damaged.

    DuckDB takes a log that was cut off up to its last whole transaction, so each beginning of a usable part is usable, too. The caller
    is the only writer. Raises OSError.
    """
    data = Path(f"{database.path}.wal").read_bytes()
    with _copy(database.path) as copy:
        if _opens(copy, data) or not _opens(copy, b""):  # there is no damage, or it is in the catalog's file
            return None
        usable, damaged = 0, len(data)
        while damaged - usable > 1:
            middle = (usable + damaged) // 2
            if _opens(copy, data[:middle]):
                usable = middle
            else:
                damaged = middle
    return data[:usable]


@contextmanager
def _copy(catalog: Path) -> Iterator[Path]:
    """Give a hard link of the catalog's file, without its log, for the length of the block; a copy where the disk has no hard links."""
    with TemporaryDirectory(prefix=f"{catalog.name}.part-", dir=catalog.parent) as folder:
        copy = Path(folder) / catalog.name
        try:
            copy.hardlink_to(catalog)
        except OSError:
            shutil.copyfile(catalog, copy)
        yield copy


def _opens(catalog: Path, log: bytes) -> bool:
    """Whether a catalog can be opened with a log."""
    Path(f"{catalog}.wal").write_bytes(log)
    try:
        with Database(catalog).reading():
            return True
    except StoreCorrupt:
        return False
