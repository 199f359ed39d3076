"""The contract between a method and the loop: four things, and nothing else."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

from torch import Tensor, nn

from trainers.augmentations.pipeline import AugmentConfig, ViewSpec, two_views


class Progress(NamedTuple):
    """Where the training stands, and the seed of whatever a method draws in this step."""

    step: int  # optimiser steps done
    epoch: int  # full passes done
    fraction: float  # share of the whole training that is spent, in [0, 1]
    seed: int = 0


class Step(NamedTuple):
    """What a method says of one batch."""

    loss: Tensor  # scalar
    projections: Tensor  # (B, D) detached; the collapse monitor reads them
    logs: dict[str, Tensor]  # detached scalars worth keeping, read once an epoch
    carry: Tensor | None = None  # rows for `after_step`; those of accumulated batches are put one after another


class Method(nn.Module, ABC):
    """A method: the views it wants, its loss, what moves without gradient, and which network is kept.

    All state is in parameters and persistent buffers: `state_dict()` is the whole method.
    """

    Settings: ClassVar[type]  # frozen dataclass of the method's own settings
    views: tuple[ViewSpec, ...]

    @abstractmethod
    def __init__(self, backbone: nn.Module, settings: Any, views: tuple[ViewSpec, ...]) -> None:
        super().__init__()
        self.views = views

    @classmethod
    def make_views(cls, augment: AugmentConfig, image_size: int, settings: Any) -> tuple[ViewSpec, ...]:
        """Describe the views the method wants: two of the full size unless it says otherwise."""
        return two_views(augment, image_size)

    @abstractmethod
    def loss(self, views: Sequence[Tensor], at: Progress) -> Step:
        """Compute the loss of one batch; pure: called twice it gives the same number. views: V times (B, 3, H, W)."""

    def after_step(self, carry: Tensor | None, at: Progress) -> dict[str, float]:
        """Move what has no gradient, once after each optimiser step; returns what is worth logging."""
        return {}

    @property
    def sizes(self) -> set[int]:
        """Sides, in pixels, of the pictures that go into the backbone."""
        return {view.size for view in self.views}

    @property
    def backbones(self) -> list[nn.Module]:
        """All copies of the backbone, which start from the same weights."""
        return [self.export_backbone]

    @property
    def compiled(self) -> list[nn.Module]:
        """What --compile compiles: where the time goes."""
        return self.backbones

    @property
    def uniform_loss(self) -> float | None:
        """The loss at which the output is uniform and nothing is learned, where the method has such a plateau."""
        return None

    @property
    def first_projection(self) -> nn.Module | None:
        """The first layer of the projection on `export_backbone`, where the method has one that a classifier can stand on."""
        return None

    @property
    @abstractmethod
    def export_backbone(self) -> nn.Module:
        """The network that becomes the encoder."""

    @property
    @abstractmethod
    def export_branch(self) -> str:
        """What that network is called in the method's own words, for the encoder's card."""
