"""Building an index in one pass over the vectors, with memory for a sample and the codes, and tuning it on held-out rows."""

import mmap
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featurestore.ann.exact import BLOCK, DOUBT, top_k_of_block
from featurestore.ann.faiss_index import BLAS_FROM, Floats, Ints, RabitqIndex, floats
from featurestore.ann.row_filter import GATHERED
from featurestore.ann.tuning import KS, IndexCard, IndexLayout, MeasuredRecall, SearchSetting, cheapest
from featurestore.errors import StoreCorrupt

ITERATIONS = 10  # of k-means
SHARES = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003)  # of the rows that pass a filter
MOST_CANDIDATES = (1_000, 2_000)  # for each of KS
ABSENT = np.iinfo(np.int64).max  # rank of what is not among the candidates
CONFIDENCE = 1.64  # standard errors below the measured recall: a bound with 95 % confidence


def build_index(
    vectors: NDArray[np.float16],
    target: float,
    memory: int,
    start: Callable[[str, int | None], None],
    advance: Callable[[int], None],
) -> tuple[RabitqIndex, IndexCard]:
    """Build an index over vectors (N, D), N >= 200, with `target` recall@10, and measure its recall.

    memory: bytes that sample and codes may take. start, advance: progress. Raises StoreError when that is too little, StoreCorrupt when a
    vector is not finite. The seed is fixed: the same vectors give the same index.
    """
    count, dim = vectors.shape
    layout = IndexLayout.choose(count, dim, memory)
    rng = np.random.default_rng(0)
    queries = min(BLAS_FROM // dim + 1, 2_000, count // 4)
    drawn = rng.choice(count, min(count, queries + layout.sample), replace=False)
    held_out, sample = np.sort(drawn[:queries]), np.sort(drawn[queries:])

    start("training the index", None)
    index = RabitqIndex.train(_gather(vectors, sample), layout.lists, ITERATIONS, seed=0)

    start("building the index", count)
    trial = RecallTrial.of(vectors, held_out, rng)
    for first in range(0, count, BLOCK):
        block = _to_finite_floats(vectors[first : first + BLOCK])
        index.add(block)
        trial.add_block(block, first)
        _release_pages(vectors)
        advance(len(block))

    start("measuring the index", len(trial.masks))
    settings: list[SearchSetting] = []
    curve: list[tuple[int, int, float]] = []
    for mask, share in enumerate(trial.shares):
        measured = trial.measure(index, mask, target)
        settings += [cheapest(k, share, share * count / layout.lists, measured[k], target) for k in KS if k in measured]
        if mask == 0:
            curve = [(one.probes, one.candidates, round(one.recall, 4)) for one in measured[KS[0]]]
        advance(1)
    return index, IndexCard(index.kind, layout.lists, len(sample), target, queries, tuple(settings), tuple(curve))


@dataclass
class RecallTrial:
    """Held-out rows as queries, with their exact neighbours among random shares of the rows."""

    vectors: NDArray[np.float16]  # (N, D)
    rows: Ints
    queries: Floats
    shares: list[float]
    masks: list[NDArray[np.bool_] | None]  # (N,) for each share; None: all rows
    scores: list[Floats]  # of the neighbours found so far, (Q, K) for each share
    found: list[Ints]  # their rows

    @classmethod
    def of(cls, vectors: NDArray[np.float16], rows: Ints, rng: np.random.Generator) -> "RecallTrial":
        """Start without neighbours. Shares so small that search_vectors would search them exactly are left out."""
        count, dim = vectors.shape
        shares = [share for share in SHARES if share == 1 or share * count * dim > GATHERED]
        masks = [None if share == 1 else np.asarray(rng.random(count, np.float32) < share) for share in shares]
        nothing = np.empty((len(rows), 0))
        scores = [nothing.astype(np.float32) for _ in shares]
        return cls(
            vectors, rows, floats(vectors[rows]), shares, masks, scores, [nothing.astype(np.int64) for _ in shares]
        )

    def add_block(self, block: Floats, first: int) -> None:
        """Update the neighbours with a block of vectors that begins at row `first`."""
        for n, mask in enumerate(self.masks):
            places = np.arange(len(block)) if mask is None else np.flatnonzero(mask[first : first + len(block)])
            if not len(places):
                continue
            part = block if mask is None else block[places]
            most = KS[-1] + 2  # the query itself is among them, and one more shows whether the last has ties
            scores, chosen = top_k_of_block(self.queries, part, min(most, len(part)))
            scores, found = np.hstack([self.scores[n], scores]), np.hstack([self.found[n], first + places[chosen]])
            order = np.argsort(-scores, axis=1, kind="stable")[:, :most]
            self.scores[n], self.found[n] = np.take_along_axis(scores, order, 1), np.take_along_axis(found, order, 1)

    def measure(self, index: RabitqIndex, n: int, target: float) -> dict[int, list[MeasuredRecall]]:
        """Measure the recall for each k, with more and more lists and candidates until `target` is reached.

        A true neighbour counts as found when it is among the candidates, since candidates are ranked by their exact scores. Where
        others score as well as the k-th, any of them will do.
        """
        mask = self.masks[n]
        bits = None if mask is None else np.packbits(mask, bitorder="little")
        true, scores = self._without_queries(n)
        measured: dict[int, list[MeasuredRecall]] = {}
        reached = False
        for probes in _doubling(1, index.lists):
            proposed = index.propose(self.queries, MOST_CANDIDATES[-1] + 1, probes, bits)
            for k, most in zip(KS, MOST_CANDIDATES, strict=True):
                if true.shape[1] < k:
                    continue
                rank = self._ranks(proposed, true, scores, k)
                for candidates in _doubling(2 * k, most):
                    shares = (rank < candidates).mean(axis=1)
                    margin = CONFIDENCE * float(shares.std()) / len(shares) ** 0.5
                    measured.setdefault(k, []).append(MeasuredRecall(probes, candidates, float(shares.mean()), margin))
            if reached:
                break  # one step more than needed: more lists with fewer candidates may cost less
            reached = all(tried[-1].reaches(target) for tried in measured.values())
        return measured

    def _without_queries(self, n: int) -> tuple[Ints, Floats]:
        """Give the neighbours of each query and their scores, without the query itself: (Q, K + 1), fewer where there are no more."""
        found, scores = self.found[n], self.scores[n]
        others = found != self.rows[:, None]
        others[others.all(axis=1), -1] = False  # the query is not among them: every line loses one
        shape = len(found), found.shape[1] - 1
        return found[others].reshape(shape), scores[others].reshape(shape)

    def _ranks(self, proposed: Ints, true: Ints, scores: Floats, k: int) -> Ints:
        """Find the ranks of the k nearest among the candidates of each query; with ties of the k-th, of any k that score as well."""
        ranks = _ranks(true[:, :k], proposed, self.rows)
        least = scores[:, k - 1] - DOUBT
        for q in np.flatnonzero(scores[:, k] >= least) if scores.shape[1] > k else ():
            line = proposed[q][(proposed[q] >= 0) & (proposed[q] != self.rows[q])]
            equal = np.flatnonzero(floats(self.vectors[line]) @ self.queries[q] >= least[q])[:k]
            ranks[q] = ABSENT
            ranks[q, : len(equal)] = equal
        return ranks


def _to_finite_floats(vectors: NDArray[np.float16]) -> Floats:
    """Convert to float32. Raises StoreCorrupt for NaN or infinity."""
    wide = floats(vectors)
    if not np.isfinite(wide).all():
        raise StoreCorrupt(
            "some vectors are not finite, so no index was built: they were damaged after they were written; see: featurestore verify STORE --repair"
        )
    return wide


def _gather(vectors: NDArray[np.float16], rows: Ints) -> Floats:
    """Copy some vectors, converted to float32."""
    wide = np.empty((len(rows), vectors.shape[1]), np.float32)
    for start in range(0, len(rows), BLOCK):
        wide[start : start + BLOCK] = _to_finite_floats(vectors[rows[start : start + BLOCK]])
        _release_pages(vectors)
    return wide


def _release_pages(vectors: NDArray[np.float16]) -> None:
    """Release the pages of a mapped file, so that they do not count as memory of this process; the kernel may cache them."""
    if isinstance(vectors.base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        vectors.base.madvise(mmap.MADV_DONTNEED)


def _doubling(first: int, last: int) -> Iterator[int]:
    while first < last:
        yield first
        first *= 2
    yield last


def _ranks(true: Ints, proposed: Ints, own: Ints) -> Ints:
    """Find the rank of each true neighbour among the candidates of its query, without the query's own row; ABSENT when it is not there."""
    ranks = np.full(true.shape, ABSENT)
    for q, (wanted, line) in enumerate(zip(true, proposed, strict=True)):
        line = line[line != own[q]]
        order = np.argsort(line, kind="stable")
        at = np.minimum(np.searchsorted(line, wanted, sorter=order), len(line) - 1)
        hit = line[order[at]] == wanted
        ranks[q, hit] = order[at][hit]
    return ranks
