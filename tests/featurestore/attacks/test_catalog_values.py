"""Every column of every table with values that featurestore never writes: each command ends in one line or works; nothing is read or written elsewhere."""

import json
import shutil
from pathlib import Path

import duckdb
import pytest

from featurestore import FeatureStore
from featurestore.catalog.schema import COLUMNS
from featurestore.errors import EncoderNotInStore, StoreCorrupt, StoreUntrusted
from tests.featurestore.attacks.canary import Canary
from tests.featurestore.commands import Run

VALUES: dict[str, list[object]] = {  # by type
    "VARCHAR": [None, "", "{canary}", "../../canary/deep/canary.f16", '\x1b[2J<b>"\u202e\n', '{"a":'],
    "INTEGER": [None, -1, 0, 2**31 - 1],
    "BIGINT": [None, -1, 0, 2**63 - 1],
    "DOUBLE": [None, float("nan"), float("inf"), -1.0],
    "TIMESTAMP": [None, "infinity", "290000-01-01 (BC)"],
    "VARCHAR[]": [None, [], [None], ["a", "a", ""]],
    "BLOB": [None, b"", b"\xff" * 104],
}
CARD = '{"method": "m", "backbone": "b", "branch": "b", "trained_on": {"count": 1}, "preprocess": {"size": 1}, "other": "x"}'
COMMANDS = (
    "search {store} --id 1", "search {store} {image}", "info {store}", "failures {store}", "encoders {store}", "sources {store}", "knn {store}",
    "classify {store} --apply kind", "clusters {store} -k 2 --column", "verify {store}", "label {store} {table}", "index {store} {source}", "export-vectors {store} {out}",
    "delete {store} --where id=2", "optimize {store}", "verify {store} --repair", "search {store} --id 1",
)  # fmt: skip


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, indexed: Path, colours: Path) -> Path:
    """A store with a row in every table."""
    store = Path(shutil.copytree(indexed, tmp_path_factory.mktemp("filled") / "filled.store"))
    opened = FeatureStore.open(store)
    labels = store.with_name("labels.csv")
    labels.write_text(f"path,label\n{colours / 'mixed' / 'cyan.png'},rose\n")
    opened.label(labels)
    opened.train_classifier("kind", method="nearest-mean")
    with duckdb.connect(str(store / "catalog.duckdb")) as maker:
        maker.execute("INSERT INTO failures VALUES ('/x.png', 'broken', now()::TIMESTAMP)")
        maker.execute("INSERT INTO deleted VALUES ('/x.png', 'abc', now()::TIMESTAMP)")
        maker.execute(
            """INSERT INTO indexes SELECT fingerprint, 1, fingerprint[:16] || '-1.faiss', file, rows, 10, '00', '{"settings": [], "curve": []}', now()
               FROM encoders"""
        )
        maker.execute("INSERT INTO written_columns VALUES ('kind', 'classify')")
        maker.execute("INSERT INTO settings VALUES ('keys', '{}')")
        assert all(maker.execute(f"SELECT count(*) FROM {table}").fetchall() != [(0,)] for table in COLUMNS)
    return store


def with_value(filled: Path, store: Path, table: str, column: str, value: object) -> None:
    shutil.copytree(filled, store)
    with duckdb.connect(str(store / "catalog.duckdb")) as maker:
        maker.execute(f'UPDATE {table} SET "{column}" = ?', [value])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("table", "column"), [(table, column) for table, columns in COLUMNS.items() for column in columns]
)
def test_no_value_ends_a_command_in_the_midst(
    filled: Path, table: str, column: str, tmp_path: Path, colours: Path, canary: Canary, run: Run
) -> None:
    (tmp_path / "table.csv").write_text(f"path,label\n{colours / 'mixed' / 'cyan.png'},tulip\n")
    names = {
        "image": colours / "mixed" / "cyan.png",
        "source": colours,
        "table": tmp_path / "table.csv",
        "out": tmp_path / "v.parquet",
    }
    wrong = []
    for number, value in enumerate(VALUES[COLUMNS[table][column]]):
        store = tmp_path / f"{number}.store"
        with_value(filled, store, table, column, str(canary.path()) if value == "{canary}" else value)
        for command in COMMANDS:
            status, out, err = run(*command.format(store=store, **names).split())
            canary.check(out, err)
            if status not in (0, 1) or "Traceback" in err:
                wrong.append((value, command.split()[0], err.strip().splitlines()[-1:]))
        shutil.rmtree(store)
    assert wrong == []


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("meta", "schema_version", None), ("meta", "next_item", 2**63 - 1), ("encoders", "dim", -1), ("encoders", "card", "{}"), ("blocks", "rows", None),
        ("classifiers", "weights", None), ("sources", "exclude", [None]), ("written_columns", "name", ""), ("written_columns", "command", None),
        ("settings", "value", "{"), ("settings", "name", ""),
        ("encoders", "card", CARD.replace('"x"', "9" * 5000)), ("encoders", "card", CARD.replace('"x"', "[" * 10_000 + "]" * 10_000)),
        ("encoders", "card", CARD.replace('"backbone": "b"', '"backbone": []')), ("encoders", "card", CARD.replace('{"count": 1}', "[1]")),
        ("encoders", "card", CARD.replace('"size": 1', '"size": 1, "bands": 5')), ("indexes", "card", "[]"),
    ],
)  # fmt: skip
def test_a_value_that_makes_no_sense_is_named(
    filled: Path, tmp_path: Path, table: str, column: str, value: object
) -> None:
    with_value(filled, tmp_path / "odd.store", table, column, value)
    with pytest.raises(StoreUntrusted, match=f"{table}|schema|the card"):
        FeatureStore.open(tmp_path / "odd.store").info()


def test_the_card_of_a_classifier_has_its_parts(filled: Path, tmp_path: Path) -> None:
    """Its checksum is that of a stranger, too."""
    with_value(filled, tmp_path / "odd.store", "classifiers", "card", '{"figures": 5}')
    with duckdb.connect(str(tmp_path / "odd.store" / "catalog.duckdb")) as maker:
        maker.execute("UPDATE classifiers SET sha256 = sha256(encode(card) || weights)")
    with pytest.raises(StoreUntrusted, match="the card"):
        FeatureStore.open(tmp_path / "odd.store").info()


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("classes", []), ("classes", ["a"]), ("classes", ["\ud800", "b", "c"]), ("classes", ["a", "a", "b"]), ("classes", [1, 2, 3]),
        ("temperature", 10**400), ("temperature", 1e-320), ("temperature", "x"), ("temperature", None),
    ],
)  # fmt: skip
def test_a_classifier_that_makes_no_sense_is_named(store: FeatureStore, part: str, value: object) -> None:
    store.train_classifier("kind", method="nearest-mean")
    with duckdb.connect(str(store.path / "catalog.duckdb")) as maker:
        [(card,)] = maker.execute("SELECT card FROM classifiers").fetchall()
        changed = json.dumps({**json.loads(card), part: value})
        weights = "''::BLOB" if value == [] else "weights"
        maker.execute(
            f"UPDATE classifiers SET card = $1, weights = {weights}, sha256 = sha256(encode($1) || {weights})",
            [changed],
        )
    with pytest.raises(StoreCorrupt, match="the classifier 'kind' is damaged"):
        store.apply_classifier("kind")


def test_an_encoder_gives_vectors_as_long_as_the_catalog_says(store_path: Path, encoder: Path, colours: Path) -> None:
    contradict(store_path, "UPDATE encoders SET dim = 11")
    for opened in (FeatureStore.open(store_path), FeatureStore.open(store_path, encoder)):
        for use in (opened.search, opened.index):
            with pytest.raises(
                StoreCorrupt, match=r"the catalog counts 11 numbers in a vector of .*, the encoder gives 12"
            ):
                use(colours / "mixed" / "cyan.png")


def test_an_encoder_that_is_listed_twice_is_found(store_path: Path, tmp_path: Path) -> None:
    FeatureStore.open(store_path).export_vectors(tmp_path / "v.parquet")
    contradict(store_path, "INSERT INTO encoders SELECT * FROM encoders")
    with pytest.raises(EncoderNotInStore):
        FeatureStore.open(store_path).import_vectors(tmp_path / "v.parquet")
    assert FeatureStore.verify(store_path).damaged
    FeatureStore.verify(store_path, repair=True)
    assert not FeatureStore.verify(store_path).damaged
    assert len(FeatureStore.open(store_path).neighbours().ids) == 6


# -- rows that contradict each other

TWICE = "several rows to|to several items"
CONTRADICTIONS = {
    "INSERT INTO all_items SELECT * REPLACE ('/x' AS path) FROM all_items WHERE id = 2": TWICE,
    "INSERT INTO all_items SELECT * FROM all_items": TWICE,
    "INSERT INTO vectors SELECT * FROM vectors": TWICE,
    "INSERT INTO vectors SELECT * REPLACE (3 AS row) FROM vectors WHERE item = 2": TWICE,
    "UPDATE vectors SET row = 0": TWICE,
    "UPDATE all_items SET path = NULL WHERE id = 2": "no path",
}


def contradict(store: Path, sql: str) -> Path:
    with duckdb.connect(str(store / "catalog.duckdb")) as maker:
        maker.execute(sql)
    return store


@pytest.mark.parametrize(("sql", "told"), CONTRADICTIONS.items())
def test_rows_that_contradict_each_other_are_named(store_path: Path, sql: str, told: str) -> None:
    opened = FeatureStore.open(contradict(store_path, sql))
    with pytest.raises(
        StoreCorrupt, match=rf"the catalog gives .*({told}).*; repair it: featurestore verify STORE --repair"
    ):
        opened.neighbours()
    assert FeatureStore.verify(store_path).damaged


@pytest.mark.parametrize("id", [-(2**63), -5, 0, 2**45, 2**63 - 1])
def test_any_number_may_be_an_id(store_path: Path, id: int) -> None:
    """A table as long as the largest id would take all memory."""
    opened = FeatureStore.open(
        contradict(
            store_path, f"UPDATE all_items SET id = {id} WHERE id = 2; UPDATE vectors SET item = {id} WHERE item = 2"
        )
    )
    assert set(opened.search(3, where="label = 'mixed'").ids.tolist()) == {1, id}


@pytest.mark.slow
@pytest.mark.parametrize("sql", CONTRADICTIONS)
def test_no_contradiction_ends_a_command_in_the_midst(
    filled: Path, tmp_path: Path, sql: str, colours: Path, run: Run
) -> None:
    out = tmp_path / "out"
    for command in (
        "search {} --id 1 --exact", "neighbours {} --out {out}.parquet", "knn {}", "duplicates {}", "leaks {}", "outliers {} --column", "label-errors {} --column", "clusters {} -k 2", "suggest {} -n 2", "coverage {}", "retrieval {}",
        "duplicates {} --delete --yes --out {out}.csv", "lowshot {} --shots 1 --tries 2",
        "classify {} --train --name b --method nearest-mean", "classify {} --apply kind", "classify {} --export {out}.onnx --name kind",
        "report {} --out {out}.json", "export-vectors {} {out}.parquet", "index {} {source}", "optimize {}", "delete {} --where id=2",
        "verify {} --repair",
    ):  # fmt: skip
        store = contradict(Path(shutil.copytree(filled, tmp_path / "odd.store")), sql)
        status, _, err = run(*command.format(store, out=out, source=colours).split())
        assert status in (0, 1), command
        assert "Traceback" not in err, command
        assert "--repair" not in command or not FeatureStore.verify(store).damaged
        shutil.rmtree(store)
