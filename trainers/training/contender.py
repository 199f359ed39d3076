"""An encoder that a training may end with, with and without the layout of the image in its vectors."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from featurestore.estimators.whitening import Part
from featurestore.imaging.preprocess import Preprocess
from trainers.models.readout import with_layout
from trainers.models.side_by_side import LENGTHS, SideBySide
from trainers.training.features import Vectors

OWN, START, UNTRAINED, RAW = "own encoder", "start weights", "untrained network", "raw pixels"
BESIDE, BESIDE_FITTED = " beside start weights", " beside fitted start weights"  # after a name
LAYOUT = ", with layout"  # after a name, and after a branch

Make = Callable[[Vectors], Vectors]  # (N, D) to (N, K)


@dataclass(frozen=True, eq=False)
class Contender:
    """An encoder, and what its card says of it."""

    kind: str
    network: nn.Module  # normalised pixels (B, 3, S, S) to (B, D)
    record: Preprocess  # S, and how pixels are normalised
    parts: tuple[Part, ...]  # of its vectors, each whitened by itself
    method: str
    backbone: str
    branch: str
    trained_on: Mapping[str, Any] = field(default_factory=lambda: {"count": 0, "sha256": ""})
    layout: bool = False
    beside: bool = False  # its vectors stand beside those of known weights
    fitted: Mapping[str, Tensor] | None = None  # to views of images, behind the known weights; kept in the checkpoint

    @property
    def name(self) -> str:
        return self.name_without_layout + LAYOUT * self.layout

    @property
    def name_without_layout(self) -> str:
        return self.kind + (BESIDE_FITTED if self.fitted else BESIDE) * self.beside

    @property
    def in_all_lengths(self) -> tuple["Contender", ...]:
        """Give it, beside known weights, with each length of its trained part."""
        return tuple(self.with_length(length) for length in LENGTHS)

    def with_length(self, length: float) -> "Contender":
        """Give it, beside known weights, with another length of its trained part."""
        assert isinstance(self.network, SideBySide)
        *known, own = self.parts
        parts = (*known, own._replace(length=length))
        return dataclasses.replace(self, network=self.network.with_length(length), parts=parts)

    @property
    def dim(self) -> int:
        return sum(part.dim for part in self.parts)


@dataclass(frozen=True)
class Encoding:
    """Contenders whose vectors are all made from one pass of images through a network."""

    network: nn.Module
    record: Preprocess
    made: tuple[tuple[Contender, Make], ...]

    @property
    def pairs(self) -> list[tuple[Contender, Contender]]:
        """Pair each contender without layout with itself in its last form, that with layout if there is one."""
        found = [contender for contender, _ in self.made]
        last = {contender.name_without_layout: contender for contender in found}
        return [(plain, last[plain.name]) for plain in found if not plain.layout]


def forms_of(plain: Contender) -> tuple[Contender, ...]:
    """Give a contender without layout, and with it where its network can give it."""
    network = with_layout(plain.network, plain.record.size) if plain.kind != RAW else None
    if network is None:
        return (plain,)
    part = Part(network.num_features, plain.dim)
    return plain, dataclasses.replace(plain, network=network, parts=(part,), branch=plain.branch + LAYOUT, layout=True)


def alone(plain: Contender) -> Encoding:
    """Measure the forms of one network, of which the vectors of the first are the first numbers of those of the last."""
    forms = forms_of(plain)
    return Encoding(forms[-1].network, plain.record, tuple((form, numbers(slice(form.dim))) for form in forms))


def numbers(chosen: slice | NDArray[np.intp]) -> Make:
    """Make vectors of some numbers of others."""
    return lambda x: x[:, chosen]


def published(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Say that a network has seen no images here, and which weights it has; earlier versions wrote no weights."""
    return {"count": 0, "sha256": "", **{key: identity[key] for key in ("weights",) if key in identity}}
