"""One writer at a time: an advisory lock on a file of the store, which names its holder."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

from featurestore.errors import DiskError, StoreBusy

WAIT_SECONDS = 5.0  # how long a second writer waits for the first


@contextmanager
def only_writer(store: Path) -> Iterator[None]:
    """Hold the writer's lock of a store; readers are not held up. The system frees it when its holder dies.

    Raises StoreBusy, naming the holder, after WAIT_SECONDS; DiskError when the store cannot be written.
    """
    try:
        file = (store / "lock").open("a+b", buffering=0)
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
            time.sleep(0.05)
        _sign(file)
        yield


def _sign(file: FileIO) -> None:
    """Write down who holds the lock; on a full disk it is held all the same, without a name."""
    with suppress(OSError):
        file.truncate(0)
        file.write(str(os.getpid()).encode())


def _try(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise DiskError(f"its file system has no locks ({error.strerror}); keep the store on a local disk") from error
    return True
