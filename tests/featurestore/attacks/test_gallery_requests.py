"""Requests to the gallery that somebody made up: paths, bodies, SQL, and names of strangers."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

import duckdb
import httpx
import pytest

from featurestore import FeatureStore
from featurestore.catalog.schema import ITEMS
from featurestore.gallery import app, page_files
from featurestore.gallery.app import ENDPOINTS
from featurestore.gallery.endpoints import Endpoint
from featurestore.gallery.gallery import Gallery
from featurestore.gallery.thumb_cache import ThumbCache
from tests.featurestore.attacks.nasty_names import LONG, NASTY
from tests.featurestore.attacks.nasty_store import COLUMN, NASTY_NAMES, make_store
from tests.featurestore.gallery.client import ORIGIN, PAGE, Client, message

STORE = "/api/v1/store"
SEARCH = "/api/v1/search"
JSON = {"content-type": "application/json"}


# -- paths


@pytest.mark.parametrize(
    "path",
    ["/../app.py", "/..%2fapp.py", "/%2e%2e/app.py", "/%2e%2e%2fapp.py", "/....//app.py", "/page/../../app.py", "/index.html/../../app.py", "//etc/passwd", "/%2fetc%2fpasswd",
     "/..%5capp.py", "/index.html%00", "/%00", "/index.html%2f..%2f..%2fapp.py", "/.", "/..", "/app.py", "/index.html/", "/~root", "/C:%5cWindows", "/%c0%ae%c0%ae/app.py"],
)  # fmt: skip
def test_no_path_leads_out_of_the_page(client: Client, path: str) -> None:
    answer = client.send("GET", f"{ORIGIN}{path}", {**client.cookie, **PAGE})
    inside = answer.status_code == 200 and answer.content == (page_files.FOLDER / "index.html").read_bytes()
    assert inside or (answer.status_code, answer.json()["error"]["type"]) == (404, "NotFound")


def test_other_files_beside_the_page_are_not_given(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "page"
    folder.mkdir()
    (folder / "index.html").write_text("page")
    (folder / "notes.py").write_text("secret")
    (tmp_path / "secret.js").write_text("secret")
    monkeypatch.setattr(page_files, "FOLDER", folder)
    found = {
        name: client.send("GET", f"/{name}", client.cookie) for name in ("", "notes.py", "secret.js", "../secret.js")
    }
    assert [answer.status_code for answer in found.values()] == [200, 404, 404, 404]


@pytest.mark.parametrize(
    "item",
    [
        "../1",
        "..%2f1",
        "%2fetc%2fpasswd",
        "1.5",
        "1e3",
        "0x1",
        "1%00",
        "-",
        "",
        "\uff19",
        "99999999999999999999",
        "1;2",
        "/etc/passwd",
        "null",
    ],
)
def test_what_is_no_id_finds_no_picture(client: Client, item: str) -> None:
    for path in (f"/api/v1/items/{item}/image", f"/api/v1/thumbs/{item}/64", f"/api/v1/items/{item}"):
        answer = client.send("GET", f"{ORIGIN}{path}", client.bearer)
        assert answer.status_code in (400, 404)


# -- bodies


class Pieces(httpx.AsyncByteStream):
    """A body that comes in pieces, without its length."""

    def __init__(self, count: int) -> None:
        self.count, self.sent = count, 0

    async def __aiter__(self) -> Any:
        for _ in range(self.count):
            self.sent += 1
            yield bytes(1 << 16)


@pytest.mark.parametrize(
    ("path", "kind", "most"),
    [(SEARCH, "application/json", app.JSON_BYTES), ("/api/v1/uploads", "image/png", app.IMAGE_BYTES)],
)
def test_a_body_without_end_is_refused_early(
    client: Client, path: str, kind: str, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = {**client.bearer, "content-type": kind}
    lies = client.send("POST", path, {**headers, "content-length": str(most + 1)}, content=b"x")
    assert (lies.status_code, lies.json()["error"]["type"]) == (413, "ContentTooLarge")
    pieces = Pieces(most // (1 << 16) + 100)
    long = client.send("POST", path, headers, content=pieces)
    assert (long.status_code, long.json()["error"]["type"]) == (413, "ContentTooLarge")
    assert "too large" in message(long)
    assert pieces.sent <= most // (1 << 16) + 2


@pytest.mark.parametrize("body", ["", "{", "[" * 100_000, '{"items": [NaN]}', '{"items": [1e400]}', "\xff", "null", '{"items": [' + "9" * 5000 + "]}", '{"k": -0.0}', "{}{}", '{"items": [1], "items": [2]} x'])  # fmt: skip
def test_what_is_no_json_is_named(client: Client, body: str) -> None:
    answer = client.send("POST", SEARCH, {**client.bearer, **JSON}, content=body.encode("latin-1"))
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "ConfigError")


def test_a_body_that_does_not_arrive_is_given_up(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(httpx.AsyncByteStream):
        async def __aiter__(self) -> Any:
            import anyio

            await anyio.sleep(5)
            yield b"{}"

    monkeypatch.setattr(app, "BODY_SECONDS", 0.05)
    answer = client.send("POST", SEARCH, {**client.bearer, **JSON}, content=Slow())
    assert (answer.status_code, answer.json()["error"]["type"]) == (408, "Timeout")


# -- what a read-only server refuses


@pytest.mark.parametrize("endpoint", [e for e in ENDPOINTS if e.changes_store], ids=lambda e: f"{e.method} {e.path}")
def test_a_read_only_server_changes_nothing(shared: FeatureStore, endpoint: Endpoint) -> None:
    client = Client(Gallery(shared, ThumbCache(None), read_only=True))
    answer = client.send(endpoint.method, f"/api/v1{endpoint.path}", {**client.bearer, **JSON}, content="{}")
    assert (answer.status_code, answer.json()["error"]["type"]) == (409, "Refused")
    assert "--read-only" in message(answer)


def test_an_api_without_a_page_has_no_page(shared: FeatureStore) -> None:
    client = Client(Gallery(shared, ThumbCache(None)), with_page=False)
    assert client.send("GET", "/", client.cookie).status_code == 404
    assert client.get(STORE)["items"] == 6


def test_a_mistake_of_ours_tells_the_server_and_not_the_client(
    shared: FeatureStore, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(gallery: Gallery) -> None:
        raise RuntimeError("secret \x1b[31m")

    client = Client(
        Gallery(shared, ThumbCache(None)), endpoints=(Endpoint("GET", "/broken", "Break.", "nothing", broken),)
    )
    answer = client.send("GET", "/api/v1/broken", client.bearer)
    assert (answer.status_code, answer.json()["error"]["type"]) == (500, "Mistake")
    said = capsys.readouterr().err
    assert "secret" in said
    assert "secret" not in answer.text
    assert "\x1b" not in said


# -- SQL


@pytest.mark.parametrize(
    "where",
    ["1 = 1; DROP TABLE all_items", "id IN (SELECT 1) UNION SELECT 1", "(SELECT count(*) FROM read_csv('/etc/passwd')) > 0", "TRUE) OR (TRUE", "TRUE LIMIT 1",
     "read_text('/etc/passwd') IS NOT NULL", "getenv('HOME') <> ''"],
)  # fmt: skip
def test_a_where_is_an_expression_and_reads_nothing_else(client: Client, where: str) -> None:
    for path in ("/api/v1/items", "/api/v1/columns/label/values"):
        said = client.get(path, 400, where=where)["error"]
        assert said["type"] == "QueryError"
        assert "root:" not in said["message"]
    assert client.post(SEARCH, {"items": [1], "where": where}, 400)["error"]["type"] == "QueryError"
    assert client.get(STORE)["items"] == 6


@pytest.mark.parametrize(
    "name", ['id" FROM items; --', "id)", "label, id", "rowid", "*", "1", "removed_at", "ID", "all_items.id"]
)
def test_a_column_is_a_name(client: Client, name: str) -> None:
    for answer in (
        client.get("/api/v1/items", 400, sort=name),
        client.get(f"/api/v1/columns/{quote(name, safe='')}/values", 400),
    ):
        assert "there is no column" in message(answer)


# -- names of strangers


def test_names_of_strangers_arrive_as_they_are(tmp_path: Path, encoder: Path) -> None:
    client = Client(Gallery(FeatureStore.open(make_store(tmp_path, encoder, NASTY_NAMES, COLUMN)), ThumbCache(None)))
    answer = client.send("GET", "/api/v1/items", client.bearer, params={"limit": 1000})
    assert answer.content.isascii()
    assert "<" not in answer.headers["content-type"]
    found = answer.json()["items"]
    assert {item["label"] for item in found} == set(NASTY_NAMES)
    assert {item["columns"][COLUMN] for item in found} == set(NASTY_NAMES)
    summary = client.get(STORE)
    assert set(summary["labels"]) == set(NASTY_NAMES)
    assert (summary["encoder"]["name"], COLUMN in [column["name"] for column in summary["columns"]]) == (COLUMN, True)
    values = client.get(f"/api/v1/columns/{quote(COLUMN, safe='')}/values")
    assert {value["value"] for value in values["frequent"]} == set(NASTY_NAMES)
    for item in found[:4]:
        assert (
            client.get("/api/v1/items", where="label = '" + item["label"].replace("'", "''") + "'", limit=9)["total"]
            >= 1
        )
        failed = client.send("GET", f"/api/v1/items/{found[1]['id']}/image", client.bearer)
        assert failed.headers["x-failure"].isprintable()


def test_a_label_of_ten_thousand_letters_arrives_whole(store: FeatureStore) -> None:
    with duckdb.connect(str(store.path / "catalog.duckdb")) as maker:
        maker.execute(f'ALTER TABLE all_items ADD COLUMN "{LONG[:10_000]}" TEXT')
        maker.execute(f'UPDATE all_items SET label = $1, "{LONG[:10_000]}" = $1 WHERE id = 1', [LONG[:10_000]])
        maker.execute(ITEMS)
    client = Client(Gallery(store, ThumbCache(None)))
    item = client.get("/api/v1/items/1")
    assert (item["label"], item["columns"][LONG[:10_000]]) == (LONG[:10_000], LONG[:10_000])
    assert client.get("/api/v1/items", sort=LONG[:10_000], limit=1)["items"][0]["id"] == 1
    assert client.get(f"/api/v1/columns/{LONG[:10_000]}/values")["distinct"] == 1


@pytest.mark.parametrize("name", sorted(NASTY))
def test_a_name_in_a_request_is_an_answer_in_ascii(client: Client, name: str) -> None:
    for path in (
        f"/api/v1/{quote(NASTY[name], safe='')}",
        f"/api/v1/items?{quote(NASTY[name])}=1",
        f"/api/v1/items?sort={quote(NASTY[name])}",
    ):
        answer = client.send("GET", f"{ORIGIN}{path}", client.bearer)
        assert answer.status_code in (400, 404)
        assert answer.content.isascii()
        assert answer.headers["content-type"] == "application/json"
