"""Tasks on the bytes of an image, with limits of time and memory: ordinary images in this process, others in a child process."""

from collections.abc import Sequence
from typing import Any

from featurestore.imaging import tasks
from featurestore.imaging.ordinary import memory_of
from featurestore.imaging.preprocess import Preprocess
from featurestore.imaging.tasks import Result
from featurestore.imaging.turn import Turn

SECONDS = 30.0  # longest that reading an image may take, and longest that decoding it may


def pixels(data: bytes, record: Preprocess, turn: Turn, seconds: float) -> Result:
    """Decode and preprocess an image. Raises ImageError with the reason."""
    if _begin_here(data, record.shorter_side, turn):
        return tasks.pixels(data, record)
    return _elsewhere("pixels", data, {"record": record.to_json()}, turn, seconds)


def thumbnail(data: bytes, side: int, bands: Sequence[int] | None, turn: Turn, seconds: float) -> Result:
    """Decode an image, and scale it down until no side is longer than `side`. Raises ImageError with the reason."""
    if _begin_here(data, side, turn):
        return tasks.thumbnail(data, side, bands)
    return _elsewhere("thumbnail", data, {"side": side, "bands": bands}, turn, seconds)


def size(data: bytes, turn: Turn, seconds: float) -> Result:
    """Read width and height, as stored. Raises ImageError with the reason."""
    return tasks.size(data) if _begin_here(data, None, turn) else _elsewhere("size", data, {}, turn, seconds)


def _begin_here(data: bytes, shorter_side: int | None, turn: Turn) -> bool:
    """Wait for the memory that an ordinary image needs, and start its clock; False, at once, for one that is not ordinary."""
    memory = memory_of(data, shorter_side)
    if memory is None:
        return False
    turn.hold(memory)
    turn.begin("decode")
    return True


def _elsewhere(task: str, data: bytes, options: dict[str, Any], turn: Turn, seconds: float) -> Result:
    from featurestore.imaging import children  # slow to import, and most images are ordinary

    return children.run(task, data, options, turn, seconds)
