"""Recipes of fine-tuning, by the number of labels and by whether the network is pretrained."""

from dataclasses import dataclass, replace

ENOUGH = 2000  # labels; from here on a tenth of them is held out to choose the best epoch
FEWEST_EPOCHS, MOST_EPOCHS = 10, 300
STRONG_DECAY = 2.0  # AdamW multiplies it by the rate: in 800 steps at 3e-3 a weight shrinks to a tenth


@dataclass(frozen=True, slots=True)
class FinetuningRecipe:
    """Settings of one training of a classifier."""

    epochs: int  # without effect when minutes is given
    minutes: float | None
    batch_size: int
    lr: float  # peak, of the new layers
    learned: float  # the rate of the pretrained layers, as a share of `lr`
    frozen: float  # share of the training, at its start, in which the pretrained layers do not move
    weight_decay: float
    warmup: float = 0.1  # share of the training over which the rates rise
    smoothing: float = 0.1  # of the labels
    average: float = 0.99  # momentum of the running average of the weights, which is the result


def candidates(
    labels: int, pretrained: bool, epochs: int | None, minutes: float | None
) -> tuple[FinetuningRecipe, ...]:
    """Give the recipes to try for a number of labels.

    Pretrained layers move at a tenth of the rate, which suits a good encoder, or at the full rate, which suits one that was trained too
    short. From scratch all layers have one rate, and a strong decay (Brigato et al. 2021): few labels need it and cannot choose it, many
    choose between it and the usual one.
    """
    common = FinetuningRecipe(
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
    strong = replace(scratch, weight_decay=STRONG_DECAY)
    return (strong,) if labels < ENOUGH else (scratch, strong)


def epochs_of(labels: int) -> int:
    """Give the epochs for a number of labels: 2200 / sqrt(labels), from 10 to 300."""
    return int(min(MOST_EPOCHS, max(FEWEST_EPOCHS, round(2200 / labels**0.5))))


def batch_of(labels: int) -> int:
    """Give the batch size: an eighth of the labels, so that an epoch has several steps, from 2 to 64; 256 from 10,000 labels on."""
    return 256 if labels >= 10_000 else min(64, max(2, labels // 8))
