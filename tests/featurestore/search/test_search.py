"""Searching, measuring and reading a store. The expected numbers are cosines of colours."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from featurestore import FeatureStore
from featurestore.errors import DiskError, ImageError, QueryError, StoreCorrupt
from featurestore.rendering.contact_sheet import COLUMNS, GAP, TEXT, TILE
from tests.featurestore.evaluation.labelled import labelled_store
from tests.featurestore.fakes import COLOURS, paint, unit

CYAN, YELLOW, WHITE, BLUE, GREEN, RED = range(1, 7)  # ids of the shared store
HALF, THIRD, TWO_THIRDS = math.sqrt(1 / 2), math.sqrt(1 / 3), math.sqrt(2 / 3)


# -- search


@pytest.mark.parametrize(
    ("name", "ids", "scores"),
    [
        ("red", [RED, YELLOW, WHITE, CYAN, BLUE, GREEN], [1, HALF, THIRD, 0, 0, 0]),
        ("white", [WHITE, CYAN, YELLOW, BLUE, GREEN, RED], [1, TWO_THIRDS, TWO_THIRDS, THIRD, THIRD, THIRD]),
        ("green", [GREEN, CYAN, YELLOW, WHITE, BLUE, RED], [1, HALF, HALF, THIRD, 0, 0]),
        ("cyan", [CYAN, WHITE, BLUE, GREEN, YELLOW, RED], [1, TWO_THIRDS, HALF, HALF, 0.5, 0]),
    ],
)
def test_hits_come_in_the_order_of_their_cosines(
    shared: FeatureStore, tmp_path: Path, name: str, ids: list[int], scores: list[float]
) -> None:
    found = shared.search(paint(tmp_path / "query.png", COLOURS[name], size=32))
    assert found.ids.tolist() == ids
    np.testing.assert_allclose(found.scores, scores, atol=2e-3)
    names = {number: Path(path).stem for number, path in zip(found.ids.tolist(), found.paths, strict=True)}
    assert names == {1: "cyan", 2: "yellow", 3: "white", 4: "blue", 5: "green", 6: "red"}
    assert found.labels == [{1: "mixed", 2: "mixed", 3: "plain"}.get(i, "primary") for i in ids]


def test_a_path_an_image_and_a_vector_find_the_same(shared: FeatureStore, tmp_path: Path) -> None:
    colours = ((255, 40, 0), (200, 0, 90), (3, 220, 7), (90, 90, 0))
    path = paint(tmp_path / "query.png", *colours)
    by_path = shared.search(path)
    for query in (str(path), Image.open(path), unit(*colours), unit(*colours).astype(np.float64) * 17):
        found = shared.search(query)
        assert found.ids.tolist() == by_path.ids.tolist()
        np.testing.assert_allclose(found.scores, by_path.scores, atol=1e-5)
    order = sorted(range(1, 7), key=lambda i: -float(unit(*colours) @ unit(sorted_colours()[i - 1])))
    assert by_path.ids.tolist() == order


def sorted_colours() -> list[tuple[int, int, int]]:
    """The colours in the order of their ids."""
    return [COLOURS[name] for name in ("cyan", "yellow", "white", "blue", "green", "red")]


def test_an_image_that_lies_on_its_side_is_searched_upright(shared: FeatureStore, tmp_path: Path) -> None:
    path = paint(tmp_path / "upright.png", (255, 0, 0), (255, 0, 0), (0, 0, 255), (0, 0, 255))
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(path).rotate(90).save(tmp_path / "turned.png", exif=exif)
    expected = shared.search(path).scores
    np.testing.assert_allclose(shared.search(tmp_path / "turned.png").scores, expected)
    np.testing.assert_allclose(shared.search(Image.open(tmp_path / "turned.png")).scores, expected)


def test_an_item_finds_the_others(shared: FeatureStore) -> None:
    found = shared.search(RED, k=3)
    assert found.ids.tolist() == [YELLOW, WHITE, CYAN]
    np.testing.assert_allclose(found.scores, [HALF, THIRD, 0], atol=2e-3)
    assert shared.search(found.ids[0], k=1).ids.tolist() == [WHITE]


@pytest.mark.parametrize("k", [1, 5, 6, 1000])
def test_k_hits_come_back_when_there_are_so_many(shared: FeatureStore, k: int) -> None:
    assert len(shared.search(unit((255, 0, 0)), k=k)) == min(k, 6)
    assert len(shared.search(RED, k=k)) == min(k, 5)


@pytest.mark.parametrize(
    ("where", "ids"),
    [
        ("label = 'mixed'", [YELLOW, CYAN]),
        ("label <> 'primary'", [YELLOW, WHITE, CYAN]),
        ("id IN (SELECT id FROM items WHERE path LIKE '%blue%')", [BLUE]),
        ("FALSE", []),
        ("split = 'train'", []),
    ],
)
def test_where_limits_the_hits(shared: FeatureStore, where: str, ids: list[int]) -> None:
    assert shared.search(unit((255, 0, 0)), where=where).ids.tolist() == ids


def test_an_item_finds_others_whether_or_not_the_where_holds_for_it(shared: FeatureStore) -> None:
    for where in ("label = 'mixed'", f"label = 'mixed' OR id = {RED}"):
        assert shared.search(RED, where=where).ids.tolist() == [YELLOW, CYAN]


def test_a_where_still_gives_k_hits_when_k_exist(shared: FeatureStore) -> None:
    assert shared.search(unit((255, 0, 0)), k=2, where="label = 'primary'").ids.tolist() == [RED, BLUE]


@pytest.mark.parametrize("query", [3.5, None, {1}, b"a.png", True, {}])
def test_a_query_of_another_kind_is_refused(shared: FeatureStore, query: Any) -> None:
    with pytest.raises(QueryError, match=f"found {type(query).__name__}"):
        shared.search(query)


@pytest.mark.parametrize(
    "vector", [np.zeros(12), np.full(12, np.nan), np.array([np.inf] + [0.0] * 11), np.zeros(12, np.float32)]
)
def test_a_vector_without_direction_is_refused(shared: FeatureStore, vector: Any) -> None:
    with pytest.raises(QueryError, match="expected finite numbers that are not all zero"):
        shared.search(vector)


@pytest.mark.parametrize("shape", [(11,), (13,), (1, 12), ()])
def test_a_vector_of_another_shape_is_refused(shared: FeatureStore, shape: tuple[int, ...]) -> None:
    with pytest.raises(QueryError, match=r"expected the shape \(12,\)"):
        shared.search(np.ones(shape))


def test_an_image_that_the_encoder_cannot_tell_is_refused(shared: FeatureStore, tmp_path: Path) -> None:
    with pytest.raises(QueryError, match="gave a vector that is zero or not finite"):
        shared.search(paint(tmp_path / "black.png", (0, 0, 0)))


def test_a_file_that_is_no_image_is_refused(shared: FeatureStore, tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("rose")
    with pytest.raises(ImageError, match=r"text\.jpg': expected an image file; not an image"):
        shared.search(tmp_path / "text.jpg")
    with pytest.raises(ImageError, match="no such file"):
        shared.search(tmp_path / "absent.jpg")
    with pytest.raises(ImageError, match="a folder"):
        shared.search(tmp_path)


@pytest.mark.parametrize("k", [0, -1])
def test_a_k_below_one_is_refused(shared: FeatureStore, k: int) -> None:
    with pytest.raises(QueryError, match="expected at least 1"):
        shared.search(RED, k=k)


@pytest.mark.parametrize("number", [0, 7, -1])
def test_an_id_that_no_item_has_is_refused(shared: FeatureStore, number: int) -> None:
    with pytest.raises(QueryError, match=f"item {number}: the store has no such item"):
        shared.search(number)
    with pytest.raises(QueryError, match=f"item {number}: the store has no such item"):
        shared.search(number, where="label = 'mixed'")


# -- matches


def test_matches_convert(shared: FeatureStore) -> None:
    found = shared.search(RED, k=2)
    rows = found.to_json()
    assert json.loads(json.dumps(rows)) == rows
    assert [list(row) for row in rows] == [["rank", "score", "id", "path", "label"]] * 2
    assert [(r["rank"], r["id"], r["label"]) for r in rows] == [(1, YELLOW, "mixed"), (2, WHITE, "plain")]
    table = found.to_arrow()
    assert isinstance(table, pa.Table)
    assert table.column_names == ["rank", "score", "id", "path", "label"]
    assert [{**r, "score": round(r["score"], 6)} for r in table.to_pylist()] == rows
    assert shared.search(RED, where="FALSE").to_arrow().num_rows == 0


def test_the_contact_sheet_shows_query_and_hits(shared: FeatureStore, tmp_path: Path) -> None:
    path = shared.search(RED, k=3).sheet(tmp_path / "hits.png")
    assert path == tmp_path / "hits.png"
    with Image.open(path) as sheet:
        assert sheet.size == (GAP + 4 * (TILE + GAP), 30 + TILE + TEXT + GAP + GAP)
        centres = [sheet.getpixel((GAP + place * (TILE + GAP) + TILE // 2, 30 + TILE // 2)) for place in range(4)]
    assert centres == [COLOURS["red"], COLOURS["yellow"], COLOURS["white"], COLOURS["cyan"]]
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_file()) == ["hits.png"]


def test_the_contact_sheet_breaks_into_rows(shared: FeatureStore, tmp_path: Path) -> None:
    shared.search(Image.new("RGB", (8, 8), "red"), k=6).sheet(tmp_path / "hits.png")
    with Image.open(tmp_path / "hits.png") as sheet:
        assert sheet.size == (GAP + COLUMNS * (TILE + GAP), 30 + 2 * (TILE + TEXT + GAP) + GAP)


def test_a_contact_sheet_without_hits_or_files_is_drawn(tmp_path: Path, encoder: Path) -> None:
    gone = paint(tmp_path / "s" / "gone.png", (1, 2, 3))
    store = FeatureStore.open(tmp_path / "my.store", encoder)
    store.index(tmp_path / "s")
    gone.unlink()
    store.search(unit((1, 1, 1)), where="FALSE").sheet(tmp_path / "none.png")
    store.search(unit((1, 1, 1))).sheet(tmp_path / "gone.png")
    with Image.open(tmp_path / "gone.png") as sheet:
        assert sheet.getpixel((GAP + TILE // 2, 30 + TILE // 2)) == (0xEE, 0xEE, 0xEE)


@pytest.mark.parametrize("name", ["hits.xyz", "hits", "absent/hits.png"])
def test_a_sheet_that_cannot_be_written_is_named(shared: FeatureStore, tmp_path: Path, name: str) -> None:
    with pytest.raises(DiskError, match=r"hits.*could not be written.*expected a name such as hits\.png"):
        shared.search(RED).sheet(tmp_path / name)


# -- reading


def test_features_by_split(tmp_path: Path, encoder: Path) -> None:
    store = labelled_store(
        tmp_path, encoder, [("train/a", (255, 0, 0)), ("test/b", (0, 255, 0)), ("train", (0, 0, 255))]
    )
    ids, x, y = store.features(split="train")
    assert ids.tolist() == [2, 3]
    np.testing.assert_allclose(x, [unit((0, 0, 255)), unit((255, 0, 0))], atol=1e-3)
    assert x.dtype == np.float32
    assert y.tolist() == [None, "a"]
    assert store.features()[0].tolist() == [1, 2, 3]
    ids, x, y = store.features(split="val")
    assert (ids.shape, x.shape, y.shape) == ((0,), (0, 12), (0,))


def test_info_counts(shared: FeatureStore) -> None:
    found = shared.info()
    assert {key: found[key] for key in ("items", "labelled", "removed", "failures", "splits", "labels")} == {
        "items": 6, "labelled": 6, "removed": 0, "failures": 0, "splits": {"(none)": 6}, "labels": {"mixed": 2, "plain": 1, "primary": 3},
    }  # fmt: skip
    [held] = found["encoders"]
    assert (held["dim"], held["vectors"], held["rows"], held["method"]) == (12, 6, 6, "quadrants")
    assert found["bytes"] == sum(p.stat().st_size for p in shared.path.rglob("*") if p.is_file())
    assert json.loads(json.dumps(found)) == found


def test_info_bears_files_that_come_and_go(store: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    is_file = Path.is_file

    def vanishing(self: Path) -> bool:
        there = is_file(self)
        if self.name == "catalog.duckdb.wal":
            self.unlink()
        return there

    (store.path / "indexes").mkdir()
    (store.path / "indexes" / "catalog.duckdb.wal").touch()
    monkeypatch.setattr(Path, "is_file", vanishing)
    assert store.info()["items"] == 6


def test_sql_reads_the_tables(shared: FeatureStore) -> None:
    assert shared.sql("SELECT count(*) AS n FROM items JOIN vectors ON item = id").to_pylist() == [{"n": 6}]
    assert shared.sql("SELECT dim, rows FROM encoders").to_pylist() == [{"dim": 12, "rows": 6}]
    assert shared.sql("SELECT * FROM failures").num_rows == 0


# -- a store whose files were changed by others


def test_an_encoder_that_was_changed_is_named(store: FeatureStore, colours: Path) -> None:
    [path] = (store.path / "encoders").iterdir()
    path.write_bytes(path.read_bytes().replace(b"quadrants", b"QUADRANTS"))
    with pytest.raises(StoreCorrupt, match=r"expected the fingerprint \w{16}…, found \w{16}…; the file was changed"):
        store.search(colours / "primary" / "red.png")
    path.unlink()
    with pytest.raises(StoreCorrupt, match="is missing; put the encoder"):
        store.search(colours / "primary" / "red.png")
    assert store.search(RED, k=1).ids.tolist() == [YELLOW]  # needs no encoder


def test_a_vector_file_that_was_shortened_is_named(store: FeatureStore, colours: Path) -> None:
    [path] = (store.path / "vectors").iterdir()
    path.write_bytes(path.read_bytes()[: 4 * 24])
    for call in (
        lambda: store.search(RED),
        lambda: store.features(),
        lambda: store.knn(1),
        lambda: store.index(colours),
    ):
        with pytest.raises(StoreCorrupt, match="counts 6 rows of 24 bytes, the file has 4"):
            call()
    assert path.stat().st_size == 4 * 24
