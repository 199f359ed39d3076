"""Methods of self-supervised learning: what they share, and the table of all of them."""

from trainers.methods.base import Method, Progress, Step
from trainers.methods.byol import BYOL
from trainers.methods.simclr import SimCLR

METHODS: dict[str, type[Method]] = {"byol": BYOL, "simclr": SimCLR}

__all__ = ["METHODS", "Method", "Progress", "Step"]
