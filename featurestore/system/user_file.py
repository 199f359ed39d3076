"""Files that users name, links included: reading a pipe or a device may never end. For the files of a store see `no_follow`."""

import errno
from pathlib import Path


def refuse_pipe(path: Path) -> None:
    """Raise OSError for a pipe, a socket or a device; what is missing or a folder is left to those who open it."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise OSError(errno.EINVAL, "a pipe, a socket or a device; write its content to a file first")
