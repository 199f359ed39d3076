"""URLs of strangers: servers that never end or lie, lists that name what is not theirs, folders that lead elsewhere."""

import gzip
import io
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from featurestore import FeatureStore
from featurestore.errors import ImageError, SourceError
from featurestore.sources import Failure, ImageFile, filesystem, find, http, open_source, read
from featurestore.sources.remote import RemoteFolder
from tests.featurestore.attacks.canary import Canary
from tests.featurestore.attacks.server import Stranger, answer, page, serving
from tests.featurestore.commands import Run
from tests.featurestore.sources.tars import write_tar

pytest.importorskip("aiohttp")
BUFFER = io.BytesIO()
Image.new("RGB", (8, 8), (255, 0, 0)).save(BUFFER, "PNG")
PNG = BUFFER.getvalue()
OTHERS = "may name only files beside it, on its service or on the web"


@pytest.fixture
def stranger() -> Iterator[Stranger]:
    with serving() as served:
        yield served


def drip(request: BaseHTTPRequestHandler) -> None:
    """A byte every tenth of a second."""
    request.send_response(206 if request.headers["Range"] else 200)
    request.send_header("Content-Length", "10000000")
    request.send_header("Accept-Ranges", "bytes")
    request.end_headers()
    if request.command == "HEAD":
        return
    while True:
        request.wfile.write(b"\0")
        request.wfile.flush()
        time.sleep(0.1)


def flood(request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.send_header("Content-Type", "text/html")
    request.end_headers()
    while True:
        request.wfile.write(b"\0" * (1 << 20))


def reasons(source: str) -> list[str]:
    """List a source and read what it lists: the reasons of all that fails."""
    found = []
    try:
        for entry in open_source(source):
            try:
                if isinstance(entry, Failure):
                    raise ImageError(entry.reason)
                read(entry.path)
            except ImageError as error:
                found.append(str(error))
    except SourceError as error:
        found.append(str(error))
    return found


# -- lists that name what is not theirs


def table(paths: list[str]) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"path": paths, "label": ["secret"] * len(paths)}), buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "scheme", ["file", "FILE", "local", "memory", "s3", "sftp", "smb", "hf", "reference", "simplecache", "zip"]
)
@pytest.mark.parametrize("kind", ["txt", "parquet"])
def test_a_list_from_the_web_does_not_read_files_of_this_machine(
    stranger: Stranger, canary: Canary, scheme: str, kind: str
) -> None:
    canary.path("canary.png").write_bytes(PNG)
    canary = Canary(canary.folder.with_name("other"))
    secret = f"{scheme}://{canary.path('canary.png')}"
    body = secret.encode() if kind == "txt" else table([secret])
    stranger.answers[f"/l.{kind}"] = answer(body)
    [found] = find(f"{stranger.url}/l.{kind}")
    assert isinstance(found, Failure)
    assert (found.path, OTHERS in found.reason) == (secret, True)
    canary.check(found.reason)


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../../../etc/passwd", "~/.ssh/id_rsa", "C:/secret.png", "a::file:///etc/passwd"]
)
def test_a_path_in_a_list_from_the_web_is_one_on_its_server(stranger: Stranger, path: str) -> None:
    stranger.answers["/d/l.txt"] = answer(path.encode())
    [found] = find(f"{stranger.url}/d/l.txt")
    assert isinstance(found, Failure)
    assert found.path.startswith(stranger.url)


@pytest.mark.slow
def test_a_list_from_the_web_names_images_beside_it_and_on_the_web(
    stranger: Stranger, encoder: Path, tmp_path: Path
) -> None:
    """The refusals would otherwise prove nothing."""
    stranger.answers |= {
        "/l.txt": answer(f"a.png\n{stranger.url}/b.png".encode()),
        "/a.png": answer(PNG),
        "/b.png": answer(PNG + b"\0"),
    }
    report = FeatureStore.open(tmp_path / "new.store", encoder).index(f"{stranger.url}/l.txt")
    assert (report.added, report.failed) == (2, 0)


def test_the_command_says_what_a_list_from_the_web_may_not_name(
    stranger: Stranger, canary: Canary, encoder: Path, tmp_path: Path, run: Run
) -> None:
    stranger.answers["/l.txt"] = answer(f"file://{canary.path('canary.png')}".encode())
    code, out, err = run("index", tmp_path / "new.store", f"{stranger.url}/l.txt", "--encoder", encoder)
    assert (code, OTHERS in err, (tmp_path / "new.store").exists()) == (1, True, False)
    canary.check(out, err)


# -- URLs within URLs


@pytest.mark.parametrize(
    "url",
    [
        "zip://a.png::file://{0}", "tar://a.png::file://{0}", "simplecache::file://{0}", "simplecache://x::file://{0}", "filecache://{0}",
        "blockcache://{0}", "cached://{0}", "reference://a::file://{0}", "dir://{0}", "async_wrapper://{0}", "asyncwrapper://{0}",
        "generic://{0}", "dask://{0}", "jupyter://{0}", "libarchive://a::file://{0}", "git://{0}", "github://a:b@main{0}",
        "file://localhost{0}", "FILE://{0}", "file://~/x.png", "data:image/png;base64,AAAA", "javascript:alert(1)", "nonsense://{0}",
        "memory://{0}",
    ],
)  # fmt: skip
def test_a_url_within_a_url_reads_nothing(canary: Canary, url: str) -> None:
    aimed = url.format(canary.path("canary.png"))
    with pytest.raises(ImageError) as told:
        read(aimed)
    with pytest.raises(SourceError):
        list(open_source(aimed))
    canary.check(str(told.value))


@pytest.mark.parametrize("kind", ["jpg", "txt", "tar", "parquet"])
def test_a_pipe_behind_a_url_is_not_waited_for(tmp_path: Path, kind: str) -> None:
    os.mkfifo(tmp_path / f"pipe.{kind}")
    with pytest.raises(SourceError, match="found a pipe, a socket or a device"):
        open_source(f"file://{tmp_path}/pipe.{kind}")
    with pytest.raises(SourceError, match="found a pipe, a socket or a device"):
        open_source("file:///dev/zero")
    (tmp_path / "l.txt").write_text(f"file://{tmp_path}/pipe.{kind}\nfile:///dev/zero\n")
    assert {entry.reason for entry in find(tmp_path / "l.txt") if isinstance(entry, Failure)} == {"not a regular file"}


# -- servers that never end


@pytest.mark.slow
@pytest.mark.parametrize("path", ["l.txt", "a.tar", "a.parquet", "folder/", "a.png"])
def test_a_server_that_sends_a_byte_a_second_is_given_up(
    stranger: Stranger, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(http, "REQUEST_SECONDS", 0.3)
    stranger.otherwise = drip
    began = time.monotonic()
    [reason] = reasons(f"{stranger.url}/{path}")
    assert "Timeout" in reason
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("path", ["folder/", "a.tar", "a.arrow"])
def test_an_answer_without_end_is_refused(stranger: Stranger, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.setattr(http, "MOST_BYTES", 10 << 20)
    stranger.otherwise = flood
    assert len(reasons(f"{stranger.url}/{path}")) == 1


def test_a_page_that_unpacks_to_more_is_refused(stranger: Stranger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MOST_BYTES", 1 << 20)
    stranger.otherwise = answer(gzip.compress(bytes(2 << 20)), "text/html", Content_Encoding="gzip")
    with pytest.raises(SourceError, match="the server sends more than 1,048,576 bytes"):
        list(RemoteFolder(f"{stranger.url}/folder/"))


def test_a_server_that_sends_whole_files_for_parts_gives_no_wrong_images(stranger: Stranger, tmp_path: Path) -> None:
    tar = write_tar(tmp_path / "t.tar", [("a.png", PNG), ("b.png", PNG)]).read_bytes()
    stranger.answers["/t.tar"] = answer(tar, Accept_Ranges="bytes")
    for entry in find(f"{stranger.url}/t.tar"):
        if isinstance(entry, ImageFile):
            with pytest.raises(ImageError, match="the server sends whole files, never a part of one"):
                read(entry.path)


@pytest.mark.parametrize("length", ["5", "1000000000000", "-1", "x"])
def test_a_server_that_lies_about_lengths_gives_failures(stranger: Stranger, length: str) -> None:
    stranger.answers["/a.png"] = lambda request: (
        request.wfile.write(f"HTTP/1.0 200 OK\r\nContent-Length: {length}\r\n\r\n".encode() + PNG),
        None,
    )[1]
    with suppress(ImageError):
        assert read(f"{stranger.url}/a.png") in (PNG, PNG[:5])


# -- redirects


@pytest.mark.parametrize(
    "to", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:image/png;base64,AAAA", "javascript:alert(1)"]
)
def test_a_redirect_leads_nowhere_but_to_the_web(stranger: Stranger, to: str) -> None:
    stranger.otherwise = answer(b"", status=302, Location=to)
    with pytest.raises(ImageError):
        read(f"{stranger.url}/a.png")


def test_redirects_without_end_are_given_up(stranger: Stranger) -> None:
    stranger.otherwise = answer(b"", status=302, Location="/again")
    with pytest.raises(ImageError, match="TooManyRedirects"):
        read(f"{stranger.url}/a.png")
    assert len(stranger.asked) < 50


# -- folders that lead elsewhere


def test_links_out_of_a_folder_are_not_followed(stranger: Stranger) -> None:
    links = (
        "../up.png", "../../up.png", "%2e%2e/up.png", "x/../../up.png", "/root.png", "//evil.example/a.png", "http://evil.example/a.png",
        "file:///etc/passwd.png", "javascript:alert('a.png')", "data:image/png;base64,a.png", "?C=N;O=D", "good.png",
    )  # fmt: skip
    stranger.answers |= {"/photos": page(*links), "/photos/good.png": answer(PNG)}
    found = list(RemoteFolder(f"{stranger.url}/photos/"))
    assert f"{stranger.url}/photos/good.png" in {entry.path for entry in found}
    assert all(entry.path.startswith(f"{stranger.url}/photos/") and ".." not in entry.path for entry in found)
    for entry in found:
        with suppress(ImageError):
            assert read(entry.path) == PNG
    assert [asked for asked in stranger.asked if not asked.startswith("/photos")] == []


def test_folders_within_folders_end(stranger: Stranger) -> None:
    stranger.otherwise = page("deeper/")
    found = list(RemoteFolder(f"{stranger.url}/a/"))
    assert [entry.reason for entry in found if isinstance(entry, Failure)] == [
        "a folder that cannot be listed; ValueError: more than 100 folders within folders"
    ]
    assert len(stranger.asked) < 250


def test_folders_beside_folders_end(stranger: Stranger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filesystem, "MOST_FOLDERS", 20)
    stranger.otherwise = page("left/", "right/")
    with pytest.raises(SourceError, match="more than 20 folders; name those inside one by one"):
        list(RemoteFolder(f"{stranger.url}/a/"))
