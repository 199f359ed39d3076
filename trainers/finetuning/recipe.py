"""Recipes of fine-tuning, chosen by the number of labels and by whether the network knows something already."""

from dataclasses import dataclass, replace

ENOUGH = 2000  # labels; from here on a tenth of them can be spared to choose the best moment
FEWEST_EPOCHS, MOST_EPOCHS = 10, 300


@dataclass(frozen=True, slots=True)
class Recipe:
    """Settings of one training of a classifier."""

    epochs: int  # without effect when minutes is given
    minutes: float | None
    batch_size: int
    lr: float  # peak, of what is new
    learned: float  # the rate of what was learned before, as a share of `lr`
    frozen: float  # share of the training in which what was learned before stays as it is
    weight_decay: float
    warmup: float = 0.1  # share of the training over which the rates rise
    smoothing: float = 0.1  # of the labels
    average: float = 0.99  # momentum of the average of the weights, which is what is kept


def candidates(labels: int, pretrained: bool, epochs: int | None, minutes: float | None) -> tuple[Recipe, ...]:
    """Give the two recipes to try for a number of labels.

    What was learned before moves at a tenth of the rate, which suits a good encoder, or at the full one, which suits one that was trained too
    short. From scratch there is one rate for all of it, the usual one or three times that.
    """
    common = Recipe(
        epochs=epochs if epochs is not None else epochs_of(labels),
        minutes=minutes,
        batch_size=batch_of(labels),
        lr=3e-3,
        learned=0.1,
        frozen=0.1,
        weight_decay=0.05,
    )
    if pretrained:
        return common, replace(common, learned=1.0)
    scratch = replace(common, learned=1.0, frozen=0.0)
    return scratch, replace(scratch, lr=1e-3)


def epochs_of(labels: int) -> int:
    """Few labels are seen more often: 2200 / sqrt(labels), from 10 to 300."""
    return int(min(MOST_EPOCHS, max(FEWEST_EPOCHS, round(2200 / labels**0.5))))


def batch_of(labels: int) -> int:
    """An eighth of the labels, so that an epoch has several steps: from 2 to 64, and 256 from 10,000 labels on."""
    return 256 if labels >= 10_000 else min(64, max(2, labels // 8))
