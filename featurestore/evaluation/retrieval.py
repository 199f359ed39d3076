"""Retrieval by label in a store."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from featurestore.metrics import retrieval
from featurestore.metrics.retrieval import RetrievalResult
from featurestore.progress import Listener
from featurestore.storage.labelled_items import LabelledItems

KS = (1, 5, 10)


@dataclass(frozen=True, slots=True)
class RetrievalReport:
    """Figures of whole rankings: the items of train, or all others, for each query."""

    encoder: str  # fingerprint
    split: str  # "train->test": test items ask for train items; or "leave-one-out"
    n_train: int
    n_test: int  # queries, those without a match among them
    result: RetrievalResult

    def to_json(self) -> dict[str, Any]:
        figures = {
            "map": self.result.map,
            **{f"recall@{k}": value for k, value in self.result.recall.items()},
            **{f"precision@{k}": value for k, value in self.result.precision.items()},
        }
        return {
            "protocol": "retrieval", "encoder": self.encoder, "split": self.split, "n_train": self.n_train, "n_test": self.n_test,
            "results": figures, "queries_without_match": self.result.queries_without_match,
        }  # fmt: skip


def measure_retrieval(labelled: LabelledItems, ks: Sequence[int] | None, listener: Listener) -> RetrievalReport:
    """Rank train for each query of test when both are there, else all for each, itself left out.

    ks: of recall and precision; None takes those of KS that there are enough items for. Raises EvaluationError when a k is larger than that, or
    no query has a match.
    """
    available = labelled.n_train - labelled.leave_one_out
    ks = [k for k in KS if k <= available] if ks is None else ks
    own = np.arange(labelled.n_test) if labelled.leave_one_out else None
    listener.start("ranking", labelled.n_test)
    result = retrieval.evaluate(
        labelled.vectors(labelled.test), labelled.vectors(labelled.train), labelled.codes[labelled.test], labelled.codes[labelled.train],
        own, ks, listener.advance,
    )  # fmt: skip
    return RetrievalReport(labelled.encoder.fingerprint, labelled.split, labelled.n_train, labelled.n_test, result)
