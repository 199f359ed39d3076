"""Deleting items, and rewriting a store without what nobody needs."""

from pathlib import Path

import duckdb
import numpy as np
import pytest

from featurestore import FeatureStore
from featurestore.errors import DiskError, QueryError, StoreCorrupt
from tests.featurestore.fakes import COLOURS, paint
from tests.featurestore.life import look


def vector_files(store: FeatureStore) -> dict[str, int]:
    return {path.name: path.stat().st_size // 24 for path in (store.path / "vectors").iterdir()}


@pytest.fixture
def grown(tmp_path: Path, encoder: Path) -> tuple[FeatureStore, Path]:
    """Six pictures, of which one has changed and one is gone: six rows, of which four count, and one more."""
    source = tmp_path / "source"
    for name, colour in COLOURS.items():
        paint(source / f"{name}.png", colour)
    store = FeatureStore.open(tmp_path / "my.store", encoder)
    store.index(source)
    paint(source / "red.png", (128, 0, 0), (0, 0, 0), (0, 0, 0), (0, 0, 0))
    (source / "white.png").unlink()
    store.index(source)
    return store, source


# -- delete


def test_deleted_items_are_gone_and_come_back_as_new_ones_when_asked_for(store: FeatureStore, colours: Path) -> None:
    assert store.delete("label = 'mixed'", dry_run=True) == 2
    assert store.delete("label = 'mixed'") == 2
    assert sorted(store.search(6, k=10).ids.tolist()) == [3, 4, 5]
    assert store.sql("SELECT count(*) AS n FROM all_items").to_pylist() == [{"n": 4}]
    assert store.info()["removed"] == 0
    assert store.delete("label = 'mixed'") == 0
    report = store.index(colours, labels="folders", include_deleted=True)
    assert (report.added, report.unchanged) == (2, 4)
    found = look(store.path)
    assert (found["cyan.png"][0], found["yellow.png"][0]) == (7, 8)
    assert found["cyan.png"][5] == pytest.approx(np.tile([0, 1, 1], 4) / np.sqrt(8), abs=1e-3)


def test_what_vanished_can_be_deleted(grown: tuple[FeatureStore, Path]) -> None:
    store, _ = grown
    assert store.delete("removed_at IS NOT NULL") == 1
    assert store.sql("SELECT count(*) AS n FROM all_items").to_pylist() == [{"n": 5}]


def test_a_where_that_is_no_expression_deletes_nothing(store: FeatureStore) -> None:
    for where in ("", "1=1; DROP TABLE all_items", "1=1) OR (1=1", "read_text('/etc/hostname') IS NOT NULL"):
        with pytest.raises(QueryError):
            store.delete(where)
    assert store.info()["items"] == 6


# -- optimize


def test_rows_that_nobody_needs_are_left_out(grown: tuple[FeatureStore, Path]) -> None:
    store, source = grown
    before = look(store.path)
    [(old, rows)] = vector_files(store).items()
    assert rows == 7
    report = store.optimize()
    assert (report.kept, report.dropped) == (5, 2)
    assert vector_files(store) == {old.replace(".f16", "-2.f16"): 5}
    again = store.optimize()
    assert (again.kept, again.dropped) == (5, 0)
    assert vector_files(store) == {old.replace(".f16", "-2.f16"): 5}
    assert look(store.path) == before
    assert not FeatureStore.verify(store.path).findings
    assert [hit["id"] for hit in store.search(int(before["red.png"][0]), k=9).to_json()]
    assert store.index(source).unchanged == 5


def test_indexing_goes_on_after_optimizing(grown: tuple[FeatureStore, Path], encoder: Path) -> None:
    store, source = grown
    for turn in range(3):
        paint(source / "blue.png", (turn, 40, 200))
        paint(source / f"new{turn}.png", (turn, 200, 40))
        assert FeatureStore.open(store.path, encoder).index(source).updated == 1
        assert FeatureStore.open(store.path).optimize().dropped == 1 + 2 * (turn == 0)
    assert list(vector_files(store)) == [f"{store.info()['encoders'][0]['fingerprint'][:16]}-4.f16"]
    assert list(vector_files(store).values()) == [8]
    assert not FeatureStore.verify(store.path).findings


def test_what_vanished_and_was_optimized_away_is_encoded_when_it_comes_back(grown: tuple[FeatureStore, Path]) -> None:
    store, source = grown
    number = look(store.path)["white.png"][0]
    store.optimize()
    paint(source / "white.png", (255, 255, 255))
    assert store.index(source).added == 1
    found = look(store.path)["white.png"]
    assert (found[0], found[4]) == (number, True)
    assert found[5] == pytest.approx([12**-0.5] * 12, abs=1e-3)


def test_each_encoder_has_its_own_rows(store: FeatureStore, colours: Path, other_encoder: Path, tmp_path: Path) -> None:
    both = FeatureStore.open(store.path, other_encoder)
    both.index(colours)
    both.delete("id = 2")
    assert both.optimize().dropped == 2
    assert list(vector_files(both).values()) == [5, 5]
    for record in both.info()["encoders"]:
        assert sorted(both.search(6, k=9, encoder=record["name"]).ids.tolist()) == [1, 3, 4, 5]


@pytest.mark.parametrize("without_checksums", [False, True])
def test_vectors_that_may_be_damaged_are_not_copied(grown: tuple[FeatureStore, Path], without_checksums: bool) -> None:
    store, _ = grown
    [path] = (store.path / "vectors").iterdir()
    data = bytearray(path.read_bytes())
    if without_checksums:
        with duckdb.connect(str(store.path / "catalog.duckdb")) as connection:
            connection.execute("DELETE FROM blocks")
    else:
        data[3] ^= 1
        path.write_bytes(data)
    advice = r"does not match its checksums; nothing was changed; repair it first: featurestore verify .* --repair"
    with pytest.raises(StoreCorrupt, match=advice):
        store.optimize()
    assert path.read_bytes() == data
    assert list((store.path / "vectors").iterdir()) == [path]


def test_without_room_all_stays_as_it_was(grown: tuple[FeatureStore, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    store, _ = grown
    before, files = look(store.path), vector_files(store)

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("featurestore.system.disk.os.fsync", full)
    with pytest.raises(DiskError, match="nothing was changed: free some space"):
        store.optimize()
    assert (look(store.path), vector_files(store)) == (before, files)


def test_what_dead_runs_left_is_taken_away(grown: tuple[FeatureStore, Path]) -> None:
    store, _ = grown
    fingerprint = store.info()["encoders"][0]["fingerprint"][:16]
    left = (
        f"vectors/{fingerprint}-9.f16",
        f"vectors/{fingerprint}-3.f16.part",
        "encoders/x.part",
        "catalog.duckdb.part",
    )
    for name in left:
        (store.path / name).write_bytes(b"left")
    (store.path / "vectors" / "0123456789abcdef.f16").write_bytes(b"of another store")
    report = FeatureStore.verify(store.path)
    assert [finding.damage for finding in report.findings] == [False] * 4 + [True]
    store.optimize()
    assert sorted(vector_files(store)) == ["0123456789abcdef.f16", f"{fingerprint}-2.f16"]
    assert not list(store.path.rglob("*.part"))
