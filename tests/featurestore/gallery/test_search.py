"""Searches by items, by pictures and by both: the answers of the library, with the items as pages show them."""

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from featurestore import FeatureStore
from featurestore.gallery import uploads
from featurestore.gallery.answers import NotFound
from tests.featurestore.fakes import COLOURS
from tests.featurestore.gallery.client import Client, message


def found(answer: Any) -> list[tuple[int, float]]:
    return [(hit["id"], hit["score"]) for hit in answer["hits"]]


def upload(client: Client, data: bytes, status: int = 200, kind: str = "image/png") -> Any:
    answer = client.send("POST", "/api/v1/uploads", {**client.bearer, "content-type": kind}, content=data)
    assert answer.status_code == status, answer.text
    return answer.json()


@pytest.mark.parametrize(
    ("body", "query", "options"),
    [
        ({"items": [6]}, [6], {"k": 100}),
        ({"items": [6, 2], "not_items": [1], "k": 3}, [6, 2], {"exclude": [1], "k": 3}),
        ({"items": [6], "where": "label = 'mixed'", "exact": True}, [6], {"k": 100, "where": "label = 'mixed'"}),
        ({"items": [3], "above": 0.6}, [3], {"k": 100, "above": 0.6}),
        ({"items": [3], "unique": 0.6}, [3], {"k": 100, "unique": 0.6}),
    ],
)
def test_hits_are_those_of_the_library(
    client: Client, shared: FeatureStore, body: dict[str, Any], query: list[int], options: dict[str, Any]
) -> None:
    answer, expected = client.post("/api/v1/search", body), shared.search(query, **options)
    assert found(answer) == [(hit["id"], hit["score"]) for hit in expected.to_json()]
    assert answer["total"] == len(expected) > 0
    assert answer["hits"][0]["columns"]
    assert answer["seconds"] > 0


def test_neighbours_are_a_search_by_id(client: Client) -> None:
    assert found(client.get("/api/v1/items/6/neighbours", k=2)) == found(
        client.post("/api/v1/search", {"items": [6], "k": 2})
    )


def test_an_upload_finds_what_its_file_finds(client: Client, shared: FeatureStore, colours: Path) -> None:
    file = colours / "primary" / "red.png"
    given = upload(client, file.read_bytes())
    assert (given["width"], given["height"]) == (8, 8)
    answer = client.post("/api/v1/search", {"images": [given["upload"]], "not_items": [2]})
    expected = shared.search(file, k=100, exclude=[2], with_self=True)
    assert found(answer) == [hit for hit in found({"hits": expected.to_json()}) if hit[0] != 2]


def test_a_jpeg_is_reduced_as_that_of_a_file_is(client: Client, shared: FeatureStore, tmp_path: Path) -> None:
    """A decoder may give a smaller picture of a JPEG at once; its vector is a little different then."""
    image = Image.effect_mandelbrot((400, 300), (-2, -1, 1, 1), 50).convert("RGB")
    image.save(tmp_path / "large.jpg")
    name = upload(client, (tmp_path / "large.jpg").read_bytes(), kind="image/jpeg")["upload"]
    answer = client.post("/api/v1/search", {"images": [name]})
    assert found(answer) == found({"hits": shared.search(tmp_path / "large.jpg", k=100).to_json()})


def test_an_upload_that_is_no_picture_is_named(client: Client) -> None:
    assert "empty file" in message(upload(client, b"", 400))
    assert "not an image" in message(upload(client, b"<svg xmlns='http://www.w3.org/2000/svg'/>", 400, "image/svg+xml"))
    assert "expected the bytes of an image" in message(upload(client, b"x", 415, "text/plain"))
    said = message(client.post("/api/v1/search", {"images": ["gone"]}, 404))
    assert said == "the upload 'gone' is not kept any more; upload the picture again"


def test_uploads_take_bounded_memory(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "KEPT_BYTES", 100)
    kept = uploads.Uploads()
    names = [kept.add(bytes(60)) for _ in range(3)]
    assert kept.get(names[2]) == bytes(60)
    with pytest.raises(NotFound):
        kept.get(names[0])


def test_the_bytes_of_a_file_are_a_query(shared: FeatureStore) -> None:
    data = io.BytesIO()
    Image.new("RGB", (8, 8), COLOURS["red"]).save(data, "PNG")
    assert shared.search(data.getvalue(), k=1).ids.tolist() == [6]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "expected at least one example"), ({"items": [99]}, "item 99: the store has no such item"), ({"items": [True]}, "items[0]: expected"),
        ({"items": ["1"]}, "items[0]: expected"), ({"items": [1] * 65}, "items: expected at most 64"), ({"items": [1], "k": 0}, "k: expected"),
        ({"items": [1], "k": 1.5}, "k: expected"), ({"items": [1], "above": 2}, "above: expected a number from -1 to 1"), ({"item": [1]}, "unknown member 'item'"),
        ({"items": [1], "where": "nosuch = 1"}, "there is no column nosuch"), ({"items": [1], "where": "\ud800"}, "where"), ([1], "expected a JSON object"),
        ({"items": [1], "encoder": "nosuch"}, "encoder 'nosuch' does not name one encoder"), ({"items": [1], "encoder": ""}, "encoder '' does not name one"),
        ({"items": [1], "above": None, "encoder": 5}, "encoder: expected text"),
    ],
)  # fmt: skip
def test_a_wrong_search_is_named(client: Client, body: Any, said: str) -> None:
    assert said in message(client.post("/api/v1/search", body, 400))


def test_an_encoder_is_named_never_a_file(client: Client, encoder: Path) -> None:
    assert "does not name one encoder" in message(
        client.post("/api/v1/search", {"items": [1], "encoder": str(encoder)}, 400)
    )
    name = client.get("/api/v1/store")["encoder"]["name"]
    for spelled in (name, name[:4], client.get("/api/v1/store")["encoder"]["fingerprint"][:6]):
        assert client.post("/api/v1/search", {"items": [1], "encoder": spelled})["total"] == 5
