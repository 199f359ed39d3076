"""Backups of what repair replaces, in the store's folder `damaged`."""

import os
import shutil
import time
from contextlib import suppress
from itertools import count
from pathlib import Path

from featurestore.catalog import Catalog
from featurestore.errors import DiskError
from featurestore.storage import Layout
from featurestore.system.disk import ONLY_NEW
from featurestore.system.no_follow import open_folder, open_no_follow


class Backups:
    """Keeps files of a store in `damaged`, each under a name of its own."""

    def __init__(self, layout: Layout, catalog: Catalog) -> None:
        self._layout, self._catalog = layout, catalog

    def keep_catalog(self, copy: bool = False) -> None:
        """Keep the catalog and its log. copy: the files at their old names may be changed in place afterwards."""
        log = self._layout.catalog_log
        with self._catalog.closed():
            kept = self.keep(self._layout.catalog, copy)
            if log.exists():
                self.keep(log, copy, Path(f"{kept}.wal"))
                if not copy:
                    log.unlink()

    def keep(self, path: Path, copy: bool = False, to: Path | None = None) -> Path:
        """Keep a file; returns where. copy: the file at its old name may be changed in place afterwards. Raises DiskError."""
        folder = self._layout.damaged
        try:
            folder.mkdir(exist_ok=True)
            to = to or unused_name(folder, path.name)
            with open_folder(folder) as handle:
                if path.exists():
                    _link(path, to.name, handle, copy)
                os.fsync(handle)
        except OSError as error:
            raise DiskError(
                f"{folder}: {path.name} could not be kept there ({error.strerror}); nothing was changed: free some space and run the same command again"
            ) from error
        return to


def unused_name(folder: Path, name: str) -> Path:
    """Give a name in the folder `damaged` that nothing has."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    return next(path for n in count(1) if not os.path.lexists(path := folder / f"{stamp}-{n}-{name}"))


def _link(path: Path, name: str, folder: int, copy: bool) -> None:
    """Make a hard link of a file in a folder; copy it where the disk has no hard links."""
    if not copy:
        with suppress(OSError):
            os.link(path, name, dst_dir_fd=folder, follow_symlinks=False)
            return
    with (
        os.fdopen(open_no_follow(path), "rb") as old,
        os.fdopen(os.open(name, ONLY_NEW, 0o666, dir_fd=folder), "wb") as new,
    ):
        shutil.copyfileobj(old, new)
        new.flush()
        os.fsync(new.fileno())
