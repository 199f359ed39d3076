"""Which items a report shows: queries with their neighbours, and classes by what is named right and wrong."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from featurestore.ann.exact import scan
from featurestore.ann.faiss_index import floats
from featurestore.ann.knn_graph import without_self
from featurestore.estimators.knn import rank_classes
from featurestore.evaluation.knn import KnnReport
from featurestore.metrics.label_free import sample
from featurestore.report.figures import Classes, ClassExamples, Example, Item, Neighbour, Sheet
from featurestore.storage.labelled_items import LabelledItems
from featurestore.storage.snapshot import ItemVectors

QUERIES, NEIGHBOURS = 8, 8  # sheets, and neighbours on each
SHOWN_CLASSES = 3  # at either end
LOOKED_AT = 500  # items of a class among which examples are sought
RIGHT, WRONG, VOTERS = 4, 3, 4  # examples of a class, and neighbours of each that was named wrong


def items_at(view: ItemVectors, places: NDArray[np.int64]) -> tuple[Item, ...]:
    """The items that stand at some places of a view, in that order."""
    ids, contents = view.items.ids[places].tolist(), view.items
    paths, labels = contents.paths.take(places).to_pylist(), contents.labels.take(places).to_pylist()
    return tuple(map(Item, ids, paths, labels))


def sheets(view: ItemVectors, seed: int) -> tuple[Sheet, ...]:
    """Draw queries from all items, and find the nearest others of each."""
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
    """Choose the classes of highest and of lowest recall, and show by some of their items why.

    The neighbours of these items vote as they did for the report.
    """
    ranked = sorted(report.classes, key=lambda figures: (-(figures.recall or 0.0), figures.label))
    best = ranked[: min(SHOWN_CLASSES, -(-len(ranked) // 2))]
    worst = ranked[::-1][: min(SHOWN_CLASSES, len(ranked) // 2)]
    asked = [_asked(labelled, figures.label, seed) for figures in (*best, *worst)]
    rows = np.concatenate(asked)
    scores, found = _nearest(labelled.stored, rows, labelled.rows[labelled.train], report.k, labelled.leave_one_out)
    codes = labelled.codes[np.searchsorted(labelled.rows, found)]
    said = rank_classes(scores, codes, len(labelled.names), report.temperature, top=1)[:, 0]

    def drawn(places: NDArray[np.int64], most: int) -> tuple[Example, ...]:
        some = places[sample(len(places), most, seed)]
        items = items_at(view, view.positions(rows[some]))
        return tuple(
            Example(item, labelled.names[said[at]], _neighbours(view, found[at, :VOTERS], scores[at, :VOTERS]))
            for item, at in zip(items, some.tolist(), strict=True)
        )

    shown, start = [], 0
    for figures, own in zip((*best, *worst), asked, strict=True):
        right = said[start : start + len(own)] == labelled.names.index(figures.label)
        shown.append(
            ClassExamples(
                figures, drawn(start + np.flatnonzero(right), RIGHT), drawn(start + np.flatnonzero(~right), WRONG)
            )
        )
        start += len(own)
    return Classes(report.k, report.temperature, tuple(shown[: len(best)]), tuple(shown[len(best) :]))


def _asked(labelled: LabelledItems, label: str, seed: int) -> NDArray[np.int64]:
    """Rows of items of a class among which examples are sought."""
    own: NDArray[np.int64] = labelled.rows[labelled.test & (labelled.codes == labelled.names.index(label))]
    return np.asarray(own[sample(len(own), LOOKED_AT, seed)])


def _nearest(
    vectors: NDArray[np.float16], queries: NDArray[np.int64], among: NDArray[np.int64], k: int, leave_out: bool
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The k nearest of some rows for each query row, (Q, k): scores and rows, best first; leave_out: each query is among them itself."""
    scores, found = scan(floats(vectors[queries]), vectors, among, k + leave_out)
    return without_self(scores, found, queries) if leave_out else (scores, found)


def _neighbours(
    view: ItemVectors, rows: NDArray[np.int64], scores: Sequence[float] | NDArray[np.float32]
) -> tuple[Neighbour, ...]:
    return tuple(map(Neighbour, items_at(view, view.positions(rows)), [float(s) for s in scores]))
