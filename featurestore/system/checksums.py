"""Checksums: of a run of rows of a vector file, and of a whole file."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from featurestore.system.no_follow import open_within


@dataclass(frozen=True, slots=True)
class FileChecksum:
    """Size and SHA-256 of a file."""

    bytes: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> "FileChecksum":
        """Read a file in one of a store's folders. Raises OSError, StoreUntrusted."""
        with os.fdopen(open_within(path), "rb") as file:
            digest = hashlib.file_digest(file, "sha256")
            return cls(file.tell(), digest.hexdigest())


@dataclass(frozen=True, slots=True)
class BlockChecksum:
    """The checksum of rows `first` to `first + rows - 1` of a vector file."""

    first: int
    rows: int
    sha256: str

    @classmethod
    def of(cls, first: int, rows: int, data: bytes | memoryview) -> "BlockChecksum":
        """Compute the SHA-256 of the bytes of some rows."""
        return cls(first, rows, hashlib.sha256(data).hexdigest())

    @property
    def end(self) -> int:
        """The row after the last one."""
        return self.first + self.rows


def covers(blocks: list[BlockChecksum], rows: int) -> bool:
    """Whether blocks cover rows 0 to `rows - 1` without gaps or overlaps."""
    end = 0
    for block in blocks:
        if block.first != end or block.rows < 1:
            return False
        end = block.end
    return end == rows
