"""Vectors on disk: an append-only file of unit-length float16 rows."""

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featurestore.errors import DiskError, StoreCorrupt


def unit_rows(x: NDArray[np.floating]) -> NDArray[np.float32]:
    """Scale each row to length 1: (N, D) to float32 (N, D). A row that is zero or not finite comes back as NaN."""
    x = np.asarray(x, np.float32)
    length = np.linalg.norm(x.astype(np.float64), axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(np.isfinite(length) & (length > 0), x / length, np.nan).astype(np.float32)


class VectorFile:
    """Little-endian float16, C order, (rows, D). Rows are only ever appended; the catalog says how many count."""

    def __init__(self, path: Path, dim: int) -> None:
        self.path = path
        self.dim = dim
        self._row_bytes = 2 * dim

    def append(self, x: NDArray[np.float32], committed: int) -> None:
        """Write rows behind the first `committed` ones and flush them to disk; what a crash left behind those is cut off.

        x: (n, D), unit length. Raises DiskError when it cannot be written, StoreCorrupt when rows are missing.
        """
        self.check(committed)
        try:
            with self.path.open("r+b" if self.path.exists() else "w+b") as file:
                file.truncate(committed * self._row_bytes)
                file.seek(0, os.SEEK_END)
                file.write(np.ascontiguousarray(x, dtype="<f2").tobytes())
                file.flush()
                os.fsync(file.fileno())
            if committed == 0:
                sync_folder(self.path.parent)
        except OSError as error:
            raise DiskError(
                f"{self.path}: {len(x)} vectors could not be written ({error.strerror}); what was indexed before is kept: free some space and run the same command again"
            ) from error

    def check(self, committed: int) -> None:
        """Raise StoreCorrupt when the file holds fewer rows than the catalog counts."""
        size = self.path.stat().st_size if self.path.exists() else 0
        if size < committed * self._row_bytes:
            raise StoreCorrupt(
                f"{self.path}: the catalog counts {committed} rows of {self._row_bytes} bytes, the file holds {size // self._row_bytes}; "
                "restore the file from a backup, or index into a new store"
            )

    def open(self, committed: int) -> NDArray[np.float16]:
        """Map the first `committed` rows into memory, read-only: float16 (committed, D)."""
        self.check(committed)
        if committed == 0:
            return np.empty((0, self.dim), np.float16)
        return np.memmap(self.path, dtype="<f2", mode="r", shape=(committed, self.dim))


def sync_file(path: Path) -> None:
    """Flush a file's content to the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries, so that a new file's name survives a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
