"""Memory that large images share: who needs more than is left waits, and time does not count meanwhile."""

import math
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from featurestore.imaging import single, turn
from featurestore.imaging.turn import SMALL, Turn
from featurestore.sources import ImageFile
from tests.featurestore.fakes import RECORD, paint


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
    last = Turn()
    thread = waits(last, three)
    assert thread.is_alive()
    everything.end()
    thread.join(5)
    last.end()


@pytest.mark.parametrize(
    "use",
    [
        lambda file: single.thumbnail(file.path, 8),
        lambda file: single.size_of(file),
        lambda file: single.load_one(file, RECORD),
    ],
)
def test_every_use_of_an_image_gives_its_memory_back(
    use: Callable[[ImageFile], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turn, "SMALL", 0)
    path = paint(tmp_path / "image.png", (255, 0, 0))
    use(ImageFile(str(path), None, None, path.stat().st_size, path.stat().st_mtime_ns))
    assert turn._left == turn._total


def test_large_images_share_an_eighth_of_the_memory_that_the_container_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn, "total_bytes", lambda: 32 << 30)
    assert turn.memory_for_images() == 4 << 30
    monkeypatch.setattr(turn, "total_bytes", lambda: 2 << 30)
    assert turn.memory_for_images() == 1 << 30
