"""Child processes that decode what is not ordinary: they have a limit of memory, and are ended when an image takes too long.

They are started when the first such image comes, kept for the next ones, and end with this process.
"""

import atexit
import os
import threading
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np

from featurestore.errors import ImageError
from featurestore.imaging.tasks import Result
from featurestore.imaging.turn import Turn, memory_for_images
from featurestore.system.child_limits import Limits
from featurestore.system.child_process import ChildEnded, ChildProcess, Ending
from featurestore.system.cpus import available_cpus
from featurestore.system.messages import Message
from featurestore.system.text import describe_error

MEMORY = 3 << 30  # bytes, of a child: 2 GiB beside a file of 512 MiB and its copy
COUNT = max(2, min(available_cpus(), memory_for_images() // MEMORY))  # at once
HOUR = 3600.0  # of the processor, for one image: the deadline comes first
LIMITS = Limits(memory=MEMORY, cpu_seconds=HOUR)
NO_MEMORY = describe_error(MemoryError())
TOO_LARGE = f"needs more than {MEMORY >> 30} GiB of memory to decode"
ENDINGS = {
    Ending.MEMORY: TOO_LARGE,
    Ending.KILLED: "its decoder was killed, perhaps because the system had no more memory; index again",
    Ending.CRASHED: "damaged: its decoder crashed",
}

_free = threading.Semaphore(COUNT)
_idle: SimpleQueue[ChildProcess] = SimpleQueue()


def run(task: str, data: bytes, options: dict[str, Any], turn: Turn, seconds: float) -> Result:
    """Run a task in a child, for at most `seconds` from the moment that one is free. Raises ImageError with the reason."""
    turn.wait()
    with _free:
        child = _take()
        try:
            header, pixels = child.ask(Message({"task": task, "options": options}, data), seconds)
        except ChildEnded as error:
            raise ImageError(ENDINGS.get(error.ending, f"took longer than {seconds:g} s to decode")) from error
        _idle.put(child)
    if "reason" in header:
        raise ImageError(TOO_LARGE if header["reason"] == NO_MEMORY else header["reason"])
    shape = header.pop("shape")
    return Result(**header, pixels=np.frombuffer(pixels, np.uint8).reshape(shape))


def _take() -> ChildProcess:
    """Take a child that has nothing to do, or start one."""
    with suppress(Empty):
        while True:
            child = _idle.get_nowait()
            if child.is_usable():
                return child
            child.close()
    return ChildProcess("featurestore.imaging.child", LIMITS)


@atexit.register
def close() -> None:
    """End the children that have nothing to do."""
    with suppress(Empty):
        while True:
            _idle.get_nowait().close()


def _after_fork() -> None:
    """A forked process has one thread: what other threads had taken would never be given back."""
    global _free
    _free = threading.Semaphore(COUNT)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
