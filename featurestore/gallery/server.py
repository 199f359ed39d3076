"""The server: it takes a port, says at which address it answers, and ends when it is told to."""

import errno
import socket
import webbrowser
from collections.abc import Callable
from contextlib import suppress

import uvicorn

from featurestore.errors import ConfigError
from featurestore.gallery.access import Access
from featurestore.gallery.app import build_app
from featurestore.gallery.gallery import Gallery
from featurestore.gallery.slow_clients import ImpatientProtocol

CONNECTIONS = 512  # at a time; more get the answer that the server is busy
BACKLOG = 2048  # that wait for the system to hand them over
HEAD_BYTES = 1 << 18  # of a request's head: an address may hold a long `where`
IDLE_SECONDS = 15  # that a connection stays open between two requests
END_SECONDS = 2  # that answers may take when the server ends


class _Server(uvicorn.Server):
    """A server of uvicorn that tells when it answers."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()


def serve(
    gallery: Gallery,
    host: str,
    port: int,
    ready: Callable[[str], None],
    with_page: bool = True,
    with_browser: bool = False,
) -> None:
    """Serve a gallery until Ctrl-C or SIGTERM; `ready` gets the address with its token. port: 0 takes any that is free.

    Raises ConfigError when the address or the port cannot be taken.
    """
    taken = _bound(host, port)
    access = Access(host, taken.getsockname()[1])

    def answering() -> None:
        ready(access.address)
        gallery.warm_up()
        if with_browser:
            with suppress(webbrowser.Error):
                webbrowser.open(access.address)

    config = uvicorn.Config(
        build_app(gallery, access, with_page), http=ImpatientProtocol, ws="none", lifespan="off", log_config=None, log_level="critical", access_log=False,
        server_header=False, proxy_headers=False, limit_concurrency=CONNECTIONS, backlog=BACKLOG, timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=END_SECONDS, h11_max_incomplete_event_size=HEAD_BYTES,
    )  # fmt: skip
    with taken, suppress(KeyboardInterrupt):  # uvicorn ends its work, then raises the signal again
        _Server(config, answering).run([taken])


def _bound(host: str, port: int) -> socket.socket:
    """Take a port. Raises ConfigError."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        taken = socket.socket(family, kind, protocol)
        try:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(address)
        except BaseException:
            taken.close()
            raise
    except OSError as error:
        raise ConfigError(_why(error, host, port)) from error
    return taken


def _why(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} of {host} is taken, perhaps by another `featurestore serve`; end that one, or choose another: --port 0 takes any that is free"
    if error.errno == errno.EACCES:
        return f"port {port} of {host} may not be taken by this user; choose one above 1023, such as --port 8000"
    return f"--host {host} --port {port}: cannot listen there ({error.strerror or error}); --host 127.0.0.1 is this machine"
