"""The speed of a training: that of whole steps, and 0 where they do not fit the memory."""

import math
from typing import Any

import pytest
import torch

from featurestore.errors import ConfigError, TrainingError
from tests.trainers.small import config_of
from trainers.config.schema import Config
from trainers.training import speed
from trainers.training.loop import take_step
from trainers.training.speed import images_per_second


def small(**settings: Any) -> Config:
    return config_of("simclr", backbone="conv4", batch_size=8, **settings)


def test_whole_steps_are_timed_and_a_network_far_too_slow_gets_one(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    genuine = take_step

    def counted(step: Any, batch: Any, at: Any) -> Any:
        taken.append(len(batch))
        return genuine(step, batch, at)

    monkeypatch.setattr(speed, "take_step", counted)
    assert images_per_second(small(), images=100, enough=1e9) > 0
    assert images_per_second(small(), images=5, enough=1e9) > 0
    assert taken == [8, 5]
    monkeypatch.setattr(speed, "SECONDS", 0.01)
    assert images_per_second(small(), images=100, enough=0.1) > 0
    assert len(taken) >= 2 + 1 + 2


@pytest.mark.parametrize("settings", [{"accumulate": 8}, {"compile": True}])
def test_a_processor_is_timed_by_plain_steps(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self: pytest.fail("a timing compiles nothing"))
    assert images_per_second(small(device="cpu", **settings), images=100, enough=1e9) > 0


@pytest.mark.parametrize("place", ["set_up", "take_step"])
@pytest.mark.parametrize("error", [TrainingError("does not fit"), torch.OutOfMemoryError("CUDA out of memory")])
def test_memory_that_is_full_is_no_speed(place: str, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise error

    monkeypatch.setattr(speed, place, full)
    assert images_per_second(small(), images=100, enough=1.0) == 0.0


def test_where_any_speed_is_enough_the_network_is_only_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "set_up", lambda *_: pytest.fail("nothing is timed"))
    assert images_per_second(small(), images=100, enough=0.0) == math.inf
    for enough in (0.0, 1.0):
        monkeypatch.undo()
        with pytest.raises(ConfigError, match="crops of 8 px"):
            images_per_second(small(view_size=8), images=100, enough=enough)
