"""A child process with limits, for work on what strangers wrote: whatever it does, it ends.

It starts from nothing, shares no memory with this process, and speaks by messages. It ends when this process ends.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path

from featurestore.system.child_limits import Limits
from featurestore.system.child_main import OUT_OF_MEMORY
from featurestore.system.messages import Channel, Message

START_SECONDS = 60.0  # to load its module
END_SECONDS = 1.0  # between the end of its channel and its own
DATA_BYTES = 4 << 30  # of one message
ROOT = Path(__file__).parents[2]
BOOT = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from featurestore.system import child_main; child_main.main()"
# For libraries that start threads when they are loaded.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

_sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()


class Ending(StrEnum):
    """How a child ended."""

    DEADLINE = "it had no answer at its deadline"
    CPU = "it used up its processor time"
    MEMORY = "it used up its memory"
    KILLED = "it was killed, perhaps because the system had no more memory"
    CRASHED = "it crashed"


ENDINGS = {-signal.SIGXCPU: Ending.CPU, -signal.SIGKILL: Ending.KILLED, OUT_OF_MEMORY: Ending.MEMORY}  # by exit status


class ChildEnded(Exception):
    """A child has ended without an answer."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending.value)
        self.ending = ending


class ChildProcess:
    """Runs `module`, whose function `answer(message)` gives the messages that answer one message.

    It can be used by one thread at a time, and only in the process that made it. The first message waits until the child has started.
    """

    def __init__(self, module: str, limits: Limits, environment: Mapping[str, str] | None = None) -> None:
        ours, theirs, life, their_life = *socket.socketpair(), *socket.socketpair()
        _sockets.update((ours, theirs, life, their_life))
        paths = [os.path.abspath(path) for path in sys.path if path] + [str(ROOT)]
        arguments = (
            json.dumps(paths),
            str(theirs.fileno()),
            str(their_life.fileno()),
            module,
            json.dumps(asdict(limits)),
        )
        with theirs, their_life:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", BOOT, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno(), their_life.fileno()],
                process_group=0,  # Ctrl-C is for the parent, which ends it
                env={**os.environ, **ONE_THREAD, **(environment or {})},
            )
        self._channel = Channel(ours)
        self._life = life  # nothing is sent here: the child ends when it is closed
        self._owner = os.getpid()
        self._started = False

    @property
    def pid(self) -> int:
        return self._process.pid

    def is_usable(self) -> bool:
        """Whether it is a child of this process, which may be a fork of the one that made it, and still runs."""
        return self._owner == os.getpid() and self._process.poll() is None

    def send(self, message: Message, seconds: float) -> float:
        """Send a message, and give the deadline of its answer: `seconds` from now. Raises ChildEnded; the child is then gone."""
        with self._gone_after_an_error():
            if not self._started:
                self._channel.receive(0, time.monotonic() + START_SECONDS)
                self._started = True
            deadline = time.monotonic() + seconds
            self._channel.send(message, deadline)
        return deadline

    def receive(self, deadline: float, data_bytes: int = DATA_BYTES) -> Message:
        """Receive a message until `deadline`, a value of `time.monotonic`. Raises ChildEnded; the child is then gone."""
        with self._gone_after_an_error():
            return self._channel.receive(data_bytes, deadline)

    def ask(self, message: Message, seconds: float) -> Message:
        """Send a message and receive the one that answers it, in at most `seconds`. Raises ChildEnded; the child is then gone."""
        return self.receive(self.send(message, seconds))

    def close(self) -> None:
        """End the child at once, whatever it is doing. In a fork, only forget it."""
        self._channel.close()
        self._life.close()
        if self._owner == os.getpid():
            self._process.kill()
            self._process.wait()
        else:
            self._process.returncode = 0  # it is another's child

    @contextmanager
    def _gone_after_an_error(self) -> Iterator[None]:
        """End the child after any error, as nobody knows what it would send next; say how it ended."""
        try:
            yield
        except TimeoutError as error:
            self.close()
            raise ChildEnded(Ending.DEADLINE) from error
        except (ValueError, RecursionError) as error:  # it sends what is no message
            self.close()
            raise ChildEnded(Ending.CRASHED) from error
        except (OSError, EOFError) as error:
            ending = self._how_it_ended()
            self.close()
            raise ChildEnded(ending) from error
        except BaseException:
            self.close()
            raise

    def _how_it_ended(self) -> Ending:
        try:
            status = self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            return Ending.CRASHED  # it closed its end of the channel
        return ENDINGS.get(status, Ending.CRASHED)


def _after_fork() -> None:
    """Close the sockets in a fork: while one end is open there, a child does not notice that its parent has ended."""
    for end in tuple(_sockets):
        end.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
