"""Atomic and durable writes: after a crash or a power cut a file has its old content or its new one, never a part."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from featurestore.errors import ConfigError, DiskError


@contextmanager
def atomic_write(path: Path, advice: str) -> Iterator[Path]:
    """Give a temporary path to write to; at the end of the block it is flushed to disk and renamed to `path`.

    If the block raises, the temporary file is deleted. An OSError becomes a DiskError that ends with `advice`.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        yield part
        sync_file(part)
        part.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        reason = (error.strerror or error) if path.parent.is_dir() else f"there is no folder {path.parent}"
        raise DiskError(f"{path} could not be written ({reason}); {advice}") from error
    finally:
        with suppress(OSError):
            part.unlink()


def require_suffix(path: Path, suffixes: Sequence[str], what: str) -> None:
    """Raise ConfigError unless a file to be written has one of some suffixes, such as ".png"; `what` names its content."""
    if path.suffix.lower() not in suffixes:
        raise ConfigError(
            f"{path}: {what} is written as {', '.join(suffixes)}; found {path.suffix or 'no suffix'}; choose another name"
        )


def write_text(path: Path, text: str, advice: str) -> None:
    """Write a text file whole. Raises DiskError, which ends in `advice`."""
    with atomic_write(path, advice) as part:
        part.write_text(text, encoding="utf-8")


def create_folder(path: Path) -> None:
    """Create a folder, unless it exists, so that it survives a power cut. Raises DiskError."""
    try:
        path.mkdir(exist_ok=True)
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
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
