"""Checksums of the blocks of a vector file: the catalog stores them, and the file is verified against them."""

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Block:
    """The checksum of rows `first` to `first + rows - 1` of a vector file."""

    first: int
    rows: int
    sha256: str

    @classmethod
    def of(cls, first: int, rows: int, data: bytes | memoryview) -> "Block":
        """Compute the SHA-256 of the bytes of some rows."""
        return cls(first, rows, hashlib.sha256(data).hexdigest())

    @property
    def end(self) -> int:
        """The row after the last one."""
        return self.first + self.rows


def covers(blocks: list[Block], rows: int) -> bool:
    """Whether blocks cover rows 0 to `rows - 1` without gaps or overlaps."""
    end = 0
    for block in blocks:
        if block.first != end or block.rows < 1:
            return False
        end = block.end
    return end == rows
