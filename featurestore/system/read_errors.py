"""What an error of reading says: something about the file, only that the disk failed, or that this process may open no more files."""

import errno
import os
from pathlib import Path

from featurestore.errors import DiskError, ImageError, ImageUnread, TooManyOpenFiles
from featurestore.system.text import describe_error

ABOUT_THE_FILE = (
    errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL,
)  # fmt: skip


def unreadable(path: Path, reason: str | None) -> DiskError:
    """Make the error for a file of a store that the system does not read now."""
    return DiskError(f"{path} cannot be read: {reason}; no damage is known, try again")


def image_error(error: BaseException) -> ImageError:
    """Make an ImageError of what reading or decoding an image raised: ImageUnread when it says nothing about the image. Raises TooManyOpenFiles."""
    check_open_files(error)
    if isinstance(error, ImageError):
        return error
    of_the_disk = isinstance(error, OSError) and error.errno not in (None, *ABOUT_THE_FILE)  # libraries give no number
    kind = ImageUnread if of_the_disk or isinstance(error, TimeoutError | ConnectionError) else ImageError
    return kind(describe_error(error))


def check_open_files(error: BaseException) -> None:
    """Raise TooManyOpenFiles for an error that says so: it is no fault of the file that was to be opened."""
    if isinstance(error, TooManyOpenFiles):
        raise error
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        raise TooManyOpenFiles(
            f"{error.filename or 'a file'} could not be opened ({os.strerror(error.errno).lower()}); what was committed before is kept: "
            "allow more open files (ulimit -n), or use fewer --workers, then run the same command again"
        ) from error
