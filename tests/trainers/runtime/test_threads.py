"""The number of threads of a training on a busy processor."""

from collections.abc import Iterator

import pytest
import torch

from trainers.runtime import threads
from trainers.runtime.threads import fit_threads, restores_threads


@pytest.fixture(autouse=True)
def _eight_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(8)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("speeds", "chosen"),
    [
        ({8: 100, 4: 60, 1: 20}, 8),
        ({8: 100, 4: 190, 1: 20}, 8),
        ({8: 10, 4: 60, 1: 20}, 4),
        ({8: 3, 4: 5, 1: 20}, 1),
    ],
)
def test_fewer_threads_are_taken_where_they_are_faster(
    speeds: dict[int, float], chosen: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "_speed", lambda count: speeds[count])
    said = fit_threads()
    assert torch.get_num_threads() == chosen
    assert (said is None) == (chosen == 8)
    if said:
        assert said.startswith(f"{chosen} of 8 threads are {speeds[chosen] / speeds[8]:.1f} times as fast as all")


def test_one_thread_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    monkeypatch.setattr(threads, "_speed", lambda count: pytest.fail("timed"))
    assert fit_threads() is None


def test_a_speed_is_measured_with_that_many_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "SECONDS", 0.01)
    assert threads._speed(2) > 0
    assert torch.get_num_threads() == 2


def test_the_caller_keeps_its_threads_also_after_an_error() -> None:
    @restores_threads
    def work(threads: int) -> int:
        torch.set_num_threads(threads)
        if threads == 2:
            raise ValueError("two")
        return torch.get_num_threads()

    assert work(3) == 3
    assert torch.get_num_threads() == 8
    with pytest.raises(ValueError, match="two"):
        work(2)
    assert torch.get_num_threads() == 8
