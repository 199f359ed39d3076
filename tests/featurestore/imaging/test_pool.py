"""The pipeline: in order, bounded, and stopped by no image, however slow or damaged."""

import hashlib
import itertools
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from featurestore.errors import SourceError
from featurestore.imaging import Known, load_all, pool, preprocess
from featurestore.imaging.admission import Admission
from featurestore.imaging.load import load
from featurestore.sources import Failure, ImageFile
from tests.featurestore.fakes import RECORD, paint

ROOT = Path(__file__).parents[3]
LATE = "took longer than 0.1 s to read"


def named(name: str) -> ImageFile:
    return ImageFile(name, None, None, 0, 0)


def numbered(count: int) -> Iterator[tuple[ImageFile, None]]:
    return ((named(str(number)), None) for number in range(count))


def decoders() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "decode"]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[ImageFile], None]], None]:
    """Put a function of the file in the place of reading and decoding it."""

    def replace(act: Callable[[ImageFile], None]) -> None:
        def fake_load(
            file: ImageFile, record: Any, is_known: Any, admission: Admission, seconds: float, *_: Any
        ) -> Known:
            admission.start_clock("read")
            act(file)
            return Known(file.path, "")

        monkeypatch.setattr(pool, "load", fake_load)

    return replace


@contextmanager
def stalls(fake: Any, names: set[str]) -> Iterator[threading.Event]:
    """The files of these names keep their threads until the block ends."""
    release = threading.Event()
    fake(lambda file: release.wait() if file.path in names else None)
    try:
        yield release
    finally:
        release.set()


# -- one file


def test_known_bytes_are_not_decoded(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(b"no image")
    file = named(str(path))
    content = hashlib.sha256(b"no image").hexdigest()
    assert load(file, RECORD, {content, "another"}.__contains__) == Known(str(path), content)
    assert isinstance(load(file, RECORD, {"another"}.__contains__), Failure)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError(), "not enough memory"),
        (RecursionError("too deep"), "RecursionError: too deep"),
        (ValueError("a\x1b[31m\nb"), "ValueError: a?[31m?b"),
        (OSError(5, "Input/output error"), "not readable: Input/output error"),
    ],
)
def test_whatever_preprocessing_raises_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str
) -> None:
    def broken(*arguments: Any) -> None:
        raise error

    path = paint(tmp_path / "x.png", (1, 2, 3))
    monkeypatch.setattr(preprocess, "apply", broken)
    assert load(named(str(path)), RECORD) == Failure(str(path), reason, unread=isinstance(error, OSError))


# -- order and bounds


@pytest.mark.parametrize("workers", [1, 2, 7])
def test_the_order_holds_whichever_thread_is_first(fake: Any, workers: int) -> None:
    delays = random.Random(0)
    fake(lambda file: time.sleep(delays.random() / 500))
    results = load_all(numbered(100), RECORD, workers)
    assert [result.path for result in results] == [str(number) for number in range(100)]


@pytest.mark.parametrize("workers", [1, 3])
def test_what_waits_is_bounded_and_a_consumer_that_stops_leaves_no_thread_behind(fake: Any, workers: int) -> None:
    begun = itertools.count()
    fake(lambda file: time.sleep(0.01))
    results = load_all(((named(str(number)), None) for number in begun), RECORD, workers)
    for _ in range(5):
        next(results)
    assert next(begun) <= 5 + (pool.AHEAD + 1) * workers
    results.close()
    assert decoders() == []


def test_all_threads_work_at_once(fake: Any) -> None:
    together = threading.Barrier(3, timeout=10)
    fake(lambda file: together.wait() and None)
    assert [type(result) for result in load_all(numbered(3), RECORD, workers=3)] == [Known] * 3


# -- images that take too long


@pytest.mark.parametrize(
    ("stalled", "workers"),
    [({"0"}, 2), ({"9"}, 1), ({"3", "4", "5"}, 1), ({"3", "4", "5"}, 2), ({str(number) for number in range(10)}, 2)],
)
def test_an_image_that_stalls_is_a_failure_and_the_run_goes_on(fake: Any, stalled: set[str], workers: int) -> None:
    with stalls(fake, stalled):
        results = list(load_all(numbered(10), RECORD, workers, seconds=0.1))
        deadline = time.monotonic() + 20  # a busy machine may let a thread that has nothing to do wait for its end
        while (stuck := len(decoders())) > len(stalled) and time.monotonic() < deadline:
            time.sleep(0.02)
    assert [result.path for result in results] == [str(number) for number in range(10)]
    for result in results:
        assert result == (Failure(result.path, LATE, unread=True) if result.path in stalled else Known(result.path, ""))
    assert stuck == len(stalled)  # each keeps its thread, and no other thread is left


def test_a_run_ends_when_too_many_images_are_stuck(fake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a network drive that does not answer: each abandoned thread keeps what it has read."""
    monkeypatch.setattr(pool, "MOST_STUCK", 2)
    monkeypatch.setattr(pool, "_stuck", [])
    with (
        stalls(fake, {"1", "2", "3", "5"}),
        pytest.raises(SourceError, match=r"^3: 3 images have taken too long and are still being read, so no more are"),
    ):
        list(load_all(numbered(10), RECORD, workers=1, seconds=0.1))


def test_the_clock_stands_still_while_an_image_waits_for_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(file: ImageFile, record: Any, is_known: Any, admission: Admission, seconds: float, *_: Any) -> Known:
        admission.start_clock("read")
        admission.stop_clock()
        time.sleep(0.3)
        admission.start_clock("decode")
        return Known(file.path, "")

    monkeypatch.setattr(pool, "load", load)
    assert list(load_all(numbered(1), RECORD, workers=1, seconds=0.1)) == [Known("0", "")]


def test_time_counts_from_the_moment_a_thread_begins(fake: Any) -> None:
    fake(lambda file: time.sleep(0.06))
    results = list(load_all(numbered(8), RECORD, workers=1, seconds=0.3))
    assert [type(result) for result in results] == [Known] * 8  # the last one waited longer than that


def test_a_late_result_is_dropped_and_its_thread_ends(fake: Any) -> None:
    with stalls(fake, {"0"}) as release:
        results = load_all(numbered(40), RECORD, workers=1, seconds=0.1)
        assert next(results) == Failure("0", LATE, unread=True)
        stuck = decoders()[0]
        release.set()
        rest = list(results)
    assert [result.path for result in rest] == [str(number) for number in range(1, 40)]
    stuck.join(5)
    assert not stuck.is_alive()


def test_a_slow_consumer_gives_no_image_up(fake: Any) -> None:
    fake(lambda file: None)
    results = load_all(numbered(4), RECORD, workers=1, seconds=0.05)
    for result in results:
        time.sleep(0.1)
        assert isinstance(result, Known)


# -- decoders with faults


@pytest.mark.parametrize("error", [MemoryError(), ValueError("odd"), KeyError(3), SystemExit(3), KeyboardInterrupt(), GeneratorExit()])  # fmt: skip
def test_whatever_a_decoder_raises_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def broken(*arguments: Any, **more: Any) -> None:
        raise error

    path = str(paint(tmp_path / "x.png", (1, 2, 3)))
    monkeypatch.setattr(Image, "open", broken)
    results = list(load_all([(named(path), None)] * 5, RECORD, workers=1))
    assert [type(result) for result in results] == [Failure] * 5
    assert all(isinstance(result, Failure) and result.reason for result in results)


def test_an_error_of_the_source_reaches_the_consumer(fake: Any) -> None:
    def source() -> Iterator[tuple[ImageFile, None]]:
        yield from numbered(3)
        raise OSError("the disk is gone")

    fake(lambda file: None)
    with pytest.raises(OSError, match="the disk is gone"):
        list(load_all(source(), RECORD, workers=2))
    assert decoders() == []


# -- stopping early


def test_a_stuck_thread_holds_up_no_consumer_that_stops(fake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "CLOSE_SECONDS", 0.1)
    with stalls(fake, {"1"}):
        results = load_all(numbered(9), RECORD, workers=2)
        next(results)
        began = time.monotonic()
        results.close()
        assert time.monotonic() - began < 5


STUCK = """
import sys, threading
from featurestore.imaging import Preprocess, pool
from featurestore.sources import Failure, ImageFile
def load(file, record, is_known, admission, *_):
    admission.start_clock("read")
    print("begun", flush=True)
    threading.Event().wait()
pool.load = load
for result in pool.load_all([(ImageFile("x", None, None, 0, 0), None)], Preprocess(8, 8), 1, float(sys.argv[1])):
    print(result.reason)
"""


def test_a_program_with_a_stuck_thread_ends() -> None:
    done = subprocess.run([sys.executable, "-c", STUCK, "0.1"], capture_output=True, text=True, cwd=ROOT, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"begun\n{LATE}\n", "")


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to send")
def test_ctrl_c_is_heard_while_an_image_is_stuck() -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", STUCK, "3600"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "begun\n"
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=20)
    assert child.returncode != 0
    assert errors.rstrip().endswith("KeyboardInterrupt")
