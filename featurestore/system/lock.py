"""The locks of a store: advisory locks on files, each of which contains the process id of its holder."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from io import FileIO
from pathlib import Path

from featurestore.errors import DiskError, StoreBusy
from featurestore.system.no_follow import open_no_follow

WAIT_SECONDS = 5.0  # how long a second writer waits for the first
PAUSE_SECONDS = 0.01  # between two tries: shorter than most breaks of one that labels without pause


def writer_lock(store: Path) -> AbstractContextManager[None]:
    """Hold the writer lock of a store. Readers do not wait for it; the system releases it when the holder dies.

    Raises StoreBusy, naming the holder, when it stays taken for WAIT_SECONDS; DiskError when the store cannot be written;
    StoreUntrusted when the lock is a link or the like.
    """
    return _held(store, "lock")


def catalog_lock(store: Path) -> AbstractContextManager[None]:
    """Hold the lock of the catalog's file, which is held while a person's labels are set, and while another file takes its place.

    Whoever holds the writer lock, too, has taken that first. Raises as `writer_lock`.
    """
    return _held(store, "catalog.lock")


@contextmanager
def _held(store: Path, name: str) -> Iterator[None]:
    try:
        file = FileIO(open_no_follow(store / name, os.O_RDWR | os.O_APPEND | os.O_CREAT), "a+b")
    except OSError as error:
        raise DiskError(f"store {str(store)!r} cannot be written: {error.strerror}; check its permissions") from error
    with file:
        deadline = time.monotonic() + WAIT_SECONDS
        while not _try(file.fileno()):
            if time.monotonic() > deadline:
                file.seek(0)
                raise StoreBusy(
                    f"store {str(store)!r} is being written by process {file.read().decode().strip() or '?'}; wait for it, then try again"
                )
            time.sleep(PAUSE_SECONDS)
        _sign(file)
        yield


def _sign(file: FileIO) -> None:
    """Write the process id into the file; on a full disk, or when the file has another hard link, the lock is held without it."""
    if os.fstat(file.fileno()).st_nlink > 1:
        return
    with suppress(OSError):
        file.truncate(0)
        file.write(str(os.getpid()).encode())


def _try(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise DiskError(
            f"the file system of the store does not support locks ({error.strerror}); move the store to a local disk"
        ) from error
    return True
