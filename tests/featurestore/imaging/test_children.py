"""Images that are not ordinary, in child processes: the same pixels, and an end in time and within the memory."""

import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from featurestore.errors import ImageError
from featurestore.imaging import admission, guarded, tasks
from featurestore.imaging.admission import Admission
from featurestore.imaging.children import CHILDREN
from featurestore.imaging.preprocess import Preprocess
from featurestore.system.child_process import ChildProcess
from featurestore.system.messages import Message
from tests.featurestore.attacks.images import jpeg_of_scans, png_of
from tests.featurestore.imaging.image_bytes import chunk, noise, qoi, saved

RECORD = Preprocess(16, 20)
CUT = saved(noise(), "jpeg2000")[:200]


@pytest.fixture
def new_children() -> Iterator[None]:
    """No child of other tests, and none that is left to them."""
    CHILDREN.close()
    yield
    CHILDREN.close()


def idle() -> list[int]:
    return [child.pid for _, child in CHILDREN._idle]


def test_a_child_gives_what_this_process_would() -> None:
    data = saved(noise(), "jpeg2000")
    for with_small in (False, True):
        here = tasks.pixels(data, RECORD, with_small)
        there = guarded.pixels(data, RECORD, Admission(), 30, with_small)
        np.testing.assert_equal(asdict(here), asdict(there))
        assert (there.small is not None) == with_small
    small = guarded.thumbnail(data, 32, None, Admission(), 30)
    assert np.array_equal(small.pixels, tasks.thumbnail(data, 32, None).pixels)
    assert small.pixels.shape == (24, 32, 3)
    size = guarded.size(data, Admission(), 30)
    assert (size.width, size.height) == (64, 48)


def test_a_child_is_kept_for_the_next_image_whatever_becomes_of_one(new_children: None) -> None:
    with pytest.raises(ImageError, match=r"^(damaged|cut off)"):
        guarded.pixels(CUT, RECORD, Admission(), 30)
    [first] = idle()
    guarded.pixels(saved(noise(), "jpeg2000"), RECORD, Admission(), 30)
    assert idle() == [first]


def test_a_child_is_ended_when_an_image_takes_too_long_and_another_takes_its_place(new_children: None) -> None:
    with pytest.raises(ImageError, match=r"^took longer than 0\.2 s to decode$"):
        guarded.pixels(jpeg_of_scans(2000, 1200), RECORD, Admission(), 0.2)
    assert idle() == []
    assert guarded.pixels(saved(noise(), "jpeg2000"), RECORD, Admission(), 30).width == 64


@pytest.mark.slow
def test_a_child_that_was_killed_from_outside_says_so(new_children: None, monkeypatch: pytest.MonkeyPatch) -> None:
    send = ChildProcess.send

    def killed(child: ChildProcess, message: Message, seconds: float) -> float:
        deadline = send(child, message, seconds)
        os.kill(child.pid, signal.SIGKILL)
        return deadline

    monkeypatch.setattr(ChildProcess, "send", killed)
    with pytest.raises(ImageError, match=r"^its decoder was killed, perhaps because the system had no more memory"):
        guarded.pixels(jpeg_of_scans(2000, 1200), RECORD, Admission(), 30)


@pytest.mark.slow
def test_an_image_that_needs_more_memory_than_a_child_has_is_refused(
    new_children: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CHILDREN, "_limits", replace(CHILDREN._limits, memory=48 << 20))
    with pytest.raises(ImageError, match=r"^needs more than 3 GiB of memory to decode$"):
        guarded.pixels(png_of(6000, 6000, 8, 0, 1, *[chunk(b"tEXt", b"a\0b")] * 200), RECORD, Admission(), 30)
    assert guarded.pixels(saved(noise(), "jpeg2000"), RECORD, Admission(), 30).width == 64


def test_ordinary_images_start_no_child(new_children: None, tmp_path: Path) -> None:
    for data in (saved(noise(), "jpeg"), saved(noise(), "png"), saved(noise(), "tiff"), png_of(64, 64, 16, 2, 3)):
        guarded.pixels(data, RECORD, Admission(), 30)
    with pytest.raises(ImageError, match="not an image"):
        guarded.pixels(b"text", RECORD, Admission(), 30)
    assert idle() == []
    guarded.pixels(qoi(4, 4, b"\xfe\xff\0\0\xce"), RECORD, Admission(), 30)
    assert len(idle()) == 1


def test_a_fork_does_not_wait_for_what_other_threads_had(new_children: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """All children and all memory are taken when this process is forked."""
    monkeypatch.setattr(CHILDREN, "_free", threading.Semaphore(0))
    monkeypatch.setattr(admission, "_free", 0)
    fork = os.fork()
    if fork == 0:
        signal.alarm(20)
        Admission().reserve(2 * admission.SMALL)
        os._exit(0 if guarded.size(saved(noise(), "jpeg2000"), Admission(), 30).width == 64 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(fork, 0)[1]) == 0
