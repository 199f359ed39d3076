"""Child processes that decode what is not ordinary: they have a limit of memory, and are ended when an image takes too long."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featurestore.errors import ImageError
from featurestore.imaging.admission import Admission, memory_budget
from featurestore.imaging.tasks import Result
from featurestore.system.child_limits import Limits
from featurestore.system.child_pool import ChildPool
from featurestore.system.child_process import ChildEnded, Ending
from featurestore.system.cpus import available_cpus
from featurestore.system.messages import Message
from featurestore.system.text import describe_error

MEMORY = 3 << 30  # bytes, of a child: 2 GiB beside a file of 512 MiB and its copy
COUNT = max(2, min(available_cpus(), memory_budget() // MEMORY))  # at once
HOUR = 3600.0  # of the processor, for one image: the deadline comes first
LIMITS = Limits(memory=MEMORY, cpu_seconds=HOUR)
NO_MEMORY = describe_error(MemoryError())
TOO_LARGE = f"needs more than {MEMORY >> 30} GiB of memory to decode"
ENDINGS = {
    Ending.MEMORY: TOO_LARGE,
    Ending.KILLED: "its decoder was killed, perhaps because the system had no more memory; index again",
    Ending.CRASHED: "damaged: its decoder crashed",
}

CHILDREN = ChildPool("featurestore.imaging.child", LIMITS, COUNT)


def run(task: str, data: bytes, options: dict[str, Any], admission: Admission, seconds: float) -> Result:
    """Run a task in a child, for at most `seconds` from the moment that one is free. Raises ImageError with the reason."""
    admission.stop_clock()
    try:
        with CHILDREN.lend() as child:
            header, answer = child.ask(Message({"task": task, "options": options}, data), seconds)
    except ChildEnded as error:
        raise ImageError(ENDINGS.get(error.ending, f"took longer than {seconds:g} s to decode")) from error
    if "reason" in header:
        raise ImageError(TOO_LARGE if header["reason"] == NO_MEMORY else header["reason"])
    first, *rest = header.pop("shapes")
    small = _array(answer, math.prod(first), rest[0]) if rest else None
    return Result(**header, pixels=_array(answer, 0, first), small=small)


def _array(data: bytes | bytearray | memoryview, start: int, shape: list[int]) -> NDArray[np.uint8]:
    return np.frombuffer(data, np.uint8, math.prod(shape), start).reshape(shape)
