"""Work on images in threads: in order, with bounded memory and a time limit for each image."""

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

from featurestore.errors import ConfigError, SourceError, TooManyOpenFiles
from featurestore.imaging import guarded
from featurestore.imaging.admission import Admission
from featurestore.imaging.load import IsKnown, Known, Loaded, load
from featurestore.imaging.preprocess import Preprocess
from featurestore.sources import Failure, ImageFile
from featurestore.system.cpus import available_cpus

T = TypeVar("T")
Work = Callable[[Admission], T]  # on one image; it tells its admission when it reads and when it decodes

LEAST_SECONDS = 0.1
MOST_WORKERS = 1024
AHEAD = 32  # images per thread that may be loaded before the consumer takes them
TOGETHER, TOGETHER_SECONDS = 16, 0.02  # how many results are waited for at a time, and how long
POLL_SECONDS = 0.5  # longest wait at a time: some systems notice Ctrl-C only between two waits
CLOSE_SECONDS = 1.0  # how long to wait at the end for threads to finish; stuck ones are abandoned
MOST_STUCK = 32  # abandoned threads of this process: each keeps what it has read

_stuck: list[threading.Thread] = []


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
    seconds: float = guarded.SECONDS,
    with_small: bool = False,
) -> Generator[Loaded | Known | Failure]:
    """Load files, each given with what tells whether its content is known, or None, in `workers` threads (default: one per processor).

    Results come in the order of the files. At most AHEAD files per thread are loaded ahead, however many there are. A
    file that takes more than `seconds` to read, or as many to decode, becomes a Failure. with_small: as for `load`. Raises
    SourceError when MOST_STUCK files are being read and do not end, TooManyOpenFiles.
    """

    def work(file: ImageFile, is_known: IsKnown | None) -> Work[Loaded | Known | Failure]:
        return lambda admission: load(file, record, is_known, admission, seconds, with_small)

    workers = workers or available_cpus()
    threads = _Threads[Loaded | Known | Failure](workers, seconds)
    waiting: deque[_Job[Loaded | Known | Failure]] = deque()
    try:
        for file, is_known in files:
            waiting.append(threads.submit(file.path, work(file, is_known)))
            if len(waiting) > AHEAD * workers:
                if not waiting[0].done.is_set():  # to be woken for each small image would take longer than to decode it
                    waiting[min(TOGETHER, len(waiting) - 1)].done.wait(TOGETHER_SECONDS)
                yield threads.result(waiting.popleft())
        while waiting:
            yield threads.result(waiting.popleft())
    finally:
        threads.close()


def run_in_time(path: str, work: Work[T]) -> T | Failure:
    """Do the work on one image, in a thread of its own; a Failure when it takes too long or raises. Raises SourceError as `load_all` does."""
    threads = _Threads[T](1, guarded.SECONDS)
    try:
        return threads.result(threads.submit(path, work))
    finally:
        threads.close()


@dataclass(eq=False, slots=True)
class _Job(Generic[T]):
    """The work on one image."""

    path: str
    work: Work[T]
    result: T | Failure | TooManyOpenFiles | None = None
    admission: Admission = field(default_factory=Admission)
    done: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None
    given_up: bool = False

    def run(self) -> T | Failure | TooManyOpenFiles:
        try:
            try:
                return self.work(self.admission)
            except BaseException as error:  # a SystemExit of a decoder would end this thread, not the program
                return Failure.of(self.path, error)
        except TooManyOpenFiles as error:  # for the thread that waits for the result
            return error
        finally:
            self.admission.release()


class _Threads(Generic[T]):
    """Threads that take jobs in the order of submission; a stuck thread is abandoned and replaced.

    An executor of the standard library would wait for stuck threads when the program ends.
    """

    def __init__(self, count: int, seconds: float) -> None:
        self._seconds = seconds
        self._jobs: SimpleQueue[_Job[T] | None] = SimpleQueue()
        self._threads: set[threading.Thread] = set()
        self._lock = threading.Lock()  # a job is either done or given up
        for _ in range(count):
            self._start()

    def submit(self, path: str, work: Work[T]) -> _Job[T]:
        job = _Job(path, work)
        self._jobs.put(job)
        return job

    def result(self, job: _Job[T]) -> T | Failure:
        """Wait for the oldest job. All before it are finished, so a thread has it already or takes it next. Raises TooManyOpenFiles."""
        while not job.done.wait(min(max(self._seconds_left(job), 0.0), POLL_SECONDS)):
            if self._seconds_left(job) <= 0 and self._give_up(job):
                doing = job.admission.doing
                return Failure(job.path, f"took longer than {self._seconds:g} s to {doing}", unread=doing == "read")
        assert job.result is not None
        if isinstance(job.result, TooManyOpenFiles):
            raise job.result
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

    def _seconds_left(self, job: _Job[T]) -> float:
        return job.admission.began + self._seconds - time.monotonic()

    def _give_up(self, job: _Job[T]) -> bool:
        """Abandon the thread of a job; False when it has just finished. Raises SourceError when too many are abandoned."""
        with self._lock:
            if job.done.is_set():
                return False
            job.given_up = True
        assert job.thread is not None
        job.admission.release()
        self._threads.discard(job.thread)
        _abandon(job.thread, job.path)
        self._start()
        return True

    def _start(self) -> None:
        thread = threading.Thread(target=self._work, name="decode", daemon=True)  # the program may end without it
        self._threads.add(thread)
        thread.start()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job.thread = threading.current_thread()
            result = job.run()
            with self._lock:
                if job.given_up:
                    return  # this thread has been replaced
                job.result = result
                job.done.set()


def _abandon(thread: threading.Thread, path: str) -> None:
    """Remember a thread that cannot be stopped. Raises SourceError when there are too many that have not ended since."""
    _stuck[:] = [thread, *filter(threading.Thread.is_alive, _stuck)]
    if len(_stuck) > MOST_STUCK:
        raise SourceError(
            f"{path}: {len(_stuck)} images have taken too long and are still being read, so no more are tried; what was indexed before is kept; "
            "check the disk or network that they lie on, then run the command again"
        )
