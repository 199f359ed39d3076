"""Limits to what a network may take: a stranger's may never end, or ask for all memory."""

import atexit
import os
import sys
import threading
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from featurestore.errors import EncoderError
from featurestore.system import interrupts
from featurestore.system.memory import resident_bytes, total_bytes

TRUST = "FEATURESTORE_TRUST_ENCODERS"  # environment variable: 1 lifts the limits
OPEN_SECONDS = 600.0  # longest that opening may take: some providers compile
IMAGE_SECONDS = 60.0  # longest that a network may take, for each image of a batch
LEAST_BYTES = 4 << 30  # of memory, allowed on a machine of any size
POLL_SECONDS = 0.2
STOP_SECONDS = 1.0  # how long to wait for work that was asked to end

T = TypeVar("T")


def are_on() -> bool:
    """Whether networks are limited: unless the user trusts them."""
    return os.environ.get(TRUST) != "1"


@cache
def most_bytes() -> int:
    """The memory that the networks of this process may take: three quarters of the machine's."""
    return max(total_bytes() // 4 * 3, LEAST_BYTES)


def limited(
    work: Callable[[], T], stop: Callable[[], None], path: str | Path, seconds: float, growth: int | None = None
) -> T:
    """Run `work` in another thread, and return or raise what it does.

    After `seconds`, or once the process has grown by `growth` bytes, `stop` asks it to end. It is not waited for long: one step of a
    network cannot be interrupted. Raises EncoderError.
    """
    if not are_on():
        return work()
    task = _Task(work)
    deadline, most = time.monotonic() + seconds, growth and resident_bytes() + growth
    try:
        thread = _idle.pop()
    except IndexError:
        thread = _Thread()
    try:
        thread.start(task)
        while not task.done.wait(min(POLL_SECONDS, max(0.0, deadline - time.monotonic()))):
            if time.monotonic() >= deadline:
                raise too_much(path, f"did not end within {seconds:g} s")
            if most is not None and resident_bytes() > most:
                raise took_memory(path, growth)
    except BaseException:
        stop()
        if task.done.wait(STOP_SECONDS):
            _idle.append(thread)
        else:
            _left.append(task.done)
        raise
    _idle.append(thread)
    return task.result()


def took_memory(path: str | Path, limit: int | None) -> EncoderError:
    """Make the error of a network that wants more memory than the limit."""
    return too_much(path, f"wants more than {(limit or most_bytes()) / 2**30:.1f} GiB of memory")


def too_much(path: str | Path, what: str) -> EncoderError:
    return EncoderError(
        f"encoder {str(path)!r}: its network {what}, and was stopped; use another encoder, or lift the limits if you trust this one: {TRUST}=1"
    )


_left: list[threading.Event] = []  # of work that goes on although it should end
_idle: list["_Thread"] = []
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_idle.clear)  # a fork has one thread


@atexit.register
def _leave() -> None:
    """End the program without the clean-up of Python and C++, which would crash in a thread that still runs."""
    if not all(done.is_set() for done in _left):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(interrupts.exit_status)


class _Task(Generic[T]):
    """Work for a thread, and what came of it."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._results: list[T] = []
        self._error: BaseException | None = None
        self.done = threading.Event()

    def run(self) -> None:
        try:
            self._results.append(self._work())
        except BaseException as error:  # raised where the result is asked for
            self._error = error
        self.done.set()

    def result(self) -> T:
        if self._error is not None:
            raise self._error
        return self._results[0]


class _Thread:
    """A thread that is kept for the next task: to start one for each batch takes longer than a small network."""

    def __init__(self) -> None:
        self._tasks: SimpleQueue[_Task[Any]] = SimpleQueue()
        threading.Thread(target=self._run, name="network", daemon=True).start()  # the program may end without it

    def start(self, task: "_Task[Any]") -> None:
        self._tasks.put(task)

    def _run(self) -> None:
        while True:
            self._tasks.get().run()
