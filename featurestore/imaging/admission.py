"""Admission of images to decoding: large ones share a memory budget, and each one has a clock, so that many threads together stay within bounds."""

import math
import os
import threading
import time

from featurestore.system.memory import total_bytes

SMALL = 64 << 20  # bytes; who needs less is admitted at once
PART = 8  # of the machine's memory, for all that is larger


def memory_budget() -> int:
    """Give how many bytes large images may need together: an eighth of the memory of the machine or container, and 1 GiB at least."""
    return max(1 << 30, total_bytes() // PART)


_budget = memory_budget()
_free = _budget
_released = threading.Condition()


class Admission:
    """The admission of one image: since when it has been read or decoded, and its part of the budget. Another thread may watch and release it."""

    def __init__(self) -> None:
        self.doing = "read"
        self.began = math.inf  # time.monotonic(); infinite while it waits
        self._reserved = 0

    def start_clock(self, doing: str) -> None:
        """Say that it begins to "read" or to "decode"."""
        self.doing, self.began = doing, time.monotonic()

    def stop_clock(self) -> None:
        """Say that it waits."""
        self.began = math.inf

    def reserve(self, memory: int) -> None:
        """Wait until so many bytes are free, with the clock stopped; once for an image, as two that wait for more would wait for ever."""
        global _free
        if memory <= SMALL or self._reserved:
            return
        self.stop_clock()
        memory = min(memory, _budget)
        with _released:
            _released.wait_for(lambda: _free >= memory)
            _free -= memory
            self._reserved = memory

    def release(self) -> None:
        """Give back what it has reserved; it may be called again."""
        global _free
        if not self._reserved:
            return
        with _released:
            _free += self._reserved
            self._reserved = 0
            _released.notify_all()


def _after_fork() -> None:
    """A forked process has one thread: what other threads had reserved would never be released."""
    global _free, _released
    _free, _released = _budget, threading.Condition()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
