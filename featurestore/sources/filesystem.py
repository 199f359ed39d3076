"""Files by path or URL: their size, time and bytes. The only import of fsspec."""

import hashlib
import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, BinaryIO, cast
from urllib.parse import unquote

from featurestore.errors import FeatureStoreError, ImageError, ImageUnread, SourceError
from featurestore.sources.http import as_local_error, client_options
from featurestore.sources.local_files import FileState, local_state, read_part, without_waiting
from featurestore.system.read_errors import image_error
from featurestore.system.text import describe_error

URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")  # at least two letters: C:// is a drive
WEB, LOCAL = ("http", "https"), ("file", "local")  # schemes
MOST_FOLDERS, DEEPEST = 100_000, 100  # below a URL that lists folder by folder: a server may invent them without end
TIMES = ("mtime", "LastModified", "last_modified", "modified", "updated", "created")  # keys of fsspec's file systems


MOST_BYTES = 1 << 30  # of the file of one image
PART_BYTES = 1 << 20  # of an answer that is read at a time


def is_url(path: str) -> bool:
    return URL.match(path) is not None


def may_name(place: str, url: str) -> bool:
    """Whether a list or table at `place` may name a URL: one on the web may not name files of this machine, or of other services."""
    own, named = (text.partition("://")[0].lower() for text in (place, url))
    return not is_url(place) or own in LOCAL or named in (own, *WEB)


def file_state(path: str) -> FileState:
    """Return size and time of a regular file. Raises ImageError with the reason."""
    with as_image_errors():
        if is_url(path):
            files, inner = file_system(path)
            files.invalidate_cache(inner)  # cached listings would hide changes
            info = files.info(inner)
            if info["type"] == "directory":
                raise IsADirectoryError
            if info["type"] == "other":
                raise ImageError("not a regular file")
            return state_of(files, inner, info)
        return local_state(path)


def open_file(path: str) -> BinaryIO:
    """Open a file for reading with seek. Raises ImageError with the reason."""
    with as_image_errors():
        if is_url(path):
            files, inner = file_system(path)
            return cast(BinaryIO, files.open(inner, "rb"))
        return open(path, "rb", opener=without_waiting)


def read_whole(path: str) -> bytes:
    """Read the whole file of an image. Raises ImageError with the reason, also for one that is larger than MOST_BYTES."""
    with as_image_errors():
        if is_url(path):
            return _read_url(path)
        size = local_state(path).size
        check_size(size)
        return read_part(path, 0, size)


def check_size(size: int) -> None:
    """Raise ImageError for the file of an image that is too large."""
    if size > MOST_BYTES:
        raise ImageError(f"too large: a file of more than {MOST_BYTES >> 30} GiB")


def _read_url(url: str) -> bytes:
    files, inner = file_system(url)
    if not inner.startswith(("http://", "https://")):
        check_size(int(files.info(inner)["size"] or 0))
        return cast(bytes, files.cat_file(inner))
    parts, size = [], 0  # a server may send other than it says, and without end
    with files.open(inner, "rb", block_size=0, size=1) as answer:  # as a stream; with a size it is not asked for one
        while part := answer.read(PART_BYTES):
            parts.append(part)
            size += len(part)
            check_size(size)
    return b"".join(parts)


def read_span(path: str, start: int, size: int) -> bytes:
    """Read `size` bytes from `start`, or fewer at the end of the file. Raises ImageError with the reason."""
    with as_image_errors():
        if is_url(path):
            files, inner = file_system(path)
            data = cast(bytes, files.cat_file(inner, start=start, end=start + size)) if size else b""
            if len(data) > size and start > 0:
                raise ImageError("the server sends whole files, never a part of one; copy the file to a disk first")
            return data[:size]
        return read_part(path, start, size)


@contextmanager
def as_image_errors() -> Iterator[None]:
    """Turn whatever a file system raises into ImageError: remote ones raise nearly everything."""
    try:
        yield
    except FeatureStoreError:
        raise
    except io.UnsupportedOperation as error:
        raise ImageError(f"cannot be read from any position: {error}") from error
    except Exception as error:
        raise image_error(as_local_error(error)) from error


def file_system(url: str) -> tuple[Any, str]:
    """Return the file system of a URL, and the path within it. Raises SourceError when it is not available."""
    import fsspec  # slow to import, and most sources are local

    scheme = url.partition("://")[0].lower()
    try:
        try:
            kind = fsspec.get_filesystem_class(scheme)
        except ValueError as error:
            raise SourceError(
                f"{url!r}: expected a path or a URL such as s3://bucket/folder; found the unknown scheme {scheme}://"
            ) from error
        options = kind._get_kwargs_from_urls(url)
        if scheme in WEB:
            options |= {"client_kwargs": client_options()}
        files = fsspec.filesystem(scheme, **options)  # fsspec keeps one for equal arguments
        return files, kind._strip_protocol(url)
    except SourceError:
        raise
    except ImportError as error:
        raise SourceError(f"{url!r}: a package that reads {scheme}:// is missing: {error}, with pip") from error
    except Exception as error:  # some connect at once, some need more than the URL
        raise SourceError(
            f"{url!r}: expected a URL that fsspec can open; {describe_error(error)}; check the URL"
        ) from error


def names_in(folder: str, folders: bool) -> list[str]:
    """Return the names of the folders in a folder, or else of its files; none when it cannot be listed. Raises SourceError when the disk fails."""
    try:
        if is_url(folder):
            files, inner = file_system(folder)
            places = files.ls(inner, detail=True)
            return [
                info["name"].rstrip("/").rpartition("/")[2]
                for info in places
                if (info["type"] == "directory") == folders
            ]
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries if entry.is_dir() == folders]
    except Exception as error:  # remote file systems raise nearly everything
        if isinstance(found := image_error(as_local_error(error)), ImageUnread):
            raise SourceError(
                f"{folder!r} cannot be listed; {found}; check the disk, then run the command again"
            ) from error
        return []


def find_below(files: Any, root: str) -> dict[str, Any]:
    """List everything below a folder: by path, the file system's record of a file, or the error of a folder that cannot be listed.

    What leads out of the folder is left out. Raises whatever the file system raises for `root`, and ValueError above MOST_FOLDERS.
    """
    from fsspec import AbstractFileSystem
    from fsspec.asyn import AsyncFileSystem

    kind = type(files)
    if kind.find is not AbstractFileSystem.find or getattr(kind, "_find", None) not in (None, AsyncFileSystem._find):
        return cast(dict[str, Any], files.find(root, detail=True))  # object stores list a whole tree at once
    found: dict[str, Any] = {}  # fsspec's own search leaves out silently what it cannot list
    folders, listed = [root], 0
    while folders:
        folder = folders.pop()
        listed += 1
        if listed > MOST_FOLDERS:
            raise ValueError(f"more than {MOST_FOLDERS:,} folders; name those inside one by one")
        try:
            places = files.ls(folder, detail=True)
        except Exception as error:
            if folder == root:
                raise
            found[folder] = error
            continue
        for info in places:
            path = info["name"].rstrip("/")
            if not _is_below(path, root):
                continue
            if info["type"] != "directory":
                found[path] = info
            elif path.count("/") > root.count("/") + DEEPEST:
                found[path] = ValueError(f"more than {DEEPEST} folders within folders")
            elif path != folder.rstrip("/"):
                folders.append(path)
    return found


def _is_below(path: str, root: str) -> bool:
    """Whether a path that a file system lists lies in a folder, also where a server reads %2e as a dot."""
    return path.startswith(f"{root.rstrip('/')}/") and ".." not in unquote(path).split("/")


def state_of(files: Any, inner: str, info: dict[str, Any]) -> FileState:
    """Return size and time from a file system's record of a file; without a time, a number from its ETag or key takes its place."""
    times = (_nanoseconds(info.get(key)) for key in TIMES)
    mtime_ns = next((time for time in times if time is not None), None)
    if mtime_ns is None:
        mark = str(info.get("ETag") or info.get("etag") or files.ukey(inner))
        mtime_ns = int.from_bytes(hashlib.sha256(mark.encode()).digest()[:8]) >> 1
    return FileState(int(info.get("size") or 0), mtime_ns)


def _nanoseconds(time: object) -> int | None:
    if isinstance(time, str):
        try:
            time = datetime.fromisoformat(time)
        except ValueError:
            return None
    if isinstance(time, datetime):
        time = time.timestamp()
    microseconds = int(time * 1_000_000) if isinstance(time, (int, float)) else None  # a float is not more exact
    return None if microseconds is None else microseconds * 1000
