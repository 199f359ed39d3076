"""Numbers in a catalog that featurestore never writes: `verify` names each in one line, and its repair leaves a store that works."""

import hashlib
import tracemalloc
from pathlib import Path

import duckdb
import pytest

from featurestore import FeatureStore
from featurestore.storage.vectors import VectorFile
from featurestore.system.checksums import BlockChecksum
from tests.featurestore.commands import Run

HUGE = 1 << 40
MOVED = "UPDATE all_items SET id = {0} WHERE id = 2; UPDATE vectors SET item = {0} WHERE item = 2"
ODD_ID, CARD, BLOCKS = (
    "an id that is never given",
    "of another length than their card says",
    "blocks are damaged or missing",
)
KEPT = {  # what the maker of the catalog ran, and what `verify` names: vectors are kept
    "UPDATE encoders SET dim = 2000000000": CARD,
    "UPDATE encoders SET dim = 2147483647": CARD,
    "UPDATE encoders SET dim = 11": CARD,
    "UPDATE encoders SET dim = 1": CARD,
    **{MOVED.format(number): ODD_ID for number in (-(2**63), -5, 0, HUGE, 2**63 - 1)},
    f"{MOVED.format(-5)}; {MOVED.format(2**63 - 1).replace('= 2', '= 3')}; UPDATE meta SET next_item = {HUGE}": "2 items have an id",
}
LOST = {  # or some are encoded again
    f"UPDATE encoders SET rows = {HUGE}": "checksums do not cover",
    f"UPDATE encoders SET rows = {HUGE}; UPDATE blocks SET rows = {HUGE}": BLOCKS,
    "UPDATE encoders SET dim = 2147483647, card = replace(card, '\"dim\": 12', '\"dim\": 2147483647')": BLOCKS,
    f"UPDATE all_items SET id = {2**63 - 1} WHERE id = 2": ODD_ID,
    f"UPDATE vectors SET item = {2**63 - 1} WHERE item = 2": "belong to no item",
    "UPDATE vectors SET item = NULL WHERE item = 2": "belong to no item",
    "UPDATE vectors SET row = NULL WHERE item = 2": "a row that the encoder's file does not have",
    f"UPDATE vectors SET row = {2**63 - 1} WHERE item = 2": "a row that the encoder's file does not have",
    f"UPDATE all_items SET id = {2**63 - 1} WHERE id IN (2, 3)": "2 items have an id",
}


QUICK = (0, 6, 9, 11, 17)


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        case if n in QUICK else pytest.param(*case, marks=pytest.mark.slow)
        for n, case in enumerate((*KEPT.items(), *LOST.items()))
    ],
)
def test_an_odd_number_is_named_and_repaired(store_path: Path, colours: Path, run: Run, sql: str, named: str) -> None:
    with duckdb.connect(str(store_path / "catalog.duckdb")) as maker:
        maker.execute(sql)
    for command, status in ((["verify"], 1), (["verify", "--repair"], 0), (["verify"], 0)):
        code, out, err = run(command[0], store_path, *command[1:])
        assert (code, "Traceback" in err) == (status, False), (command, out, err)
        assert named in out or (command == ["verify"] and status == 0)
    if "card" in sql:  # no file says more than the card
        return
    report = FeatureStore.open(store_path).index(colours)
    assert (report.unchanged if sql in KEPT else report.unchanged + report.added) == 6
    assert len(FeatureStore.open(store_path).search(colours / "mixed" / "cyan.png", k=6, exact=True)) == 5
    with duckdb.connect(str(store_path / "catalog.duckdb"), read_only=True) as catalog:
        assert catalog.execute(f"SELECT count(*) FROM items WHERE id BETWEEN 1 AND {HUGE}").fetchall() == [(6,)]


def test_a_block_takes_little_memory_however_long_it_is(tmp_path: Path) -> None:
    """A file with a hole takes no room on the disk."""
    with (tmp_path / "hole.f16").open("wb") as file:
        file.truncate(1 << 27)
    holes, none = VectorFile(tmp_path / "hole.f16", 1 << 26), VectorFile(tmp_path / "hole.f16", 2**31 - 1)
    tracemalloc.start()
    [block] = holes.checksums(1)
    assert holes.damaged([block]) == []
    endless = [BlockChecksum(first, HUGE, block.sha256) for first in (0, HUGE)]
    assert none.damaged(endless) == endless
    assert tracemalloc.get_traced_memory()[1] < 1 << 26
    tracemalloc.stop()
    assert block.sha256 == hashlib.sha256(bytes(1 << 27)).hexdigest()
