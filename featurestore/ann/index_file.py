"""Index files: written whole with a checksum, opened when they are what that says."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from featurestore.ann.faiss_index import Lists
from featurestore.ann.search import Index
from featurestore.ann.tuning import Card
from featurestore.system.disk import written_whole


@dataclass(frozen=True, slots=True)
class Seal:
    """What a file must be."""

    bytes: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> "Seal":
        """Read a file. Raises OSError."""
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256")
            return cls(file.tell(), digest.hexdigest())


def save(lists: Lists, path: Path) -> Seal:
    """Write an index, whole or not at all. Raises DiskError."""
    digest, size = hashlib.sha256(), 0
    with (
        written_whole(path, "searches are as before: free some space and run the same command again") as part,
        part.open("wb") as file,
    ):

        def write(data: bytes) -> int:
            nonlocal size
            digest.update(data)
            size += len(data)
            return file.write(data)

        lists.save(write)
    return Seal(size, digest.hexdigest())


def open_index(path: Path, seal: Seal, card: Card, rows: int, dim: int) -> Index | str:
    """Open an index over `rows` vectors of `dim`, or say what is wrong with it."""
    try:
        if not path.exists():
            return "is missing"
        if path.stat().st_size != seal.bytes or Seal.of(path) != seal:
            return "is not the file that was written"
        lists = Lists.open(path)
    except (OSError, RuntimeError) as error:
        return f"cannot be read ({error})"
    if (lists.count, lists.dim, lists.lists) != (rows, dim, card.lists):
        return "is of other vectors"
    return Index(lists, card)
