"""Building an index: in one pass over the vectors, with memory for a sample and the codes, and tuned on rows held out."""

import mmap
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featurestore.ann.exact import BLOCK, best_of_block
from featurestore.ann.faiss_index import BLAS_FROM, Floats, Ints, Lists, floats
from featurestore.ann.row_filter import GATHERED
from featurestore.ann.tuning import Card, Layout, Measured, Setting, cheapest
from featurestore.errors import StoreCorrupt

ITERATIONS = 10  # of k-means
KS = (10, 100)  # hits for which a search is tuned
SHARES = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003)  # of the rows that a filter leaves
MOST_CANDIDATES = (1_000, 2_000)  # for each of KS
CONFIDENCE = 1.64  # standard errors: a recall that is 95 % sure


def build(
    vectors: NDArray[np.float16],
    target: float,
    memory: int,
    start: Callable[[str, int | None], None],
    advance: Callable[[int], None],
) -> tuple[Lists, Card]:
    """Build an index over vectors (N, D), N >= 200, with `target` recall@10, and measure it.

    memory: bytes that sample and codes may take. Raises StoreError when it cannot be built in so much, StoreCorrupt when a vector is
    not finite. The seed is fixed: the same vectors give the same index.
    """
    count, dim = vectors.shape
    layout = Layout.choose(count, dim, memory)
    rng = np.random.default_rng(0)
    queries = min(BLAS_FROM // dim + 1, 2_000, count // 4)
    drawn = rng.choice(count, min(count, queries + layout.sample), replace=False)
    held_out, sample = np.sort(drawn[:queries]), np.sort(drawn[queries:])

    start("training the index", None)
    lists = Lists.train(_gathered(vectors, sample), layout.lists, ITERATIONS, seed=0)

    start("building the index", count)
    trial = Trial.of(vectors, held_out, rng)
    for first in range(0, count, BLOCK):
        block = _finite(vectors[first : first + BLOCK])
        lists.add(block)
        trial.look(block, first)
        _let_go(vectors)
        advance(len(block))

    start("measuring the index", len(trial.masks))
    settings: list[Setting] = []
    curve: list[tuple[int, int, float]] = []
    for mask, share in enumerate(trial.shares):
        measured = trial.measure(lists, mask, target)
        settings += [cheapest(k, share, share * count / layout.lists, measured[k], target) for k in KS if k in measured]
        if mask == 0:
            curve = [(one.probes, one.candidates, round(one.recall, 4)) for one in measured[KS[0]]]
        advance(1)
    return lists, Card(lists.kind, layout.lists, len(sample), target, queries, tuple(settings), tuple(curve))


@dataclass
class Trial:
    """Held-out rows as queries, with their true neighbours among random shares of the rows."""

    rows: Ints
    queries: Floats
    shares: list[float]
    masks: list[NDArray[np.bool_] | None]  # of all rows, for each share
    scores: list[Floats]
    found: list[Ints]

    @classmethod
    def of(cls, vectors: NDArray[np.float16], rows: Ints, rng: np.random.Generator) -> "Trial":
        """Begin with no neighbours. Shares so small that their rows are searched directly are left out."""
        count, dim = vectors.shape
        shares = [share for share in SHARES if share == 1 or share * count * dim > GATHERED]
        masks = [None if share == 1 else np.asarray(rng.random(count, np.float32) < share) for share in shares]
        nothing = np.empty((len(rows), 0))
        scores = [nothing.astype(np.float32) for _ in shares]
        return cls(rows, floats(vectors[rows]), shares, masks, scores, [nothing.astype(np.int64) for _ in shares])

    def look(self, block: Floats, first: int) -> None:
        """Take a block of vectors into account, whose first is that of row `first`."""
        for n, mask in enumerate(self.masks):
            places = np.arange(len(block)) if mask is None else np.flatnonzero(mask[first : first + len(block)])
            if not len(places):
                continue
            part = block if mask is None else block[places]
            scores, chosen = best_of_block(self.queries, part, min(KS[-1] + 1, len(part)))
            scores, found = np.hstack([self.scores[n], scores]), np.hstack([self.found[n], first + places[chosen]])
            order = np.argsort(-scores, axis=1, kind="stable")[:, : KS[-1] + 1]
            self.scores[n], self.found[n] = np.take_along_axis(scores, order, 1), np.take_along_axis(found, order, 1)

    def measure(self, lists: Lists, n: int, target: float) -> dict[int, list[Measured]]:
        """Give for each k what is found with more and more lists and candidates, up to where `target` is reached.

        A true neighbour is found when it is among the candidates, for then its exact score decides.
        """
        mask = self.masks[n]
        bits = None if mask is None else np.packbits(mask, bitorder="little")
        true = np.stack(
            [
                line[line != row][: KS[-1]] if row in line else line[: KS[-1]]
                for line, row in zip(self.found[n], self.rows, strict=True)
            ]
        )
        measured: dict[int, list[Measured]] = {}
        reached = False
        for probes in _doubling(1, lists.lists):
            proposed = lists.propose(self.queries, MOST_CANDIDATES[-1] + 1, probes, bits)
            place = _places(true, proposed, self.rows)
            for k, most in zip(KS, MOST_CANDIDATES, strict=True):
                if true.shape[1] < k:
                    continue
                for candidates in _doubling(2 * k, most):
                    shares = (place[:, :k] < candidates).mean(axis=1)
                    doubt = CONFIDENCE * float(shares.std()) / len(shares) ** 0.5
                    measured.setdefault(k, []).append(Measured(probes, candidates, float(shares.mean()), doubt))
            if reached:
                break  # one step further than needed: more lists and fewer candidates may cost less
            reached = all(tried[-1].reaches(target) for tried in measured.values())
        return measured


def _finite(vectors: NDArray[np.float16]) -> Floats:
    """Widen vectors that all have a direction. Raises StoreCorrupt."""
    wide = floats(vectors)
    if not np.isfinite(wide).all():
        raise StoreCorrupt(
            "some vectors are not finite, which no encoder's are: no index was built of them; see: featurestore verify STORE --repair"
        )
    return wide


def _gathered(vectors: NDArray[np.float16], rows: Ints) -> Floats:
    """Copy and widen some vectors."""
    wide = np.empty((len(rows), vectors.shape[1]), np.float32)
    for start in range(0, len(rows), BLOCK):
        wide[start : start + BLOCK] = _finite(vectors[rows[start : start + BLOCK]])
        _let_go(vectors)
    return wide


def _let_go(vectors: NDArray[np.float16]) -> None:
    """Let the pages of a mapped file that were read no longer count as this process's memory; the kernel may keep them."""
    if isinstance(vectors.base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        vectors.base.madvise(mmap.MADV_DONTNEED)


def _doubling(first: int, last: int) -> Iterator[int]:
    while first < last:
        yield first
        first *= 2
    yield last


def _places(true: Ints, proposed: Ints, own: Ints) -> Ints:
    """Where each true neighbour stands among the proposals of its query, without the query's own row; far behind when nowhere."""
    places = np.full(true.shape, np.iinfo(np.int64).max)
    for q, (wanted, line) in enumerate(zip(true, proposed, strict=True)):
        line = line[line != own[q]]
        order = np.argsort(line, kind="stable")
        at = np.minimum(np.searchsorted(line, wanted, sorter=order), len(line) - 1)
        hit = line[order[at]] == wanted
        places[q, hit] = order[at][hit]
    return places
