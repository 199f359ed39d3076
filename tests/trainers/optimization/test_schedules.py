"""Schedules on known numbers."""

import math

import pytest

from trainers.optimization.schedules import cosine, learning_rate, momentum_at


def test_cosine_passes_its_ends_and_its_middle() -> None:
    assert [cosine(f, 0.9, 1.0) for f in (0.0, 0.5, 1.0)] == pytest.approx([0.9, 0.95, 1.0])
    assert cosine(1.5, 0.9, 1.0) == 1.0  # a clock that runs over stays at the end


def test_a_teachers_momentum_rises_to_one_or_stays() -> None:
    assert [momentum_at(f, 0.9, "cosine") for f in (0.0, 0.5, 1.0)] == pytest.approx([0.9, 0.95, 1.0])
    assert [momentum_at(f, 0.9, "constant") for f in (0.0, 0.5, 1.0)] == [0.9] * 3


def test_a_rate_rises_in_a_line_and_falls_along_a_cosine() -> None:
    rates = [learning_rate(f, 2.0, 0.1, "cosine") for f in (0.0, 0.05, 0.1, 0.55, 1.0)]
    assert rates == pytest.approx([0.0, 1.0, 2.0, 1.0, 0.0])
    assert learning_rate(0.25, 2.0, 0.0, "cosine") == pytest.approx(1 + math.cos(math.pi / 4))


def test_in_steps_a_rate_falls_to_a_tenth_twice() -> None:
    rates = [learning_rate(f, 2.0, 0.1, "steps") for f in (0.05, 0.1, 0.59, 0.6, 0.79, 0.8, 1.0)]
    assert rates == pytest.approx([1.0, 2.0, 2.0, 0.2, 0.2, 0.02, 0.02])
