"""Labels that are probably wrong: those that the other labels of the collection contradict."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurestore.ann.faiss_index import finite_floats
from featurestore.ann.knn_graph import KnnGraph, build_graph
from featurestore.ann.row_filter import RowFilter
from featurestore.curation.findings import Findings
from featurestore.curation.label_noise import (
    Labelled,
    chance_wrong,
    contradicted,
    held_out_probabilities,
    wrongness,
)
from featurestore.errors import EvaluationError
from featurestore.progress import Listener
from featurestore.rendering.galleries import Gallery, Picture
from featurestore.storage.item_graph import ItemGraph, K, item_graph, usable_index
from featurestore.storage.storage import Storage
from featurestore.system.packages import require
from featurestore.system.text import counted

SEED = 0  # of the errors that are planted to judge by
LIKELY = 0.6  # probability of the own label, by all others, below which it is suspect
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Evidence:
    """An item beside a suspect: the nearest one that has a label."""

    id: int
    path: str
    score: float  # cosine similarity with the suspect


@dataclass(frozen=True, slots=True)
class Suspect:
    """An item whose label is probably wrong."""

    id: int
    path: str
    label: str
    suggested: str  # the label that it should have
    probability: float  # that the label is wrong, estimated
    contradicted: bool  # by the confident joint: another class is as probable as it usually is for its own items
    nearest_same: Evidence | None  # among the neighbours, with the label that it has
    nearest_suggested: Evidence | None


@dataclass(frozen=True, slots=True)
class LabelErrorsReport(Findings):
    """The labels of a store that are probably wrong, surest first."""

    listed: ClassVar = "suspects"
    n_labelled: int  # items with one label
    suspects: list[Suspect]
    total: int  # suspects, of which `suspects` may be the first
    several_labels: int  # items that have several, and are left out
    chances: pa.Table  # of every suspect: id, and `label_suspect`, the probability that its label is wrong

    @property
    def expected_share(self) -> float:
        """Of the suspects that are listed, how many are wrong; estimated."""
        chances = [suspect.probability for suspect in self.suspects]
        return round(sum(chances) / len(chances), 4) if chances else 0.0

    @property
    def title(self) -> str:
        return "Labels that may be wrong"

    @property
    def summary(self) -> list[str]:
        found = [f"{counted(self.total, 'suspect')} among {counted(self.n_labelled, 'labelled item')}"]
        if self.several_labels:
            found.append(f"{counted(self.several_labels, 'item has', 'items have')} several labels and were left out")
        if self.suspects:
            found.append(
                f"of the surest {len(self.suspects):,}, some {self.expected_share:.0%} are expected to be wrong; look at each before you change it"
            )
        return found

    def to_json(self) -> dict[str, Any]:
        names = ("encoder", "n_labelled", "total", "expected_share", "several_labels")
        facts = {name: getattr(self, name) for name in names}
        return {"protocol": "label-errors", **facts, "suspects": [asdict(suspect) for suspect in self.suspects]}

    @property
    def columns(self) -> pa.Table:
        return self.chances

    def to_arrow(self) -> pa.Table:
        names = ("id", "path", "label", "suggested", "probability", "contradicted")
        return pa.table({name: [getattr(suspect, name) for suspect in self.suspects] for name in names})

    def galleries(self) -> list[Gallery]:
        return [
            Gallery(
                f"{suspect.label}, or {suspect.suggested}?",
                [
                    Picture(suspect.path, f"labelled {suspect.label}", f"wrong with probability {suspect.probability:.2f}", marked=True),
                    *_evidence(suspect.nearest_suggested, suspect.suggested),
                    *_evidence(suspect.nearest_same, suspect.label),
                ],
            )
            for suspect in self.suspects
        ]  # fmt: skip


def _evidence(found: Evidence | None, label: str) -> Sequence[Picture]:
    return [] if found is None else [Picture(found.path, f"nearest {label}", f"score {found.score:.3f}")]


def label_errors(
    store: Storage,
    encoder: str | Path | None = None,
    limit: int | None = None,
    listener: Listener | None = None,
    where: str | None = None,
) -> LabelErrorsReport:
    """Find the items whose label the other labels contradict; see `label_noise`. limit: how many suspects are listed at most.

    where: only items for which this SQL expression is true are listed and counted; the labels of all are used. Copies of one picture are
    looked at together. Items with several labels are left out. Raises EvaluationError when fewer than two classes have two items;
    ConfigError without scikit-learn; EncoderNotInStore, StoreCorrupt, QueryError.
    """
    require("sklearn", extra="eval")
    listener = listener or Listener()
    found = item_graph(store, encoder, listener)
    items = found.view.items
    places = np.flatnonzero(items.labels.is_valid().to_numpy(zero_copy_only=False))
    names, codes = np.unique(np.array(items.labels.take(pa.array(places)).to_pylist(), object), return_inverse=True)
    if len(codes) == 0 or (np.bincount(codes) > 1).sum() < 2:
        raise EvaluationError(
            f"expected two classes or more with two labelled items each, found {counted(len(names), 'class', 'classes')} and {counted(len(codes), 'item')} with one label; "
            "index with --labels folders, or add labels with `featurestore label STORE FILE.csv`"
        )
    # Copies with the same label count once; where copies have different ones, each of these is judged.
    key = found.nodes[places] * len(names) + codes
    _, first, pictures_of = np.unique(key, return_index=True, return_inverse=True)
    rows = items.rows[places[first]]
    order = np.argsort(rows)
    first, rows, pictures_of = first[order], rows[order], np.argsort(order)[pictures_of]
    graph = _graph_among(store, found, rows, listener)
    pictures = Labelled(graph, finite_floats(found.view.vectors[rows]), codes[first], len(names))
    listener.start("judging labels", None)
    probabilities = held_out_probabilities(pictures)
    score, suggested = wrongness(probabilities, pictures.codes)
    chance = chance_wrong(pictures, probabilities, SEED)
    sure = contradicted(probabilities, pictures.codes)
    own = probabilities[np.arange(len(rows)), pictures.codes]
    ranked = np.flatnonzero((own < LIKELY)[pictures_of])
    ranked = ranked[np.lexsort((items.ids[places[ranked]], -score[pictures_of[ranked]]))]
    chosen = np.isin(items.ids, store.view(encoder, where).items.ids)
    suspected = ranked[chosen[places[ranked]]]
    listed = suspected[:limit]
    paths = items.paths.take(pa.array(places)).to_pylist()
    ids = items.ids[places]

    def evidence(picture: int, code: int) -> Evidence | None:
        near = graph.indices[picture]
        same = np.flatnonzero(pictures.codes[near] == code)
        if not len(same):
            return None
        at = int(first[near[same[0]]])
        return Evidence(int(ids[at]), paths[at], round(float(graph.scores[picture, same[0]]), 6))

    suspects = [
        Suspect(
            int(ids[at]), paths[at], names[codes[at]], names[suggested[of]], round(float(chance[of]), 4), bool(sure[of]),
            evidence(of, int(codes[at])), evidence(of, int(suggested[of])),
        )
        for at, of in zip(listed.tolist(), pictures_of[listed].tolist(), strict=True)
    ]  # fmt: skip
    several = int(items.label_lists.is_valid().to_numpy(zero_copy_only=False)[chosen].sum())
    chances = pa.table({"id": ids[ranked], "label_suspect": chance[pictures_of[ranked]].round(4)})
    return LabelErrorsReport(
        items.encoder.fingerprint,
        int(chosen[places].sum()),
        suspects,
        len(suspected),
        several,
        chances,
        bands=items.encoder.bands,
    )


def _graph_among(store: Storage, found: ItemGraph, rows: Ints, listener: Listener) -> KnnGraph:
    """Give the graph of some items: the kept one where it is of the same rows, otherwise a new one among them."""
    if np.array_equal(rows, found.graph.rows):
        return found.graph
    index = usable_index(store.snapshots.now(), found.view.items.encoder, len(rows))
    return build_graph(found.view.vectors, RowFilter(len(found.view.vectors), rows), K, index, listener)
