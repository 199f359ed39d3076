"""The sizes of an index, and how much of it a search visits: chosen from the collection's size and from measured recall."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from featurestore.errors import StoreError

WORTH_ROWS, WORTH_NUMBERS = 50_000, 20_000_000  # an index is faster than exact search above both
KS = (10, 100)  # numbers of hits that searches are tuned for; the curve of a card is about the first
LARGE = 1_000_000  # rows above which the number of lists grows more slowly, since every vector is compared with every centroid
POINTS = 64  # of the sample, for each list
LEAST_POINTS = 16
RERANK = 10.0  # cost of an exact score relative to that of a code


def worth_indexing(count: int, dim: int) -> bool:
    """Whether an index over vectors (N, D) makes searches faster."""
    return count >= least_rows(dim)


def least_rows(dim: int) -> int:
    """From how many vectors of D numbers on an index makes searches faster."""
    return max(WORTH_ROWS, -(-WORTH_NUMBERS // dim))


@dataclass(frozen=True, slots=True)
class IndexLayout:
    """Sizes of an index over N vectors of D numbers."""

    lists: int
    sample: int  # vectors that the centroids are learned from

    @classmethod
    def choose(cls, count: int, dim: int, memory: int) -> "IndexLayout":
        """Choose about 4 sqrt(N) lists, fewer above LARGE, and as large a sample as `memory` bytes allow beside the codes. Raises StoreError."""
        wanted = 4 * min(count, LARGE) ** 0.5 * max(1.0, count / LARGE) ** 0.25
        lists = max(1, min(int(wanted), count // 39))
        left = memory - code_bytes(count, dim) - 8 * lists * dim
        sample = min(count, POINTS * lists, left // (4 * dim))
        if sample < min(count, LEAST_POINTS * lists):
            needed = code_bytes(count, dim) + (8 + 4 * LEAST_POINTS) * lists * dim
            raise StoreError(
                f"an index over {count} vectors of {dim} takes at least {needed / 1e6:.0f} MB to build, {memory / 1e6:.0f} MB are allowed; "
                "allow more by --memory"
            )
        return cls(lists, sample)


def code_bytes(count: int, dim: int) -> int:
    """Compute the bytes of the codes of N vectors: a bit a dimension, two factors and a number each, and room for lists to grow."""
    return int(1.5 * count * ((dim + 7) // 8 + 8 + 8))


@dataclass(frozen=True, slots=True)
class SearchSetting:
    """How much a search for up to `k` hits visits when at least `share` of the rows pass its filter, and its measured recall."""

    k: int
    share: float
    probes: int  # lists visited
    candidates: int  # with the best codes in them, ranked by exact scores
    recall: float


@dataclass(frozen=True, slots=True)
class IndexCard:
    """Description of an index: its kind, sizes, settings and measured recall."""

    kind: str
    lists: int
    sample: int
    target: float  # recall wanted
    queries: int  # held-out rows that recall was measured with
    settings: tuple[SearchSetting, ...]
    curve: tuple[tuple[int, int, float], ...]  # probes, candidates, recall@10 without a filter

    @property
    def recall(self) -> float:
        """Share of the 10 nearest that is found without a filter."""
        return self.settings[0].recall

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, card: dict[str, Any]) -> "IndexCard":
        settings = tuple(SearchSetting(**setting) for setting in card["settings"])
        curve = tuple((int(p), int(c), float(r)) for p, c, r in card["curve"])
        return cls(**{**card, "settings": settings, "curve": curve})

    def setting(self, k: int, share: float) -> SearchSetting:
        """Get the setting of a search for k hits among a share of the rows: measured for as many hits and rows, or scaled up from that.

        Fewer rows need more lists, more rows need more candidates: between two measured shares it takes the larger of both.
        """
        ks = sorted({s.k for s in self.settings})
        measured = next((n for n in ks if n >= k), ks[-1])
        of_k = sorted((s for s in self.settings if s.k == measured), key=lambda s: s.share)
        fewer = next((s for s in reversed(of_k) if s.share <= share), of_k[0])
        more = next((s for s in of_k if s.share >= share), of_k[-1])
        hits, rows = max(1.0, k / measured), max(1.0, fewer.share / share)
        return SearchSetting(
            k,
            share,
            min(self.lists, int(np.ceil(max(fewer.probes, more.probes) * hits * rows))),
            int(max(fewer.candidates, more.candidates) * hits),
            min(fewer.recall, more.recall),
        )


class MeasuredRecall(NamedTuple):
    """Recall measured with a number of lists and candidates."""

    probes: int
    candidates: int
    recall: float
    margin: float  # of error of the recall

    def reaches(self, target: float) -> bool:
        """Whether the recall is at least the target, with confidence."""
        return self.recall - self.margin >= target


def cheapest(
    k: int, share: float, rows_a_list: float, measured: Sequence[MeasuredRecall], target: float
) -> SearchSetting:
    """Choose the setting of least cost that reaches the target; when none does, that of the best recall."""

    def cost(one: MeasuredRecall) -> float:
        return one.probes * rows_a_list + RERANK * one.candidates

    enough = [one for one in measured if one.reaches(target)]
    best = min(enough, key=cost) if enough else max(measured, key=lambda one: (one.recall, -cost(one)))
    return SearchSetting(k, share, best.probes, best.candidates, round(best.recall, 4))
