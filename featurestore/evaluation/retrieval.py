"""Retrieval by label among the items of a store."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from featurestore.errors import EvaluationError
from featurestore.metrics.retrieval import RetrievalResult, evaluate
from featurestore.progress import Listener
from featurestore.storage import LabelledItems
from featurestore.storage.storage import Storage

KS = (1, 5, 10)


@dataclass(frozen=True, slots=True)
class RetrievalReport:
    """Figures of the full ranking of train items, or of all other items, for each query."""

    encoder: str  # fingerprint
    split: str  # "train->test": test items are the queries, train items the bank; or "leave-one-out"
    n_train: int
    n_test: int  # queries, including those without a match
    result: RetrievalResult
    twins: int  # queries with an exact copy in the bank
    without_twins: (
        RetrievalResult | None
    )  # of the other queries; None when there are no twins, or no others with a match
    several_labels: int  # images that have several; a match shares at least one
    where: str | None  # what the images were chosen by
    notes: list[str]

    def to_json(self) -> dict[str, Any]:
        figures = {
            "map": self.result.map,
            **{f"recall@{k}": value for k, value in self.result.recall.items()},
            **{f"precision@{k}": value for k, value in self.result.precision.items()},
        }
        return {
            "protocol": "retrieval", "encoder": self.encoder, "split": self.split, "n_train": self.n_train, "n_test": self.n_test,
            "results": figures, "queries_without_match": self.result.queries_without_match,
            "twins": {"n": self.twins, "map_without": None if self.without_twins is None else self.without_twins.map},
            "several_labels": self.several_labels, "where": self.where, "notes": self.notes,
        }  # fmt: skip


def retrieval(
    store: Storage,
    k: Sequence[int] | None = None,
    encoder: str | Path | None = None,
    listener: Listener | None = None,
    where: str | None = None,
) -> RetrievalReport:
    """Measure whether items with the label of a query come first: mean average precision, recall@k and precision@k.

    Items of split test are ranked against those of train, or each item against all others when one split is missing. k: None is 1, 5 and 10,
    as far as there are enough items. where: only items for which this SQL expression is true. Raises EvaluationError when a k is larger
    than that, or no query has a match; QueryError.
    """
    return measure_retrieval(store.labelled_items(encoder, where), k, listener or Listener())


def measure_retrieval(labelled: LabelledItems, ks: Sequence[int] | None, listener: Listener) -> RetrievalReport:
    """Measure retrieval among labelled items, as `retrieval`."""
    available = labelled.n_train - labelled.leave_one_out
    ks = [k for k in KS if k <= available] if ks is None else ks
    own = np.arange(labelled.n_test) if labelled.leave_one_out else None
    queries, bank = labelled.vectors(labelled.test), labelled.vectors(labelled.train)
    asked, held = labelled.label_codes[labelled.test], labelled.label_codes[labelled.train]
    listener.start("ranking", labelled.n_test)
    result = evaluate(queries, bank, asked, held, own, ks, listener.advance)
    twins, without = labelled.twins, None
    if twins.any() and not twins.all():
        listener.start("ranking without twins", int((~twins).sum()))
        with suppress(EvaluationError):  # no query without a twin has a match
            without = evaluate(queries[~twins], bank, asked[~twins], held, None if own is None else own[~twins], ks, listener.advance)  # fmt: skip
    return RetrievalReport(
        labelled.encoder.fingerprint, labelled.split, labelled.n_train, labelled.n_test, result, int(twins.sum()), without, labelled.several,
        labelled.where, labelled.notes,
    )  # fmt: skip
