"""Files of this machine: their size, time and bytes, asked of the system with as few calls as can be.

Threads that decode small images take turns at Python's lock with each call, which takes longer than the call.
"""

import os
import stat
from typing import NamedTuple

from featurestore.errors import ImageError


class FileState(NamedTuple):
    """What differs between two versions of a file."""

    size: int  # bytes
    mtime_ns: int


def local_state(path: str) -> FileState:
    """Return size and time of a regular file. Raises ImageError for what is none, and OSError."""
    found = os.stat(path)
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError
    if not stat.S_ISREG(found.st_mode):
        raise ImageError("not a regular file")
    return FileState(found.st_size, found.st_mtime_ns)


def without_waiting(path: str, flags: int) -> int:
    """Open a file as `open` does, but do not wait for a writer if it has become a pipe since it was looked at."""
    return os.open(path, flags | os.O_NONBLOCK)


def read_part(path: str, start: int, size: int) -> bytes:
    """Read `size` bytes from `start`, or fewer at the end of the file. Raises OSError."""
    file = without_waiting(path, os.O_RDONLY)
    try:
        parts = []
        while size and (part := os.pread(file, size, start)):  # one read returns at most 2 GiB
            parts.append(part)
            start += len(part)
            size -= len(part)
    finally:
        os.close(file)
    return parts[0] if len(parts) == 1 else b"".join(parts)
