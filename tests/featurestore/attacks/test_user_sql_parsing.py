"""SQL of strangers: what is long or deep ends nothing but itself, and only harmless forms run in this process."""

import random
import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from featurestore import FeatureStore
from featurestore.catalog.sql_process import check_expression
from featurestore.catalog.where import SHORT, is_harmless, parse
from featurestore.errors import QueryError
from tests.featurestore.attacks.hostile_sql import DEEP, ask_sql, ask_where


@pytest.mark.parametrize("name", ["NOT", "plus", "closed brackets", "too long"])
def test_a_deep_or_long_where_is_refused_by_name(shared: FeatureStore, name: str) -> None:
    with pytest.raises(QueryError, match=r"expected at most (200 levels of operators|100000 characters)") as caught:
        check_expression(DEEP[name])
    assert len(str(caught.value)) < 600


@pytest.mark.slow
@pytest.mark.parametrize("name", DEEP)
def test_a_deep_statement_ends_nothing_but_itself(shared: FeatureStore, name: str) -> None:
    asks: list[Callable[[], object]] = [
        lambda: ask_sql(shared, DEEP[name], 2.0),
        lambda: ask_where(shared, DEEP[name], 2.0),
        lambda: shared.search(1, where=DEEP[name]),
    ]
    for ask in asks:
        began = time.monotonic()
        said = ""
        try:
            ask()
        except QueryError as error:
            said = str(error)
        assert len(said) < 2_000
        assert time.monotonic() - began < 40  # a search has 30 s for its `where`
    assert shared.sql("SELECT count(*) AS n FROM items").to_pylist() == [{"n": 6}]


@pytest.mark.slow
def test_what_is_parsed_here_is_parsed_in_no_time() -> None:
    """Random repetitions of tokens, of the greatest length that is parsed in this process."""
    tokens = [
        "a", "1", "'x'", "NOT", "AND", "OR", "+", "-", "*", "/", "||", "=", "<", "IN", "(", ")", "[", "]", ",", ".",
        "::", "INT", "IS", "NULL", "LIKE", "BETWEEN", "CASE", "WHEN", "THEN", "END", "SELECT", "FROM", "WHERE", "f(",
        "lambda", "x", ":", "CAST(", "AS", "EXISTS(", "{", "}", "?", "@", "!", "~", "^", "%",
    ]  # fmt: skip
    draw = random.Random(5)
    for _ in range(400):
        unit = " ".join(draw.choices(tokens, k=draw.randint(1, 4)))
        text = f"{draw.choice(tokens)} {unit * SHORT}"[:SHORT]
        began = time.process_time()
        with suppress(QueryError):
            check_expression(text)
        assert time.process_time() - began < 2, text


# -- which expressions run in this process


@pytest.mark.parametrize(
    ("where", "harmless"),
    [
        ("label = 'rose' AND width > 100", True),
        ("NOT (label IN ('rose', 'tulip') OR split IS NULL)", True),
        ("path LIKE '%/roses/%' AND width BETWEEN 1 AND 2", True),
        ("label IS DISTINCT FROM NULL AND id NOT IN (1, 2)", True),
        ("upper(label) = 'ROSE'", False),
        ("label::INT = 1", False),
        ("width + 1 > 2", False),
        ("label || 'x' = 'y'", False),
        ("-width > 1", False),
        ("label = path", False),
        ("label IN (path)", False),
        ("width BETWEEN 1 AND height", False),
        ("path LIKE label", False),
        ("path LIKE '%a_b%'", False),
        ("upper(path) LIKE 'a%'", False),
        ("path ILIKE 'a'", False),
        ("path SIMILAR TO '(a*)*'", False),
        ("path LIKE 'a' ESCAPE 'b'", False),
        (f"path = {'9' * 39}", False),
        (f"path = 1e{'9' * 38}", False),
        ("id IN (SELECT id FROM items)", False),
        ("label COLLATE NOCASE = 'x'", False),
        ("labels[1] = 'x'", False),
        ("CASE WHEN label = 'x' THEN TRUE END", False),
        ("added_at < now()", False),
        ("label = ANY(['x'])", False),
        ("[1] = [1]", False),
        ("'x' IN labels", False),
        ("COLUMNS(*) IS NULL", False),
        ("label = $1", False),
        ("DATE '2020-01-01' < added_at", False),
        ("x'00' = label", False),
        ("EXISTS (SELECT 1)", False),
    ],
)
def test_only_harmless_forms_run_in_this_process(where: str, harmless: bool) -> None:
    assert is_harmless(parse(where)) == harmless
