"""Power cuts: what was not flushed is lost, in the worst order that a disk may choose. What was committed stays, and `--repair` saves the rest."""

import shutil
from functools import partial
from pathlib import Path

import duckdb
import pytest

from featurestore import FeatureStore
from featurestore.errors import StoreCorrupt
from tests.featurestore.attacks.power import PowerCuts, replaced
from tests.featurestore.commands import Run
from tests.featurestore.life import STEPS, Life, look

# -- DuckDB's log


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory, indexed: Path) -> tuple[bytes, bytes, list[int]]:
    """The catalog of the shared store, a log beside it with three transactions, and the length of the log after each."""
    catalog = tmp_path_factory.mktemp("logged") / "catalog.duckdb"
    shutil.copy(indexed / "catalog.duckdb", catalog)
    ends = [0]
    with duckdb.connect(str(catalog)) as connection:
        connection.execute("PRAGMA disable_checkpoint_on_shutdown")
        for number in (1, 2, 3):
            connection.execute(
                f"BEGIN; UPDATE all_items SET label = 'v{number}'; UPDATE encoders SET name = 'v{number}'; COMMIT"
            )
            ends.append(Path(f"{catalog}.wal").stat().st_size)
    return catalog.read_bytes(), Path(f"{catalog}.wal").read_bytes(), ends


def put_log(store: Path, catalog: bytes, log: bytes) -> Path:
    (store / "catalog.duckdb").write_bytes(catalog)
    (store / "catalog.duckdb.wal").write_bytes(log)
    return store


def labels(store: Path) -> set[tuple[str, str]]:
    """What the last transaction that counts has set: a label and the name of the encoder."""
    rows = FeatureStore.open(store).sql("SELECT DISTINCT label, e.name FROM items, encoders e").to_pylist()
    return {(row["label"], row["name"]) for row in rows}


def expected(indexed: Path, ends: list[int], length: int) -> set[tuple[str, str]]:
    done = max(n for n, end in enumerate(ends) if end <= length)
    return {(f"v{done}", f"v{done}")} if done else labels(indexed)


@pytest.mark.slow
def test_a_log_without_its_end_counts_up_to_its_last_whole_transaction(
    store_path: Path, indexed: Path, logged: tuple[bytes, bytes, list[int]]
) -> None:
    catalog, log, ends = logged
    for length in range(0, len(log) + 1, 41):
        put_log(store_path, catalog, log[:length])
        assert labels(store_path) == expected(indexed, ends, length)


def damaged_logs(log: bytes) -> list[tuple[int, bytes]]:
    """Logs that are damaged from a place on: the end is zero, or one byte is another. Not in the sizes of entries, which are read as an end."""
    zeros = [(n, log[:n] + bytes(len(log) - n)) for n in range(37, len(log), 149)]
    flips = [(n, log[:n] + bytes([log[n] ^ 0x10]) + log[n + 1 :]) for n in range(61, len(log), 173)]
    return zeros + flips


@pytest.mark.parametrize("chosen", [slice(3, 4), pytest.param(slice(None), marks=pytest.mark.slow)])
def test_a_damaged_log_costs_what_comes_after_the_damage_and_no_more(
    store_path: Path,
    indexed: Path,
    logged: tuple[bytes, bytes, list[int]],
    run: Run,
    encoder: Path,
    colours: Path,
    chosen: slice,
) -> None:
    catalog, log, ends = logged
    named = 0
    for place, data in damaged_logs(log)[chosen]:
        put_log(store_path, catalog, data)
        try:
            assert labels(store_path) == expected(indexed, ends, place)  # it looks like a log without its end
        except StoreCorrupt:
            named += 1
            assert run("search", store_path, "1")[0] == 1
            status, out, _ = run("verify", store_path, "--repair")
            assert status == 0, out
            assert "catalog.duckdb.wal" in out
            assert labels(store_path) == expected(indexed, ends, place)
            assert any(path.read_bytes() == data for path in (store_path / "damaged").iterdir())
        assert not FeatureStore.verify(store_path).damaged
        assert FeatureStore.open(store_path, encoder).index(colours).unchanged == 6
        shutil.rmtree(store_path / "damaged", ignore_errors=True)
    assert named >= 1


# -- a whole life

SAMPLED = 5  # one cut of so many; with 1 it takes minutes
WATCHED = tuple(step for step in STEPS if step != "import")  # which writes to another store, as `index` does


@pytest.mark.slow
def test_a_power_cut_at_any_flush_loses_nothing_that_was_committed(
    tmp_path: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    life = Life(tmp_path, encoder)
    life.small(monkeypatch.setattr)
    power = PowerCuts(life.store, lambda: look(life.store))
    tried = 0
    for step in WATCHED:
        life.prepare(step)
        cuts = power.during(partial(life.take, step))
        after = look(life.store)
        for cut in cuts[::SAMPLED]:
            with replaced(life.store, cut.leave):
                if (life.store / "catalog.duckdb").exists():
                    assert look(life.store) == (power.committed[cut.commits] or {}), (step, cut.moment)
                    found = FeatureStore.verify(life.store)
                    assert [f for f in found.findings if f.damage] == [], (step, cut.moment)
                else:
                    assert cut.commits == 0, (step, cut.moment)
                life.take(step)
                assert look(life.store) == after, (step, cut.moment)
                assert not FeatureStore.verify(life.store).damaged
            tried += 1
    power.close()
    assert tried >= 200 // SAMPLED
