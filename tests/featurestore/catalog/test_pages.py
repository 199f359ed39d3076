"""Items as pages show them: in an order, by id, all at once, and the values of a column."""

import duckdb
import numpy as np
import pytest

from featurestore.catalog import Catalog
from featurestore.catalog.schema import ITEMS
from featurestore.errors import QueryError


def ids(*numbers: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array(numbers, np.int64)


@pytest.mark.parametrize(
    ("where", "sort", "descending", "expected"),
    [
        (None, "id", False, [1, 2, 3, 4]), (None, "id", True, [4, 3, 2, 1]), (None, "label", False, [1, 2, 3, 4]), (None, "label", True, [3, 1, 2, 4]),
        (None, "split", True, [2, 1, 3, 4]), ("label = 'rose'", "width", True, [2, 1]), ("upper(label) = 'ROSE'", "id", True, [2, 1]), ("FALSE", "id", False, []),
    ],
)  # fmt: skip
def test_items_are_ordered_by_a_column_then_by_id(
    filled: Catalog, where: str | None, sort: str, descending: bool, expected: list[int]
) -> None:
    assert filled.pages.ordered(where, sort, descending).tolist() == expected


def test_a_column_is_named_exactly(filled: Catalog) -> None:
    for name in ("nosuch", "LABEL", '"label"', "label DESC", "removed_at"):
        with pytest.raises(QueryError, match=r"there is no column .*; the columns of items are id, path"):
            filled.pages.ordered(None, name, False)
        with pytest.raises(QueryError, match="there is no column"):
            filled.pages.values(name, None)


def test_items_are_read_by_id(filled: Catalog) -> None:
    found = filled.pages.page(ids(3, 99, 1)).to_pylist()
    assert {row["id"]: (row["path"], row["label"], row["width"]) for row in found} == {
        3: ("/p/3.png", "tulip", 30), 1: ("/p/1.png", "rose", 10),
    }  # fmt: skip
    assert sorted(filled.pages.places(ids(4, 99))) == [(4, "/p/4.png", "sha-4", 300, 400)]
    assert filled.pages.places(ids()) == []


def test_all_items_are_as_those_by_id(filled: Catalog) -> None:
    table = filled.pages.all({"bytes", "mtime_ns"}, 1 << 20)
    assert table is not None
    assert {column.num_chunks for column in table.columns} == {1}
    page = filled.pages.page(ids(1, 2, 3, 4)).drop_columns(["bytes", "mtime_ns"])
    assert sorted(table.to_pylist(), key=lambda row: row["id"]) == sorted(page.to_pylist(), key=lambda row: row["id"])
    assert filled.pages.all((), 10) is None


def test_columns_say_their_type_and_whose_they_are(filled: Catalog) -> None:
    with duckdb.connect(str(filled.path)) as maker:
        maker.execute(f'ALTER TABLE all_items ADD COLUMN "my ""own" DOUBLE; {ITEMS}')
    columns = filled.pages.columns()
    assert (columns["label"], columns["labels"], columns['my "own']) == (
        ("VARCHAR", True),
        ("VARCHAR[]", True),
        ("DOUBLE", False),
    )
    assert filled.pages.values('my "own', None)["empty"] == 4


def test_values_of_a_column(filled: Catalog) -> None:
    assert filled.pages.values("label", None) == {
        "type": "VARCHAR", "distinct": 2, "least": "rose", "greatest": "tulip", "empty": 1, "frequent": ["rose", "tulip"], "counts": [2, 1],
    }  # fmt: skip
    assert filled.pages.values("width", "label = 'rose'")["frequent"] == [10, 20]
    nothing = filled.pages.values("label", "FALSE")
    assert (nothing["distinct"], nothing["empty"], nothing["frequent"]) == (0, 0, None)
