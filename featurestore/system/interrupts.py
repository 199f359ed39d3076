"""Ctrl-C, held back while something must not stop halfway, and other signals that end a program, taken as Ctrl-C."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

ENDINGS = (signal.SIGTERM, signal.SIGHUP)
exit_status = 1  # of a program that ends while a step goes on that cannot be interrupted; the command line sets its own


@contextmanager
def uninterrupted(seconds: float | None = None) -> Iterator[None]:
    """Hold Ctrl-C back until the block is done; KeyboardInterrupt is then raised at its end.

    seconds: how long it is held back at most; a second Ctrl-C then counts at once, too. In other threads than the main one nothing is held
    back: only the main thread receives signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[int] = []
    again = threading.Timer(seconds or 0, os.kill, (os.getpid(), signal.SIGINT))
    again.daemon = True

    def hold(number: int, frame: FrameType | None) -> None:
        held.append(number)
        if seconds is not None and len(held) > 1:
            raise KeyboardInterrupt
        if seconds is not None:
            again.start()

    before = signal.signal(signal.SIGINT, hold)
    try:
        yield
    finally:
        again.cancel()
        signal.signal(signal.SIGINT, before)
    if held:
        signal.raise_signal(signal.SIGINT)


class _AsCtrlC:
    """A handler of signals that passes them on as Ctrl-C."""

    def __init__(self) -> None:
        self.came: list[int] = []

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.came.append(number)
        if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as in a shell's background job
            raise KeyboardInterrupt
        signal.raise_signal(signal.SIGINT)


@contextmanager
def endings_as_ctrl_c() -> Iterator[list[int]]:
    """Take SIGTERM and SIGHUP as Ctrl-C for the length of the block, so that work is saved; gives those that came.

    One that is ignored, as under nohup, stays so. Only the main thread may use it.
    """
    handler = _AsCtrlC()
    for number in ENDINGS:
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, handler)
    try:
        yield handler.came
    finally:
        end_at_once()


def end_at_once() -> None:
    """Let SIGTERM and SIGHUP end the process again, where they are taken as Ctrl-C."""
    for number in ENDINGS:
        if isinstance(signal.getsignal(number), _AsCtrlC):
            signal.signal(number, signal.SIG_DFL)
