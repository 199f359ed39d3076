"""What one image may take of the time and the memory of a run, so that many threads together stay within bounds."""

import math
import os
import threading
import time

from featurestore.system.memory import total_bytes

SMALL = 64 << 20  # bytes; who needs less need not wait
PART = 8  # of the machine's memory, for all that is larger


def memory_for_images() -> int:
    """Return how many bytes large images may need together: an eighth of the memory of the machine or container, and 1 GiB at least."""
    return max(1 << 30, total_bytes() // PART)


_total = memory_for_images()
_left = _total
_freed = threading.Condition()


class Turn:
    """The turn of one image: since when it has been read or decoded, and what memory it holds. Another thread may watch it and end it."""

    def __init__(self) -> None:
        self.doing = "read"
        self.began = math.inf  # time.monotonic(); infinite while it waits
        self._held = 0

    def begin(self, doing: str) -> None:
        """Start the clock for "read" or "decode"."""
        self.doing, self.began = doing, time.monotonic()

    def wait(self) -> None:
        """Stop the clock."""
        self.began = math.inf

    def hold(self, memory: int) -> None:
        """Wait until so many bytes are free, with the clock stopped; once for an image, as two that wait for more would wait for ever."""
        global _left
        if memory <= SMALL or self._held:
            return
        self.wait()
        memory = min(memory, _total)
        with _freed:
            _freed.wait_for(lambda: _left >= memory)
            _left -= memory
            self._held = memory

    def end(self) -> None:
        """Give back what it holds; it may be called again."""
        global _left
        if not self._held:
            return
        with _freed:
            _left += self._held
            self._held = 0
            _freed.notify_all()


def _after_fork() -> None:
    """A forked process has one thread: what other threads held would never be given back."""
    global _left, _freed
    _left, _freed = _total, threading.Condition()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
