"""Damage of every kind: found, named with what is safe, and put right without losing what can be kept."""

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import duckdb
import numpy as np
import pytest

from featurestore import FeatureStore
from featurestore.catalog import salvage
from featurestore.catalog.connection import Database
from featurestore.catalog.duckdb_errors import named_errors
from featurestore.errors import DiskError, StoreBusy, StoreCorrupt, StoreError, StoreNotFound
from featurestore.progress import Listener
from featurestore.storage.vectors import VectorFile
from tests.featurestore import children
from tests.featurestore.children import Child
from tests.featurestore.fakes import paint
from tests.featurestore.life import look


def vector_file(store: Path) -> Path:
    [path] = (store / "vectors").glob("*.f16")
    return path


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 0x40
    path.write_bytes(data)


def problems(store: Path) -> list[str]:
    return [f"{finding.place}: {finding.problem}" for finding in FeatureStore.verify(store).findings if finding.damage]


def put_right(store: Path, encoder: Path, source: Path) -> None:
    """Repair, index again, and be as whole as before."""
    report = FeatureStore.verify(store, repair=True)
    assert report.findings
    assert not report.damaged
    assert problems(store) == []
    FeatureStore.open(store, encoder).index(source, labels="folders")
    assert problems(store) == []


@pytest.fixture(scope="module")
def three_blocks(tmp_path_factory: pytest.TempPathFactory, encoder: Path, colours: Path) -> Path:
    """The six pictures in three blocks; not to be changed."""
    path = tmp_path_factory.mktemp("blocks") / "my.store"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("featurestore.encoders.encoder.BATCH", 2)
        patch.setattr("featurestore.ingest.ingest.COMMIT_IMAGES", 2)
        FeatureStore.open(path, encoder).index(colours, labels="folders", workers=1)
    return path


@pytest.fixture
def blocks_of_two(three_blocks: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(three_blocks, tmp_path / "my.store"))


def test_a_whole_store_has_no_findings(store_path: Path) -> None:
    heard: list[str] = []

    class Ear(Listener):
        def start(self, what: str, total: int | None) -> None:
            heard.append(f"{what} {total}")

        def advance(self, amount: int = 1, detail: str = "") -> None:
            heard.append(f"+{amount}")

    report = FeatureStore.verify(store_path, listener=Ear())
    assert (report.findings, report.damaged, report.vectors, report.bytes) == ((), False, 6, 6 * 24)
    assert heard == ["reading the catalog None", "reading vectors 6", "+6"]


def test_verifying_changes_nothing(store_path: Path) -> None:
    flip(vector_file(store_path), 5)
    before = {path: path.read_bytes() for path in store_path.rglob("*") if path.is_file()}
    FeatureStore.verify(store_path)
    assert {path: path.read_bytes() for path in store_path.rglob("*") if path.is_file()} == before


# -- vectors


@pytest.mark.parametrize(
    ("damage", "lost"),
    [
        (lambda path: flip(path, 47), 2),
        pytest.param(lambda path: flip(path, 48), 2, marks=pytest.mark.slow),
        pytest.param(lambda path: flip(path, 143), 2, marks=pytest.mark.slow),
        pytest.param(lambda path: os.truncate(path, 60), 4, marks=pytest.mark.slow),
        pytest.param(lambda path: os.truncate(path, 0), 6, marks=pytest.mark.slow),
        (Path.unlink, 6),
    ],
)
def test_damage_costs_the_vectors_of_its_blocks(
    blocks_of_two: Path, encoder: Path, colours: Path, damage: Callable[[Path], None], lost: int
) -> None:
    before = look(blocks_of_two)
    path = vector_file(blocks_of_two)
    damage(path)
    damaged = path.read_bytes() if path.exists() else None
    cost = f"{lost // 2} blocks are damaged or missing: the vectors of {lost} of 6 items"
    [finding] = FeatureStore.verify(blocks_of_two, repair=True).findings
    assert finding.place == f"vectors/{path.name}"
    assert finding.problem == (cost if damaged is not None else "the file is missing, with the vectors of 6 items")
    assert [aside.read_bytes() for aside in (blocks_of_two / "damaged").iterdir()] == [damaged] * (damaged is not None)
    assert str(blocks_of_two / "damaged") in finding.repair
    store = FeatureStore.open(blocks_of_two, encoder)
    assert len(store.features()[0]) == 6 - lost
    report = store.index(colours, labels="folders")
    assert (report.added, report.unchanged) == (lost, 6 - lost)
    assert look(blocks_of_two) == before
    assert problems(blocks_of_two) == []


def test_a_bad_sector_costs_its_block_and_nothing_more(
    blocks_of_two: Path, encoder: Path, colours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = look(blocks_of_two)

    def failing(genuine: Callable[..., Any]) -> Callable[..., Any]:
        def read(self: VectorFile, file: BinaryIO, first: int, rows: int) -> Any:
            if "-" not in self.path.name and first <= 2 < first + rows:
                raise OSError(5, "Input/output error")
            return genuine(self, file, first, rows)

        return read

    for name in ("_read", "_checksum"):
        monkeypatch.setattr(VectorFile, name, failing(getattr(VectorFile, name)))
    assert "1 blocks are damaged or missing: the vectors of 2 of 6 items" in problems(blocks_of_two)[0]
    put_right(blocks_of_two, encoder, colours)
    assert look(blocks_of_two) == before


def test_rows_behind_the_last_are_harmless(store_path: Path, encoder: Path, colours: Path) -> None:
    with vector_file(store_path).open("ab") as file:
        file.write(b"\0" * 30)
    report = FeatureStore.verify(store_path)
    assert [(finding.damage, finding.problem) for finding in report.findings] == [
        (False, "1 rows after the last committed one, left by a stopped run, or just being written")
    ]
    assert not report.damaged


def test_checksums_that_are_not_there_are_taken_anew(store_path: Path) -> None:
    with duckdb.connect(str(store_path / "catalog.duckdb")) as opened:
        opened.execute("DELETE FROM blocks")
    [problem] = problems(store_path)
    assert "its checksums do not cover its rows" in problem
    FeatureStore.verify(store_path, repair=True)
    assert problems(store_path) == []
    flip(vector_file(store_path), 7)
    assert len(problems(store_path)) == 1


# -- encoders


def test_a_changed_encoder_is_moved_aside_and_then_missing(store_path: Path, encoder: Path, colours: Path) -> None:
    [path] = (store_path / "encoders").iterdir()
    flip(path, 100)
    assert problems(store_path)[0].startswith(f"encoders/{path.name}: not the file that made the vectors")
    FeatureStore.verify(store_path, repair=True)
    report = FeatureStore.verify(store_path, repair=True)
    assert [(finding.problem, finding.repaired) for finding in report.findings] == [
        ("the encoder's file is missing", False)
    ]
    assert report.damaged
    assert len(FeatureStore.open(store_path).search(6)) == 5
    assert FeatureStore.open(store_path, encoder).index(colours).unchanged == 6
    assert problems(store_path) == []
    assert path.read_bytes() == encoder.read_bytes()


# -- the catalog


def test_every_flipped_bit_of_a_catalog_is_found_or_harmless(store_path: Path, tmp_path: Path) -> None:
    """DuckDB keeps a checksum of every block; where nothing lies, nothing is lost."""
    expected = look(store_path)
    size = (store_path / "catalog.duckdb").stat().st_size
    found = 0
    for number, place in enumerate(random.Random(1).sample(range(size), 12)):
        copy = Path(shutil.copytree(store_path, tmp_path / f"{number}.store"))
        flip(copy / "catalog.duckdb", place)
        if problems(copy):
            found += 1
        else:
            assert look(copy) == expected
    assert found >= 2


def catalog_with_damage(store: Path, word: str) -> None:
    """Damage the blocks of the catalog that hold a word."""
    path = store / "catalog.duckdb"
    data = path.read_bytes()
    assert word.encode() in data
    path.write_bytes(data.replace(word.encode(), bytes(letter ^ 0x40 for letter in word.encode())))


def test_what_lies_outside_the_damage_is_saved(tmp_path: Path, encoder: Path) -> None:
    """Failures lie in a table of their own: their loss touches no item."""
    source = tmp_path / "source"
    paint(source / "primary" / "red.png", (255, 0, 0))
    (source / "primary" / "unreadablefile.png").write_bytes(b"nothing of the kind")
    path = tmp_path / "my.store"
    FeatureStore.open(path, encoder).index(source, labels="folders")
    before = look(path)
    catalog_with_damage(path, "unreadablefile")
    with pytest.raises(StoreCorrupt, match="to see what can be saved: featurestore verify"):
        FeatureStore.open(path).failures()
    put_right(path, encoder, source)
    assert look(path) == before
    assert len(list((path / "damaged").iterdir())) == 1


def test_a_catalog_of_which_nothing_can_be_read_is_moved_aside_with_its_vectors(
    store_path: Path, encoder: Path, colours: Path
) -> None:
    (store_path / "catalog.duckdb").write_bytes(b"overwritten" * 50_000)
    vectors = vector_file(store_path).name
    with pytest.raises(StoreCorrupt):
        FeatureStore.open(store_path)
    [finding] = FeatureStore.verify(store_path, repair=True).findings
    assert (finding.place, finding.damage) == ("catalog.duckdb", True)
    assert "nothing of it could be read" in finding.repair
    aside = sorted(path.name.split("-", 3)[3] for path in (store_path / "damaged").iterdir())
    assert aside == [vectors, "catalog.duckdb"]
    assert FeatureStore.open(store_path, encoder).index(colours).added == 6


def test_a_catalog_that_is_missing_is_named(store_path: Path, encoder: Path, colours: Path) -> None:
    (store_path / "catalog.duckdb").unlink()
    assert problems(store_path) == ["catalog.duckdb: the file is missing"]
    FeatureStore.verify(store_path, repair=True)
    assert FeatureStore.open(store_path, encoder).index(colours).added == 6


ANOTHER_PATH = "UPDATE all_items SET path = (SELECT path FROM all_items WHERE id = 1) WHERE id = 2"
OF_NO_ITEM = "INSERT INTO vectors SELECT 99, encoder, row, sha256 FROM vectors WHERE row = 1"
SECOND_VECTOR = "INSERT INTO vectors SELECT item, encoder, 5, sha256 FROM vectors WHERE row = 0"


@pytest.mark.parametrize(
    ("statement", "problem", "encoded_again"),
    [
        pytest.param(ANOTHER_PATH, "1 items have the path of another", 1, marks=pytest.mark.slow),
        ("UPDATE all_items SET id = 1 WHERE id = 2", "1 items have the id of another", 2),
        ("UPDATE meta SET next_item = 3", "1 catalog would use an id twice", 0),
        (OF_NO_ITEM, "1 vectors belong to no item", 0),
        pytest.param(
            "UPDATE vectors SET row = 6 WHERE row = 1",
            "1 vectors belong to no encoder, or to a row that",
            1,
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "UPDATE vectors SET encoder = 'x' WHERE row = 1",
            "1 vectors belong to no encoder, or to a row that",
            1,
            marks=pytest.mark.slow,
        ),
        ("UPDATE vectors SET row = 2 WHERE row = 1", "1 rows belong to several items", 2),
        pytest.param(SECOND_VECTOR, "1 items have several vectors", 1, marks=pytest.mark.slow),
    ],
)
def test_rows_that_contradict_each_other_are_made_to_agree(
    store_path: Path, encoder: Path, colours: Path, statement: str, problem: str, encoded_again: int
) -> None:
    before = look(store_path)
    with duckdb.connect(str(store_path / "catalog.duckdb")) as opened:
        opened.execute(statement)
    findings = FeatureStore.verify(store_path, repair=True).findings
    assert any(finding.damage and problem in finding.problem for finding in findings)
    report = FeatureStore.open(store_path, encoder).index(colours, labels="folders")
    assert (report.added + report.updated, report.failed) == (encoded_again, 0)
    assert problems(store_path) == []
    after = look(store_path)
    assert {name: facts[1:] for name, facts in after.items()} == {name: facts[1:] for name, facts in before.items()}
    assert len({facts[0] for facts in after.values()}) == 6


LEAVES_A_LOG = """
import os, sys, duckdb
connection = duckdb.connect(sys.argv[1])
connection.execute("SET wal_autocheckpoint = '1TB'; UPDATE meta SET next_item = 3")
os._exit(0)
"""


def test_the_copy_kept_of_a_catalog_has_its_log(store_path: Path) -> None:
    catalog = store_path / "catalog.duckdb"
    subprocess.run([sys.executable, "-c", LEAVES_A_LOG, str(catalog)], check=True, timeout=60)
    assert Path(f"{catalog}.wal").exists()
    FeatureStore.verify(store_path, repair=True)
    copy, log = sorted((store_path / "damaged").iterdir())
    assert log.name == f"{copy.name}.wal"
    with duckdb.connect(str(copy)) as opened:
        assert opened.execute("SELECT next_item FROM meta").fetchall() == [(3,)]
    assert problems(store_path) == []


@pytest.fixture
def with_gaps(store_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A catalog in small row groups, of which the first rows were deleted."""
    monkeypatch.setattr(salvage, "ROW_GROUP", 2)
    FeatureStore.open(store_path).delete("id < 3")
    return store_path


def saved(store: Path, to: Path) -> tuple[dict[str, int], list[tuple[object, ...]]]:
    with duckdb.connect(str(to)) as new:
        lost = salvage.salvage(Database(store / "catalog.duckdb"), new)
        return lost, new.execute("SELECT id, label, sha256 FROM all_items ORDER BY id").fetchall()


def test_rows_behind_deleted_ones_are_saved(with_gaps: Path, tmp_path: Path) -> None:
    with duckdb.connect(str(with_gaps / "catalog.duckdb"), read_only=True) as old:
        expected = old.execute("SELECT id, label, sha256 FROM all_items ORDER BY id").fetchall()
    assert len(expected) == 4
    assert saved(with_gaps, tmp_path / "new.duckdb") == ({}, expected)


@pytest.mark.parametrize(
    ("column", "lost", "kept"),
    [
        ("label", "label in all_items", {(None, True)}),
        ("sha256", "sha256 in all_items", {("plain", True), ("primary", True)}),  # the vectors know it too
        pytest.param("path", "rows of all_items", set(), marks=pytest.mark.slow),
    ],
)
def test_what_is_lost_of_a_column_is_named(
    with_gaps: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, column: str, lost: str, kept: set[Any]
) -> None:
    read = salvage._column

    def damaged(old: Database, table: str, name: str, first: int) -> Any:
        return None if (table, name) == ("all_items", column) else read(old, table, name, first)

    monkeypatch.setattr(salvage, "_column", damaged)
    said, rows = saved(with_gaps, tmp_path / "new.duckdb")
    assert said == {lost: 4}
    assert {(label, sha256 is not None) for _, label, sha256 in rows} == kept


def test_a_catalog_of_another_duckdb_is_not_called_damaged(tmp_path: Path) -> None:
    """An error that says nothing of damage must never lead to a repair."""
    newer = "Trying to read a database file with version number 99, but we can only read version 69."
    for words, kind in ((newer, StoreError), ("Cannot open file: Too many open files", DiskError)):
        with pytest.raises(kind) as named, named_errors(tmp_path):
            raise duckdb.IOException(f"IO Error: {words}")
        assert type(named.value) is kind


# -- others


def test_repair_waits_for_the_writer(store_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("featurestore.system.lock.WAIT_SECONDS", 0.1)
    with Child(children.hold_writer_lock, store_path, 60.0) as child:
        assert child.hear() == "held"
        with pytest.raises(StoreBusy):
            FeatureStore.verify(store_path, repair=True)
        assert not FeatureStore.verify(store_path).damaged  # reading needs no lock


def test_a_store_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreNotFound):
        FeatureStore.verify(tmp_path / "absent.store")


@pytest.mark.parametrize("change", ["file = '../../secret.f16'", "fingerprint = '../../../secret'"])
def test_a_catalog_that_would_lead_out_of_the_store_is_refused(store_path: Path, change: str) -> None:
    with duckdb.connect(str(store_path / "catalog.duckdb")) as opened:
        opened.execute(f"UPDATE encoders SET {change}")
    with pytest.raises(StoreCorrupt, match="expected a SHA-256 and a file named after it"):
        FeatureStore.open(store_path).search(np.ones(12))
