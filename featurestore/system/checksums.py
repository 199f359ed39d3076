"""A block: a run of rows of a vector file with its checksum, what the catalog keeps and the file is checked against."""

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Block:
    """Rows `first` to `first + rows - 1` of a vector file, and the SHA-256 of their bytes."""

    first: int
    rows: int
    sha256: str

    @classmethod
    def of(cls, first: int, rows: int, data: bytes | memoryview) -> "Block":
        return cls(first, rows, hashlib.sha256(data).hexdigest())

    @property
    def end(self) -> int:
        return self.first + self.rows


def covers(blocks: list[Block], rows: int) -> bool:
    """Whether blocks follow one another without gaps from row 0 to the last of `rows`."""
    end = 0
    for block in blocks:
        if block.first != end or block.rows < 1:
            return False
        end = block.end
    return end == rows
