"""Sizes at which small collections are searched as large ones are, and what is built with them."""

from dataclasses import dataclass

from featurestore.index.building import build
from featurestore.index.choosing import Card
from featurestore.index.engine import Lists
from featurestore.index.search import Index
from tests.featurestore.index.naive import Halves, Ints

COUNT, DIM = 1_500, 16
FEW = 60  # rows that are copied together
TARGET = 0.95
SIZES = {
    "featurestore.index.rows.GATHERED": FEW * DIM,
    "featurestore.index.building.GATHERED": FEW * DIM,
    "featurestore.index.building.KS": (5, 20),
    "featurestore.index.building.MOST_CANDIDATES": (100, 200),
    "featurestore.index.building.BLOCK": 400,
    "featurestore.index.search.EXACT_FROM": 1,
}


@dataclass(frozen=True)
class Built:
    """An index, and what it is over."""

    vectors: Halves
    clusters: Ints
    lists: Lists
    card: Card

    @property
    def index(self) -> Index:
        return Index(self.lists, self.card)


def build_quietly(vectors: Halves, target: float = TARGET, memory: int = 1 << 30) -> tuple[Lists, Card]:
    return build(vectors, target, memory, lambda what, total: None, lambda rows: None)
