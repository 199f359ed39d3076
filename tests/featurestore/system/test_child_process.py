"""Child processes: what they may take, and how their end is known."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from featurestore.system.child_limits import Limits
from featurestore.system.child_process import ChildEnded, ChildProcess, Ending
from featurestore.system.messages import Message

MODULE = "tests.featurestore.system.answers"
LIMITS = Limits(memory=256 << 20, cpu_seconds=1)


@pytest.fixture(scope="module")
def kept() -> Iterator[ChildProcess]:
    """One child for the tests that leave it alive."""
    with closing(ChildProcess(MODULE, LIMITS)) as child:
        yield child


def test_a_child_answers_with_messages(kept: ChildProcess) -> None:
    data = os.urandom(3 << 20)
    deadline = kept.send(Message({"say": 3}, data), 20)
    assert [kept.receive(deadline) for _ in range(3)] == [({"number": number}, data) for number in range(3)]
    assert kept.ask(Message({"say": 1}), 20) == ({"number": 0}, b"")
    assert kept.is_usable()


def test_a_child_writes_no_file(kept: ChildProcess, tmp_path: Path) -> None:
    assert kept.ask(Message({"write": str(tmp_path / "new")}), 20).header == {"error": "File too large"}
    assert (tmp_path / "new").read_bytes() == b""


def test_a_child_can_shut_out_all_files_for_a_while(kept: ChildProcess, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"1234")
    for allowed, found in ((False, {"error": "Too many open files"}), (True, {"read": 4})):
        assert kept.ask(Message({"open": str(tmp_path / "file"), "allowed": allowed}), 20).header == found


@pytest.mark.parametrize(
    ("header", "seconds", "ending"),
    [
        ({"sleep": 60}, 0.2, Ending.DEADLINE),
        ({"take": 1 << 30}, 20, Ending.MEMORY),
        ({"exit": 3}, 20, Ending.CRASHED),
        pytest.param({"signal": "SIGSEGV"}, 20, Ending.CRASHED, marks=pytest.mark.slow),
        pytest.param({"signal": "SIGKILL"}, 20, Ending.KILLED, marks=pytest.mark.slow),
        pytest.param({"unknown": 1}, 20, Ending.CRASHED, marks=pytest.mark.slow),
        pytest.param({"count": 1}, 20, Ending.CPU, marks=pytest.mark.slow),
    ],
)
def test_how_a_child_ends_is_known(header: dict[str, object], seconds: float, ending: Ending) -> None:
    child = ChildProcess(MODULE, LIMITS)
    assert child.ask(Message({"take": 1 << 20}), 20).header == {"taken": 1 << 20}
    began = time.monotonic()
    with pytest.raises(ChildEnded) as caught:
        child.ask(Message(header), seconds)
    assert caught.value.ending == ending
    assert time.monotonic() - began < 5
    assert not child.is_usable()


def test_a_module_that_cannot_be_loaded_is_a_crash() -> None:
    with pytest.raises(ChildEnded) as caught:
        ChildProcess("tests.featurestore.system.nothing", LIMITS).ask(Message({}), 20)
    assert caught.value.ending == Ending.CRASHED


def test_more_data_than_asked_for_is_not_received() -> None:
    child = ChildProcess(MODULE, LIMITS)
    deadline = child.send(Message({"say": 1}, bytes(1001)), 20)
    with pytest.raises(ChildEnded):
        child.receive(deadline, data_bytes=1000)


def ended_within(pid: int, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        status = Path(f"/proc/{pid}/status")
        if not status.exists() or "State:\tZ" in status.read_text():
            return True
        time.sleep(0.01)
    return False


PARENT = f"""
import os, sys, time
from featurestore.system.child_limits import Limits
from featurestore.system.child_process import ChildProcess
from featurestore.system.messages import Message
child = ChildProcess("{MODULE}", Limits(memory=1 << 28, cpu_seconds=30))
child.ask(Message({{"say": 1}}), 20)
child.send(Message({{"hold": 1}}), 20)
fork = 0
if sys.argv[1] == "fork" and not (fork := os.fork()):
    time.sleep(60)
print(child.pid, fork, flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="looks into /proc")
@pytest.mark.parametrize(
    ("stop", "fork"),
    [
        (signal.SIGKILL, ""),
        pytest.param(signal.SIGINT, "", marks=pytest.mark.slow),
        pytest.param(signal.SIGKILL, "fork", marks=pytest.mark.slow),
    ],
)
def test_a_busy_child_ends_with_its_parent(stop: signal.Signals, fork: str) -> None:
    """Also when a fork of the parent lives on."""
    command = [sys.executable, "-c", PARENT, fork]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as parent:
        assert parent.stdout is not None
        child, other = map(int, parent.stdout.readline().split())
        parent.send_signal(stop)
        parent.wait()
        ended = ended_within(child, 5)
        if other:
            os.kill(other, signal.SIGKILL)
        assert ended


@pytest.mark.parametrize("use", [lambda child: child.is_usable(), lambda child: child.close()])
def test_a_fork_leaves_the_child_alone(kept: ChildProcess, use: Callable[[ChildProcess], object]) -> None:
    kept.ask(Message({"say": 1}), 20)
    fork = os.fork()
    if fork == 0:
        os._exit(1 if use(kept) else 0)
    assert os.waitstatus_to_exitcode(os.waitpid(fork, 0)[1]) == 0
    assert kept.ask(Message({"say": 1}), 20).header == {"number": 0}
