"""Sizes at which small collections are searched as large ones are, and what is built with them."""

from dataclasses import dataclass

from featurestore.ann.build import build_index
from featurestore.ann.faiss_index import RabitqIndex
from featurestore.ann.search import Index
from featurestore.ann.tuning import IndexCard
from tests.featurestore.ann.naive import Halves, Ints

COUNT, DIM = 1_500, 16
FEW = 60  # rows that are copied together
TARGET = 0.95
SIZES = {
    "featurestore.ann.row_filter.GATHERED": FEW * DIM,
    "featurestore.ann.build.GATHERED": FEW * DIM,
    "featurestore.ann.build.KS": (5, 20),
    "featurestore.ann.build.MOST_CANDIDATES": (100, 200),
    "featurestore.ann.build.BLOCK": 400,
    "featurestore.ann.search.EXACT_FROM": 1,
}


@dataclass(frozen=True)
class Built:
    """An index, and what it is over."""

    vectors: Halves
    clusters: Ints
    rabitq: RabitqIndex
    card: IndexCard

    @property
    def index(self) -> Index:
        return Index(self.rabitq, self.card)


def build_quietly(vectors: Halves, target: float = TARGET, memory: int = 1 << 30) -> tuple[RabitqIndex, IndexCard]:
    return build_index(vectors, target, memory, lambda what, total: None, lambda rows: None)
