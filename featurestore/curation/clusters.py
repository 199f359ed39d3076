"""Clusters: the collection in groups that look alike to the encoder, each with its most typical image."""

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from featurestore.ann.faiss_index import floats
from featurestore.ann.k_means import k_means
from featurestore.curation.findings import Findings
from featurestore.progress import Listener
from featurestore.rendering.galleries import Gallery, Picture
from featurestore.storage.storage import Storage
from featurestore.system.text import counted

MOST, FEWEST = 50, 2  # clusters, where no number is given: the square root of half the images between these
SHOWN = 6  # items of each cluster that are listed
WORDS = 3  # labels of each
PART = 65_536  # vectors


@dataclass(frozen=True, slots=True)
class ClusterItem:
    """An item of a cluster."""

    id: int
    path: str
    label: str | None
    score: float  # cosine similarity with the centre


@dataclass(frozen=True, slots=True)
class Cluster:
    """Images that look alike to the encoder."""

    number: int
    size: int
    coherence: float  # mean cosine similarity with the centre; 1 is all the same
    labels: dict[str, int]  # the most frequent labels of its items
    labelled: int
    items: list[ClusterItem]  # the nearest to the centre, of which the first is the medoid

    @property
    def words(self) -> str:
        """Its most frequent labels, with their shares of its labelled items."""
        return ", ".join(f"{label} {count / self.labelled:.0%}" for label, count in self.labels.items())


@dataclass(frozen=True, slots=True)
class ClustersReport(Findings):
    """The clusters of a store, largest first."""

    listed: ClassVar = "clusters"
    n_items: int
    seed: int
    clusters: list[Cluster]
    members: pa.Table  # id and number of the cluster of every item

    @property
    def title(self) -> str:
        return "Clusters"

    @property
    def summary(self) -> list[str]:
        return [f"{counted(len(self.clusters), 'cluster')} of {counted(self.n_items, 'item')}"]

    def to_json(self) -> dict[str, Any]:
        clusters = [asdict(cluster) for cluster in self.clusters]
        return {"protocol": "clusters", "encoder": self.encoder, "n_items": self.n_items, "seed": self.seed, "clusters": clusters}  # fmt: skip

    def to_arrow(self) -> pa.Table:
        return self.members

    @property
    def columns(self) -> pa.Table:
        return self.members

    def galleries(self) -> list[Gallery]:
        return [
            Gallery(
                f"{counted(cluster.size, 'image')}{': ' + cluster.words if cluster.words else ''}",
                [
                    Picture(
                        item.path, item.label or f"id {item.id}", f"score {item.score:.3f}", item is cluster.items[0]
                    )
                    for item in cluster.items
                ],
            )
            for cluster in self.clusters
        ]


def clusters(
    store: Storage,
    count: int | None = None,
    encoder: str | Path | None = None,
    where: str | None = None,
    seed: int = 0,
    listener: Listener | None = None,
) -> ClustersReport:
    """Group the items of a store by k-means of their vectors.

    count: how many groups are looked for; None depends on the number of items. where: only items for which this SQL expression is true.
    Raises EvaluationError when there are fewer items than groups; QueryError, EncoderNotInStore.
    """
    view = store.view(encoder, where)
    items, total = view.items, len(view.items.ids)
    wanted = min(max(FEWEST, round((total / 2) ** 0.5)), MOST, total) if count is None else count
    centres, group = k_means(view.vectors, items.rows, wanted, seed, listener or Listener())
    scores = np.empty(total, np.float32)
    for start in range(0, total, PART):
        part = slice(start, start + PART)
        scores[part] = np.einsum("nd,nd->n", floats(view.vectors[items.rows[part]]), centres[group[part]])
    found = []
    sizes = np.bincount(group, minlength=wanted)
    for number, old in enumerate(np.argsort(-sizes, kind="stable")[: int((sizes > 0).sum())].tolist()):
        members = np.flatnonzero(group == old)
        nearest = members[np.lexsort((items.ids[members], -scores[members]))[:SHOWN]]
        texts = (items.paths.take(pa.array(nearest)).to_pylist(), items.labels.take(pa.array(nearest)).to_pylist())
        shown = [
            ClusterItem(int(items.ids[at]), path, label, round(float(scores[at]), 6))
            for at, path, label in zip(nearest.tolist(), *texts, strict=True)
        ]
        labels = Counter(label for label in items.labels.take(pa.array(members)).to_pylist() if label is not None)
        coherence = round(float(scores[members].mean()), 6)
        found.append(Cluster(number, len(members), coherence, dict(labels.most_common(WORDS)), labels.total(), shown))
    place = np.empty(wanted, np.int64)
    place[np.argsort(-sizes, kind="stable")] = np.arange(wanted)
    members_of = pa.table({"id": items.ids, "cluster": place[group]})
    return ClustersReport(items.encoder.fingerprint, total, seed, found, members_of, bands=items.encoder.bands)
