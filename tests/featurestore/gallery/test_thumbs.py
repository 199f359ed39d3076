"""Thumbnails and pictures: of every kind of source, made once, never of another content, and a grey tile with the reason where there is none."""

import io
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from featurestore import FeatureStore
from featurestore.gallery import failures, images, thumbs
from featurestore.gallery.gallery import Gallery
from featurestore.gallery.pictures import BRIEFLY, FOR_GOOD
from featurestore.gallery.thumb_cache import ThumbCache
from tests.featurestore.fakes import CARD, RECORD, write_encoder
from tests.featurestore.gallery.client import Client, message

Pixel = tuple[int, int, int]


def colour(answer: httpx.Response) -> Pixel:
    """The colour in the middle of a picture, rounded: WebP and JPEG are lossy."""
    with Image.open(io.BytesIO(answer.content)) as image:
        red, green, blue = image.convert("RGB").getpixel((image.width // 2, image.height // 2))  # type: ignore[misc]
    return round(red / 64) * 64, round(green / 64) * 64, round(blue / 64) * 64


def thumb(client: Client, item: int, side: int = 64, mark: str | None = None) -> httpx.Response:
    answer = client.send("GET", f"/api/v1/thumbs/{item}/{side}", client.bearer, params={"h": mark} if mark else None)
    assert answer.status_code == 200, answer.text
    return answer


def image(client: Client, item: int) -> httpx.Response:
    return client.send("GET", f"/api/v1/items/{item}/image", client.bearer)


def is_grey(answer: httpx.Response) -> bool:
    return (
        answer.headers["content-type"] == "image/png"
        and answer.headers["cache-control"] == BRIEFLY
        and colour(answer) == (128, 128, 128)
    )


def test_a_thumbnail_is_made_once_and_may_be_kept_when_its_address_names_the_content(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = client.get("/api/v1/items/6")["sha256"][:16]
    first = thumb(client, 6, mark=mark)
    assert (first.headers["content-type"], first.headers["cache-control"]) == ("image/webp", FOR_GOOD)
    assert colour(first) == (256, 0, 0)
    monkeypatch.setattr(thumbs, "_made", None)
    assert thumb(client, 6, mark=mark).content == first.content
    assert thumb(client, 6).headers["cache-control"] == "no-store"
    assert thumb(client, 6, mark="0" * 16).headers["cache-control"] == "no-store"


def test_a_thumbnail_has_its_size(tmp_path: Path, encoder: Path) -> None:
    Image.new("RGB", (900, 300), "red").save(tmp_path / "wide.png")
    client = client_of(tmp_path, encoder, tmp_path / "wide.png")
    for side in thumbs.SIDES:
        with Image.open(io.BytesIO(thumb(client, 1, side).content)) as small:
            assert small.size == (side, round(side / 3))
    assert "side: expected 64 or 128 or 256 or 512" in message(
        client.send("GET", "/api/v1/thumbs/1/100", client.bearer)
    )


def client_of(folder: Path, encoder: Path, *sources: Path) -> Client:
    store = FeatureStore.open(folder / "made.store", encoder)
    for source in sources:
        store.index(source)
    return Client(Gallery(store, ThumbCache(folder / "cache")))


def in_tar(folder: Path, data: bytes) -> Path:
    with tarfile.open(folder / "x.tar", "w") as tar:
        for name in ("a.png", "b.png"):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return folder / "x.tar"


def in_parquet(folder: Path, data: bytes) -> Path:
    pq.write_table(pa.table({"image": [data, data]}), folder / "x.parquet")
    return folder / "x.parquet"


@pytest.mark.parametrize("pack", [in_tar, in_parquet])
def test_pictures_within_containers(tmp_path: Path, encoder: Path, pack: Callable[[Path, bytes], Path]) -> None:
    data = io.BytesIO()
    Image.new("RGB", (16, 16), "blue").save(data, "PNG")
    client = client_of(tmp_path, encoder, pack(tmp_path, data.getvalue()))
    assert colour(thumb(client, 2)) == (0, 0, 256)
    assert image(client, 2).content == data.getvalue()


def test_a_file_that_changed_is_a_grey_tile(own_client: Client, store: FeatureStore, tmp_path: Path) -> None:
    """Its picture is not that of the item."""
    path = tmp_path / "own.png"
    Image.new("RGB", (8, 8), "red").save(path)
    store.index(path)
    item = store.sql("SELECT max(id) AS id FROM items").to_pylist()[0]["id"]
    Image.new("RGB", (8, 8), "blue").save(path)
    for answer in (thumb(own_client, item), image(own_client, item)):
        assert is_grey(answer)
        assert answer.headers["x-failure"] == "the file has changed since it was indexed; run index again"
    path.unlink()
    assert image(own_client, item).headers["x-failure"] == "no such file, or it has vanished"


def test_pictures_show_the_bands_that_the_encoder_reads(tmp_path: Path) -> None:
    encoder = write_encoder(tmp_path / "encoder.onnx", replace(CARD, preprocess=replace(RECORD, bands=(3, 2, 1))))
    Image.new("RGB", (16, 16), "red").save(tmp_path / "red.png")
    client = client_of(tmp_path, encoder, tmp_path / "red.png")
    for answer in (thumb(client, 1), thumb(client, 1), image(client, 1)):
        assert colour(answer) == (0, 0, 256)
    client.gallery.bands = None  # as a store shows it whose encoder reads colours; the cache is the same
    for answer in (thumb(client, 1), image(client, 1)):
        assert colour(answer) == (256, 0, 0)


def test_a_failure_is_tried_again_after_a_while(
    own_client: Client, store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "été.png"
    Image.new("RGB", (8, 8), "red").save(path)
    store.index(path)
    path.rename(tmp_path / "away")
    assert is_grey(thumb(own_client, 7))
    (tmp_path / "away").rename(path)
    assert is_grey(thumb(own_client, 7))
    monkeypatch.setattr(failures, "SECONDS", 0.0)
    assert colour(thumb(own_client, 7)) == (256, 0, 0)


def test_items_that_are_not_there(client: Client) -> None:
    for path in ("/api/v1/thumbs/99/64", "/api/v1/items/99/image", "/api/v1/thumbs/-1/64"):
        answer = client.send("GET", path, client.bearer)
        assert (answer.status_code, answer.json()["error"]["type"]) == (404, "NotFound")


# -- the picture itself


def saved(form: str, mode: str = "RGB", **options: object) -> bytes:
    data = io.BytesIO()
    Image.new(mode, (24, 16), 0).save(data, form, **options)
    return data.getvalue()


def _animation(form: str, frames: list[Image.Image]) -> bytes:
    data = io.BytesIO()
    frames[0].save(data, form, save_all=True, append_images=frames[1:], duration=100)
    return data.getvalue()


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (saved("JPEG"), "image/jpeg"), (saved("PNG"), "image/png"), (saved("WEBP"), "image/webp"), (saved("PNG", "RGBA"), "image/png"),
        (saved("GIF"), None), (saved("BMP"), None), (saved("TIFF"), None), (saved("PNG", "I;16"), None), (saved("JPEG", "CMYK"), None),
        (_animation("WEBP", [Image.new("RGB", (24, 16), name) for name in ("red", "blue")]), None),
        (_animation("PNG", [Image.new("RGB", (24, 16), name) for name in ("red", "blue")]), None),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", None), (b"<html>", None), (b"", None), (b"\xff\xd8\xff<html>", None),
    ],
)  # fmt: skip
def test_only_what_a_browser_shows_as_we_do_is_sent_as_it_is(data: bytes, kind: str | None) -> None:
    assert images.browser_kind(data) == kind


def test_a_picture_too_large_for_a_browser_is_converted() -> None:
    data = bytearray(saved("PNG"))
    data[16:24] = (20_000).to_bytes(4, "big") * 2
    assert images.browser_kind(bytes(data)) is None


def test_a_picture_of_another_format_is_sent_as_jpeg(tmp_path: Path, encoder: Path) -> None:
    Image.new("RGB", (5000, 10), "blue").save(tmp_path / "long.bmp")
    answer = image(client_of(tmp_path, encoder, tmp_path / "long.bmp"), 1)
    assert answer.headers["content-type"] == "image/jpeg"
    with Image.open(io.BytesIO(answer.content)) as converted:
        assert converted.size == (images.LARGEST, 8)
