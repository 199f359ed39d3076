"""Collapse: whether the figures of an epoch show that the network learns nothing, and what helps."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

COLLAPSED_STD = 0.1  # healthy is 1; below this all projections are nearly equal
COLLAPSED_PERPLEXITY = 1.5  # prototypes that a batch uses
COLLAPSED_RANK = 1.5  # effective dimensions
UNIFORM_WITHIN = 0.002  # share of ln(P)
PATIENCE = 3  # epochs: at the start a healthy training may use one prototype, and may stay at ln(P), for this long
# What helps with each kind of collapse, whatever the method; `Method.cures` has what helps with the method's own settings.
CURES = {
    "point": "a lower learning rate, a longer warm-up",
    "one prototype": "a lower learning rate",
    "line": "a larger batch, a lower learning rate",
    "uniform": "another learning rate",
}


@dataclass(frozen=True, slots=True)
class Collapse:
    """A kind of collapse, and a message that says what was found and what may help."""

    name: str
    text: str


def compared_loss(figures: Mapping[str, float]) -> float:
    """Give the loss of an epoch that a uniform loss is compared with: `class_loss` where a method's loss has further terms."""
    return figures.get("class_loss", figures["loss"])


def is_uniform(loss: float, uniform_loss: float | None) -> bool:
    """Tell whether a loss lies at ln(P), that of a uniform output over P prototypes or orders; every training starts near it."""
    return uniform_loss is not None and abs(loss - uniform_loss) < UNIFORM_WITHIN * uniform_loss


def collapse(
    figures: Mapping[str, float], uniform_loss: float | None, cures: Mapping[str, str], plateau: int = 0
) -> Collapse | None:
    """Find a collapse in the figures of an epoch; None when the training is healthy.

    `uniform_loss` and `cures` are the method's; `plateau` is the number of epochs in a row, with this one, whose loss `is_uniform`.
    """
    std, rank, loss, width = (
        figures["feature_std"],
        figures["rankme"],
        compared_loss(figures),
        figures.get("width", 1.0),
    )
    used = figures.get("prototypes_used", math.inf)
    found = None
    if std < COLLAPSED_STD:
        found = "point", f"all vectors are nearly equal (std {std:.3f}; healthy is 1)"
    elif width < COLLAPSED_STD:
        found = "point", f"all vectors shrink to zero (width {width:.3f}; healthy is 1)"
    elif figures["epoch"] > PATIENCE and used < COLLAPSED_PERPLEXITY:
        found = (
            "one prototype",
            f"all images fall on one prototype ({used:.2f} in use), which makes the loss {loss:.3f} small and meaningless",
        )
    elif rank < COLLAPSED_RANK:
        found = "line", f"all vectors lie on a line (RankMe {rank:.2f})"
    elif plateau > PATIENCE:
        found = (
            "uniform",
            f"the output is uniform and nothing is learned (loss {loss:.3f} at ln(P) = {uniform_loss:.3f} for {plateau} epochs)",
        )
    if found is None:
        return None
    name, what = found
    own = f"{cures[name]}, " if name in cures else ""
    return Collapse(name, f"{what}; likely cures: {own}{CURES[name]}")
