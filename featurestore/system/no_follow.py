"""Files and folders of a store, opened without following links, and without waiting for pipes and devices."""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from featurestore.errors import DiskError, StoreUntrusted

FILE, FOLDER, LINK = "a file", "a folder", "a symbolic link"
NOT_FOLLOWED = os.O_NOFOLLOW | os.O_NONBLOCK  # a link is an error, and a pipe without a reader does not stall
KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISREG, FILE), (stat.S_ISDIR, FOLDER), (stat.S_ISLNK, LINK), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"),
)  # fmt: skip


def kind_of(mode: int) -> str:
    """Say in words what a file is, by its mode."""
    return next((kind for is_kind, kind in KINDS if is_kind(mode)), "a device")


def untrusted_error(path: Path, expected: str, found: str) -> StoreUntrusted:
    """Make the error for something in a store that featurestore did not make."""
    return StoreUntrusted(
        f"{path}: expected {expected} of the store, found {found}, which was not followed or opened; "
        "if it is yours, put what it stands for in its place, otherwise move it to damaged/ by featurestore verify STORE --repair"
    )


def require_kind(path: Path, expected: str = FILE) -> None:
    """Raise StoreUntrusted for what is not FILE, or not FOLDER; what is missing is left to those who open it."""
    try:
        found = kind_of(path.lstat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return
    if found != expected:
        raise untrusted_error(path, expected, found)


def open_no_follow(path: Path, flags: int = os.O_RDONLY, folder: int | None = None) -> int:
    """Open a file of a store; returns its descriptor. folder: that of the parent. Raises StoreUntrusted, OSError."""
    try:
        handle = os.open(path if folder is None else path.name, flags | NOT_FOLLOWED, 0o666, dir_fd=folder)
    except OSError:
        require_kind(path)
        raise
    found = kind_of(os.fstat(handle).st_mode)
    if found != FILE:
        os.close(handle)
        raise untrusted_error(path, FILE, found)
    return handle


@contextmanager
def open_folder(path: Path, follow: bool = False) -> Iterator[int]:
    """Open a folder for the length of the block; gives its descriptor. follow: it may be a link. Raises StoreUntrusted, OSError."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | (0 if follow else os.O_NOFOLLOW))
    except OSError:
        if not follow:
            require_kind(path, FOLDER)
        raise
    try:
        yield handle
    finally:
        os.close(handle)


def open_within(path: Path, flags: int = os.O_RDONLY) -> int:
    """Open a file in one of a store's folders, neither of which may be a link; returns its descriptor. Raises StoreUntrusted, OSError."""
    with open_folder(path.parent) as folder:
        return open_no_follow(path, flags, folder)


def delete_within(path: Path) -> None:
    """Delete a file in one of a store's folders, or a link in its place, unless it is missing. Raises StoreUntrusted, DiskError."""
    try:
        with suppress(FileNotFoundError), open_folder(path.parent) as folder:
            os.unlink(path.name, dir_fd=folder)
    except OSError as error:
        raise DiskError(
            f"{path} could not be deleted ({error.strerror}); everything committed before is safe: check its permissions, then run the same command again"
        ) from error
