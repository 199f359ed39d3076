"""Connections that ask for nothing, or take no answer: closed after a time, or when others need the room."""

import asyncio
import json
import time
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

MOST = 512  # connections at a time
SECONDS = 20.0  # from the connection, or its last answer, to the end of the next request's head
STUCK_SECONDS = 60.0  # for which an answer may wait to be taken
WORDS = {"error": {"type": "Busy", "message": f"the server works on {MOST} requests already; try again"}}
BUSY = json.dumps(WORDS).encode()
REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nConnection: close\r\nX-Content-Type-Options: nosniff\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(BUSY), BUSY)
)


class ImpatientProtocol(H11Protocol):
    """HTTP/1.1 of uvicorn, which waits for ever for the first request of a connection, and for its answer to be taken; this one does not."""

    waits_since: float | None = None  # time.monotonic() from which on it asks for nothing
    _deadline: asyncio.TimerHandle | None = None
    _stuck: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._wait()
        if len(self.connections) > MOST:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self._flows()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        before = self.cycle
        super().handle_events()
        if self.cycle is not before:  # a whole head came
            self._stop_waiting()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self.transport.is_closing() and self.cycle.response_complete:  # no next request was there already
            self._wait()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stuck = self.loop.call_later(STUCK_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._flows()

    def _make_room(self) -> None:
        """Close the connection that has asked for nothing the longest; where all others are at work, refuse this one in words."""
        others = [other for other in self.connections if other is not self and isinstance(other, ImpatientProtocol)]
        open_ones = [other for other in others if not other.transport.is_closing()]
        waiting = [other for other in open_ones if other.waits_since is not None]
        if len(open_ones) < MOST:
            return
        if waiting:
            min(waiting, key=lambda other: other.waits_since or 0.0).transport.abort()
        else:
            self.transport.write(REFUSAL)
            self.transport.close()

    def _wait(self) -> None:
        self._stop_waiting()
        self.waits_since = time.monotonic()
        self._deadline = self.loop.call_later(SECONDS, self.transport.abort)

    def _stop_waiting(self) -> None:
        self.waits_since = None
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _flows(self) -> None:
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None
