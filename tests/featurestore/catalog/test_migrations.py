"""Stores of earlier schemas, kept as they were written then, are brought up to date by opening them."""

import shutil
import tarfile
from pathlib import Path
from typing import Any

import duckdb
import pytest

from featurestore import FeatureStore
from featurestore.catalog.schema import CHECKSUMS_SINCE, ITEMS, QUALITY, SCHEMA, SCHEMA_VERSION
from featurestore.errors import DiskError
from tests.featurestore.life import GOLDEN

NEW = ("labels", *QUALITY, "labelled_by", "labelled_at")  # since schema 6, 7 and 8
ENDS = (1, SCHEMA_VERSION - 1)  # through all migrations, and through the last one alone


def unpack(version: int, store: Path) -> Path:
    with tarfile.open(GOLDEN / f"store-v{version}.tar.xz") as archive:
        archive.extractall(store, filter="data")
    return store


@pytest.fixture(params=[n if n in ENDS else pytest.param(n, marks=pytest.mark.slow) for n in range(1, SCHEMA_VERSION)])
def version(request: pytest.FixtureRequest) -> int:
    found: int = request.param
    return found


@pytest.fixture
def old(version: int, tmp_path: Path) -> Path:
    """Six colours of which red has changed, white has vanished and one file was broken; two encoders.

    From schema 2 on the first was optimized; in schema 3 that made an index, and the items have a column shelf. Those of schema 6 to 8
    were brought there from schema 5. From schema 7 on the items also have columns of `classify`, `score` and `suggest`, and the user's `outlier`.
    """
    return unpack(version, tmp_path / "my.store")


def columns(path: Path) -> set[tuple[str, str, str]]:
    described = "SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE NOT internal"
    with duckdb.connect(str(path)) as connection:
        return set(connection.execute(described).fetchall())


def contents(store: Path) -> list[list[Any]]:
    with duckdb.connect(str(store / "catalog.duckdb"), read_only=True) as connection:
        tables = ("all_items", "vectors", "failures")
        read = {table: connection.sql(f"FROM {table}").columns for table in tables}
        return [
            connection.sql(
                f"SELECT {', '.join(c for c in names if c not in NEW and not c.endswith('_source'))} FROM {table} ORDER BY ALL"
            ).fetchall()
            for table, names in read.items()  # where labels come from is new in schema 5
        ]


def test_an_old_store_keeps_all_it_said_in_the_present_tables(version: int, old: Path, tmp_path: Path) -> None:
    before = contents(old)
    store = FeatureStore.open(old)
    assert contents(old) == before
    found = store.info()
    assert (found["items"], found["removed"], found["failures"]) == (5, 1, 1)
    assert [(record["vectors"], record["rows"]) for record in found["encoders"]] == [
        (5, 7 if version == 1 else 6),
        (5, 5),
    ]
    assert not FeatureStore.verify(old).findings
    [name, _] = [record["name"] for record in found["encoders"]]
    hits = store.search(4, k=3, encoder=name)  # yellow, whose cosine with cyan is 0.5, with blue 0
    assert [Path(path).name for path in hits.paths[2:]] == ["cyan.png"]
    assert hits.scores[2] == pytest.approx(0.5, abs=1e-3)
    with duckdb.connect(str(tmp_path / "new.duckdb")) as connection:
        connection.execute(SCHEMA)
    of_users = {column for column in columns(old / "catalog.duckdb") if column[1] in store.info()["columns"]}
    assert columns(old / "catalog.duckdb") - of_users == columns(tmp_path / "new.duckdb")


def test_its_index_and_the_columns_of_users_are_kept(tmp_path: Path) -> None:
    store = FeatureStore.open(unpack(3, tmp_path / "my.store"))
    assert [record["index"] and record["index"]["vectors"] for record in store.info()["encoders"]] == [6, None]
    shelves = store.sql("SELECT label, shelf FROM items WHERE shelf IS NOT NULL ORDER BY shelf").to_pylist()
    assert shelves == [{"label": "green", "shelf": 1}, {"label": "yellow", "shelf": 3}]
    assert store.info()["classifiers"] == []


@pytest.mark.parametrize("version", [CHECKSUMS_SINCE - 1, CHECKSUMS_SINCE])
@pytest.mark.parametrize("damaged_before", [False, True])
def test_its_vectors_are_under_the_checksums_it_had_or_else_new_ones(
    version: int, old: Path, damaged_before: bool
) -> None:
    if not damaged_before:
        FeatureStore.open(old)
    path = sorted((old / "vectors").iterdir())[0]
    data = bytearray(path.read_bytes())
    data[20] ^= 1
    path.write_bytes(data)
    FeatureStore.open(old)
    assert FeatureStore.verify(old).damaged == (version >= CHECKSUMS_SINCE or not damaged_before)


@pytest.mark.parametrize("version", ENDS)
def test_a_migration_that_cannot_be_done_leaves_the_store_as_it_was(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = (old / "catalog.duckdb").read_bytes()

    def full(path: Path) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as context:
        context.setattr("featurestore.system.disk.sync_file", full)
        with pytest.raises(DiskError, match=r"catalog\.duckdb could not be written"):
            FeatureStore.open(old)
    assert (old / "catalog.duckdb").read_bytes() == catalog
    assert FeatureStore.open(old).info()["items"] == 5


@pytest.mark.parametrize("version", ENDS)
def test_vectors_that_are_missing_do_not_keep_an_old_store_closed(version: int, old: Path) -> None:
    short, absent = sorted((old / "vectors").iterdir())
    short.write_bytes(short.read_bytes()[:-24])
    absent.unlink()
    FeatureStore.open(old)
    damages = 2 if version == 1 else 1  # there were no checksums of the rows that are gone
    assert len([finding for finding in FeatureStore.verify(old).findings if finding.damage]) == 2 * damages
    FeatureStore.verify(old, repair=True)
    assert not FeatureStore.verify(old).damaged


@pytest.mark.parametrize("version", ENDS)
def test_an_encoder_without_a_single_vector_is_taken_along(version: int, old: Path) -> None:
    file = ", repeat('a', 16) || '.f16'" if version > 1 else ""
    with duckdb.connect(str(old / "catalog.duckdb")) as connection:
        connection.execute(
            f"INSERT INTO encoders SELECT repeat('a', 64), 'empty', 12, 0, card, added_at{file} FROM encoders LIMIT 1"
        )
    assert [record["rows"] for record in FeatureStore.open(old).info()["encoders"]].count(0) == 1


@pytest.mark.parametrize("version", ENDS)
def test_a_log_beside_an_old_catalog_is_taken_along(old: Path) -> None:
    connection = duckdb.connect(str(old / "catalog.duckdb"))
    connection.execute("UPDATE all_items SET label = 'logged' WHERE id = 2")
    for name in ("catalog.duckdb", "catalog.duckdb.wal"):  # as a crash leaves them
        shutil.copy(old / name, old / f"copy-{name}")
    connection.close()
    for name in ("catalog.duckdb", "catalog.duckdb.wal"):
        (old / f"copy-{name}").replace(old / name)
    assert FeatureStore.open(old).sql("SELECT label FROM items WHERE id = 2").to_pylist() == [{"label": "logged"}]
    assert not (old / "catalog.duckdb.wal").exists()


@pytest.mark.parametrize("damaged", [False, True])
@pytest.mark.parametrize(
    ("version", "names"),
    [(4, ("Label_Source", "split_source", "labels")), (5, ("Labels",)), (7, ("Labelled_By", "labelled_at"))],
)
def test_a_column_of_a_user_with_a_name_that_is_ours_now_gets_another(
    tmp_path: Path, version: int, names: tuple[str, ...], damaged: bool
) -> None:
    old = unpack(version, tmp_path / "my.store")
    with duckdb.connect(str(old / "catalog.duckdb")) as connection:
        for name in names:
            connection.execute(f'ALTER TABLE all_items ADD COLUMN "{name}" TEXT')
            connection.execute(f"UPDATE all_items SET \"{name}\" = 'mine'")
    before = set(contents_of_label_columns(old)) if version >= 5 else {(None, None)}
    if damaged:
        catalog = FeatureStore(old, None, "cpu").catalog
        catalog.repair.salvage(lambda: None)
    store = FeatureStore.open(old)
    [row] = store.sql(f"SELECT DISTINCT {', '.join(f'{name}_2' for name in names)} FROM items").to_pylist()
    assert set(row.values()) == {"mine"}
    assert set(contents_of_label_columns(old)) == before
    assert store.sql("SELECT DISTINCT labels FROM items").to_pylist() == [{"labels": None}]


@pytest.mark.parametrize(
    ("version", "kind", "damage"),
    [
        pytest.param(4, "TEXT", "", marks=pytest.mark.slow),
        pytest.param(6, "TEXT", "", marks=pytest.mark.slow),
        (6, "DOUBLE", ""),
        (4, "TEXT", "the catalog"),
        pytest.param(6, "DOUBLE", "the catalog", marks=pytest.mark.slow),
        (6, "DOUBLE", "the row of its version"),
    ],
)
def test_brightness_of_a_user_keeps_its_values_under_another_name(
    tmp_path: Path, version: int, kind: str, damage: str
) -> None:
    old = unpack(version, tmp_path / "my.store")
    with duckdb.connect(str(old / "catalog.duckdb")) as connection:
        connection.execute(f"ALTER TABLE all_items ADD COLUMN Brightness {kind}")
        connection.execute("ALTER TABLE all_items ADD COLUMN brightness_2 TEXT")
        connection.execute("UPDATE all_items SET Brightness = '0.5'")
        connection.execute(ITEMS)  # as `annotate` does
        if damage == "the row of its version":
            connection.execute("UPDATE meta SET schema_version = NULL")
    if damage:
        FeatureStore(old, None, "cpu").catalog.repair.salvage(lambda: None)
    store = FeatureStore.open(old)
    [row] = store.sql(
        'SELECT DISTINCT "Brightness_3" AS mine, brightness_2, brightness, contrast FROM items'
    ).to_pylist()
    assert row == {"mine": "0.5" if kind == "TEXT" else 0.5, "brightness_2": None, "brightness": None, "contrast": None}


@pytest.mark.parametrize("damage", ["the catalog", "the row of its version"])
def test_a_damaged_catalog_of_this_version_keeps_what_its_pixels_say(store: FeatureStore, damage: str) -> None:
    asked = f"SELECT {', '.join(QUALITY)} FROM items ORDER BY id"
    before = store.sql(asked)
    if damage == "the row of its version":
        with duckdb.connect(str(store.path / "catalog.duckdb")) as connection:
            connection.execute("UPDATE meta SET schema_version = NULL")
    FeatureStore(store.path, None, "cpu").catalog.repair.salvage(lambda: None)
    assert FeatureStore.open(store.path).sql(asked) == before
    assert before["brightness"].null_count == 0


def contents_of_label_columns(store: Path) -> list[Any]:
    with duckdb.connect(str(store / "catalog.duckdb"), read_only=True) as connection:
        return connection.sql("SELECT label_source, split_source FROM items").fetchall()


@pytest.mark.parametrize("damaged", [False, True])
def test_a_classifier_with_a_name_that_is_ours_now_gets_another_with_its_columns(tmp_path: Path, damaged: bool) -> None:
    old = unpack(5, tmp_path / "my.store")
    with duckdb.connect(str(old / "catalog.duckdb")) as connection:
        connection.execute("ALTER TABLE all_items ADD COLUMN labels TEXT")
        connection.execute("ALTER TABLE all_items ADD COLUMN labels_confidence FLOAT")
        connection.execute(
            "INSERT INTO classifiers SELECT 'labels', fingerprint, 'ridge', '{}', ''::BLOB, 'x', now()::TIMESTAMP, NULL FROM encoders LIMIT 1"
        )
    if damaged:
        FeatureStore(old, None, "cpu").catalog.repair.salvage(lambda: None)
    store = FeatureStore.open(old)
    [record] = store.catalog.classifiers.all()
    assert record.columns == ("labels_2", "labels_2_confidence")
    assert list(store.catalog.columns.all()) == ["shelf", "labels_2", "labels_2_confidence"]


def test_a_change_before_several_labels_were_kept_can_be_undone(tmp_path: Path) -> None:
    store = FeatureStore.open(unpack(5, tmp_path / "my.store"))
    [row] = store.sql("SELECT label, label_source FROM items WHERE id = 5").to_pylist()
    assert row == {"label": "navy", "label_source": "file"}
    store.undo_labels()
    [row] = store.sql("SELECT label, label_source FROM items WHERE id = 5").to_pylist()
    assert row == {"label": "blue", "label_source": "folder"}
