"""Tasks on the bytes of an image, with limits of time and memory: ordinary images in this process, others in a child process."""

from collections.abc import Sequence
from typing import Any

from featurestore.imaging import tasks
from featurestore.imaging.admission import Admission
from featurestore.imaging.ordinary import memory_of
from featurestore.imaging.preprocess import Preprocess
from featurestore.imaging.tasks import Result

SECONDS = 30.0  # longest that reading an image may take, and longest that decoding it may


def pixels(data: bytes, record: Preprocess, admission: Admission, seconds: float, with_small: bool = False) -> Result:
    """Decode and preprocess an image; see `tasks.pixels`. Raises ImageError with the reason."""
    if _begin_here(data, record.shorter_side, admission):
        return tasks.pixels(data, record, with_small)
    options = {"record": record.to_json(), "with_small": with_small}
    return _elsewhere("pixels", data, options, admission, seconds)


def thumbnail(data: bytes, side: int, bands: Sequence[int] | None, admission: Admission, seconds: float) -> Result:
    """Decode an image, and scale it down until no side is longer than `side`. Raises ImageError with the reason."""
    if _begin_here(data, side, admission):
        return tasks.thumbnail(data, side, bands)
    return _elsewhere("thumbnail", data, {"side": side, "bands": bands}, admission, seconds)


def size(data: bytes, admission: Admission, seconds: float) -> Result:
    """Read width and height, as stored. Raises ImageError with the reason."""
    return tasks.size(data) if _begin_here(data, None, admission) else _elsewhere("size", data, {}, admission, seconds)


def _begin_here(data: bytes, shorter_side: int | None, admission: Admission) -> bool:
    """Wait for the memory that an ordinary image needs, and start its clock; False, at once, for one that is not ordinary."""
    memory = memory_of(data, shorter_side)
    if memory is None:
        return False
    admission.reserve(memory)
    admission.start_clock("decode")
    return True


def _elsewhere(task: str, data: bytes, options: dict[str, Any], admission: Admission, seconds: float) -> Result:
    from featurestore.imaging import children  # slow to import, and most images are ordinary

    return children.run(task, data, options, admission, seconds)
