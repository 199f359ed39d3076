"""The clock: epochs or minutes."""

import pytest

from trainers.training.clock import Clock


def test_a_clock_counts_epochs_or_minutes() -> None:
    by_epochs = Clock(steps_per_epoch=4, epochs=2, minutes=None, step=6)
    assert (by_epochs.fraction, by_epochs.now().epoch, by_epochs.steps_into_epoch, by_epochs.done) == (
        0.75,
        1,
        2,
        False,
    )
    by_minutes = Clock(steps_per_epoch=4, epochs=2, minutes=2, step=100, seconds=90)
    assert (by_minutes.fraction, by_minutes.done) == (0.75, False)
    assert Clock(4, 2, 2, 100, 121).done


def test_a_compilation_takes_no_time_from_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([50.0, 53.0])
    monkeypatch.setattr("trainers.training.clock.time.monotonic", lambda: next(now))
    clock = Clock(4, 2, minutes=1, compiles=True, _since=0.0)
    clock.tick()
    clock.tick()
    assert (clock.step, clock.seconds) == (2, 3.0)
