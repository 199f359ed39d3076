"""Connections that ask for nothing: closed after a time, so that many of them take no room from others."""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

SECONDS = 20.0  # from the connection, or its last answer, to the end of the next request's head


class ImpatientProtocol(H11Protocol):
    """HTTP/1.1 of uvicorn, which waits for ever for the first request of a connection; this one does not."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._deadline = self.loop.call_later(SECONDS, self._end)

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        before = self.cycle
        super().handle_events()
        if self.cycle is not before:  # a whole head came
            self._forget()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._forget()
        if not self.transport.is_closing():
            self._deadline = self.loop.call_later(SECONDS, self._end)

    def _forget(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _end(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.abort()
