"""How an index is laid out, and how much of it a search looks through: chosen from sizes, and from measured recall."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from featurestore.errors import StoreError

WORTH_ROWS, WORTH_NUMBERS = 50_000, 20_000_000  # from which an index is quicker than looking at all: both
LARGE = 1_000_000  # rows from which lists grow in length more than in number: every vector is compared with every list's centroid
POINTS = 64  # of the sample, a list
LEAST_POINTS = 16
RERANK = 10.0  # cost of an exact score, in codes looked at


def worth(count: int, dim: int) -> bool:
    """Whether an index over vectors (N, D) makes searches quicker."""
    return count >= WORTH_ROWS and count * dim >= WORTH_NUMBERS


@dataclass(frozen=True, slots=True)
class Layout:
    """Sizes of an index over N vectors of D numbers."""

    lists: int
    sample: int  # vectors that centroids are learned from

    @classmethod
    def choose(cls, count: int, dim: int, memory: int) -> "Layout":
        """About 4 sqrt(N) lists, fewer when LARGE, and as large a sample as `memory` bytes allow beside the codes. Raises StoreError."""
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
    """What an index holds of N vectors: a bit a dimension, two factors and a number; and room for lists to grow."""
    return int(1.5 * count * ((dim + 7) // 8 + 8 + 8))


@dataclass(frozen=True, slots=True)
class Setting:
    """How far a search for up to `k` hits looks, when it may find at least `share` of the rows, and what recall that was measured to have."""

    k: int
    share: float
    probes: int  # lists
    candidates: int  # best of their codes, whose exact scores decide
    recall: float


@dataclass(frozen=True, slots=True)
class Card:
    """What an index is and does."""

    kind: str
    lists: int
    sample: int
    target: float  # recall that was asked for
    queries: int  # held-out rows by which recall was measured
    settings: tuple[Setting, ...]
    curve: tuple[tuple[int, int, float], ...]  # probes, candidates, recall@10 without a filter

    @property
    def recall(self) -> float:
        """Of the 10 nearest without a filter, the share that is found."""
        return self.settings[0].recall

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def read(cls, said: dict[str, Any]) -> "Card":
        settings = tuple(Setting(**setting) for setting in said["settings"])
        curve = tuple((int(p), int(c), float(r)) for p, c, r in said["curve"])
        return cls(**{**said, "settings": settings, "curve": curve})

    def setting(self, k: int, share: float) -> Setting:
        """What a search for k hits among a share of the rows uses: measured for as many hits and about as many rows, or scaled up from that.

        Fewer rows take more lists, more rows take more candidates: of the two shares measured around this one, the larger of both.
        """
        ks = sorted({s.k for s in self.settings})
        measured = next((n for n in ks if n >= k), ks[-1])
        of_k = sorted((s for s in self.settings if s.k == measured), key=lambda s: s.share)
        fewer = next((s for s in reversed(of_k) if s.share <= share), of_k[0])
        more = next((s for s in of_k if s.share >= share), of_k[-1])
        hits, rows = max(1.0, k / measured), max(1.0, fewer.share / share)
        return Setting(
            k,
            share,
            min(self.lists, int(np.ceil(max(fewer.probes, more.probes) * hits * rows))),
            int(max(fewer.candidates, more.candidates) * hits),
            min(fewer.recall, more.recall),
        )


class Measured(NamedTuple):
    """What was found with so many lists and candidates."""

    probes: int
    candidates: int
    recall: float
    doubt: float  # how far that may be from the truth

    def reaches(self, target: float) -> bool:
        """Whether the recall is at least the target, beyond doubt."""
        return self.recall - self.doubt >= target


def cheapest(k: int, share: float, rows_a_list: float, measured: Sequence[Measured], target: float) -> Setting:
    """Choose what costs least and reaches the target; when nothing does, the best recall."""

    def cost(one: Measured) -> float:
        return one.probes * rows_a_list + RERANK * one.candidates

    enough = [one for one in measured if one.reaches(target)]
    best = min(enough, key=cost) if enough else max(measured, key=lambda one: (one.recall, -cost(one)))
    return Setting(k, share, best.probes, best.candidates, round(best.recall, 4))
