"""What a child process of the tests does with a message."""

import os
import signal
import time
from collections.abc import Iterator

from featurestore.system.child_limits import allow_files, allow_no_more_files
from featurestore.system.messages import Message


def answer(message: Message) -> Iterator[Message]:
    match message.header:
        case {"say": count}:
            for number in range(count):
                yield Message({"number": number}, message.data)
        case {"take": size}:
            taken = bytearray(size)
            taken[:: 1 << 12] = b"x" * len(taken[:: 1 << 12])
            yield Message({"taken": len(taken)})
        case {"sleep": seconds}:
            time.sleep(seconds)
        case {"count": _}:
            while True:
                pass
        case {"hold": _}:
            max(range(1 << 40))  # lets no other thread run meanwhile
        case {"signal": number}:
            os.kill(os.getpid(), getattr(signal, number))
        case {"exit": status}:
            os._exit(status)
        case {"write": path}:
            try:
                with open(path, "wb") as file:
                    file.write(b"x")
                yield Message({"error": None})
            except OSError as error:
                yield Message({"error": error.strerror})
        case {"open": path, "allowed": allowed}:
            allow_files() if allowed else allow_no_more_files()
            try:
                with open(path, "rb") as file:
                    yield Message({"read": len(file.read())})
            except OSError as error:
                yield Message({"error": error.strerror})
        case _:
            raise ValueError(message.header)
