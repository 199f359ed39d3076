"""The catalog: expressions and SQL of users, what is read and written, indexes and plans."""

import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from featurestore.catalog import Batch, Catalog, FailedFile, IndexRecord, ItemChange
from featurestore.catalog import repair as upkeep
from featurestore.catalog.diff import FOUND, Diff, FileToIngest, Scope
from featurestore.catalog.user_sql import check_expression
from featurestore.errors import QueryError, StoreCorrupt
from featurestore.sources.formats import CONTAINER_SUFFIX
from featurestore.system.checksums import BlockChecksum
from featurestore.system.spool import Spool

ENCODER, OTHER = "e" * 64, "f" * 64


def item(number: int, row: int | None, label: str | None = None, split: str | None = None) -> ItemChange:
    return ItemChange(number, True, f"/p/{number}.png", label, split, 10 * number, 20, 300, 400, f"sha-{number}", row)


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
        ("id IN (SELECT max(id) FROM items)", [4]),
        ("id IN (SELECT id FROM items ORDER BY width DESC LIMIT 2)", [3, 4]),
        ("EXISTS (SELECT 1 FROM items o WHERE o.label = items.label AND o.id <> items.id)", [1, 2]),
        ("path LIKE '%/3.png' -- a comment", [3]),
        ("/* a comment */ label IN ('tulip')", [3]),
        ("label = 'it''s; SELECT 1 -- '", []),
        ("CASE WHEN width > 20 THEN label IS NULL ELSE split = 'test' END", [2, 4]),
        ("added_at < now()::TIMESTAMP + INTERVAL 1 DAY", [1, 2, 3, 4]),
        ("(label = 'rose') = FALSE", [3]),
    ],
)
def test_where_chooses_items(filled: Catalog, where: str, ids: list[int]) -> None:
    assert filled.items.select(where).tolist() == ids


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
    "where", ["rose = 1", "label = rose", "label > 5 AND label::INT = 1", "nothing(label)", "'maybe'"]
)
def test_an_expression_that_does_not_hold_is_a_query_error(filled: Catalog, where: str) -> None:
    with pytest.raises(QueryError, match="where"):
        filled.items.select(where)


@pytest.mark.parametrize(
    ("where", "rows"),
    [
        ("label = 'rose'", [2, 3]),
        ("TRUE", [0, 1, 2, 3]),
        ("FALSE", []),
        ("label = 'rose' OR split IS NULL -- a comment", [0, 1, 2, 3]),
        ("EXISTS (SELECT 1 FROM items o WHERE o.label = items.label AND o.id <> items.id)", [2, 3]),
        ("label = 'it''s) SELECT 1 -- '", []),
    ],
)
def test_where_allows_rows(filled: Catalog, where: str, rows: list[int]) -> None:
    found = filled.items.select_rows(ENCODER, where)
    assert found.tolist() == rows
    assert found.dtype == np.int64


def test_only_rows_that_are_valid_are_allowed(filled: Catalog) -> None:
    filled.encoders.add(OTHER, "name-f", 12, "{}")
    filled.changes.mark_removed(np.array([1]), [])
    changed = replace(item(2, None, "rose"), new=False, sha256="another")
    filled.changes.commit(ENCODER, Batch([changed], [], [], 5, 4))
    assert filled.items.select_rows(ENCODER, "TRUE").tolist() == [0, 1]
    assert filled.items.select_rows(OTHER, "TRUE").tolist() == []


@pytest.mark.parametrize(
    "where", ["label = 'a' UNION SELECT 1", "1=1) SELECT 1 --", "id = ?", "row = 1", "chosen.id = 1"]
)
def test_rows_are_allowed_by_one_expression_over_items_only(filled: Catalog, where: str) -> None:
    with pytest.raises(QueryError, match="where"):
        filled.items.select_rows(ENCODER, where)


def test_a_where_that_takes_too_long_is_stopped(filled: Catalog) -> None:
    began = time.monotonic()
    with pytest.raises(QueryError, match=r"took more than 0\.2 s"):
        filled.items.select("(SELECT count(*) FROM range(1000000) a, range(1000000) b) > 0", seconds=0.2)
    with pytest.raises(QueryError, match=r"took more than 0\.2 s"):
        filled.items.select_rows(ENCODER, "(SELECT count(*) FROM range(1000000) a, range(1000000) b) > 0", seconds=0.2)
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


def test_sql_sees_no_variable_of_this_program(filled: Catalog) -> None:
    for name in ("text", "connection", "relation", "SETTINGS", "np"):
        with pytest.raises(QueryError, match="SQL"):
            filled.sql(f"SELECT * FROM {name}", 5)


def test_sql_that_never_ends_is_stopped(filled: Catalog) -> None:
    began = time.monotonic()
    with pytest.raises(QueryError, match=r"took more than 0\.2 s"):
        filled.sql("SELECT count(*) FROM range(1000000) a, range(1000000) b, range(1000000) c", 0.2)
    assert time.monotonic() - began < 5


def test_a_refused_query_leaves_the_catalog_usable(filled: Catalog) -> None:
    with pytest.raises(QueryError):
        filled.sql("SELEC", 5)
    assert filled.sql("SELECT count(*) AS n FROM items", 5).to_pylist() == [{"n": 4}]


# -- reading and writing


def test_contents_come_by_row(filled: Catalog) -> None:
    found = filled.items.of_encoder(ENCODER)
    assert (found.rows.tolist(), found.ids.tolist()) == ([0, 1, 2, 3], [4, 3, 2, 1])
    assert found.paths.to_pylist() == ["/p/4.png", "/p/3.png", "/p/2.png", "/p/1.png"]
    assert found.labels.to_pylist() == [None, "tulip", "rose", "rose"]
    assert found.splits.to_pylist() == [None, None, "test", None]
    assert (found.encoder.rows, found.encoder.file) == (4, "eeeeeeeeeeeeeeee.f16")


def by_row(table: pa.Table) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = table.sort_by("row").to_pylist()
    return rows


def test_hits_are_told_by_row(filled: Catalog) -> None:
    assert by_row(filled.items.at_rows(ENCODER, np.array([3, 1]))) == [
        {"row": 1, "id": 3, "path": "/p/3.png", "label": "tulip"},
        {"row": 3, "id": 1, "path": "/p/1.png", "label": "rose"},
    ]
    assert filled.items.at_rows(ENCODER, np.array([], np.int64)).num_rows == 0
    assert filled.items.at_rows(OTHER, np.array([0, 1, 2, 3])).num_rows == 0


def test_rows_are_told_by_id(filled: Catalog) -> None:
    assert by_row(filled.items.by_id(ENCODER, np.array([2, 4, 99]))) == [
        {"row": 0, "id": 4, "path": "/p/4.png", "label": None},
        {"row": 2, "id": 2, "path": "/p/2.png", "label": "rose"},
    ]


def test_items_that_vanished_changed_or_were_deleted_are_no_hits(filled: Catalog) -> None:
    filled.changes.mark_removed(np.array([1]), [])
    changed = replace(item(2, None, "rose"), new=False, sha256="another")
    filled.changes.commit(ENCODER, Batch([changed], [], [], 5, 4))
    filled.items.delete(np.array([3]))
    every = np.arange(4)
    assert filled.items.at_rows(ENCODER, every)["id"].to_pylist() == [4]
    assert filled.items.by_id(ENCODER, every + 1)["id"].to_pylist() == [4]


# -- indexes


def an_index(encoder: str = ENCODER, generation: int = 1, rows: int = 4) -> IndexRecord:
    name = encoder[:16]
    return IndexRecord(
        encoder, generation, f"{name}-{generation}.faiss", f"{name}.f16", rows, 99, "0" * 64, {"lists": 7}
    )


def test_an_index_is_told_as_it_was_published(filled: Catalog) -> None:
    assert filled.indexes.all() == []
    filled.indexes.publish(an_index())
    assert filled.indexes.all() == [an_index()]
    filled.indexes.publish(an_index(generation=2))
    assert filled.indexes.all() == [an_index(generation=2)]


def test_every_encoder_has_an_index_of_its_own(filled: Catalog) -> None:
    filled.indexes.publish(an_index())
    filled.indexes.publish(an_index(OTHER))
    filled.indexes.drop(ENCODER)
    filled.indexes.drop(ENCODER)
    assert filled.indexes.all() == [an_index(OTHER)]


def test_another_vector_file_takes_the_index_away(filled: Catalog) -> None:
    filled.indexes.publish(an_index())
    filled.indexes.publish(an_index(OTHER))
    filled.encoders.publish_vectors(
        ENCODER, f"{ENCODER[:16]}-2.f16", np.array([1]), np.array([3]), [BlockChecksum(0, 1, "sum")]
    )
    assert filled.indexes.all() == [an_index(OTHER)]


def test_an_index_outlives_a_new_catalog(filled: Catalog) -> None:
    filled.indexes.publish(an_index())
    filled.rewrite()
    assert filled.indexes.all() == [an_index()]


@pytest.mark.parametrize(
    "change",
    [
        "encoder = repeat('d', 64), file = repeat('d', 16) || '-1.faiss', vectors = repeat('d', 16) || '.f16'",
        "rows = 5",
        "rows = 0",
        "rows = NULL",
        f"vectors = '{ENCODER[:16]}-2.f16'",
        "card = '{'",
        "file = '../../secret.faiss'",
    ],
)
def test_an_index_that_cannot_be_right_is_dropped(filled: Catalog, change: str) -> None:
    filled.indexes.publish(an_index())
    assert filled.repair.contradictions() == []
    with duckdb.connect(str(filled.path)) as opened:
        opened.execute(f"UPDATE indexes SET {change}")
    assert [text.split(";")[0] for text in filled.repair.contradictions()] == [
        "1 indexes belong to no encoder, to another vector file, or to more rows than the file has"
    ]
    filled.repair.resolve_contradictions()
    assert (filled.repair.contradictions(), filled.indexes.all()) == ([], [])
    assert filled.items.counts()["items"] == 4


def test_two_indexes_of_one_encoder_are_dropped(filled: Catalog) -> None:
    filled.indexes.publish(an_index())
    with duckdb.connect(str(filled.path)) as opened:
        opened.execute("INSERT INTO indexes SELECT * FROM indexes")
    filled.repair.resolve_contradictions()
    assert filled.indexes.all() == []


@pytest.mark.parametrize(
    "change",
    ["file = '../../secret.faiss'", "vectors = '/etc/passwd'", "encoder = '../x'", f"file = '{'a' * 16}-1.faiss'"],
)
def test_an_index_that_would_lead_out_of_the_store_is_refused(filled: Catalog, change: str) -> None:
    filled.indexes.publish(an_index())
    with duckdb.connect(str(filled.path)) as opened:
        opened.execute(f"UPDATE indexes SET {change}")
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
        spool.add((place, path, label, None, size, mtime_ns))
    return spool


def test_a_plan_holds_what_is_new_or_changed_in_the_order_of_the_files(filled: Catalog) -> None:
    found = listed(
        ("/p/9.png", "new", 1, 2),
        ("/p/4.png", None, 300, 400),
        ("/p/2.png", "rose", 300, 401),
        ("/p/1.png", "rose", 301, 400),
    )
    plan = planned(filled, found, claims=[Scope("/p/", False)])
    assert list(plan) == [
        FileToIngest(
            "/p/9.png", "new", None, 1, 2, None, None, None, None, removed=False, encoded=False, unchanged=False
        ),
        FileToIngest(
            "/p/2.png", "rose", None, 300, 401, 2, "sha-2", "rose", "test", removed=False, encoded=True, unchanged=False
        ),
        FileToIngest(
            "/p/1.png", "rose", None, 301, 400, 1, "sha-1", "rose", None, removed=False, encoded=True, unchanged=False
        ),
    ]
    assert (plan.total, plan.next_item, plan.rows, plan.file) == (4, 5, 4, "eeeeeeeeeeeeeeee.f16")
    assert plan.removed.tolist() == [3]


def test_a_plan_by_folders_holds_unchanged_files_with_another_label(filled: Catalog) -> None:
    found = listed(("/p/1.png", "rose", 300, 400), ("/p/3.png", "lily", 300, 400))
    plan = planned(filled, found, by_folder=True)
    assert [(todo.path, todo.label, todo.known_label, todo.unchanged) for todo in plan] == [
        ("/p/3.png", "lily", "tulip", True)
    ]
    assert plan.removed.tolist() == []


def test_a_plan_for_an_encoder_without_vectors_holds_everything(filled: Catalog) -> None:
    filled.encoders.add(OTHER, "name-f", 12, "{}")
    plan = planned(filled, listed(("/p/1.png", None, 300, 400)), OTHER)
    assert [(todo.id, todo.sha256, todo.encoded) for todo in plan] == [(1, "sha-1", False)]


def test_a_plan_takes_a_file_of_several_sources_once(filled: Catalog) -> None:
    found = listed(("/p/8.png", "first", 1, 2), ("/p/7.png", None, 1, 2), ("/p/8.png", "second", 1, 2))
    plan = planned(filled, found, several=True)
    assert [(todo.path, todo.label) for todo in plan] == [("/p/8.png", "first"), ("/p/7.png", None)]
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
    for claim, gone in (
        (Scope("/p/", False), [2, 3, 4]),
        (Scope("/p/a.tar::", True), [5]),
        (Scope("/p/", True), [5, 6]),
    ):
        plan = planned(filled, listed(("/p/1.png", None, 300, 400)), claims=[claim])
        assert plan.removed.tolist() == gone


def test_deleted_items_are_forgotten_with_their_vectors(filled: Catalog) -> None:
    filled.items.delete(np.array([2, 3]))
    assert filled.items.of_encoder(ENCODER).ids.tolist() == [4, 1]
    assert filled.sql("SELECT item FROM vectors ORDER BY item", 5).to_pylist() == [{"item": 1}, {"item": 4}]


def test_creating_twice_keeps_what_is_there(filled: Catalog) -> None:
    filled.create()
    assert filled.items.counts()["items"] == 4


def test_adding_an_encoder_twice_keeps_its_rows(filled: Catalog) -> None:
    filled.encoders.add(ENCODER, "another name", 7, "{}")
    [record] = filled.encoders.all()
    assert (record.name, record.dim, record.rows) == ("name-e", 12, 4)


def labels(catalog: Catalog) -> dict[int, tuple[str | None, str | None]]:
    found = catalog.items.of_encoder(ENCODER)
    said = zip(found.labels.to_pylist(), found.splits.to_pylist(), strict=True)
    return dict(zip(found.ids.tolist(), said, strict=True))
