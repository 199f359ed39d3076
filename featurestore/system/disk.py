"""Atomic and durable writes: after a crash or a power cut a file has its old content or its new one, never a part."""

import errno
import fcntl
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

from featurestore.errors import ConfigError, DiskError
from featurestore.system.no_follow import FILE, FOLDER, LINK, NOT_FOLLOWED, kind_of, open_folder

FRESH = 60.0  # seconds since a file was last written
ONLY_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | NOT_FOLLOWED


@contextmanager
def atomic_write(path: Path, advice: str, in_store: bool = False, may_replace: bool = True) -> Iterator[BinaryIO]:
    """Give a new file to write to; at the end of the block it is flushed to disk and gets the name `path`.

    Until then it has a name beside `path` that nobody can foresee (`file.name`), and nothing that is there already is opened. A link at
    `path` is replaced, and the file that it leads to stays as it is. If the block raises, the new file is deleted. What killed processes
    left of the same file is deleted first. in_store: the folder is one of a store's, so it must not be a link. may_replace: otherwise what
    has the name `path` stays, and the block fails. An OSError becomes a DiskError that ends with `advice`.
    """
    with _disk_errors(path, advice), open_folder(path.parent, follow=not in_store) as folder:
        _require_replaceable(path, folder)
        _delete_leftovers(path.name, folder)
        with _new_file(path, folder) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            publish = os.replace if may_replace else _publish_new
            publish(Path(file.name).name, path.name, src_dir_fd=folder, dst_dir_fd=folder)
            os.fsync(folder)


def _publish_new(part: str, name: str, src_dir_fd: int, dst_dir_fd: int) -> None:
    """Give a file a name that no other has. Raises FileExistsError."""
    try:
        os.link(part, name, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        with suppress(FileNotFoundError):
            os.stat(name, dir_fd=dst_dir_fd, follow_symlinks=False)
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from None
        os.replace(part, name, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)


@contextmanager
def atomic_write_by_name(path: Path, advice: str) -> Iterator[Path]:
    """Do the same for a library that opens files by name, and puts others beside: give a path in a new folder that no other user may enter.

    The caller is the only one that writes `path`. So what is there of other parts was left by killed processes, and is deleted first.
    """
    with _disk_errors(path, advice):
        for left in path.parent.glob(f"{path.name}.part*"):
            if left.is_dir() and not left.is_symlink():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)
    with (
        _disk_errors(path, advice),
        TemporaryDirectory(prefix=f"{path.name}.part-", dir=path.parent, ignore_cleanup_errors=True) as folder,
    ):
        part = Path(folder) / path.name
        yield part
        sync_file(part)
        os.replace(part, path)
        sync_folder(path.parent)


@contextmanager
def _disk_errors(path: Path, advice: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = (error.strerror or error) if path.parent.is_dir() else f"there is no folder {path.parent}"
        raise DiskError(f"{path} could not be written ({reason}); {advice}") from error


def _require_replaceable(path: Path, folder: int) -> None:
    """Raise OSError when the name belongs to a pipe, a socket or a device."""
    with suppress(FileNotFoundError):
        found = kind_of(os.stat(path.name, dir_fd=folder, follow_symlinks=False).st_mode)
        if found not in (FILE, FOLDER, LINK):
            raise OSError(errno.EINVAL, f"it is {found}")


@contextmanager
def _new_file(path: Path, folder: int) -> Iterator[BinaryIO]:
    """Create a file beside `path` and lock it, which says that it is being written; at the end of the block its name is deleted."""

    def create(name: str, flags: int) -> int:
        return os.open(Path(name).name, ONLY_NEW, 0o666, dir_fd=folder)  # less what the umask takes

    part = path.with_name(f"{path.name}.part-{secrets.token_hex(8)}")
    with open(part, "w+b", opener=create) as file:
        try:
            with suppress(OSError):  # a file system without locks
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield file
        finally:
            with suppress(OSError):
                os.unlink(part.name, dir_fd=folder)


def _delete_leftovers(name: str, folder: int) -> None:
    """Delete what killed processes left of a file: parts that nobody holds the lock of."""
    part = re.compile(re.escape(name) + r"\.part-[0-9a-f]{16}")
    for found in filter(part.fullmatch, os.listdir(folder)):
        with suppress(OSError):
            handle = os.open(found, os.O_RDONLY | NOT_FOLLOWED, dir_fd=folder)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if abs(time.time() - os.fstat(handle).st_mtime) > FRESH:  # otherwise it may be about to be locked
                    os.unlink(found, dir_fd=folder)
            finally:
                os.close(handle)


def require_suffix(path: Path, suffixes: Sequence[str], what: str) -> None:
    """Raise ConfigError unless a file to be written has one of some suffixes, such as ".png"; `what` names its content."""
    if path.suffix.lower() not in suffixes:
        raise ConfigError(
            f"{path}: {what} is written as {', '.join(suffixes)}; found {path.suffix or 'no suffix'}; choose another name"
        )


def write_text(path: Path, text: str, advice: str) -> None:
    """Write a text file whole. Raises DiskError, which ends in `advice`."""
    with atomic_write(path, advice) as file:
        file.write(text.encode())


def append_text(path: Path, text: str, advice: str) -> None:
    """Append to a text file and flush it to disk; a file with other hard links, or a symbolic link, is not written. Raises DiskError."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | NOT_FOLLOWED, 0o666)
        with os.fdopen(handle, "ab") as file:
            found = os.fstat(handle)
            if kind_of(found.st_mode) != FILE or found.st_nlink > 1:
                raise OSError(errno.EINVAL, f"it is {kind_of(found.st_mode)} with {found.st_nlink} hard links")
            file.write(text.encode())
            file.flush()
            os.fsync(handle)
    except OSError as error:
        reason = f"it is {LINK}" if error.errno == errno.ELOOP else error.strerror
        raise DiskError(f"{path} could not be written ({reason}); {advice}") from error


def create_folder(path: Path) -> None:
    """Create a folder and those above it, unless it exists, so that it survives a power cut. Raises DiskError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        sync_folder(path.parent)
    except OSError as error:
        raise DiskError(
            f"{path} cannot be created ({error.strerror}); check its permissions, or free some space"
        ) from error


def sync_file(path: Path) -> None:
    """Flush a file's content to the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to the disk, so that a new file's name survives a power cut."""
    with open_folder(folder, follow=True) as handle:
        os.fsync(handle)
