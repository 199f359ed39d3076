"""From what users search by to unit vectors. Numbers are computed by hand, or by loops."""

import io
import os
import tarfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from featurestore.encoders.encoder import Encoder
from featurestore.errors import ImageError, QueryError, StoreCorrupt
from featurestore.search.query import QueryEncoder, QueryExample, embed_queries, embed_query
from featurestore.search.query_path import item_paths
from tests.featurestore.fakes import DIM, paint, unit

ITEMS = np.array([[3, 0, 0, 4], [0, 1, 0, 0], [0, 0, 1, 0], [0, np.nan, 0, 0]], np.float32)  # of the ids 1 to 4
X, Y, Z, W = np.eye(4, dtype=np.float32)


def vectors_of(ids: Sequence[int]) -> tuple[NDArray[np.float32], list[str]]:
    if not set(ids) <= {1, 2, 3, 4}:
        raise QueryError(f"item {max(ids)}: the store has no such item")
    return ITEMS[np.array(ids) - 1], [f"/{item}.png" for item in ids]


def no_encoder() -> Encoder:
    raise AssertionError("the encoder was opened")


def no_items(ids: Sequence[int]) -> Any:
    raise AssertionError("items were looked up")


def nothing_at(paths: Sequence[str]) -> dict[str, int]:
    return {}


BLIND = QueryEncoder("four", 4, no_encoder, vectors_of, nothing_at)


@pytest.fixture(scope="session")
def query_encoder(encoder: Path) -> QueryEncoder:
    opened = Encoder(encoder)
    return QueryEncoder(opened.name, DIM, lambda: opened, no_items, nothing_at)


# -- one query


def test_an_item_and_a_vector_need_no_encoder() -> None:
    asked = embed_query(1, BLIND)
    np.testing.assert_allclose(asked.vector, [[0.6, 0, 0, 0.8]], rtol=1e-6)
    assert asked.vector.dtype == np.float32
    assert asked.item_ids == (1,)
    assert [(s.picture, s.name, s.negative) for s in asked.shown] == [("/1.png", "item 1", False)]
    for vector in (np.array([0, 2.0, 0, 0]), np.array([0, 7, 0, 0]), np.array([0, 0.5, 0, 0], np.float16)):
        asked = embed_query(vector, BLIND)
        np.testing.assert_array_equal(asked.vector, [Y])
        assert asked.item_ids == ()
        assert [(s.picture, s.name) for s in asked.shown] == [(None, "a vector")]
    np.testing.assert_array_equal(embed_query(np.int32(2), BLIND).vector, [Y])


def test_an_image_is_found_wherever_it_lies(tmp_path: Path, query_encoder: QueryEncoder) -> None:
    colours = ((255, 40, 0), (200, 0, 90), (3, 220, 7), (90, 90, 0))
    path, turned = paint(tmp_path / "a.png", *colours), tmp_path / "turned.png"
    exif = Image.Exif()
    exif[0x0112] = 6  # the picture lies on its side
    Image.open(path).rotate(90).save(turned, exif=exif)
    with tarfile.open(tmp_path / "shard.tar", "w") as tar:
        tar.add(path, "x/a.png")
    with fsspec.open("memory://pictures/a.png", "wb") as file:
        file.write(path.read_bytes())
    places = (path, str(path), f"file://{path}", "memory://pictures/a.png", f"{tmp_path}/shard.tar::x/a.png")
    for query in (*places, turned):
        asked = embed_query(query, query_encoder)
        np.testing.assert_allclose(asked.vector[0], unit(*colours), atol=1e-6)
        assert [(s.picture, s.name) for s in asked.shown] == [(str(query), str(query))]
        assert asked.item_ids == ()
    with Image.open(turned) as picture:
        asked = embed_query(picture, query_encoder)
        np.testing.assert_allclose(asked.vector[0], unit(*colours), atol=1e-6)
        assert asked.shown[0].picture is picture


@pytest.mark.parametrize(
    ("queries", "reason"),
    [
        *((query, f"item id or a vector; found {type(query).__name__}$") for query in (True, np.True_, None, 2.0, np.float32(1), bytearray(b"a.png"), {1})),
        *(([query], f"item id or a vector; found {type(query).__name__}$") for query in ([1], None)),
        *((item, f"item {item}: the store has no such item") for item in (0, -1, 2**63, -(2**70), 10**30)),
        *((array, "expected numbers, found an array of") for array in (np.array(["a"] * 4), np.array([True] * 4), np.ones(4, complex), X.astype(object))),
        *((np.ones(shape), r"expected the shape \(4,\) of encoder four, found") for shape in ((3,), (5,), (1, 4), ())),
        *((vector, "expected finite numbers that are not all zero") for vector in (0 * X, np.nan * X, np.array([np.inf, 0, 0, 0]))),
    ],
)  # fmt: skip
def test_what_is_no_query_is_refused(queries: Any, reason: str) -> None:
    with pytest.raises(QueryError, match=reason):
        embed_query(queries, QueryEncoder("four", 4, no_encoder, no_items, nothing_at))


def test_a_damaged_vector_of_an_item_is_named() -> None:
    with pytest.raises(StoreCorrupt, match="item 4: its vector is damaged; see: featurestore verify"):
        embed_query([1, 4], BLIND)


def test_a_broken_pil_image_is_refused(query_encoder: QueryEncoder) -> None:
    data = io.BytesIO()
    Image.effect_noise((64, 64), 90).save(data, "PNG")
    cut = Image.open(io.BytesIO(data.getvalue()[:1000]))
    with pytest.raises(ImageError, match=r"^query: expected an image file; cut off or damaged"):
        embed_query(cut, query_encoder)


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("red roses", "query 'red roses': there is no such file, and the encoder four reads images, not words; search by an image or "),
        ("17", "query '17': expected an image file; for the item of that id write id:17$"),
        ("a/17", "query 'a/17': expected an image file; no such file"),
        ("a.jpg", "query 'a.jpg': expected an image file; no such file"),
        ("", "query '': "),
        ("/dev/zero", "query '/dev/zero': expected an image file; not a regular file"),
        ("{folder}", "expected an image file; not a file but a folder"),
        ("{folder}/pipe", "pipe': expected an image file; not a regular file"),
        ("{folder}/pipe.tar::a.jpg", "::a.jpg': expected an image file; not a regular file"),
    ],
)  # fmt: skip
def test_a_path_that_leads_to_no_file_is_named_and_not_waited_for(tmp_path: Path, query: str, reason: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    os.mkfifo(tmp_path / "pipe.tar")
    with pytest.raises((ImageError, QueryError), match=reason):
        embed_query(query.format(folder=tmp_path), BLIND)


def test_a_path_of_an_item_is_that_item(tmp_path: Path, query_encoder: QueryEncoder) -> None:
    file, twin, link = (
        paint(tmp_path / "a.png", (1, 2, 3)),
        paint(tmp_path / "twin.png", (1, 2, 3)),
        tmp_path / "link.png",
    )
    link.symlink_to(file)
    knowing = replace(query_encoder, ids_at=lambda paths: {str(file): 7} if str(file) in paths else {})
    assert embed_query([file, str(twin), np.ones(DIM)], knowing).item_ids == (7,)
    assert [one.item_ids for one in embed_queries([twin, link, Image.open(file)], knowing)] == [(), (7,), ()]
    assert item_paths("b/shard.tar::a.png") == (f"{Path.cwd()}/b/shard.tar::a.png",)
    assert item_paths("b\udcfc.png") == ()  # not UTF-8
    assert item_paths("https://a/b.png") == ("https://a/b.png",)


# -- several examples


def test_examples_by_hand() -> None:
    left = embed_query([X, Y], BLIND, exclude=[Y], weights=[3, 1]).vector  # (3 X + Y) / 4 - Y / 2 = (0.75, -0.25)
    np.testing.assert_allclose(left[0], np.array([3, -1, 0, 0]) / np.sqrt(10), rtol=1e-6)
    np.testing.assert_allclose(embed_query((X, Y), BLIND).vector[0], (X + Y) / np.sqrt(2), rtol=1e-6)
    np.testing.assert_allclose(
        embed_query(X, BLIND, exclude=Y).vector[0], np.array([2, -1, 0, 0]) / np.sqrt(5), rtol=1e-6
    )


def test_only_the_ratio_of_weights_counts() -> None:
    expected = embed_query([X, Y, Z], BLIND, weights=[1, 2, 3]).vector
    for scale in (1e-300, 1e-3, 5e307):
        found = embed_query([X, Y, Z], BLIND, weights=[scale, 2 * scale, 3 * scale]).vector
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_items_among_the_examples_are_left_out_and_shown() -> None:
    asked = embed_query([3, W, 1, 3], BLIND, exclude=[2, Y])
    assert asked.item_ids == (1, 2, 3)
    assert [(s.name, s.negative) for s in asked.shown] == [
        ("item 3", False), ("a vector", False), ("item 1", False), ("item 3", False), ("item 2", True), ("a vector", True),
    ]  # fmt: skip
    mean = (Z + W + np.array([0.6, 0, 0, 0.8]) + Z) / 4 - Y / 2
    np.testing.assert_allclose(asked.vector[0], mean / np.linalg.norm(mean), rtol=1e-6)


def test_examples_that_cancel_one_another_are_refused() -> None:
    noise = np.float32(1e-4) * W  # what rounding leaves
    for wanted in ([X, -X], [X, Y, noise - X, -Y]):
        with pytest.raises(QueryError, match="cancel one another, so that no direction is left"):
            embed_query(wanted, BLIND)
    with pytest.raises(QueryError, match="cancel one another"):
        embed_query([X, X, X, -X], BLIND, exclude=[X])  # X / 2 - X / 2


@pytest.mark.parametrize(
    ("weights", "reason"),
    [
        ([1], "one for each of the 2 examples, found 1"),
        ([1, 1, 1], "one for each of the 2 examples, found 3"),
        ([], "found 0"),
        ([[1, 1]], "found 2"),
        ([1, 0], "expected finite numbers above 0, found 1, 0; name what you do not want"),
        ([1, -2], "above 0, found 1, -2"),
        ([1, np.nan], "above 0, found 1, nan"),
        ([np.inf, 1], "above 0, found inf, 1"),
        (["a", 1], "expected numbers above 0, found"),
        ([None, {}], "expected numbers above 0, found"),
        ([[1], [1, 2]], "expected numbers above 0, found"),
    ],
)
def test_weights_that_make_no_sense_are_refused(weights: Any, reason: str) -> None:
    with pytest.raises(QueryError, match=reason):
        embed_query([X, Y], BLIND, weights=weights)


def test_negative_examples_alone_are_refused() -> None:
    nothing: Any
    for nothing in ([], ()):
        with pytest.raises(QueryError, match="expected at least one example"):
            embed_query(nothing, BLIND, exclude=[1])


def test_all_examples_that_cannot_be_used_are_named(tmp_path: Path, query_encoder: QueryEncoder) -> None:
    good = paint(tmp_path / "good.png", (9, 9, 9))
    (tmp_path / "bad.png").write_text("text")
    unwanted: list[Any] = [tmp_path / "gone.png", None]
    with pytest.raises(ImageError) as caught:
        embed_query([good, tmp_path / "bad.png", np.ones(3)], query_encoder, exclude=unwanted)
    assert str(caught.value) == (
        f"example 2: query '{tmp_path}/bad.png': expected an image file; not an image, or of a format without a decoder here; "
        f"example 3: query vector: expected the shape (12,) of encoder {query_encoder.name}, found (3,); "
        f"negative example 1: query '{tmp_path}/gone.png': expected an image file; no such file, or it has vanished; and 1 more"
    )


# -- many queries


def test_each_query_has_a_vector(tmp_path: Path, query_encoder: QueryEncoder) -> None:
    looked_up: list[list[int]] = []

    def items(ids: Sequence[int]) -> tuple[NDArray[np.float32], list[str]]:
        looked_up.append(list(ids))
        return np.stack([unit((i, 1, 1)) for i in ids]), [f"/{i}.png" for i in ids]

    colours = [(n, 200 - n, 6 * n) for n in range(1, 41)]  # more than two batches
    pictures = [paint(tmp_path / f"{n}.png", colour) for n, colour in enumerate(colours)]
    queries: list[Any] = [9, *pictures, unit((1, 2, 3)), 4, 9]
    asked = embed_queries(queries, QueryEncoder("m", DIM, query_encoder.open_encoder, items, nothing_at))
    assert looked_up == [[4, 9]]
    expected = [unit((9, 1, 1)), *map(unit, colours), unit((1, 2, 3)), unit((4, 1, 1)), unit((9, 1, 1))]
    np.testing.assert_allclose(np.concatenate([one.vector for one in asked]), expected, atol=1e-6)
    assert [one.item_ids for one in asked] == [(9,), *[()] * 41, (4,), (9,)]
    assert [one.shown[0].name for one in asked] == ["item 9", *map(str, pictures), "a vector", "item 4", "item 9"]


def test_an_image_without_a_vector_is_named(tmp_path: Path, query_encoder: QueryEncoder) -> None:
    black = paint(tmp_path / "black.png", (0, 0, 0))
    with pytest.raises(QueryError, match=rf"^query '{black}': encoder quadrants-\w+ gave a vector that is zero or not"):
        embed_query(black, query_encoder)


def test_rows_of_an_array_are_queries() -> None:
    asked = embed_queries(np.array([[0, 5, 0, 0], [0, 0, 0, 2]]), BLIND)
    np.testing.assert_array_equal(np.concatenate([one.vector for one in asked]), [Y, W])
    assert [one.item_ids for one in asked] == [(), ()]
    assert embed_queries(np.empty((0, 4)), BLIND) == embed_queries([], BLIND) == []


def test_an_array_of_queries_that_cannot_be_used_is_named() -> None:
    bad = np.ones((7, 4))
    bad[[1, 2, 3, 5]] = np.array([[0] * 4, [np.nan] * 4, [1, np.inf, 0, 0], [0] * 4])
    with pytest.raises(QueryError, match=r"found others in row 1, row 2, row 3, and 1 more$"):
        embed_queries(bad, BLIND)
    for shape in ((4,), (2, 3), (1, 2, 4)):
        with pytest.raises(QueryError, match=r"expected the shape \(Q, 4\) of encoder four, found"):
            embed_queries(np.ones(shape), BLIND)


def test_bad_queries_of_a_batch_are_all_named_by_their_places(tmp_path: Path, query_encoder: QueryEncoder) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.png").write_bytes(b"")
    examples: list[Any] = [
        QueryExample(str(tmp_path / "a.png"), "q.txt, line 2"), unit((1, 2, 3)), QueryExample(tmp_path / "b.png", "q.txt, line 9"), 7.5,
    ]  # fmt: skip
    with pytest.raises(
        ImageError, match=r"^q\.txt, line 2: query '.*a\.png'.*; q\.txt, line 9: query '.*b\.png'.*; query 4: "
    ):
        embed_queries(examples, query_encoder)
