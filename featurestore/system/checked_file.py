"""Derived files of a store: written whole or not at all, with their SHA-256 at the end, and not used when a byte has changed."""

import hashlib
import mmap
import os
from collections.abc import Iterable
from pathlib import Path

from featurestore.system.disk import atomic_write
from featurestore.system.no_follow import open_within

CHECKSUM = 32  # bytes


def write_checked(path: Path, parts: Iterable[bytes | memoryview]) -> None:
    """Write a file in one of a store's folders. Raises DiskError."""
    digest = hashlib.sha256()
    with atomic_write(path, "free some space; it is computed again when it is needed", in_store=True) as file:
        for part in parts:
            digest.update(part)
            file.write(part)
        file.write(digest.digest())


def read_checked(path: Path, most: int) -> memoryview | None:
    """Map such a file into memory; None where there is none, it is damaged, or has more than `most` bytes. Raises StoreUntrusted."""
    try:
        with os.fdopen(open_within(path), "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if not CHECKSUM <= size <= most + CHECKSUM:
                return None
            data = memoryview(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ))
    except OSError:
        return None
    content, checksum = data[:-CHECKSUM], data[-CHECKSUM:]
    return content if hashlib.sha256(content).digest() == checksum else None
