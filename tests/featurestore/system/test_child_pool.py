"""A pool of child processes: which are kept, which are ended, who waits for one, and what a fork has of them."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from featurestore.system import child_pool
from featurestore.system.child_limits import Limits
from featurestore.system.child_pool import ChildPool
from featurestore.system.child_process import ChildProcess
from featurestore.system.messages import Message

NewPool = Callable[[int | None], ChildPool]


@pytest.fixture
def new_pool() -> Iterator[NewPool]:
    pools = []

    def make(most: int | None) -> ChildPool:
        limits = Limits(memory=256 << 20, cpu_seconds=10)
        pools.append(ChildPool("tests.featurestore.system.answers", limits, most, harmless=(LookupError,)))
        return pools[-1]

    yield make
    for pool in pools:
        pool.close()


def kept(pool: ChildPool) -> list[int]:
    return [child.pid for _, child in pool._idle]


def use(pool: ChildPool, error: BaseException | None = None) -> ChildProcess:
    """Ask a child, and leave the block with the error."""
    with suppress(BaseException), pool.lend() as child:
        assert child.ask(Message({"say": 1}), 20).header == {"number": 0}
        if error is not None:
            raise error
    return child


def test_a_child_is_lent_again_also_after_a_harmless_error_and_ended_after_others(new_pool: NewPool) -> None:
    pool = new_pool(2)
    first = use(pool)
    assert [use(pool), use(pool, KeyError()), use(pool)] == [first] * 3
    for error in (ValueError(), KeyboardInterrupt()):
        assert not use(pool, error).is_usable()
        assert kept(pool) == []


def test_a_child_that_has_ended_or_waited_too_long_is_replaced(
    new_pool: NewPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = new_pool(2)
    first = use(pool)
    os.kill(first.pid, signal.SIGKILL)
    os.waitid(os.P_PID, first.pid, os.WEXITED | os.WNOWAIT)
    second = use(pool)
    assert kept(pool) == [second.pid] != [first.pid]
    monkeypatch.setattr(child_pool, "IDLE_SECONDS", 0.0)
    assert use(pool) is not second
    assert not second.is_usable()


def test_a_child_ends_by_itself_when_it_has_waited_too_long(new_pool: NewPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_pool, "IDLE_SECONDS", 0.1)
    use(new_pool(1))._process.wait(20)


@pytest.mark.parametrize(("most", "left"), [(2, 2), (None, 1)])
def test_children_beyond_those_to_keep_are_ended(new_pool: NewPool, most: int | None, left: int) -> None:
    pool = new_pool(most)
    with pool.lend() as first, pool.lend() as second:
        assert first.pid != second.pid
    assert len(kept(pool)) == left
    pool.close()
    assert not first.is_usable()
    assert not second.is_usable()


def test_who_wants_one_more_waits_also_in_a_fork_that_had_none_of_them(new_pool: NewPool) -> None:
    pool = new_pool(1)
    third = threading.Thread(target=use, args=(pool,), daemon=True)
    use(pool)
    with pool.lend() as child:
        third.start()
        third.join(0.1)
        assert third.is_alive()
        fork = os.fork()
        if fork == 0:
            signal.alarm(20)  # it would wait for ever
            os._exit(0 if use(pool).pid != child.pid and len(kept(pool)) == 1 else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(fork, 0)[1]) == 0
    third.join(20)
    assert not third.is_alive()
    assert kept(pool) == [child.pid]


def test_a_fork_leaves_the_children_of_its_parent_alone(new_pool: NewPool) -> None:
    pool = new_pool(1)
    child = use(pool)
    fork = os.fork()
    if fork == 0:
        os._exit(len(kept(pool)))
    assert os.waitstatus_to_exitcode(os.waitpid(fork, 0)[1]) == 0
    assert use(pool) is child
