"""Work in threads."""

import time

import pytest

from featurestore.curation.in_threads import in_threads, parts_of


def test_results_come_in_order() -> None:
    def work(part: slice) -> int:
        time.sleep(0.001 * (10 - part.start))
        return int(part.start)

    assert list(in_threads(work, parts_of(10, 3))) == [0, 3, 6, 9]


def test_parts_cover_all_rows() -> None:
    assert parts_of(7, 3) == [slice(0, 3), slice(3, 6), slice(6, 7)]
    assert parts_of(0, 3) == []


def test_an_error_ends_the_work() -> None:
    done = []

    def work(part: slice) -> None:
        done.append(part)
        if part.start == 0:
            raise ValueError("broken")
        time.sleep(0.01)

    with pytest.raises(ValueError, match="broken"):
        list(in_threads(work, parts_of(1000, 1)))
    assert len(done) < 1000
