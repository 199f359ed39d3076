"""The items that a report shows: queries with their nearest neighbours, and classes with examples of their predictions."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from featurestore.ann.exact import scan
from featurestore.ann.faiss_index import floats
from featurestore.ann.knn_graph import without_self
from featurestore.estimators.knn import rank_classes
from featurestore.evaluation.knn import KnnReport
from featurestore.metrics.label_free import sample
from featurestore.report.values import Classes, ClassExamples, Example, Item, Neighbour, Sheet
from featurestore.storage import ItemVectors, LabelledItems

QUERIES, NEIGHBOURS = 8, 8  # sheets, and neighbours in each
SHOWN_CLASSES = 3  # best, and as many worst
CANDIDATES = 500  # items of a class that examples are chosen from
RIGHT, WRONG, VOTERS = 4, 3, 4  # examples of a class, and neighbours of each


def items_at(view: ItemVectors, positions: NDArray[np.int64]) -> tuple[Item, ...]:
    """Give the items at some positions of a view, in that order."""
    ids, contents = view.items.ids[positions].tolist(), view.items
    paths, labels = contents.paths.take(positions).to_pylist(), contents.labels.take(positions).to_pylist()
    return tuple(map(Item, ids, paths, labels))


def sheets(view: ItemVectors, seed: int) -> tuple[Sheet, ...]:
    """Draw queries from all items, and find the nearest neighbours of each."""
    rows = view.items.rows
    k = min(NEIGHBOURS, len(rows) - 1)
    if k < 1:
        return ()
    drawn = sample(len(rows), QUERIES, seed)
    scores, found = _nearest(view.vectors, rows[drawn], rows, k, leave_out=True)
    queries = items_at(view, drawn)
    return tuple(
        Sheet(query, _neighbours(view, line, line_scores))
        for query, line, line_scores in zip(queries, found, scores, strict=True)
    )


def best_and_worst(view: ItemVectors, labelled: LabelledItems, report: KnnReport, seed: int) -> Classes:
    """Choose the classes with the highest and the lowest recall, with examples of correct and wrong predictions.

    The neighbours vote as they did for the k-NN report.
    """
    code_of = labelled.codes  # refuses images with several labels
    ranked = sorted(report.classes, key=lambda figures: (-(figures.recall or 0.0), figures.label))
    best = ranked[: min(SHOWN_CLASSES, -(-len(ranked) // 2))]
    others = sorted(ranked[len(best) :], key=lambda figures: (figures.recall or 0.0, -figures.n))
    worst = others[: min(SHOWN_CLASSES, len(ranked) // 2)]  # of equal recall, the class with more images to show it by
    candidates = [_candidates(labelled, figures.label, seed) for figures in (*best, *worst)]
    rows = np.concatenate(candidates)
    scores, found = _nearest(labelled.stored, rows, labelled.rows[labelled.train], report.k, labelled.leave_one_out)
    codes = code_of[np.searchsorted(labelled.rows, found)]
    predicted = rank_classes(scores, codes, len(labelled.names), report.temperature, top=1)[:, 0]

    def drawn(positions: NDArray[np.int64], most: int) -> tuple[Example, ...]:
        some = positions[sample(len(positions), most, seed)]
        items = items_at(view, view.positions(rows[some]))
        return tuple(
            Example(item, labelled.names[predicted[at]], _neighbours(view, found[at, :VOTERS], scores[at, :VOTERS]))
            for item, at in zip(items, some.tolist(), strict=True)
        )

    shown, start = [], 0
    for figures, own in zip((*best, *worst), candidates, strict=True):
        right = predicted[start : start + len(own)] == labelled.names.index(figures.label)
        shown.append(
            ClassExamples(
                figures, drawn(start + np.flatnonzero(right), RIGHT), drawn(start + np.flatnonzero(~right), WRONG)
            )
        )
        start += len(own)
    return Classes(report.k, report.temperature, tuple(shown[: len(best)]), tuple(shown[len(best) :]))


def _candidates(labelled: LabelledItems, label: str, seed: int) -> NDArray[np.int64]:
    """Draw rows of a class that examples are chosen from."""
    own: NDArray[np.int64] = labelled.rows[labelled.test & (labelled.codes == labelled.names.index(label))]
    return np.asarray(own[sample(len(own), CANDIDATES, seed)])


def _nearest(
    vectors: NDArray[np.float16], queries: NDArray[np.int64], among: NDArray[np.int64], k: int, leave_out: bool
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Find the k nearest of some rows for each query row, (Q, k): scores and rows, best first; leave_out: without the query itself."""
    scores, found = scan(floats(vectors[queries]), vectors, among, k + leave_out)
    return without_self(scores, found, queries) if leave_out else (scores, found)


def _neighbours(
    view: ItemVectors, rows: NDArray[np.int64], scores: Sequence[float] | NDArray[np.float32]
) -> tuple[Neighbour, ...]:
    return tuple(map(Neighbour, items_at(view, view.positions(rows)), [float(s) for s in scores]))
