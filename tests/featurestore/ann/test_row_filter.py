"""Rows that a search may find, against plain lists of numbers."""

import numpy as np
import pytest

from featurestore.ann.row_filter import RowFilter

TOTAL = 21
CHOICES = [None, [], [0], [20], [0, 20], [3, 4, 5, 6], [0, 2, 4, 19], list(range(1, 21)), list(range(21))]


def rows_of(chosen: list[int] | None) -> tuple[RowFilter, list[int]]:
    if chosen is None:
        return RowFilter(TOTAL), list(range(TOTAL))
    return RowFilter(TOTAL, np.array(chosen, np.int64)), chosen


@pytest.mark.parametrize("chosen", CHOICES)
def test_rows_and_bits_are_those_chosen(chosen: list[int] | None) -> None:
    rows, expected = rows_of(chosen)
    assert rows.rows.tolist() == expected
    assert len(rows) == len(expected)
    if len(expected) == TOTAL:
        assert rows.bits is None
        return
    assert rows.bits is not None
    assert np.flatnonzero(np.unpackbits(rows.bits, count=TOTAL, bitorder="little")).tolist() == expected
    assert len(rows.bits) == 3  # whole bytes
    assert rows.bits is rows.bits  # computed once


@pytest.mark.parametrize("chosen", CHOICES)
@pytest.mark.parametrize("place", [0, 1, 4, 20, 21])
def test_before_and_behind_a_row(chosen: list[int] | None, place: int) -> None:
    rows, expected = rows_of(chosen)
    assert rows.count_before(place) == sum(row < place for row in expected)
    assert rows.count_before(99) == len(expected)
    behind = rows.from_row(place)
    assert behind.total == TOTAL - place
    assert behind.rows.tolist() == [row - place for row in expected if row >= place]


@pytest.mark.parametrize(("count", "dim", "few"), [(4, 5, True), (4, 6, False), (5, 5, False), (0, 99, True)])
def test_a_filter_is_small_when_its_vectors_fit_into_a_copy(
    count: int, dim: int, few: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("featurestore.ann.row_filter.GATHERED", 20)
    assert RowFilter(TOTAL, np.arange(count)).is_small(dim) is few
    assert not any(
        all_rows.is_small(1) for all_rows in (RowFilter(TOTAL), RowFilter(TOTAL, np.arange(TOTAL)), RowFilter(0))
    )


def test_a_copy_of_the_vectors_is_made_once() -> None:
    vectors = np.eye(TOTAL, dtype=np.float16)
    rows = RowFilter(TOTAL, np.array([2, 7, 9]))
    flat = rows.flat_index(vectors)
    assert flat.search(np.eye(TOTAL, dtype=np.float32)[7:8], 1)[1].tolist() == [[1]]
    assert rows.flat_index(vectors) is flat
