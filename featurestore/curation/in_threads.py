"""Work on parts of a large array in threads; numpy computes without Python's lock."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from featurestore.system.cpus import available_cpus

Result = TypeVar("Result")


def in_threads(work: Callable[[slice], Result], parts: Sequence[slice]) -> Iterator[Result]:
    """Do the work on all parts, in one thread per processor, and give the results in order. What fails or is interrupted ends the others."""
    threads = ThreadPoolExecutor(available_cpus(), "curation")
    try:
        yield from threads.map(work, parts)
    finally:
        threads.shutdown(cancel_futures=True)


def parts_of(count: int, size: int) -> list[slice]:
    """Divide `count` rows into parts of `size`."""
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]
