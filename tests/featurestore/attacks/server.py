"""A web server of a stranger, in a thread: each path gives what a test says."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[[BaseHTTPRequestHandler], None]


class Stranger:
    """Answers by path, and the paths that were asked for."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.answers: dict[str, Answer] = {}
        self.otherwise: Answer = lambda request: request.send_error(404)
        self.asked: list[str] = []


def answer(body: bytes, kind: str = "application/octet-stream", status: int = 200, **headers: str) -> Answer:
    """Give a whole body, whatever part of it was asked for."""

    def send(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        sent = {"Content-Type": kind, "Content-Length": str(len(body))}
        for name, value in {**sent, **{key.replace("_", "-"): text for key, text in headers.items()}}.items():
            request.send_header(name, value)
        request.end_headers()
        if request.command == "GET":
            request.wfile.write(body)

    return send


def page(*links: str) -> Answer:
    """Give a list of links, as servers list folders."""
    return answer("".join(f'<a href="{link}">{link}</a>' for link in links).encode(), "text/html")


@contextmanager
def serving() -> Iterator[Stranger]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            stranger.asked.append(self.path)
            try:
                stranger.answers.get(self.path, stranger.otherwise)(self)
            except OSError:
                self.close_connection = True  # the client has had enough

        do_HEAD = do_GET

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    stranger = Stranger(server.server_port)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield stranger
    server.shutdown()
    server.server_close()
