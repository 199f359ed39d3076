"""Vectors on disk: an append-only file of unit-length float16 rows."""

import hashlib
import os
from collections.abc import Callable, Iterable
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from featurestore.errors import DiskError, StoreCorrupt
from featurestore.system.checksums import BlockChecksum
from featurestore.system.disk import atomic_write, sync_folder
from featurestore.system.hard_links import require_one_hard_link
from featurestore.system.no_follow import open_within
from featurestore.system.read_errors import unreadable
from featurestore.system.text import as_argument

BLOCK_ROWS = 16_384  # rows with one checksum, where many are written together
PART_BYTES = 1 << 24  # that are read at a time where only their checksum is wanted


class VectorFile:
    """Little-endian float16, C order, (rows, D). Rows are only appended; the catalog says how many are committed."""

    def __init__(self, path: Path, dim: int) -> None:
        self.path = path
        self.dim = dim
        self._row_bytes = 2 * dim

    def append(self, x: NDArray[np.floating], committed: int) -> BlockChecksum:
        """Write rows after the committed ones and flush them to disk; rows that a crash left there are cut off first.

        x: (n, D), unit length. Returns their checksum. Raises DiskError when the file cannot be written, StoreCorrupt when committed rows are missing,
        StoreUntrusted when it is not a file of the store alone.
        """
        self.check(committed)
        data = np.ascontiguousarray(x, dtype="<f2").tobytes()
        try:
            with os.fdopen(open_within(self.path, os.O_RDWR | os.O_CREAT), "r+b") as file:
                require_one_hard_link(self.path, os.fstat(file.fileno()), self.path.parents[1] / "damaged")
                file.truncate(committed * self._row_bytes)
                file.seek(0, os.SEEK_END)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if committed == 0:
                sync_folder(self.path.parent)
        except OSError as error:
            raise DiskError(
                f"{self.path}: {len(x)} vectors could not be written ({error.strerror}); everything committed before is safe: free some space and run the same command again"
            ) from error
        return BlockChecksum.of(committed, len(x), data)

    def rows_on_disk(self) -> int:
        """Count the complete rows in the file, whatever the catalog says; 0 when there is no file."""
        return self.path.stat().st_size // self._row_bytes if self.path.exists() else 0

    def check(self, committed: int) -> None:
        """Raise StoreCorrupt when the file has fewer rows than are committed."""
        found = self.rows_on_disk()
        if found < committed:
            raise StoreCorrupt(
                f"{self.path}: the catalog counts {committed} rows of {self._row_bytes} bytes, the file has {found}; "
                f"to see what can be saved: featurestore verify {as_argument(self.path.parents[1])}"
            )

    def open(self, committed: int) -> NDArray[np.float16]:
        """Map the first `committed` rows into memory, read-only: float16 (committed, D). Raises StoreCorrupt, StoreUntrusted, DiskError."""
        try:
            self.check(committed)
            if committed == 0:
                return np.empty((0, self.dim), np.float16)
            with self._opened() as file:
                return np.memmap(file, dtype="<f2", mode="r", shape=(committed, self.dim))
        except OSError as error:
            raise unreadable(self.path, error.strerror) from error

    def checksums(self, end: int) -> list[BlockChecksum]:
        """Compute the checksums of rows 0 to `end` - 1 as they are on disk, as far as they exist, in blocks of BLOCK_ROWS."""
        end = min(end, self.rows_on_disk())
        if not end:
            return []
        with self._opened() as file:
            lengths = [min(BLOCK_ROWS, end - start) for start in range(0, end, BLOCK_ROWS)]
            return [self._checksum(file, n * BLOCK_ROWS, rows) for n, rows in enumerate(lengths)]

    def damaged(
        self, blocks: Iterable[BlockChecksum], tick: Callable[[int], None] = lambda rows: None
    ) -> list[BlockChecksum]:
        """Read all blocks; give those that are missing, unreadable, or have another checksum. `tick` is called with the rows read."""
        bad = []
        for block in blocks:
            try:
                with self._opened() as file:
                    there = block.end * self._row_bytes <= os.fstat(file.fileno()).st_size
                    intact = there and self._checksum(file, block.first, block.rows) == block
            except OSError:  # a bad sector, or no file
                intact = False
            if not intact:
                bad.append(block)
            tick(block.rows)
        return bad

    def copy(self, rows: NDArray[np.int64], to: Path) -> list[BlockChecksum]:
        """Copy some rows, ascending, to a new file, complete or not at all; returns its checksums.

        The rows are read in runs and not through a memory map, because the others may lie on bad sectors. Raises DiskError.
        """
        blocks = []
        advice = "nothing was changed: free some space and run the same command again"
        old: BinaryIO = self._opened() if len(rows) else BytesIO()
        with old, atomic_write(to, advice, in_store=True) as new:
            for start in range(0, len(rows), BLOCK_ROWS):
                chosen = rows[start : start + BLOCK_ROWS]
                runs = np.split(chosen, np.flatnonzero(np.diff(chosen) != 1) + 1)
                data = b"".join(self._read(old, int(run[0]), len(run)) for run in runs)
                new.write(data)
                blocks.append(BlockChecksum.of(start, len(chosen), data))
        return blocks

    def _opened(self) -> BinaryIO:
        return os.fdopen(open_within(self.path), "rb")

    def _checksum(self, file: BinaryIO, first: int, rows: int) -> BlockChecksum:
        """Compute the checksum of some rows in parts: how many they are, and how long, says the catalog."""
        file.seek(first * self._row_bytes)
        digest, left = hashlib.sha256(), rows * self._row_bytes
        while left and (part := file.read(min(left, PART_BYTES))):
            digest.update(part)
            left -= len(part)
        return BlockChecksum(first, rows, digest.hexdigest())

    def _read(self, file: BinaryIO, first: int, rows: int) -> bytes:
        file.seek(first * self._row_bytes)
        return file.read(rows * self._row_bytes)
