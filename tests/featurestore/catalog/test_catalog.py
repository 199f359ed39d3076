"""The catalog: expressions and SQL of users, what is read and written, indexes and plans."""

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pytest

from featurestore.catalog import Batch, Catalog, FailedFile, IndexRecord, ItemChange
from featurestore.catalog import repair as upkeep
from featurestore.catalog.diff import FOUND, Diff, FileToIngest, Scope, files_to_ingest
from featurestore.catalog.user_sql import check_expression
from featurestore.errors import QueryError, StoreCorrupt
from featurestore.sources.formats import CONTAINER_SUFFIX
from featurestore.system.checksums import BlockChecksum
from featurestore.system.spool import Spool

ENCODER, OTHER = "e" * 64, "f" * 64


def item(number: int, row: int | None, label: str | None = None, split: str | None = None) -> ItemChange:
    return ItemChange(
        number,
        True,
        f"/p/{number}.png",
        label,
        split,
        10 * number,
        20,
        300,
        400,
        f"sha-{number}",
        row,
        "folder",
        "folder",
    )


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Items 1 to 4 of one encoder, with the rows 3, 2, 1, 0."""
    path = tmp_path_factory.mktemp("catalog") / "catalog.duckdb"
    made = Catalog(path)
    made.create()
    made.encoders.add(ENCODER, "name-e", 12, "{}")
    items = [item(1, 3, "rose"), item(2, 2, "rose", "test"), item(3, 1, "tulip"), item(4, 0)]
    made.changes.commit(ENCODER, Batch(items, [], [BlockChecksum(0, 4, "checksum")], next_item=5, rows=4))
    return path


@pytest.fixture
def filled(template: Path, tmp_path: Path) -> Catalog:
    return Catalog(Path(shutil.copy(template, tmp_path)))


# -- where


@pytest.mark.parametrize(
    ("where", "ids"),
    [
        ("label = 'rose'", [1, 2]),
        ("label = 'rose' AND split IS NULL OR width > 30", [1, 4]),
        ("TRUE", [1, 2, 3, 4]),
        ("FALSE", []),
        ("id IN (SELECT max(id) FROM items)", [4]),
        ("id IN (SELECT id FROM items ORDER BY width DESC LIMIT 2)", [3, 4]),
        ("EXISTS (SELECT 1 FROM items o WHERE o.label = items.label AND o.id <> items.id)", [1, 2]),
        ("path LIKE '%/3.png' -- a comment", [3]),
        ("/* a comment */ label IN ('tulip')", [3]),
        ("label = 'it''s) SELECT 1; SELECT 1 -- '", []),
        ("CASE WHEN width > 20 THEN label IS NULL ELSE split = 'test' END", [2, 4]),
        ("added_at < now()::TIMESTAMP + INTERVAL 1 DAY", [1, 2, 3, 4]),
        ("(label = 'rose') = FALSE", [3]),
    ],
)
def test_where_chooses_items_and_their_rows(filled: Catalog, where: str, ids: list[int]) -> None:
    assert filled.items.select(where).tolist() == ids
    rows = filled.items.select_rows(ENCODER, where)
    assert rows.tolist() == sorted(4 - number for number in ids)
    assert rows.dtype == np.int64


@pytest.mark.parametrize(
    "where",
    [
        "", "   ", "-- nothing", "1=1 UNION SELECT id FROM items", "1=1 UNION ALL SELECT 1", "1=1) UNION SELECT (1", "1=1 LIMIT 1", "1=1 OFFSET 2",
        "1=1 ORDER BY id", "1=1 GROUP BY id", "1=1 GROUP BY ALL", "1=1 HAVING count(*) > 0", "1=1 QUALIFY row_number() OVER () = 1",
        "1=1 USING SAMPLE 1", "1=1; SELECT 2", "1=1; DROP TABLE all_items", "'open", "(1=1", "1=1)", "/* open", "label = ", "SELECT 1",
    ],
)  # fmt: skip
def test_what_is_not_one_expression_is_refused(where: str) -> None:
    with pytest.raises(QueryError, match="expected one expression over the columns of items"):
        check_expression(where)


@pytest.mark.parametrize(
    "where",
    [
        "rose = 1", "label = rose", "label > 5 AND label::INT = 1", "nothing(label)", "'maybe'", "id = ?", "row = 1", "chosen.id = 1",
        "label = 'a' UNION SELECT 1", "1=1) SELECT 1 --",
    ],
)  # fmt: skip
def test_an_expression_that_does_not_hold_is_a_query_error(filled: Catalog, where: str) -> None:
    with pytest.raises(QueryError, match="where"):
        filled.items.select(where)
    with pytest.raises(QueryError, match="where"):
        filled.items.select_rows(ENCODER, where)


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        ("label = rose", r"there is no column rose; text stands in single quotes: did you mean 'rose'\? The columns of items are id, path, label, "),
        ('label = "rose"', "did you mean 'rose'"),
        ("widht > 3", r"there is no column widht; did you mean width\?"),
        ("label = 5", "Could not convert string .* to INT32.*; the columns of items are id BIGINT, path VARCHAR, "),
        ("id IN (SELECT a FROM b)", "Table with name b does not exist; the tables are items, vectors, encoders, failures$"),
    ],
)  # fmt: skip
def test_errors_of_sql_name_what_there_is(filled: Catalog, where: str, reason: str) -> None:
    for ask in (lambda: filled.items.select(where), lambda: filled.sql(f"SELECT id FROM items WHERE {where}", 5)):
        with pytest.raises(QueryError, match=reason) as caught:
            ask()
        assert "Error" not in str(caught.value)


ENDLESS = "(SELECT count(*) FROM range(1000000) a, range(1000000) b, range(1000000) c) > 0"


@pytest.mark.parametrize(
    "ask",
    [
        lambda catalog: catalog.items.select(ENDLESS, seconds=0.2),
        lambda catalog: catalog.items.select_rows(ENCODER, ENDLESS, seconds=0.2),
        lambda catalog: catalog.sql(f"SELECT {ENDLESS}", 0.2),
    ],
)
def test_what_takes_too_long_is_stopped(filled: Catalog, ask: Callable[[Catalog], object]) -> None:
    began = time.monotonic()
    with pytest.raises(QueryError, match=r"took more than 0\.2 s"):
        ask(filled)
    assert time.monotonic() - began < 5


# -- SQL


def test_sql_answers_in_arrow(filled: Catalog) -> None:
    table = filled.sql("SELECT label, count(*) AS n FROM items GROUP BY label ORDER BY n DESC, label", 5)
    assert table.to_pylist() == [{"label": "rose", "n": 2}, {"label": "tulip", "n": 1}, {"label": None, "n": 1}]


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM read_text('{secret}')", "SELECT * FROM read_csv('{secret}')", "SELECT * FROM '{secret}'", "SELECT * FROM glob('{folder}/*')",
        "SELECT * FROM sniff_csv('{secret}')", "SELECT * FROM read_blob('{secret}')",
        "COPY items TO '{folder}/out.csv'", "COPY (SELECT 1) TO '{folder}/out.parquet'", "EXPORT DATABASE '{folder}/out'", "ATTACH '{folder}/out.db'",
        "SET enable_external_access = true", "SET memory_limit = '100GB'", "RESET lock_configuration", "PRAGMA memory_limit = '100GB'",
        "INSTALL httpfs", "LOAD httpfs", "LOAD '{folder}/x.duckdb_extension'", "IMPORT DATABASE '{folder}'",
        "DELETE FROM all_items", "UPDATE all_items SET label = 'x'", "INSERT INTO meta VALUES (1, 1)", "DROP TABLE all_items", "CREATE TABLE t (a INT)",
        "SELECT 1; SELECT 2", "", "  ", "-- nothing", "SELEC 1", "SELECT * FROM nothing", "SELECT nothing FROM items", "SELECT ?",
        *(f"SELECT * FROM {variable}" for variable in ("text", "connection", "relation", "SETTINGS", "np")),
    ],
)  # fmt: skip
def test_sql_that_reads_files_or_writes_is_refused_and_nothing_happens(
    filled: Catalog, tmp_path: Path, text: str
) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("a,b\n1,2\n")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*")}
    with pytest.raises(QueryError, match="SQL"):
        filled.sql(text.format(secret=secret, folder=tmp_path), 5)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*")} == before
    assert filled.sql("SELECT count(*) AS n FROM items", 5).to_pylist() == [{"n": 4}]


# -- reading and writing


def test_contents_come_by_row(filled: Catalog) -> None:
    found = filled.items.of_encoder(ENCODER)
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
    items, every = filled.items, np.arange(4)
    assert items.at_rows(ENCODER, every).sort_by("row").to_pylist() == told
    assert items.by_id(ENCODER, np.array([3, 4, 99])).sort_by("row").to_pylist() == told[:2]
    assert items.at_rows(ENCODER, every[:0]).num_rows == 0
    assert items.at_rows(OTHER, every).num_rows == 0


def test_items_that_vanished_changed_or_were_deleted_are_no_hits(filled: Catalog) -> None:
    filled.encoders.add(OTHER, "name-f", 12, "{}")
    filled.changes.mark_removed(np.array([1]), [])
    changed = replace(item(2, None, "rose"), new=False, sha256="another")
    filled.changes.commit(ENCODER, Batch([changed], [], [], 5, 4))
    filled.deletions.delete(np.array([3]))
    assert filled.items.at_rows(ENCODER, np.arange(4))["id"].to_pylist() == [4]
    assert filled.items.by_id(ENCODER, np.arange(1, 5))["id"].to_pylist() == [4]
    assert filled.items.of_encoder(ENCODER).ids.tolist() == [4]
    assert filled.items.select_rows(ENCODER, "TRUE").tolist() == [0]
    assert filled.items.select_rows(OTHER, "TRUE").tolist() == []
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
    read = upkeep._column
    monkeypatch.setattr(
        upkeep, "_column", lambda old, table, *rest: None if table == "indexes" else read(old, table, *rest)
    )
    assert filled.repair.salvage(lambda: None) == {}
    assert (filled.indexes.all(), filled.items.counts()["items"]) == ([], 4)


# -- plans


def planned(
    catalog: Catalog, found: Spool, encoder: str = ENCODER, several: bool = False, by_folder: bool = False,
    claims: Sequence[Scope] = (), hidden: Sequence[str] = (),
) -> Diff:  # fmt: skip
    return catalog.changes.diff(encoder, found, several, by_folder, claims, hidden, CONTAINER_SUFFIX)


def listed(*files: tuple[str, str | None, int, int]) -> Spool:
    """Files found, in this order: path, label, size and time."""
    spool = Spool(FOUND)
    for place, (path, label, size, mtime_ns) in enumerate(files):
        spool.add((place, path, label, None, None, size, mtime_ns))
    return spool


def test_a_plan_holds_what_is_new_or_changed_in_the_order_of_the_files(filled: Catalog) -> None:
    found = listed(
        ("/p/9.png", "new", 1, 2),
        ("/p/4.png", None, 300, 400),
        ("/p/2.png", "rose", 300, 401),
        ("/p/1.png", "rose", 301, 400),
    )
    plan = planned(filled, found, claims=[Scope("/p/", False)])
    assert list(files_to_ingest(plan.todo)) == [
        FileToIngest("/p/9.png", "new", None, None, 1, 2, None, None, False, False, False),
        FileToIngest("/p/2.png", "rose", None, None, 300, 401, 2, "sha-2", False, True, False),
        FileToIngest("/p/1.png", "rose", None, None, 301, 400, 1, "sha-1", False, True, False),
    ]
    assert (plan.total, plan.next_item, plan.rows, plan.file) == (4, 5, 4, "eeeeeeeeeeeeeeee.f16")
    assert plan.removed.tolist() == [3]


def test_a_plan_by_folders_holds_unchanged_files_with_another_label(filled: Catalog) -> None:
    found = listed(("/p/1.png", "rose", 300, 400), ("/p/3.png", "lily", 300, 400))
    plan = planned(filled, found, by_folder=True)
    assert [(todo.path, todo.label, todo.unchanged) for todo in files_to_ingest(plan.todo)] == [
        ("/p/3.png", "lily", True)
    ]
    assert plan.removed.tolist() == []


def test_a_plan_for_an_encoder_without_vectors_holds_everything(filled: Catalog) -> None:
    filled.encoders.add(OTHER, "name-f", 12, "{}")
    plan = planned(filled, listed(("/p/1.png", None, 300, 400)), OTHER)
    assert [(todo.id, todo.sha256, todo.encoded) for todo in files_to_ingest(plan.todo)] == [(1, "sha-1", False)]


def test_a_plan_takes_a_file_of_several_sources_once(filled: Catalog) -> None:
    found = listed(("/p/8.png", "first", 1, 2), ("/p/7.png", None, 1, 2), ("/p/8.png", "second", 1, 2))
    plan = planned(filled, found, several=True)
    assert [(todo.path, todo.label) for todo in files_to_ingest(plan.todo)] == [
        ("/p/8.png", "first"),
        ("/p/7.png", None),
    ]
    assert plan.total == 2


def test_what_lies_in_a_hidden_place_has_not_vanished(filled: Catalog) -> None:
    filled.changes.commit(
        ENCODER, Batch([], [FailedFile(path, "cut off", True) for path in ("/p/sub/1.png", "/p/subway.png")], [], 5, 4)
    )
    plan = planned(
        filled, listed(("/p/1.png", None, 300, 400)), claims=[Scope("/p/", False)], hidden=["/p/sub", "/p/2.png"]
    )
    assert plan.removed.tolist() == [3, 4]
    assert plan.gone_failures == ["/p/subway.png"]


def test_a_folder_does_not_claim_what_lies_in_its_containers(filled: Catalog) -> None:
    inside = [
        ItemChange(n, True, path, None, None, 1, 1, 1, 1, f"sha-{n}", None)
        for n, path in ((5, "/p/a.tar::1.png"), (6, "/p/b.TAR::2.png"))
    ]
    filled.changes.commit(ENCODER, Batch(inside, [], [], 7, 4))
    for prefix, within, gone in (("/p/", False, [2, 3, 4]), ("/p/a.tar::", True, [5]), ("/p/", True, [5, 6])):
        plan = planned(filled, listed(("/p/1.png", None, 300, 400)), claims=[Scope(prefix, within)])
        assert plan.removed.tolist() == gone


def test_what_is_there_stays_when_it_is_created_or_added_again(filled: Catalog) -> None:
    filled.create()
    assert filled.items.counts()["items"] == 4
    filled.encoders.add(ENCODER, "another name", 7, "{}")
    [record] = filled.encoders.all()
    assert (record.name, record.dim, record.rows) == ("name-e", 12, 4)
