"""Load images in threads ahead of their use: in order, with bounded memory and a time limit for each image."""

import math
import threading
import time
from collections import deque
from collections.abc import Generator, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

from featurestore.errors import ConfigError
from featurestore.imaging.load import IsKnown, Known, Loaded, load
from featurestore.imaging.preprocess import Preprocess
from featurestore.sources import Failure, ImageFile
from featurestore.system.cpus import available_cpus
from featurestore.system.text import describe_error

SECONDS = 30.0  # longest an image may take
LEAST_SECONDS = 0.1
MOST_WORKERS = 1024
AHEAD = 32  # images per thread that may be loaded before the consumer takes them
POLL_SECONDS = 0.5  # longest wait at a time: some systems notice Ctrl-C only between two waits
CLOSE_SECONDS = 1.0  # how long to wait at the end for threads to finish; stuck ones are abandoned


def check_limits(workers: int | None, seconds: float) -> None:
    """Raise ConfigError unless the number of threads and the time limit of an image can be used."""
    if workers is not None and not (isinstance(workers, int) and 1 <= workers <= MOST_WORKERS):
        raise ConfigError(
            f"workers {workers!r}: expected a whole number of threads from 1 to {MOST_WORKERS}, or None for one per processor"
        )
    if not (isinstance(seconds, int | float) and LEAST_SECONDS <= seconds < math.inf):
        raise ConfigError(f"image_seconds {seconds!r}: expected a number of seconds, at least {LEAST_SECONDS}")


def load_all(
    files: Iterable[tuple[ImageFile, IsKnown | None]],
    record: Preprocess,
    workers: int | None = None,
    seconds: float = SECONDS,
) -> Generator[Loaded | Known | Failure]:
    """Load files, each given with what tells whether its content is known, or None, in `workers` threads (default: one per processor).

    Results come in the order of the files. At most AHEAD files per thread are loaded ahead, however many there are. A
    file that takes more than `seconds` becomes a Failure.
    """
    workers = workers or available_cpus()
    threads = _Threads(record, workers, seconds)
    waiting: deque[_Job] = deque()
    try:
        for file, is_known in files:
            waiting.append(threads.submit(file, is_known))
            if len(waiting) > AHEAD * workers:
                yield threads.result(waiting.popleft())
        while waiting:
            yield threads.result(waiting.popleft())
    finally:
        threads.close()


@dataclass(eq=False, slots=True)
class _Job:
    """One file to load."""

    file: ImageFile
    is_known: IsKnown | None
    result: Loaded | Known | Failure  # until the job is done: the failure it becomes when it is given up
    done: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None
    started: float = 0.0  # time.monotonic() when the thread took it
    given_up: bool = False


class _Threads:
    """Threads that take jobs in the order of submission; a stuck thread is abandoned and replaced.

    An executor of the standard library would wait for stuck threads when the program ends.
    """

    def __init__(self, record: Preprocess, count: int, seconds: float) -> None:
        self._record = record
        self._seconds = seconds
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._threads: set[threading.Thread] = set()
        self._lock = threading.Lock()  # a job is either done or given up
        for _ in range(count):
            self._start()

    def submit(self, file: ImageFile, is_known: IsKnown | None) -> _Job:
        late = Failure(file.path, f"took longer than {self._seconds:g} s to read and decode")
        job = _Job(file, is_known, late)
        self._jobs.put(job)
        return job

    def result(self, job: _Job) -> Loaded | Known | Failure:
        """Wait for the oldest job. All before it are finished, so a thread has it already or takes it next."""
        while not job.done.wait(min(max(self._seconds_left(job), 0.0), POLL_SECONDS)):
            if self._seconds_left(job) <= 0:
                self._give_up(job)
                break
        return job.result

    def close(self) -> None:
        """Drop the jobs that no thread has taken, and let the threads end."""
        with suppress(Empty):
            while True:
                self._jobs.get_nowait()
        for _ in self._threads:
            self._jobs.put(None)
        end = time.monotonic() + CLOSE_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def _seconds_left(self, job: _Job) -> float:
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
                result = load(job.file, self._record, job.is_known)
            except BaseException as error:  # a SystemExit of a decoder would end this thread, not the program
                result = Failure(job.file.path, describe_error(error))
            with self._lock:
                if job.given_up:
                    return  # this thread has been replaced
                job.result = result
                job.done.set()
