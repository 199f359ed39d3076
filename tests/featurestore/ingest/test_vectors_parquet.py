"""Vectors out to Parquet and back."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from featurestore import FeatureStore
from featurestore.catalog.items import Items
from featurestore.errors import DiskError, EncoderNotInStore, SourceError
from tests.featurestore.fakes import paint
from tests.featurestore.life import look


@pytest.fixture
def exported(store: FeatureStore, tmp_path: Path) -> Path:
    path = tmp_path / "vectors.parquet"
    assert store.export_vectors(path) == 6
    return path


def changed(exported: Path, **columns: Any) -> Path:
    """The file with other columns, and what its metadata said."""
    table = pq.read_table(exported)
    for name, values in columns.items():
        field = table.schema.field(name)
        table = table.set_column(table.schema.get_field_index(name), field, pa.array(values, field.type))
    path = exported.with_name("changed.parquet")
    pq.write_table(table, path)
    return path


def vectors(exported: Path) -> list[list[float]]:
    found: list[list[float]] = pq.read_table(exported)["vector"].to_pylist()
    return found


def test_the_file_says_all_that_is_known(store: FeatureStore, exported: Path, colours: Path) -> None:
    table = pq.read_table(exported)
    ids, x, labels = store.features()
    assert table.schema.names == [
        "id",
        "path",
        "label",
        "split",
        "width",
        "height",
        "bytes",
        "mtime_ns",
        "sha256",
        "vector",
    ]
    assert table["id"].to_pylist() == ids.tolist()
    np.testing.assert_array_equal(np.array(table["vector"].to_pylist(), np.float32), x)
    assert table["label"].to_pylist() == labels.tolist()
    assert table["path"][0].as_py() == str(colours / "mixed" / "cyan.png")
    said = json.loads(table.schema.metadata[b"featurestore"])
    [record] = store.catalog.encoders.all()
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


def test_the_users_columns_go_out_and_come_in(
    store: FeatureStore, annotated: Path, tmp_path: Path, encoder: Path
) -> None:
    assert pq.read_schema(annotated).names[9:] == ["taken on", "vector id", "vector"]
    other = FeatureStore.open(tmp_path / "other.store", encoder)
    assert other.import_vectors(annotated).added == 6
    assert own_columns(other) == own_columns(store)
    assert own_columns(other)[0]["taken on"] == date(2024, 1, 1)
    assert other.info()["columns"] == store.info()["columns"]


def test_what_a_store_says_of_its_items_stays_when_vectors_come_in(
    store: FeatureStore, annotated: Path, tmp_path: Path, encoder: Path, other_encoder: Path, colours: Path
) -> None:
    path = tmp_path / "other.store"
    FeatureStore.open(path, other_encoder).index(colours / "mixed")
    (tmp_path / "own.csv").write_text(f"path,vector id,note\n{colours}/mixed/cyan.png,70,mine\n")
    FeatureStore.open(path).annotate(tmp_path / "own.csv")
    assert FeatureStore.open(path, encoder).import_vectors(annotated).added == 6
    found = {Path(row["path"]).stem: row["vector id"] for row in own_columns(FeatureStore.open(path))}
    assert found == {"cyan": 70, "yellow": None, "white": 9, "blue": 10, "green": None, "red": None}


def test_columns_of_another_type_are_refused_before_anything_is_taken(
    annotated: Path, tmp_path: Path, encoder: Path, other_encoder: Path, colours: Path
) -> None:
    path = tmp_path / "other.store"
    FeatureStore.open(path, other_encoder).index(colours / "mixed")
    (tmp_path / "own.csv").write_text(f"path,vector id\n{colours}/mixed/cyan.png,none\n")
    FeatureStore.open(path).annotate(tmp_path / "own.csv")
    with pytest.raises(SourceError, match="column 'vector id': expected text"):
        FeatureStore.open(path, encoder).import_vectors(annotated)
    assert FeatureStore.open(path).info()["items"] == 2


def test_columns_that_no_store_gave_are_left_in_the_file(exported: Path, tmp_path: Path, encoder: Path) -> None:
    pq.write_table(pq.read_table(exported).append_column("extra", [[[1]] * 6]), tmp_path / "more.parquet")
    other = FeatureStore.open(tmp_path / "other.store", encoder)
    assert other.import_vectors(tmp_path / "more.parquet").added == 6
    assert other.info()["columns"] == {}


@pytest.mark.parametrize("names", [["sha256"], ["vector"], ["label"], ["taken on", "Taken On"]])
def test_columns_that_cannot_be_had_are_refused(
    annotated: Path, tmp_path: Path, encoder: Path, names: list[str]
) -> None:
    table = pq.read_table(annotated)
    if len(names) > 1:
        table = table.append_column(names[1], table[names[0]])
    said = json.loads(table.schema.metadata[b"featurestore"]) | {"columns": names}
    pq.write_table(table.replace_schema_metadata({"featurestore": json.dumps(said)}), tmp_path / "other.parquet")
    other = FeatureStore.open(tmp_path / "other.store", encoder)
    with pytest.raises(SourceError, match="column "):
        other.import_vectors(tmp_path / "other.parquet")
    assert other.info()["items"] == 0


def test_an_item_that_is_there_twice_is_refused_before_anything_is_taken(
    exported: Path, tmp_path: Path, encoder: Path
) -> None:
    table = pq.read_table(exported)
    many = [table.set_column(1, "path", pa.array([f"/{n}/{place}" for place in range(6)])) for n in range(1500)]
    pq.write_table(pa.concat_tables([*many, many[3].slice(2, 1)]), tmp_path / "twice.parquet")  # batches apart
    other = FeatureStore.open(tmp_path / "other.store", encoder)
    with pytest.raises(SourceError, match="occurs twice: '/3/2'; nothing was imported"):
        other.import_vectors(tmp_path / "twice.parquet")
    assert other.info()["items"] == 0


def test_other_programs_read_the_file(exported: Path) -> None:
    with duckdb.connect() as connection:
        found = connection.execute(
            "SELECT label, list_dot_product(vector, vector) FROM read_parquet(?) ORDER BY id LIMIT 1", [str(exported)]
        ).fetchall()
    assert found[0][0] == "mixed"
    assert found[0][1] == pytest.approx(1.0, abs=1e-3)


def test_there_and_back_again_is_the_same_store(
    exported: Path, tmp_path: Path, encoder: Path, indexed: Path, colours: Path
) -> None:
    other = FeatureStore.open(tmp_path / "other.store", encoder)
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


def test_items_of_another_encoder_get_their_second_vector(
    store: FeatureStore, exported: Path, colours: Path, tmp_path: Path, encoder: Path, other_encoder: Path
) -> None:
    other = tmp_path / "other.store"
    FeatureStore.open(other, other_encoder).index(colours)
    report = FeatureStore.open(other, encoder).import_vectors(exported)
    assert report.added == 6
    both = FeatureStore.open(other)
    assert [record["vectors"] for record in both.info()["encoders"]] == [6, 6]
    assert both.info()["items"] == 6
    assert both.info()["labelled"] == 0  # known items keep what they say


def test_another_content_under_a_path_is_a_conflict(
    exported: Path, tmp_path: Path, encoder: Path, other_encoder: Path, colours: Path
) -> None:
    source = paint(tmp_path / "red.png", (9, 9, 9))
    other = FeatureStore.open(tmp_path / "other.store", other_encoder)
    other.index(source)
    table = pq.read_table(exported).to_pydict()
    paths = [str(source) if path.endswith("red.png") else path for path in table["path"]]
    report = FeatureStore.open(other.path, encoder).import_vectors(changed(exported, path=paths))
    assert (report.added, report.conflicting) == (5, 1)
    assert not FeatureStore.verify(other.path).findings


def test_the_encoder_must_be_known_or_given(exported: Path, tmp_path: Path, other_encoder: Path, colours: Path) -> None:
    other = FeatureStore.open(tmp_path / "other.store", other_encoder)
    other.index(colours)
    with pytest.raises(
        EncoderNotInStore, match=r"made by quadrants-.*, which this store does not know; give that encoder: --encoder"
    ):
        FeatureStore.open(other.path).import_vectors(exported)


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"vector": [[np.nan] * 12] * 6}, "vectors of length 1"),
        ({"vector": [[0.0] * 12] * 6}, "vectors of length 1"),
        ({"vector": [[1.0] * 12] * 6}, "vectors of length 1"),
        ({"vector": [None] * 6}, "vectors of 12 numbers"),
        ({"path": ["/a"] * 6}, "occurs twice"),
        ({"path": ["/a", "", "/c", "/d", "/e", "/f"]}, "no path"),
        ({"path": ["/a", "/b\n", "/c", "/d", "/e", "/f"]}, "control characters"),
        ({"sha256": [None] * 6}, "no path or sha256"),
    ],
)
def test_what_no_store_would_hold_is_refused(
    exported: Path, tmp_path: Path, encoder: Path, columns: Any, reason: str
) -> None:
    other = FeatureStore.open(tmp_path / "other.store", encoder)
    with pytest.raises(SourceError, match=reason):
        other.import_vectors(changed(exported, **columns))
    assert other.info()["items"] == 0
    assert other.import_vectors(exported).added == 6


def test_a_file_of_something_else_is_refused(store: FeatureStore, tmp_path: Path, exported: Path) -> None:
    (tmp_path / "text.parquet").write_text("no parquet")
    pq.write_table(pa.table({"path": ["a"]}), tmp_path / "other.parquet")
    (tmp_path / "cut.parquet").write_bytes(exported.read_bytes()[:900])
    for name, reason in (("text", "expected a Parquet file"), ("other", "does not say which encoder"), ("cut", "expected a Parquet file"), ("absent", "expected a Parquet file")):  # fmt: skip
        with pytest.raises(SourceError, match=reason):
            store.import_vectors(tmp_path / f"{name}.parquet")


def test_a_newer_file_and_missing_columns_are_refused(store: FeatureStore, tmp_path: Path, exported: Path) -> None:
    table = pq.read_table(exported)
    said = json.loads(table.schema.metadata[b"featurestore"])
    pq.write_table(
        table.replace_schema_metadata({"featurestore": json.dumps({**said, "version": 9})}), tmp_path / "new.parquet"
    )
    with pytest.raises(SourceError, match="upgrade featurestore"):
        store.import_vectors(tmp_path / "new.parquet")
    pq.write_table(table.drop_columns(["sha256", "vector"]), tmp_path / "less.parquet")
    with pytest.raises(SourceError, match="missing: sha256, vector"):
        store.import_vectors(tmp_path / "less.parquet")


def test_a_file_that_was_optimized_away_meanwhile_gives_no_image_the_vector_of_another(
    store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = FeatureStore.open(store.path)
    details = Items.details
    first = True

    def then_optimized(catalog: Any, encoder: str) -> Any:
        nonlocal first
        found = details(catalog, encoder)
        if first:
            first = False
            other.delete("id = 1")
            other.optimize()
        return found

    monkeypatch.setattr(Items, "details", then_optimized)
    store.export_vectors(tmp_path / "vectors.parquet")
    table = pq.read_table(tmp_path / "vectors.parquet")
    ids, x, _ = other.features()
    assert table["id"].to_pylist() == ids.tolist() == [2, 3, 4, 5, 6]
    np.testing.assert_array_equal(np.array(table["vector"].to_pylist(), np.float32), x)


@pytest.mark.parametrize("kind", [pa.float64(), pa.string(), pa.list_(pa.string())])
def test_vectors_of_another_type_are_refused(store: FeatureStore, exported: Path, tmp_path: Path, kind: Any) -> None:
    table = pq.read_table(exported)
    place = table.schema.get_field_index("vector")
    pq.write_table(table.set_column(place, "vector", pa.nulls(6, kind)), tmp_path / "other.parquet")
    with pytest.raises(SourceError, match="expected vectors as lists of floats"):
        store.import_vectors(tmp_path / "other.parquet")


@pytest.mark.parametrize("said", ["", "{}", "[]", "1", '{"version": "x"}', "[" * 100_000])
def test_metadata_that_say_nothing_are_refused(store: FeatureStore, exported: Path, tmp_path: Path, said: str) -> None:
    pq.write_table(pq.read_table(exported).replace_schema_metadata({"featurestore": said}), tmp_path / "other.parquet")
    with pytest.raises(SourceError, match="expected a Parquet file of export-vectors"):
        store.import_vectors(tmp_path / "other.parquet")


def test_what_cannot_be_written_leaves_nothing(store: FeatureStore, tmp_path: Path) -> None:
    with pytest.raises(DiskError, match="could not be written"):
        store.export_vectors(tmp_path / "absent" / "vectors.parquet")
    (tmp_path / "taken.parquet").mkdir()
    with pytest.raises(DiskError, match="could not be written"):
        store.export_vectors(tmp_path / "taken.parquet")
    assert not list(tmp_path.glob("*.part"))
