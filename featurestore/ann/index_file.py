"""Index files: written whole or not at all, and opened only when their checksum matches."""

import hashlib
from pathlib import Path

from featurestore.ann.faiss_index import RabitqIndex
from featurestore.ann.search import Index
from featurestore.ann.tuning import IndexCard
from featurestore.system.checksums import FileChecksum
from featurestore.system.disk import atomic_write


def save_index(rabitq: RabitqIndex, path: Path) -> FileChecksum:
    """Write an index, whole or not at all; returns its checksum. Raises DiskError."""
    digest, size = hashlib.sha256(), 0
    advice = "searches are as before: free some space and run the same command again"
    with atomic_write(path, advice, in_store=True) as file:

        def write(data: bytes) -> int:
            nonlocal size
            digest.update(data)
            size += len(data)
            return file.write(data)

        rabitq.save(write)
    return FileChecksum(size, digest.hexdigest())


def open_index(path: Path, checksum: FileChecksum, card: IndexCard, rows: int, dim: int) -> Index | str:
    """Open an index over `rows` vectors of `dim`; returns what is wrong as text when it cannot be used."""
    try:
        if not path.exists():
            return "is missing"
        if path.stat().st_size != checksum.bytes or FileChecksum.of(path) != checksum:
            return "is not the file that was written"
        rabitq = RabitqIndex.open(path)
    except (OSError, RuntimeError) as error:
        return f"cannot be read ({error})"
    if (rabitq.count, rabitq.dim, rabitq.lists) != (rows, dim, card.lists):
        return "is of other vectors"
    return Index(rabitq, card)
