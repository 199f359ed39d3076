"""Read and decode in threads, hand on in order, with bounded memory and a time limit for each image."""

import hashlib
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

import numpy as np
from numpy.typing import NDArray

from featurestore.errors import ImageError
from featurestore.imaging import decode as images
from featurestore.imaging import preprocess
from featurestore.imaging.preprocess import Preprocess
from featurestore.sources import Failure, ImageFile, read
from featurestore.system.cpus import available_cpus
from featurestore.system.text import describe

__all__ = ["Prepared", "Same", "available_cpus", "prepare", "prepare_all"]

AHEAD = 32  # images, for each thread, that may wait for the consumer
LONGEST_WAIT = 0.5  # seconds; some systems hear of Ctrl-C only between two waits
LAST_WAIT = 1.0  # seconds for threads to end their image when the consumer stops; those that do not are left behind


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


def prepare(file: ImageFile, record: Preprocess, known_sha256: str | None = None) -> Prepared | Same | Failure:
    """Read, decode and preprocess one file: the one road from a file to pixels.

    A file whose bytes have the hash `known_sha256` is not decoded. Whatever goes wrong is a Failure.
    """
    try:
        data = read(file.path, file.mtime_ns)
        sha256 = hashlib.sha256(data).hexdigest()
        if sha256 == known_sha256:
            return Same(file)
        decoded = images.decode(data, shorter_side=record.shorter_side)
        return Prepared(file, sha256, decoded.width, decoded.height, preprocess.apply(decoded, record))
    except ImageError as error:
        return Failure(file.path, str(error))
    except Exception as error:
        return Failure(file.path, describe(error))


def prepare_all(
    files: Iterable[tuple[ImageFile, str | None]],
    record: Preprocess,
    workers: int | None = None,
    seconds: float = 30.0,
) -> Iterator[Prepared | Same | Failure]:
    """Prepare files, each with the hash it is known by, in `workers` threads (default: one a processor).

    Results come in the order of the files; what waits is bounded, whatever the number of files. A file that keeps its
    thread for more than `seconds` becomes a Failure.
    """
    workers = workers or available_cpus()
    threads = _Threads(record, workers, seconds)
    waiting: deque[_Job] = deque()
    try:
        for file, known_sha256 in files:
            waiting.append(threads.begin(file, known_sha256))
            if len(waiting) > AHEAD * workers:
                yield threads.finish(waiting.popleft())
        while waiting:
            yield threads.finish(waiting.popleft())
    finally:
        threads.close()


@dataclass(eq=False, slots=True)
class _Job:
    """One file on its way through a thread."""

    file: ImageFile
    known_sha256: str | None
    result: Prepared | Same | Failure  # until it is done: what it becomes when it never is
    done: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None
    started: float = 0.0  # time.monotonic() when the thread took it
    given_up: bool = False


class _Threads:
    """Threads that take files in the order in which these were begun; one that is stuck is left behind and replaced.

    Not an executor of the standard library: that one waits for its threads when the program ends, stuck or not.
    """

    def __init__(self, record: Preprocess, count: int, seconds: float) -> None:
        self._record = record
        self._seconds = seconds
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._threads: set[threading.Thread] = set()
        self._lock = threading.Lock()  # a job is done or given up, never both
        for _ in range(count):
            self._start()

    def begin(self, file: ImageFile, known_sha256: str | None) -> _Job:
        late = Failure(file.path, f"took longer than {self._seconds:g} s to read and decode")
        job = _Job(file, known_sha256, late)
        self._jobs.put(job)
        return job

    def finish(self, job: _Job) -> Prepared | Same | Failure:
        """Wait for the oldest job. All before it are done or given up, so that a thread has it or takes it next."""
        while not job.done.wait(min(max(self._left(job), 0.0), LONGEST_WAIT)):
            if self._left(job) <= 0:
                self._give_up(job)
                break
        return job.result

    def close(self) -> None:
        """Drop what was not begun and let the threads end."""
        with suppress(Empty):
            while True:
                self._jobs.get_nowait()
        for _ in self._threads:
            self._jobs.put(None)
        end = time.monotonic() + LAST_WAIT
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def _left(self, job: _Job) -> float:
        return self._seconds if job.thread is None else job.started + self._seconds - time.monotonic()

    def _give_up(self, job: _Job) -> None:
        with self._lock:
            if job.done.is_set():
                return
            job.given_up = True
        self._threads = {thread for thread in self._threads if thread is not job.thread}
        self._start()

    def _start(self) -> None:
        thread = threading.Thread(target=self._work, name="decode", daemon=True)  # the program may end without it
        self._threads.add(thread)
        thread.start()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job.started = time.monotonic()
            job.thread = threading.current_thread()
            try:
                result = prepare(job.file, self._record, job.known_sha256)
            except BaseException as error:  # a decoder's SystemExit would end this thread, not the program
                result = Failure(job.file.path, describe(error))
            with self._lock:
                if job.given_up:
                    return  # another thread has this one's place
                job.result = result
                job.done.set()
