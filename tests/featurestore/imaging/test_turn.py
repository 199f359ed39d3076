"""Memory that large images share: who needs more than is left waits, and time does not count meanwhile."""

import math
import threading

import pytest

from featurestore.imaging import turn
from featurestore.imaging.turn import SMALL, Turn


@pytest.fixture
def three(monkeypatch: pytest.MonkeyPatch) -> int:
    """Memory for three images of a size."""
    size = 2 * SMALL
    monkeypatch.setattr(turn, "_total", 3 * size)
    monkeypatch.setattr(turn, "_left", 3 * size)
    return size


def waits(waiting: Turn, memory: int) -> threading.Thread:
    thread = threading.Thread(target=waiting.hold, args=(memory,), daemon=True)
    thread.start()
    thread.join(0.05)
    return thread


def test_who_needs_more_than_is_left_waits_until_it_is_given_back(three: int) -> None:
    first, second = Turn(), Turn()
    first.hold(2 * three)
    second.begin("read")
    thread = waits(second, 2 * three)
    assert thread.is_alive()
    assert second.began == math.inf
    first.end()
    thread.join(5)
    assert not thread.is_alive()


def test_what_is_given_back_twice_counts_once(three: int) -> None:
    first = Turn()
    first.hold(three)
    first.end()
    first.end()
    assert turn._left == 3 * three


def test_small_images_never_wait_and_the_largest_waits_for_all(three: int) -> None:
    everything = Turn()
    everything.hold(100 * three)
    assert turn._left == 0
    Turn().hold(SMALL)
    assert waits(Turn(), three).is_alive()
    everything.end()


def test_large_images_share_an_eighth_of_the_memory_that_the_container_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn, "total_bytes", lambda: 32 << 30)
    assert turn.memory_for_images() == 4 << 30
    monkeypatch.setattr(turn, "total_bytes", lambda: 2 << 30)
    assert turn.memory_for_images() == 1 << 30
