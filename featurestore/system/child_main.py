"""The first code of a child process with limits; see `child_process.ChildProcess`."""

import json
import os
import select
import signal
import socket
import sys
import threading
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
    socket_number, module, limits = int(sys.argv[2]), sys.argv[3], Limits(**json.loads(sys.argv[4]))
    end = socket.socket(fileno=socket_number)
    threading.Thread(target=_die_with_parent, args=(socket_number,), daemon=True).start()
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


def _die_with_parent(socket_number: int) -> None:
    """End this process at once when the other end of the socket is closed, whatever it is doing."""
    poll = select.poll()
    poll.register(socket_number, 0)  # which leaves the hang-up
    poll.poll()
    os.kill(os.getpid(), signal.SIGKILL)
