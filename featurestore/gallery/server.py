"""The server: it takes a port, says at which address it answers, and ends when it is told to."""

import errno
import resource
import socket
import threading
import webbrowser
from collections.abc import Callable
from contextlib import suppress

import uvicorn

from featurestore.errors import ConfigError
from featurestore.gallery.access import Access
from featurestore.gallery.app import build_app
from featurestore.gallery.gallery import Gallery
from featurestore.gallery.slow_clients import MOST, ImpatientProtocol

BACKLOG = 2048  # connections that wait for the system to hand them over
HEAD_BYTES = 1 << 18  # of a request's head: an address may hold a long `where`
IDLE_SECONDS = 15  # that a connection stays open between two requests
END_SECONDS = 2  # that answers may take when the server ends
OPEN_FILES = 4 * MOST  # connections, and what their answers open


class GalleryServer(uvicorn.Server):
    """A gallery at a port. It is taken at once, and answers when `run_until_told` runs.

    port: 0 takes any that is free. ready: gets the address with its token when it answers. Raises ConfigError when the port cannot be taken.
    """

    def __init__(
        self, gallery: Gallery, host: str, port: int, ready: Callable[[str], None], with_page: bool = True
    ) -> None:
        self._gallery, self._ready = gallery, ready
        self._socket = _bound(host, port)
        self.access = Access(host, self._socket.getsockname()[1])
        app = build_app(gallery, self.access, with_page)
        super().__init__(
            uvicorn.Config(
                app, http=ImpatientProtocol, ws="none", lifespan="off", log_config=None, log_level="critical", access_log=False, server_header=False,
                proxy_headers=False, backlog=BACKLOG, timeout_keep_alive=IDLE_SECONDS, timeout_graceful_shutdown=END_SECONDS, h11_max_incomplete_event_size=HEAD_BYTES,
            )
        )  # fmt: skip

    def run_until_told(self) -> None:
        """Answer until Ctrl-C or SIGTERM, or until `should_exit` is set."""
        _allow_open_files()
        with self._socket, suppress(KeyboardInterrupt):  # uvicorn ends its work, then raises the signal again
            self.run([self._socket])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._gallery.warm_up()
        self._ready(self.access.address)


def open_browser(address: str) -> None:
    """Open an address in the user's browser, where there is one with a window: one of the terminal would take it over."""
    with suppress(webbrowser.Error):
        found = webbrowser.get()
        if type(found) is not webbrowser.GenericBrowser:
            threading.Thread(target=found.open, args=(address,), daemon=True).start()  # it may wait for its end


def _bound(host: str, port: int) -> socket.socket:
    """Take a port. Raises ConfigError."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        taken = socket.socket(family, kind, protocol)
        try:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port that was just left may be taken again
            taken.bind(address)
            taken.listen(BACKLOG)  # another server that has the same address fails here
        except BaseException:
            taken.close()
            raise
    except (OSError, ValueError) as error:  # ValueError: of a name that cannot be one
        raise ConfigError(_why(error, host, port)) from error
    return taken


def _why(error: OSError | ValueError, host: str, port: int) -> str:
    reason = error.strerror or error if isinstance(error, OSError) else "no name of a machine"
    match error:
        case OSError(errno=errno.EADDRINUSE):
            return f"port {port} of {host} is taken, perhaps by another `featurestore serve`; end that one, or choose another port: --port 0 takes any that is free"
        case OSError(errno=errno.EACCES):
            return f"port {port} of {host} may not be taken by this user; choose one above 1023, such as --port 8000"
    return f"--host {host} --port {port}: cannot listen there ({reason}); --host 127.0.0.1 is this machine"


def _allow_open_files() -> None:
    """Let this process open enough files for all connections, as far as the system allows it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
