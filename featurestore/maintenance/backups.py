"""Backups of what repair replaces, in the store's folder `damaged`."""

import shutil
import time
from contextlib import suppress
from itertools import count
from pathlib import Path

from featurestore.catalog import Catalog
from featurestore.errors import DiskError
from featurestore.storage import Layout
from featurestore.system.disk import sync_file, sync_folder


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
        stamp = time.strftime("%Y%m%d-%H%M%S")
        try:
            folder.mkdir(exist_ok=True)
            to = to or next(p for n in count(1) if not (p := folder / f"{stamp}-{n}-{path.name}").exists())
            if path.exists():
                _link(path, to, copy)
            sync_folder(folder)
        except OSError as error:
            raise DiskError(
                f"{folder}: {path.name} could not be kept there ({error.strerror}); nothing was changed: free some space and run the same command again"
            ) from error
        return to


def _link(path: Path, to: Path, copy: bool) -> None:
    """Give a file a second name; copy it where the disk has no hard links."""
    if not copy:
        with suppress(OSError):
            to.hardlink_to(path)
            return
    shutil.copyfile(path, to)
    sync_file(to)
