"""Messages between two processes over a socket: a header, which is a JSON object, and raw bytes."""

import json
import socket
import struct
import time
from typing import Any, NamedTuple

LENGTHS = struct.Struct(">IQ")  # bytes of the header and of the data
HEADER_BYTES = 16 << 20  # of a header, at most


class Message(NamedTuple):
    header: dict[str, Any]
    data: bytes | bytearray | memoryview = b""


class Channel:
    """One end of a socket pair. A deadline is a value of `time.monotonic`; without one it waits for ever."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end

    def send(self, message: Message, deadline: float | None = None) -> None:
        """Send one message. Raises TimeoutError at the deadline, and OSError when the other end is closed."""
        header = json.dumps(message.header).encode()
        self._wait_until(deadline)
        self._end.sendall(LENGTHS.pack(len(header), len(message.data)) + header)
        if message.data:
            self._wait_until(deadline)
            self._end.sendall(message.data)

    def receive(self, data_bytes: int, deadline: float | None = None) -> Message:
        """Receive one message with at most `data_bytes` of data.

        Raises TimeoutError at the deadline, EOFError when the other end is closed, and ValueError for what is no such message.
        """
        header, data = LENGTHS.unpack(self._read(LENGTHS.size, deadline))
        if header > HEADER_BYTES or data > data_bytes:
            raise ValueError(f"expected at most {HEADER_BYTES} and {data_bytes} bytes, found {header} and {data}")
        parsed = json.loads(self._read(header, deadline))
        if not isinstance(parsed, dict):
            raise ValueError(f"expected a JSON object, found {type(parsed).__name__}")
        return Message(parsed, self._read(data, deadline))

    def close(self) -> None:
        self._end.close()

    def _read(self, size: int, deadline: float | None) -> bytearray:
        read = bytearray(size)
        left = memoryview(read)
        while left:
            self._wait_until(deadline)
            count = self._end.recv_into(left)
            if count == 0:
                raise EOFError("the other end of a channel was closed")
            left = left[count:]
        return read

    def _wait_until(self, deadline: float | None) -> None:
        """Let the next call wait no longer than this. Raises TimeoutError when it is over."""
        seconds = None if deadline is None else deadline - time.monotonic()
        if seconds is not None and seconds <= 0:
            raise TimeoutError("the deadline of a message is over")
        self._end.settimeout(seconds)
