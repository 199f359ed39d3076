"""Read and decode in threads, hand on in order, with bounded memory."""

import hashlib
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featurestore import images, preprocess
from featurestore.errors import ImageError
from featurestore.images import Failure, ImageFile
from featurestore.preprocess import Preprocess


@dataclass(frozen=True, slots=True)
class Prepared:
    """A file that is ready for an encoder."""

    file: ImageFile
    sha256: str  # of the file's bytes
    width: int  # of the upright picture
    height: int
    pixels: NDArray[np.uint8]  # (size, size, 3)


@dataclass(frozen=True, slots=True)
class Same:
    """A file whose bytes are those that were encoded before, though its time or size looked new."""

    file: ImageFile


def available_cpus() -> int:
    """Count the processors this process may use (the affinity mask, not the machine)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def prepare(file: ImageFile, record: Preprocess, known_sha256: str | None = None) -> Prepared | Same | Failure:
    """Read, decode and preprocess one file: the one road from a file to pixels.

    A file whose bytes have the hash `known_sha256` is not decoded.
    """
    try:
        data = images.read(file.path)
        sha256 = hashlib.sha256(data).hexdigest()
        if sha256 == known_sha256:
            return Same(file)
        decoded = images.decode(data, shorter_side=record.shorter_side)
        return Prepared(file, sha256, decoded.width, decoded.height, preprocess.apply(decoded, record))
    except ImageError as error:
        return Failure(file.path, str(error))


def prepare_all(
    files: Iterable[tuple[ImageFile, str | None]], record: Preprocess, workers: int | None = None
) -> Iterator[Prepared | Same | Failure]:
    """Prepare files, each with the hash it is known by, in `workers` threads (default: one a processor).

    Results come in the order of the files; what waits is bounded, whatever the number of files.
    """
    workers = workers or available_cpus()
    with ThreadPoolExecutor(workers, thread_name_prefix="decode") as pool:
        waiting: deque[Future[Prepared | Same | Failure]] = deque()
        try:
            for file, known_sha256 in files:
                waiting.append(pool.submit(prepare, file, record, known_sha256))
                if len(waiting) > 32 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
