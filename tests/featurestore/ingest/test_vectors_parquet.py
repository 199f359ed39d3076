"""Vectors out to Parquet and back."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from featurestore import FeatureStore
from featurestore.catalog.encoded_items import EncodedItems
from featurestore.catalog.schema import QUALITY
from featurestore.errors import DiskError, EncoderNotInStore, SourceError
from tests.featurestore.fakes import paint
from tests.featurestore.life import look


def changed(exported: Path, said: str | dict[str, Any], **columns: Any) -> Path:
    """The file with other columns, or without those that are None, and with other metadata: a text, or changes of what is said."""
    table = pq.read_table(exported)
    origin = json.loads(table.schema.metadata[b"featurestore"])
    for name, values in columns.items():
        known = name in table.schema.names
        kind = table.schema.field(name).type if known else None
        table = table.drop_columns([name]) if known else table
        if values is not None:
            table = table.append_column(name, values if isinstance(values, pa.Array) else pa.array(values, kind))
    metadata = said if isinstance(said, str) else json.dumps(origin | said)
    path = exported.with_name("changed.parquet")
    pq.write_table(table.replace_schema_metadata({"featurestore": metadata}), path)
    return path


def test_the_file_says_all_that_is_known(shared: FeatureStore, exported: Path, colours: Path) -> None:
    table = pq.read_table(exported)
    ids, x, labels = shared.features()
    names = [
        "id",
        "path",
        "label",
        "labels",
        "split",
        "width",
        "height",
        "bytes",
        "mtime_ns",
        "sha256",
        "label_source",
        "split_source",
        *QUALITY,
        "vector",
    ]
    assert table.schema.names == names
    assert table.schema.field("vector").type == pa.list_(pa.float32(), 12)  # which all programs read
    assert table["id"].to_pylist() == ids.tolist()
    np.testing.assert_array_equal(np.array(table["vector"].to_pylist(), np.float32), x)
    assert table["label"].to_pylist() == labels.tolist()
    assert table["path"][0].as_py() == str(colours / "mixed" / "cyan.png")
    said = json.loads(table.schema.metadata[b"featurestore"])
    [record] = shared.catalog.encoders.all()
    assert (said["fingerprint"], said["dim"], said["card"]) == (record.fingerprint, 12, record.card)


@pytest.fixture
def annotated(store: FeatureStore, tmp_path: Path) -> Path:
    """The file of a store with columns of the user, of which two items have no value."""
    days = [date(2024, 1, n) for n in range(1, 5)]
    pq.write_table(
        pa.table({"id": [1, 2, 3, 4], "taken on": days, "vector id": [7, 8, 9, 10]}), tmp_path / "own.parquet"
    )
    store.annotate(tmp_path / "own.parquet")
    store.export_vectors(tmp_path / "annotated.parquet")
    return tmp_path / "annotated.parquet"


def own_columns(store: FeatureStore) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = store.sql(
        'SELECT path, "taken on", "vector id" FROM items ORDER BY "vector id" NULLS LAST, path'
    ).to_pylist()
    return rows


def test_the_users_columns_go_out_and_come_in(store: FeatureStore, annotated: Path, other: FeatureStore) -> None:
    assert pq.read_schema(annotated).names[16:] == ["taken on", "vector id", "vector"]
    assert other.import_vectors(annotated).added == 6
    assert own_columns(other) == own_columns(store)
    assert own_columns(other)[0]["taken on"] == date(2024, 1, 1)
    assert other.info()["columns"] == store.info()["columns"]


def test_labels_keep_where_they_come_from(store: FeatureStore, other: FeatureStore, tmp_path: Path) -> None:
    said = "SELECT path, label, label_source, split, split_source FROM items ORDER BY path"
    (tmp_path / "l.csv").write_text("id,label,split\n1,hot,test\n2,,\n")
    store.label(tmp_path / "l.csv", clear=True)
    store.export_vectors(tmp_path / "v.parquet")
    assert other.import_vectors(tmp_path / "v.parquet").added == 6
    assert other.sql(said) == store.sql(said)
    assert other.sql(said)["label_source"].to_pylist() == ["file", "file", *["folder"] * 4]


@pytest.mark.parametrize("columns", [{"label_source": None, "split_source": None}, {"label_source": ["rumour"] * 6}])
def test_labels_of_unknown_origin_count_as_those_of_a_file(
    exported: Path, other: FeatureStore, columns: dict[str, Any]
) -> None:
    assert other.import_vectors(changed(exported, {}, **columns)).added == 6
    assert other.sql("SELECT DISTINCT label_source FROM items").to_pylist() == [{"label_source": "file"}]


def annotate_mixed(path: Path, other_encoder: Path, colours: Path, value: str) -> None:
    """Make a store of two items and another encoder, of which one has a value."""
    FeatureStore.open(path, other_encoder).index(colours / "mixed")
    (path.parent / "own.csv").write_text(f"path,vector id\n{colours}/mixed/cyan.png,{value}\n")
    FeatureStore.open(path).annotate(path.parent / "own.csv")


def test_items_of_another_encoder_get_their_second_vector_and_keep_what_the_store_says(
    annotated: Path, other: FeatureStore, other_encoder: Path, colours: Path
) -> None:
    annotate_mixed(other.path, other_encoder, colours, "70")
    assert other.import_vectors(annotated).added == 6
    info = other.info()
    assert {record["vectors"] for record in info["encoders"]} == {2, 6}
    assert (info["items"], info["labelled"]) == (6, 4)  # of the known items none, of the new ones all
    found = {Path(row["path"]).stem: row["vector id"] for row in own_columns(other)}
    assert found == {"cyan": 70, "yellow": None, "white": 9, "blue": 10, "green": None, "red": None}


def test_columns_of_another_type_are_refused_before_anything_is_taken(
    annotated: Path, other: FeatureStore, other_encoder: Path, colours: Path
) -> None:
    annotate_mixed(other.path, other_encoder, colours, "none")
    with pytest.raises(SourceError, match="column 'vector id': expected text"):
        other.import_vectors(annotated)
    assert other.info()["items"] == 2


def test_columns_that_no_store_gave_are_left_in_the_file(exported: Path, other: FeatureStore) -> None:
    assert other.import_vectors(changed(exported, {}, extra=[[1]] * 6)).added == 6
    assert other.info()["columns"] == {}


def test_an_item_that_is_there_twice_is_refused_before_anything_is_taken(
    exported: Path, tmp_path: Path, other: FeatureStore
) -> None:
    table = pq.read_table(exported)
    many = [table.set_column(1, "path", pa.array([f"/{n}/{place}" for place in range(6)])) for n in range(800)]
    pq.write_table(pa.concat_tables([*many, many[3].slice(2, 1)]), tmp_path / "twice.parquet")  # batches apart
    with pytest.raises(SourceError, match="occurs twice: '/3/2'; nothing was imported"):
        other.import_vectors(tmp_path / "twice.parquet")
    assert other.info()["items"] == 0


def test_there_and_back_again_is_the_same_store(
    exported: Path, other: FeatureStore, indexed: Path, colours: Path
) -> None:
    report = other.import_vectors(exported)
    assert (report.added, report.unchanged, report.conflicting) == (6, 0, 0)
    assert look(other.path) == look(indexed)
    assert not FeatureStore.verify(other.path).findings
    assert other.search(6).to_json() == FeatureStore.open(indexed).search(6).to_json()
    assert other.index(colours, labels="folders").unchanged == 6  # size and time came along
    assert other.import_vectors(exported).unchanged == 6


def test_what_a_store_has_stays(store: FeatureStore, exported: Path, colours: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text(f"path,label\n{colours}/mixed/cyan.png,mine\n")
    store.label(tmp_path / "labels.csv")
    before = look(store.path)
    assert store.import_vectors(exported).unchanged == 6
    assert look(store.path) == before


def test_another_content_under_a_path_is_a_conflict(
    exported: Path, tmp_path: Path, other: FeatureStore, other_encoder: Path
) -> None:
    source = paint(tmp_path / "red.png", (9, 9, 9))
    FeatureStore.open(other.path, other_encoder).index(source)
    paths = pq.read_table(exported)["path"].to_pylist()
    report = other.import_vectors(changed(exported, {}, path=[*paths[:5], str(source)]))
    assert (report.added, report.conflicting) == (5, 1)
    assert not FeatureStore.verify(other.path).findings


def test_the_encoder_must_be_known_or_given(exported: Path, tmp_path: Path, other_encoder: Path, colours: Path) -> None:
    FeatureStore.open(tmp_path / "my.store", other_encoder).index(colours / "plain")
    unknown = r"made by quadrants-.*, which this store does not know; give that encoder: --encoder"
    with pytest.raises(EncoderNotInStore, match=unknown):
        FeatureStore.open(tmp_path / "my.store").import_vectors(exported)
    with pytest.raises(EncoderNotInStore, match=r"made by quadrants-\w+, and not by other-\w+, which was given"):
        FeatureStore.open(tmp_path / "my.store", other_encoder).import_vectors(exported)


NO_ORIGINS = ("", "{}", "[]", "1", '{"version": "x"}', "[" * 100_000)
NO_VECTORS = (pa.float64(), pa.string(), pa.list_(pa.string()))


@pytest.mark.parametrize(
    ("said", "columns", "reason"),
    [
        *(
            ({}, {"vector": [[number] * 12] * 6}, "finite numbers that are not all zero; 6 of 6 in column vector")
            for number in (np.nan, 0.0, np.inf)
        ),
        *(
            (
                {},
                {"vector": pa.nulls(6, kind)},
                "vectors as lists of floats in a column named vector, .*found the columns id ",
            )
            for kind in NO_VECTORS
        ),
        ({}, {"vector": [None] * 6}, "vectors of 12 numbers"),
        (
            {},
            {"vector": pa.array([[1.0] * 12] * 5 + [[1.0] * 7])},
            "vectors of 12 numbers, as the encoder quadrants-.* makes; found 7 in column vector",
        ),
        ({}, {"path": ["/a"] * 6}, "occurs twice"),
        ({}, {"path": ["/a", "", "/c", "/d", "/e", "/f"]}, "no path"),
        ({}, {"path": ["/a", "/b\n", "/c", "/d", "/e", "/f"]}, "control characters"),
        ({}, {"sha256": [None] * 6}, "no path or sha256"),
        ({}, {"path": None, "vector": None}, "expected a text column of paths"),
        *(({"columns": [name]}, {}, "column ") for name in ("sha256", "vector", "label")),
        ({"columns": ["own", "Own"]}, {"own": [1] * 6, "Own": [1] * 6}, "column "),
        ({"version": 9}, {}, "upgrade featurestore"),
        *((said, {}, "found damaged metadata") for said in NO_ORIGINS),
    ],
)
def test_what_no_store_would_write_is_refused(
    exported: Path, other: FeatureStore, said: str | dict[str, Any], columns: dict[str, Any], reason: str
) -> None:
    with pytest.raises(SourceError, match=reason):
        other.import_vectors(changed(exported, said, **columns))
    assert not other.path.exists() or other.info()["items"] == 0


def test_a_refused_file_does_not_stand_in_the_way_of_a_good_one(exported: Path, other: FeatureStore) -> None:
    with pytest.raises(SourceError, match="finite numbers"):
        other.import_vectors(changed(exported, {}, vector=[[0.0] * 12] * 6))
    assert other.import_vectors(exported).added == 6


def test_a_file_of_something_else_is_refused(shared: FeatureStore, tmp_path: Path, exported: Path) -> None:
    (tmp_path / "text.parquet").write_text("no parquet")
    pq.write_table(pa.table({"path": ["a"]}), tmp_path / "other.parquet")
    (tmp_path / "cut.parquet").write_bytes(exported.read_bytes()[:900])
    for name in ("text", "other", "cut", "absent"):
        reason = r"found the columns path \(string\)" if name == "other" else "expected a Parquet file"
        with pytest.raises(SourceError, match=reason):
            shared.import_vectors(tmp_path / f"{name}.parquet")


def test_a_file_that_was_optimized_away_meanwhile_gives_no_image_the_vector_of_another(
    store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = FeatureStore.open(store.path)
    details = EncodedItems.details

    def then_optimized(catalog: Any, encoder: str) -> Any:
        found = details(catalog, encoder)
        if other.delete("id = 1"):
            other.optimize()
        return found

    monkeypatch.setattr(EncodedItems, "details", then_optimized)
    store.export_vectors(tmp_path / "vectors.parquet")
    table = pq.read_table(tmp_path / "vectors.parquet")
    ids, x, _ = other.features()
    assert table["id"].to_pylist() == ids.tolist() == [2, 3, 4, 5, 6]
    np.testing.assert_array_equal(np.array(table["vector"].to_pylist(), np.float32), x)


def test_what_cannot_be_written_leaves_nothing(shared: FeatureStore, tmp_path: Path) -> None:
    (tmp_path / "taken.parquet").mkdir()
    for out, reason in (
        (tmp_path / "absent" / "v.parquet", "there is no folder .*absent"),
        (tmp_path / "taken.parquet", ""),
    ):
        with pytest.raises(DiskError, match=rf"could not be written \({reason}"):
            shared.export_vectors(out)
    assert not list(tmp_path.glob("*.part"))
