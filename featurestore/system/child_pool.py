"""Child processes that are kept: one that has finished its work waits for the next."""

import atexit
import os
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace

from featurestore.system.child_limits import Limits
from featurestore.system.child_process import ChildProcess

IDLE_SECONDS = 60.0  # how long a child without work is lent again; after twice that time it ends by itself


class ChildPool:
    """Children that run `module`. They are started when they are needed, and end with this process.

    most: how many work at once, and are kept; None: any number work, and one is kept.
    harmless: errors after which a child is ready for its next message; after any other it is ended.
    """

    def __init__(
        self, module: str, limits: Limits, most: int | None = None, harmless: tuple[type[Exception], ...] = ()
    ) -> None:
        self._module, self._limits = module, replace(limits, idle_seconds=2 * IDLE_SECONDS)
        self._most, self._harmless = most, harmless
        self._idle: list[tuple[float, ChildProcess]] = []  # with the time since when
        self._make_locks()
        atexit.register(self.close)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._after_fork)

    @contextmanager
    def lend(self) -> Iterator[ChildProcess]:
        """Lend a child for the length of the block; wait while `most` are lent."""
        with self._free:
            child = self._take()
            try:
                yield child
            except self._harmless:
                self._give_back(child)
                raise
            except BaseException:
                child.close()
                raise
            self._give_back(child)

    def close(self) -> None:
        """End the children without work."""
        while self._idle:
            self._idle.pop()[1].close()

    def _make_locks(self) -> None:
        self._lock = threading.Lock()
        self._free: AbstractContextManager[object] = (
            nullcontext() if self._most is None else threading.Semaphore(self._most)
        )

    def _after_fork(self) -> None:
        """Forget the children, which are the parent's. Other threads, which a fork does not have, may have held the locks."""
        self._make_locks()
        self.close()

    def _take(self) -> ChildProcess:
        with self._lock:
            while self._idle:
                since, child = self._idle.pop()
                if child.is_usable() and time.monotonic() - since < IDLE_SECONDS:
                    return child
                child.close()
        return ChildProcess(self._module, self._limits)

    def _give_back(self, child: ChildProcess) -> None:
        with self._lock:
            if len(self._idle) < (self._most or 1) and child.is_usable():
                self._idle.append((time.monotonic(), child))
            else:
                child.close()
