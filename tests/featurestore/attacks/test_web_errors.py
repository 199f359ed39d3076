"""Web servers that fail: an item is removed when its file is gone, and not when only the server is."""

import io
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from PIL import Image

from featurestore import FeatureStore
from featurestore.errors import ImageUnread, SourceError
from featurestore.sources import http
from featurestore.sources.remote import RemoteFolder
from tests.featurestore.attacks.server import Answer, Stranger, answer, page, serving
from tests.featurestore.life import look

pytest.importorskip("aiohttp")


def stall(request: BaseHTTPRequestHandler) -> None:
    """Begin an answer and send no more of it."""
    request.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Length: 1000\r\n\r\n")
    request.rfile.read(1)


def hang_up(request: BaseHTTPRequestHandler) -> None:
    request.connection.close()


def cut(request: BaseHTTPRequestHandler) -> None:
    """Send less than was said."""
    request.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Length: 1000\r\n\r\n\x89PNG")


def talk_nonsense(request: BaseHTTPRequestHandler) -> None:
    request.wfile.write(b"HTTP/9 rose\r\n")


def status(number: int) -> Answer:
    return answer(b"", status=number)


NOTHING_SAID = {
    **{str(number): status(number) for number in (400, 408, 418, 429, 451, 500, 502, 503, 504, 599)},
    "redirects": answer(b"", status=302, Location="/b.png"),
    "stalls": stall, "hangs up": hang_up, "is cut": cut, "talks nonsense": talk_nonsense,
}  # fmt: skip
SAID = {str(number): status(number) for number in (401, 403, 404, 410)}  # the file is gone, or may not be read
QUICK = ("404", "503", "hangs up")


def png(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (255, shade, 0)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def stranger(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stranger]:
    """A list of two images."""
    monkeypatch.setattr(http, "REQUEST_SECONDS", 0.5)
    with serving() as served:
        served.answers = {"/a.png": answer(png(0)), "/b.png": answer(png(200)), "/l.txt": answer(b"a.png\nb.png")}
        yield served


def only_when_read(failing: Answer, image: Answer) -> Answer:
    """Fail when the image itself is asked for, and not what size it has."""
    return lambda request: (image if request.command == "HEAD" else failing)(request)


@pytest.mark.parametrize("what", ["all", "read"])
@pytest.mark.parametrize(
    "kind", [kind if kind in QUICK else pytest.param(kind, marks=pytest.mark.slow) for kind in (*NOTHING_SAID, *SAID)]
)
def test_an_item_of_the_web_is_removed_only_when_its_file_is_gone(
    tmp_path: Path, encoder: Path, other_encoder: Path, stranger: Stranger, kind: str, what: str
) -> None:
    store = FeatureStore.open(tmp_path / "my.store", encoder)
    assert store.index(f"{stranger.url}/l.txt").added == 2
    failing = {**NOTHING_SAID, **SAID}[kind]
    stranger.answers["/b.png"] = failing if what == "all" else only_when_read(failing, stranger.answers["/b.png"])
    report = FeatureStore.open(store.path, other_encoder).index(f"{stranger.url}/l.txt")
    assert report.failed == 1
    [failure] = store.failures()
    assert len(failure.reason.splitlines()) == 1
    assert [path for path in ("a.png", "b.png") if store.sql(f"SELECT 1 FROM items WHERE path LIKE '%/{path}'")] == (
        ["a.png", "b.png"] if kind in NOTHING_SAID else ["a.png"]
    )


@pytest.mark.parametrize("kind", ["503", "stalls"])
def test_a_source_that_cannot_be_read_now_removes_nothing(
    tmp_path: Path, encoder: Path, stranger: Stranger, kind: str
) -> None:
    sources = f"{stranger.url}/l.txt", f"{stranger.url}/a.png"
    store = FeatureStore.open(tmp_path / "my.store", encoder)
    store.index(*sources)
    known = look(store.path)
    stranger.answers["/l.txt"] = NOTHING_SAID[kind]
    with pytest.raises(SourceError) as told:
        store.index(*sources)
    assert "nothing there" not in str(told.value)
    assert look(store.path) == known


def test_what_a_folder_leaves_out_is_not_guessed(stranger: Stranger) -> None:
    stranger.answers |= {"/d": page(".featurestoreignore", "b.png"), "/d/.featurestoreignore": status(503)}
    with pytest.raises(ImageUnread):
        list(RemoteFolder(f"{stranger.url}/d"))
