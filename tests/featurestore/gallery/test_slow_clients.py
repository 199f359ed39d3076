"""Clients of the server that are slow, idle, many, or send what is no request."""

import resource
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import httpx
import pytest

from featurestore import FeatureStore
from featurestore.gallery import slow_clients
from featurestore.gallery.gallery import Gallery
from featurestore.gallery.server import GalleryServer
from featurestore.gallery.thumb_cache import ThumbCache


@pytest.fixture
def server(shared: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[GalleryServer]:
    """A server in a thread of this process."""
    answers = threading.Event()
    made = GalleryServer(Gallery(shared, ThumbCache(None)), "127.0.0.1", 0, lambda address: answers.set())
    thread = threading.Thread(target=made.run_until_told)
    thread.start()
    assert answers.wait(20)
    yield made
    made.should_exit = True
    thread.join(20)
    assert not thread.is_alive()


def connect(server: GalleryServer, data: bytes = b"") -> socket.socket:
    made = socket.create_connection(("127.0.0.1", server.access.port), timeout=10)
    made.sendall(data)
    return made


def answers(server: GalleryServer) -> bool:
    address = f"http://127.0.0.1:{server.access.port}/api/v1/store"
    return httpx.get(address, headers={"authorization": f"Bearer {server.access.token}"}, timeout=10).status_code == 200


HEAD = "POST /api/v1/search HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"


def is_closed(connection: socket.socket) -> bool:
    with suppress(ConnectionError):
        return connection.recv(1000) == b""
    return True


@pytest.mark.parametrize("begun", [b"", b"GET / HT", b"GET /api/v1/store HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: "])
def test_a_client_that_asks_for_nothing_is_given_up(
    server: GalleryServer, monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    monkeypatch.setattr(slow_clients, "SECONDS", 0.2)
    began = time.monotonic()
    with connect(server, begun) as slow:
        assert is_closed(slow)
    assert 0.1 < time.monotonic() - began < 5
    assert answers(server)


def test_a_client_that_takes_no_answer_is_given_up(server: GalleryServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slow_clients, "STUCK_SECONDS", 0.2)
    asks = (
        f"GET /api/v1/openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {server.access.token}\r\n\r\n"
    )
    with connect(server) as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.settimeout(0.5)
        with suppress(TimeoutError, ConnectionError):
            while True:
                slow.sendall(asks.encode() * 100)
        deadline = time.monotonic() + 10
        while server.server_state.connections:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    assert answers(server)


def test_a_thousand_idle_connections_keep_nobody_out(server: GalleryServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that has been idle for longest makes room."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 4096:
        pytest.skip("this process may not open so many files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4096), hard))
    idle = [connect(server) for _ in range(1000)]
    try:
        assert answers(server)
        assert len(server.server_state.connections) <= slow_clients.MOST
    finally:
        for connection in idle:
            connection.close()
    assert answers(server)


def test_when_all_are_at_work_the_next_is_refused_in_words(
    server: GalleryServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slow_clients, "MOST", 2)
    waits = (HEAD.format(token=server.access.token) + "Content-Length: 100\r\n\r\n{").encode()
    busy = [connect(server, waits) for _ in range(2)]
    deadline = time.monotonic() + 10
    while len(server.server_state.tasks) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    with connect(server) as refused:
        said = refused.recv(10_000)
    assert said.startswith(b"HTTP/1.1 503 ")
    assert b"try again" in said
    for connection in busy:
        connection.close()
    while server.server_state.connections:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert answers(server)


@pytest.mark.parametrize(
    "request_bytes",
    [b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"\x16\x03\x01\x02\x00", b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"a" * 300_000, b"\r\n" * 1000,
     b"POST /api/v1/search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx", b"GET http://evil.example/ HTTP/1.1\r\n\r\n",
     b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\nzzz\r\n"],
)  # fmt: skip
def test_what_is_no_request_is_refused(
    server: GalleryServer, request_bytes: bytes, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(slow_clients, "SECONDS", 0.3)
    with connect(server) as strange:
        with suppress(ConnectionError):
            strange.sendall(request_bytes)
        said = b""
        with suppress(ConnectionError):
            while part := strange.recv(10_000):
                said += part
    assert said == b"" or said[9:10] == b"4"
    assert answers(server)
    assert capfd.readouterr() == ("", "")


def test_a_chunked_body_without_end_is_refused(server: GalleryServer) -> None:
    head = HEAD.format(token=server.access.token) + "Transfer-Encoding: chunked\r\n\r\n"
    chunk = b"10000\r\n" + bytes(1 << 16) + b"\r\n"
    with connect(server, head.encode()) as endless:
        with suppress(ConnectionError):
            for _ in range(1000):
                endless.sendall(chunk)
        with suppress(ConnectionError):
            assert endless.recv(1000).startswith(b"HTTP/1.1 413")
    assert answers(server)
