"""Files that users name, and those of a run, which may be a stranger's: reading a pipe or a device may never end. For the files of a store see `no_follow`."""

import errno
import os
from pathlib import Path


def refuse_pipe(path: Path) -> None:
    """Raise OSError for a pipe, a socket or a device; what is missing or a folder is left to those who open it."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise OSError(errno.EINVAL, "a pipe, a socket or a device; write its content to a file first")


def require_own(path: Path) -> None:
    """Raise OSError as `refuse_pipe`, and for a link that leads out of the folder of the file."""
    refuse_pipe(path)
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(path.parent)):
        raise OSError(
            errno.ELOOP, "a link that leads out of its folder, and is not followed; put the file itself there"
        )
