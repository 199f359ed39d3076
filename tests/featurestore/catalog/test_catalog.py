"""The catalog: what is read and written, and indexes."""

from dataclasses import replace

import duckdb
import numpy as np
import pytest

from featurestore.catalog import Batch, Catalog, IndexRecord, salvage
from featurestore.errors import StoreCorrupt
from featurestore.system.checksums import BlockChecksum
from tests.featurestore.catalog.items import CARD, ENCODER, OTHER, item

# -- reading and writing


def test_contents_come_by_row(filled: Catalog) -> None:
    found = filled.encoded.of_encoder(ENCODER)
    assert (found.rows.tolist(), found.ids.tolist()) == ([0, 1, 2, 3], [4, 3, 2, 1])
    assert found.paths.to_pylist() == ["/p/4.png", "/p/3.png", "/p/2.png", "/p/1.png"]
    assert found.labels.to_pylist() == [None, "tulip", "rose", "rose"]
    assert found.splits.to_pylist() == [None, None, "test", None]
    assert (found.encoder.rows, found.encoder.file) == (4, "eeeeeeeeeeeeeeee.f16")


def test_hits_are_told_by_row_or_id(filled: Catalog) -> None:
    told = [
        {"row": 4 - number, "id": number, "path": f"/p/{number}.png", "label": label, "labels": None}
        for number, label in ((4, None), (3, "tulip"), (2, "rose"), (1, "rose"))
    ]
    items, every = filled.encoded, np.arange(4)
    assert items.at_rows(ENCODER, every).sort_by("row").to_pylist() == told
    assert items.by_id(ENCODER, np.array([3, 4, 99])).sort_by("row").to_pylist() == told[:2]
    assert items.at_rows(ENCODER, every[:0]).num_rows == 0
    assert items.at_rows(OTHER, every).num_rows == 0


def test_items_that_vanished_changed_or_were_deleted_are_no_hits(filled: Catalog) -> None:
    filled.encoders.add(OTHER, "name-f", 12, CARD)
    filled.changes.mark_removed(np.array([1]), [])
    changed = replace(item(2, None, "rose"), new=False, sha256="another")
    filled.changes.commit(ENCODER, Batch([changed], [], [], 5, 4))
    filled.deletions.delete(np.array([3]))
    assert filled.encoded.at_rows(ENCODER, np.arange(4))["id"].to_pylist() == [4]
    assert filled.encoded.by_id(ENCODER, np.arange(1, 5))["id"].to_pylist() == [4]
    assert filled.encoded.of_encoder(ENCODER).ids.tolist() == [4]
    assert filled.encoded.select_rows(ENCODER, "TRUE").tolist() == [0]
    assert filled.encoded.select_rows(OTHER, "TRUE").tolist() == []
    assert filled.sql("SELECT item FROM vectors WHERE item = 3", 5).num_rows == 0


# -- indexes


def an_index(encoder: str = ENCODER, generation: int = 1, rows: int = 4) -> IndexRecord:
    name = encoder[:16]
    return IndexRecord(
        encoder, generation, f"{name}-{generation}.faiss", f"{name}.f16", rows, 99, "0" * 64, {"lists": 7}
    )


def test_every_encoder_has_at_most_one_index_which_is_told_as_it_was_published(filled: Catalog) -> None:
    assert filled.indexes.all() == []
    newer = an_index(generation=2)
    for index in (an_index(), an_index(OTHER), newer):
        filled.indexes.publish(index)
    filled.rewrite()
    assert filled.indexes.all() == [newer, an_index(OTHER)]
    for _ in range(2):
        filled.indexes.drop(OTHER)
        assert filled.indexes.all() == [newer]


def test_another_vector_file_takes_the_index_away(filled: Catalog) -> None:
    filled.indexes.publish(an_index())
    filled.indexes.publish(an_index(OTHER))
    block = BlockChecksum(0, 1, "sum")
    filled.encoders.publish_vectors(ENCODER, f"{ENCODER[:16]}-2.f16", np.array([1]), np.array([3]), [block])
    assert filled.indexes.all() == [an_index(OTHER)]


def with_index(catalog: Catalog, statement: str) -> None:
    """Publish an index, and change what the catalog says of it."""
    catalog.indexes.publish(an_index())
    with duckdb.connect(str(catalog.path)) as opened:
        opened.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE indexes SET encoder = repeat('d', 64), file = repeat('d', 16) || '-1.faiss', vectors = repeat('d', 16) || '.f16'",
        *(f"UPDATE indexes SET rows = {rows}" for rows in (5, 0, "NULL")),
        "UPDATE indexes SET vectors = encoder[:16] || '-2.f16'",
        "UPDATE indexes SET card = '{'",
        "UPDATE indexes SET file = '../../secret.faiss'",
        "INSERT INTO indexes SELECT * FROM indexes",
    ],
)
def test_an_index_that_cannot_be_right_is_dropped(filled: Catalog, statement: str) -> None:
    with_index(filled, statement)
    [text] = filled.repair.contradictions()
    assert " indexes belong to no encoder, to another vector file, or to more rows than the file has;" in text
    filled.repair.resolve_contradictions()
    assert (filled.repair.contradictions(), filled.indexes.all()) == ([], [])
    assert filled.items.counts()["items"] == 4


@pytest.mark.parametrize(
    "change",
    ["file = '../../secret.faiss'", "vectors = '/etc/passwd'", "encoder = '../x'", f"file = '{'a' * 16}-1.faiss'"],
)
def test_an_index_that_would_lead_out_of_the_store_is_refused(filled: Catalog, change: str) -> None:
    with_index(filled, f"UPDATE indexes SET {change}")
    with pytest.raises(StoreCorrupt, match=r"names an index .* verify STORE --repair"):
        filled.indexes.all()


def test_salvage_saves_indexes_and_names_none_as_lost(filled: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    filled.indexes.publish(an_index())
    assert filled.repair.salvage(lambda: None) == {}
    assert filled.indexes.all() == [an_index()]
    read = salvage._column
    monkeypatch.setattr(
        salvage, "_column", lambda old, table, *rest: None if table == "indexes" else read(old, table, *rest)
    )
    assert filled.repair.salvage(lambda: None) == {}
    assert (filled.indexes.all(), filled.items.counts()["items"]) == ([], 4)


def test_what_is_there_stays_when_it_is_created_or_added_again(filled: Catalog) -> None:
    filled.create()
    assert filled.items.counts()["items"] == 4
    filled.encoders.add(ENCODER, "another name", 7, CARD)
    [record] = filled.encoders.all()
    assert (record.name, record.dim, record.rows) == ("name-e", 12, 4)
