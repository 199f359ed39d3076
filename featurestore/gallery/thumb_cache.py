"""Small pictures on disk, outside every store: made once for a content and a size, the least used deleted first. May be deleted at any time."""

import os
import re
import secrets
import threading
import time
from contextlib import suppress
from pathlib import Path

LIMIT = 1 << 30  # bytes of all pictures together
DOWN_TO = 0.9  # share of the limit that is left after deleting
USED_AGAIN = 3600.0  # seconds: so old may the time be that says when a picture was last used
MOST_BYTES = 4 << 20  # of one picture
FORM = r"[0-9]{1,4}(?:-[0-9.]{1,40})?"  # pixels of the longer side, and the bands that are shown, where not the colours
NAME = re.compile(rf"[0-9a-f]{{64}}-{FORM}\.webp")


def usual_folder() -> Path:
    """Give the folder of the user's caches that is ours."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "featurestore" / "thumbnails"


class ThumbCache:
    """Pictures by the hash of their content and their form. What cannot be written is not kept, and what cannot be read is not there."""

    def __init__(self, folder: Path | None, limit: int = LIMIT) -> None:
        self._folder, self._limit = folder, limit
        self._lock = threading.Lock()
        self._bytes: int | None = None  # of all pictures; None: not yet counted

    def get(self, sha256: str, form: str) -> bytes | None:
        """Give a picture; None where there is none, or only the beginning of one."""
        path = self._path(sha256, form)
        if path is None:
            return None
        try:
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        except OSError:
            return None
        with open(handle, "rb") as file:
            found = os.fstat(handle)
            data = file.read(MOST_BYTES)
            if time.time() - found.st_mtime > USED_AGAIN:
                with suppress(OSError):
                    os.utime(handle)
        return data if _is_whole(data) else None

    def put(self, sha256: str, form: str, data: bytes) -> None:
        """Keep a picture, and delete others when there are too many."""
        path = self._path(sha256, form)
        if path is None:
            return
        part = path.with_name(f"{secrets.token_hex(8)}.part")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as file:
                    file.write(data)
                os.replace(part, path)
            except OSError:
                part.unlink(missing_ok=True)
                raise
        except OSError:  # a full disk, or a folder that cannot be written: the picture is made again next time
            return
        with self._lock:
            self._bytes = self._count() if self._bytes is None else self._bytes + len(data)
            if self._bytes > self._limit:
                self._bytes = self._delete_least_used()

    def _path(self, sha256: str, form: str) -> Path | None:
        """Give the place of a picture; None for what is no hash, as a stranger's catalog may hold."""
        if self._folder is None or not NAME.fullmatch(name := f"{sha256}-{form}.webp"):
            return None
        return self._folder / sha256[:2] / name

    def _files(self) -> list[tuple[float, int, str]]:
        """List what is kept: when it was last used, its bytes and its path. Parts that were left count, too."""
        assert self._folder is not None
        found = []
        with suppress(OSError):
            for folder in os.scandir(self._folder):
                if re.fullmatch("[0-9a-f]{2}", folder.name) and folder.is_dir(follow_symlinks=False):
                    for file in os.scandir(folder):
                        with suppress(OSError):
                            if NAME.fullmatch(file.name) or file.name.endswith(".part"):
                                stat = file.stat(follow_symlinks=False)
                                found.append((stat.st_mtime, stat.st_size, file.path))
        return found

    def _count(self) -> int:
        return sum(size for _, size, _ in self._files())

    def _delete_least_used(self) -> int:
        files = sorted(self._files())
        left = sum(size for _, size, _ in files)
        for _, size, path in files:
            if left <= DOWN_TO * self._limit:
                break
            with suppress(OSError):
                os.unlink(path)
                left -= size
        return left


def _is_whole(data: bytes) -> bool:
    """Whether these bytes are a WebP with its end: a crash may leave a beginning."""
    return data[:4] == b"RIFF" and data[8:12] == b"WEBP" and int.from_bytes(data[4:8], "little") + 8 == len(data)
