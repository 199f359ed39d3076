"""A disk that fails at the nth call: every call of one kind in a folder is counted, and one of them raises."""

import builtins
import errno
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


class FailingDisk:
    """Makes the `nth` write (or read) below a folder fail; `calls` counts them. Writes by libraries in C pass unseen, but not their files' names."""

    WRITES = ("fsync", "replace", "rename", "mkdir", "unlink", "link", "truncate")

    def __init__(self, root: Path, patch: pytest.MonkeyPatch, nth: int, code: int = errno.ENOSPC) -> None:
        self.root, self.nth, self.code, self.calls = root, nth, code, 0
        for name in self.WRITES:
            patch.setattr(os, name, self._failing(getattr(os, name)))
        patch.setattr(io, "open", self._opening(io.open))
        patch.setattr(builtins, "open", self._opening(builtins.open))

    def _fail(self, path: object) -> None:
        self.calls += 1
        if self.calls == self.nth:
            raise OSError(self.code, os.strerror(self.code), str(path))

    def _concerns(self, path: object) -> bool:
        if isinstance(path, int):
            path = os.readlink(f"/proc/self/fd/{path}")
        return isinstance(path, (str, os.PathLike)) and os.path.abspath(path).startswith(f"{self.root}/")

    def _failing(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def failing(path: Any, *more: Any, **named: Any) -> Any:
            folder = named.get("dir_fd", named.get("src_dir_fd"))
            place = path if folder is None else os.path.join(os.readlink(f"/proc/self/fd/{folder}"), path)
            if self._concerns(place):
                self._fail(place)
            return call(path, *more, **named)

        return failing

    def _opening(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def opening(path: Any, mode: str = "r", *more: Any, **named: Any) -> Any:
            writes = any(letter in mode for letter in "wax+")
            if writes and self._concerns(path):
                self._fail(path)
            file = call(path, mode, *more, **named)
            if writes and self._concerns(path) and hasattr(file, "write"):
                return _Failing(file, lambda: self._fail(path))
            return file

        return opening


class _Failing:
    """A file whose writes are counted."""

    def __init__(self, file: Any, fail: Callable[[], None]) -> None:
        self._file, self._fail = file, fail

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> "_Failing":
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def __iter__(self) -> Any:
        return iter(self._file)

    def write(self, data: Any) -> Any:
        self._fail()
        return self._file.write(data)
