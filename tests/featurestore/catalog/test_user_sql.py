"""Expressions and SQL of users."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from featurestore.catalog import Catalog
from featurestore.catalog.sql_process import check_expression
from featurestore.errors import QueryError
from tests.featurestore.catalog.items import ENCODER

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
    rows = filled.encoded.select_rows(ENCODER, where)
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
        filled.encoded.select_rows(ENCODER, where)


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


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SELECT problem FROM failures", "SQL: there is no column problem; did you mean reason?"),
        ("SELECT reasons FROM failures", "SQL: there is no column reasons; did you mean reason?"),
        ("SELECT lable FROM (SELECT label AS kind FROM items)", "SQL: there is no column lable; did you mean kind?"),
    ],
)
def test_a_wrong_column_of_another_table_is_not_looked_for_in_items(filled: Catalog, text: str, message: str) -> None:
    with pytest.raises(QueryError) as caught:
        filled.sql(text, 5)
    assert str(caught.value) == message


def test_a_wrong_column_after_the_name_of_a_table_is_named(filled: Catalog) -> None:
    with pytest.raises(
        QueryError, match=r"^SQL: there is no column widht; did you mean width\? The columns of items are id, path"
    ):
        filled.sql("SELECT i.widht FROM items i", 5)


ENDLESS = "(SELECT count(*) FROM range(1000000) a, range(1000000) b, range(1000000) c) > 0"


@pytest.mark.parametrize(
    "ask",
    [
        lambda catalog: catalog.items.select(ENDLESS, seconds=0.2),
        lambda catalog: catalog.encoded.select_rows(ENCODER, ENDLESS, seconds=0.2),
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


def test_sql_answers_with_any_type(filled: Catalog) -> None:
    for value in (
        "union_value(a := 1)",
        "'a'::ENUM('a', 'b')",
        "{'a': [1]}",
        "MAP {1: 2}",
        "'infinity'::DATE",
        "1::BIGNUM",
        "NULL",
    ):
        assert filled.sql(f"SELECT {value} AS v FROM items", 20).num_rows == 4
        assert filled.sql(f"SELECT {value} AS v FROM items WHERE FALSE", 20).num_rows == 0


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
        *(f"SELECT * FROM {variable}" for variable in ("text", "connection", "relation", "GUARDED", "np")),
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
