"""Outliers: images that do not belong to the collection, by their vectors and by their looks."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurestore.curation.appearance import LOOKS, measures, unusual_looks
from featurestore.curation.findings import Findings, neighbours_note, unseen_note
from featurestore.curation.oddness import harmonic_mean, shares_by_vectors
from featurestore.progress import Listener
from featurestore.rendering.galleries import Gallery, Picture
from featurestore.storage.item_graph import item_graph
from featurestore.storage.quality import complete_quality
from featurestore.storage.storage import Storage
from featurestore.system.text import counted

ODD, FEW = (
    1 / 300,
    50,
)  # a reason by vectors is named where an item is as odd as one of so many; in a store of so many, where it is the oddest
BY_VECTORS = {
    "unlike its neighbours": 0,
    "far from all others": 2,
    "in a small group apart": 3,
}  # rows of `shares_by_vectors`


@dataclass(frozen=True, slots=True)
class Outlier:
    """An item, and how odd it is."""

    id: int
    path: str
    label: str | None
    score: float  # 3 is as odd as one of a thousand is by chance: minus the logarithm to the base 10
    reasons: list[str]  # what is odd, the oddest first; none for those that are not


@dataclass(frozen=True, slots=True)
class OutliersReport(Findings):
    """The items of a store, oddest first."""

    listed: ClassVar = "items"
    n_items: int
    items: list[Outlier]  # all, or the first
    looks: dict[str, int]  # items with each unusual look
    unseen: int  # items whose looks are unknown: their files are gone, changed or broken
    recall: float  # of the neighbours that were looked at; less than 1 where an index found them
    scores: pa.Table  # of every item: id, and `outlier`, the score

    @property
    def title(self) -> str:
        return "Outliers"

    @property
    def summary(self) -> list[str]:
        looks = ", ".join(f"{count:,} {name}" for name, count in self.looks.items())
        return [
            f"{counted(self.n_items, 'item')}, the oddest first; a score of 3 is as odd as one of a thousand",
            *([f"unusual looks: {looks}"] if looks else []),
            *unseen_note(self.unseen, "of these only the vectors count"),
            *neighbours_note(self.recall),
        ]

    def to_json(self) -> dict[str, Any]:
        facts = {name: getattr(self, name) for name in ("encoder", "n_items", "looks", "unseen", "recall")}
        return {"protocol": "outliers", **facts, "items": [asdict(item) for item in self.items]}

    @property
    def columns(self) -> pa.Table:
        return self.scores

    def to_arrow(self) -> pa.Table:
        return pa.table({name: [getattr(item, name) for item in self.items] for name in Outlier.__dataclass_fields__})

    def galleries(self) -> list[Gallery]:
        pictures = [Picture(item.path, f"score {item.score:.2f}", ", ".join(item.reasons)) for item in self.items]
        return [Gallery("the oddest first, with what is odd", pictures)] if pictures else []


def outliers(
    store: Storage,
    encoder: str | Path | None = None,
    limit: int | None = None,
    listener: Listener | None = None,
    where: str | None = None,
) -> OutliersReport:
    """Rank the items of a store by how little they belong; see `oddness` and `appearance`. limit: how many are listed at most.

    where: only items for which this SQL expression is true are listed and counted; they are compared with all. Looks of items that were
    indexed by an older version are computed from their files, and kept. Raises EncoderNotInStore, StoreCorrupt, SourceError, QueryError.
    """
    listener = listener or Listener()
    found = item_graph(store, encoder, listener)
    items = found.view.items
    complete_quality(store, listener)
    known = store.catalog.measures.of_items()
    own = {name: _of(items.ids, known["id"], values) for name, values in known.items() if name != "id"}
    looks = unusual_looks(measures(own))
    vectors = shares_by_vectors(found.graph, found.view.vectors, 0, listener)[:, found.nodes]
    strangest = np.min(np.stack(list(looks.values())), axis=0)
    scores = 0.0 - np.log10(harmonic_mean(np.concatenate([vectors, strangest[None]])))
    chosen = np.isin(items.ids, store.view(encoder, where).items.ids)
    ranked = np.lexsort((items.ids, -scores))
    ranked = ranked[chosen[ranked]][:limit]
    columns = (items.paths.take(pa.array(ranked)).to_pylist(), items.labels.take(pa.array(ranked)).to_pylist())
    contents = len(found.graph.rows)
    limit_by_vectors = max(ODD, 1 / contents) if contents >= FEW else ODD
    odd = {name: vectors[row] for name, row in BY_VECTORS.items()} | looks
    return OutliersReport(
        items.encoder.fingerprint,
        int(chosen.sum()),
        [
            Outlier(
                int(items.ids[at]), path, label, round(float(scores[at]), 4), list(_reasons(odd, at, limit_by_vectors))
            )
            for at, path, label in zip(ranked.tolist(), *columns, strict=True)
        ],
        {name: int(count) for name, share in looks.items() if (count := (share[chosen] < 1).sum())},
        int(np.isnan(own["brightness"][chosen]).sum()),
        found.graph.recall,
        pa.table({"id": items.ids, "outlier": scores.round(4)}),
        bands=items.encoder.bands,
    )


def _of(ids: NDArray[np.int64], known: NDArray[np.generic], values: NDArray[np.generic]) -> NDArray[np.float64]:
    """Give the values of items, (n,); NaN for one that was deleted meanwhile. known: the ids of the values."""
    found = np.full(len(ids), np.nan)
    _, here, there = np.intersect1d(ids, known, assume_unique=True, return_indices=True)
    found[here] = values[there]
    return found


def _reasons(shares: dict[str, NDArray[np.float64]], at: int, by_vectors: float) -> Iterator[str]:
    """Name what is odd about an item, the oddest first; by_vectors: the largest share that is odd."""
    own = sorted((float(share[at]), name) for name, share in shares.items())
    yield from (name for share, name in own if (share < 1 if name in LOOKS else share <= by_vectors))
