"""What a recipe knows before a training starts, and the rules that several methods share."""

from typing import NamedTuple

MEDIUM = 200_000  # images; from here on teachers are slower and queues longer
SMALLEST_CROP = 16  # pixels; a smaller crop shows nothing


class Situation(NamedTuple):
    """A training before it starts."""

    images: int
    view_size: int  # pixels
    steps: (
        int | None
    )  # of the optimiser; None when the training lasts some minutes, because the number is not known then


def teacher_momentum(situation: Situation) -> float:
    """Choose a teacher's momentum: it remembers a twenty-fifth of the steps and at least ten; large collections allow more."""
    most = 0.996 if situation.images >= MEDIUM else 0.99
    return most if situation.steps is None else min(most, round(1 - min(0.1, 25 / situation.steps), 4))


def crop_share(view_size: int) -> float:
    """Choose the side of local crops and puzzle pieces as a share of the view's: a half, and at least SMALLEST_CROP pixels."""
    return round(min(1.0, max(0.5, SMALLEST_CROP / view_size)), 4)


def power_of_two(number: int) -> int:
    """Give the largest power of two that is not above `number`, and 1 for numbers below 1."""
    return 1 << max(0, number.bit_length() - 1)
