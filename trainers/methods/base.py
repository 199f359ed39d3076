"""The contract of a training method: what the loop calls, and what the settings and the collapse monitor read."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

from torch import Tensor, nn

from trainers.augmentations import AugmentConfig, ViewSpec, two_views
from trainers.methods.situation import Situation


class Progress(NamedTuple):
    """How far the training is, and the seed of the random numbers that a method draws in this step."""

    step: int  # optimiser steps done
    epoch: int  # full passes done
    fraction: float  # share of the whole training that is done, in [0, 1]
    seed: int = 0


class Step(NamedTuple):
    """The result of one batch."""

    loss: Tensor  # scalar
    projections: Tensor  # (B, D) detached; the collapse monitor reads them
    logs: dict[str, Tensor]  # detached scalars, read once an epoch
    carry: Tensor | None = None  # rows for `after_step`, such as MoCo's keys; those of all parts of a batch are joined


class Bank(NamedTuple):
    """What a method with negatives compares every image with: the same images, in the same views."""

    vectors: Tensor  # those of `bank_vectors`
    same: Tensor  # bool (B, M): where an image of the batch is one of the bank, and no negative of itself


@dataclass(frozen=True, slots=True)
class Variant:
    """A method under one of its names: its help line, and the defaults it changes."""

    help: str
    own: Mapping[str, Any] = field(default_factory=dict)  # of the method's own settings
    augment: Mapping[str, Any] = field(default_factory=dict)
    optimizer: Mapping[str, Any] = field(default_factory=dict)
    top: Mapping[str, Any] = field(default_factory=dict)  # of settings without a table
    warning: str = ""  # for the log of every training


class Method(nn.Module, ABC):
    """A training method: the views it wants, its loss, what is updated without a gradient, and which network is exported.

    All state is in parameters and persistent buffers: `state_dict()` is the whole method.
    """

    variants: ClassVar[Mapping[str, Variant]]  # by the name that --method takes
    Settings: ClassVar[type]  # frozen dataclass of the method's own settings, with their ranges
    cures: ClassVar[Mapping[str, str]] = {}  # by the name of a collapse: what helps beside the general advice
    crop_setting: ClassVar[str | None] = None  # own setting: side of the smallest crop as a share of the view's
    needs_vit: ClassVar[bool] = False
    has_negatives: ClassVar[bool] = False  # an image is compared with others
    views: tuple[ViewSpec, ...]

    @classmethod
    def recipe(cls, situation: Situation) -> dict[str, Any]:
        """Choose own settings by the number of images, the size of the views and the length of the training."""
        return {}

    @classmethod
    def recipe_for_network(cls, situation: Situation, is_transformer: bool) -> Mapping[str, Any]:
        """Choose what depends on the kind of network: a table with the keys of a configuration. Every published recipe of ViTs has AdamW."""
        return {"optimizer": {"name": "adamw", "lr": 5e-4, "weight_decay": 0.05}} if is_transformer else {}

    @classmethod
    def doubts(cls, settings: Any, images: int) -> list[str]:
        """Say what of the method's settings does not fit a number of images."""
        return []

    @classmethod
    def make_views(cls, augment: AugmentConfig, image_size: int, settings: Any) -> tuple[ViewSpec, ...]:
        """Describe the views that the method wants: two of the full size, unless a method overrides this."""
        return two_views(augment, image_size)

    @abstractmethod
    def __init__(self, backbone: nn.Module, settings: Any, views: tuple[ViewSpec, ...]) -> None:
        super().__init__()
        self.views = views

    @abstractmethod
    def loss(self, views: Sequence[Tensor], at: Progress) -> Step:
        """Compute the loss of one batch; pure: called twice it gives the same number. views: V tensors (B, 3, H, W)."""

    @abstractmethod
    def image_losses(self, views: Sequence[Tensor], at: Progress, bank: Bank | None) -> Tensor:
        """Compute the loss of each image by itself, (B,): in evaluation mode it depends on no other image of the batch.

        The formula is that of `loss`, whose negatives are those of the `bank`; a term about a batch as a whole, which spreads its vectors, is
        left out. Whatever is drawn at random is drawn once, for all images.
        """

    def bank_vectors(self, views: Sequence[Tensor]) -> Tensor:
        """Encode the views of M images to negatives of others, of a method that `has_negatives`: (G, M, D) of G views, unit length."""
        raise NotImplementedError

    def after_step(self, carry: Tensor | None, at: Progress) -> dict[str, float]:
        """Move what has no gradient, once after each optimiser step; returns numbers for the log."""
        return {}

    @property
    @abstractmethod
    def export_backbone(self) -> nn.Module:
        """The network that becomes the encoder."""

    @property
    @abstractmethod
    def export_branch(self) -> str:
        """The paper's name for that network, for the encoder's card."""

    @property
    def backbones(self) -> list[nn.Module]:
        """All copies of the backbone; they start from the same weights."""
        return [self.export_backbone]

    @property
    def sizes(self) -> set[int]:
        """Sides, in pixels, of the images that go into the backbone."""
        return {view.size for view in self.views}

    @property
    def compiled(self) -> list[nn.Module]:
        """The modules that --compile compiles: those that take the time."""
        return self.backbones

    @property
    def uniform_loss(self) -> float | None:
        """The loss when all outputs are equally likely: a training that stays at it learns nothing; None when the method has no such plateau.

        Where the loss has further terms, it is that of the figure `class_loss` in the logs.
        """
        return None

    @property
    def first_projection(self) -> nn.Module | None:
        """The first layer of the projection on `export_backbone`, for a classifier to build on; None when there is none."""
        return None
