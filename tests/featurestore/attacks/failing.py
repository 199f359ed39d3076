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
    """Makes the `nth` write below a folder fail; `calls` counts them. Writes by libraries in C pass unseen, but not their files' names."""

    CALLS: tuple[str, ...] = ("fsync", "replace", "rename", "mkdir", "unlink", "link", "truncate")
    METHOD = "write"  # of a file

    def __init__(self, root: Path, patch: pytest.MonkeyPatch, nth: int, code: int = errno.ENOSPC) -> None:
        self.root, self.nth, self.code, self.calls = root, nth, code, 0
        for name in self.CALLS:
            patch.setattr(os, name, self._failing(getattr(os, name)))
        patch.setattr(io, "open", self._opening(io.open))
        patch.setattr(builtins, "open", self._opening(builtins.open))

    def _counts(self, mode: str) -> bool:
        return any(letter in mode for letter in "wax+")

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
            if not (self._counts(mode) and self._concerns(path)):
                return call(path, mode, *more, **named)
            self._fail(path)
            return _Failing(call(path, mode, *more, **named), self.METHOD, lambda: self._fail(path))

        return opening


class FailingReads(FailingDisk):
    """The same for reads. What libraries in C read passes unseen, the state of files in a folder that is listed included."""

    CALLS = ("open", "stat", "scandir", "pread")
    METHOD = "read"

    def _counts(self, mode: str) -> bool:
        return not super()._counts(mode)


class _Failing:
    """A file of which the calls of one method are counted."""

    def __init__(self, file: Any, method: str, fail: Callable[[], None]) -> None:
        self._file, self._method, self._fail = file, method, fail

    def __getattr__(self, name: str) -> Any:
        if name == self._method:
            self._fail()
        return getattr(self._file, name)

    def __enter__(self) -> "_Failing":
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def __iter__(self) -> Any:
        return iter(self._file)
