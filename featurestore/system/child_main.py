"""The first code of a child process with limits; see `child_process.ChildProcess`."""

import fcntl
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterable
from importlib import import_module

from featurestore.system.child_limits import Limits, limit_cpu, limit_files, limit_memory
from featurestore.system.messages import Channel, Message

Answer = Callable[[Message], Iterable[Message]]
OUT_OF_MEMORY = 71  # exit status
REQUEST_BYTES = 4 << 30


def main() -> None:
    """Answer messages until the parent closes its end, each by `module.answer`. A message without content says that all is set up."""
    module, limits = sys.argv[4], Limits(**json.loads(sys.argv[5]))
    _end_with_parent(int(sys.argv[3]))
    end = socket.socket(fileno=int(sys.argv[2]))
    try:
        limit_files(limits)
        answer: Answer = import_module(module).answer
        limit_memory(limits)
        _serve(Channel(end), answer, limits)
    except MemoryError:
        os._exit(OUT_OF_MEMORY)
    except (EOFError, BrokenPipeError, ConnectionResetError, TimeoutError):
        os._exit(0)


def _serve(channel: Channel, answer: Answer, limits: Limits) -> None:
    channel.send(Message({}))
    while True:
        idle = limits.idle_seconds
        request = channel.receive(REQUEST_BYTES, None if idle is None else time.monotonic() + idle)
        limit_cpu(limits.cpu_seconds)
        for message in answer(request):
            channel.send(message)


def _end_with_parent(life: int) -> None:
    """Let the system end this process when the other end of this socket is closed: by SIGIO, whatever it is doing then.

    A thread could not, since many decoders let no other thread run.
    """
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGIO])
    fcntl.fcntl(life, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(life, fcntl.F_SETFL, fcntl.fcntl(life, fcntl.F_GETFL) | os.O_ASYNC)
