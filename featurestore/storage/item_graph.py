"""The k-NN graph of an encoder's items: computed once, kept in the store, and extended when items come and go."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featurestore.ann.graph_file import open_graph, save_graph
from featurestore.ann.knn_graph import KnnGraph, build_graph, extend_graph
from featurestore.ann.row_filter import RowFilter
from featurestore.ann.search import Index
from featurestore.catalog import EncoderRecord
from featurestore.progress import Listener
from featurestore.storage.derived import keep
from featurestore.storage.labelled_items import content_numbers
from featurestore.storage.snapshot import ItemVectors, Snapshot
from featurestore.storage.storage import Storage
from featurestore.system.checksums import BlockChecksum
from featurestore.system.text import as_argument

K = 20
BY_INDEX_FROM = 100_000  # images with different contents
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class ItemGraph:
    """The N items of an encoder, and the nearest neighbours of their M contents: copies of an image are one node, or they would fill the lists."""

    view: ItemVectors
    nodes: Ints  # (N,): the node of each item, in [0, M)
    graph: KnnGraph  # of the nodes; its rows are those of the first item of each


def item_graph(store: Storage, encoder: str | Path | None = None, listener: Listener | None = None) -> ItemGraph:
    """Give the k-NN graph of an encoder's items as they are now, k = 20, or all others where there are fewer.

    What the store has kept is used, extended for new items, or replaced; then the new one is kept, if the store can be written. From
    BY_INDEX_FROM contents on neighbours are found by the search index, where there is one, and `graph.recall` says with what recall.
    Raises EncoderNotInStore, StoreCorrupt, StoreUntrusted.
    """
    listener = listener or Listener()
    snapshot = store.snapshots.now()
    view = snapshot.item_vectors(store.encoder_record(encoder, snapshot).fingerprint)
    record = view.items.encoder
    first, nodes = fold_contents(content_numbers(view.items.ids, *snapshot.twins()))
    rows = RowFilter(len(view.vectors), view.items.rows[first])
    _, blocks = store.catalog.encoders.blocks(record.fingerprint)
    path = store.layout.graph_file(record)
    known = open_graph(path, lambda covered: vectors_hash(blocks, covered), len(view.vectors))
    usable = usable_index(snapshot, record, len(rows))
    if known is None:
        if len(rows) >= BY_INDEX_FROM and usable is None:
            listener.note(
                f"all {len(rows):,} images are compared with all; an index is faster: featurestore optimize {as_argument(store.path)}"
            )
        graph = build_graph(view.vectors, rows, K, usable, listener)
    else:
        graph = extend_graph(known, view.vectors, rows, K, usable, listener)
    if graph is not known:
        _keep(store, graph, path, len(view.vectors), blocks, listener)
    return ItemGraph(view, nodes, graph)


def usable_index(snapshot: Snapshot, record: EncoderRecord, count: int) -> Index | None:
    """Give the search index by which neighbours of so many contents are found; None where all are compared with all."""
    index = snapshot.index(record) if count >= BY_INDEX_FROM else None
    return index if isinstance(index, Index) else None


def fold_contents(numbers: Ints) -> tuple[Ints, Ints]:
    """Make items of the same content one node: the first item of each of M nodes, ascending (M,), and the node of each item (N,).

    numbers: (N,), the same for items of the same content, -1 for those that no other item has the content of.
    """
    own = np.where(numbers < 0, -1 - np.arange(len(numbers)), numbers)
    _, firsts, places = np.unique(own, return_index=True, return_inverse=True)
    order = np.argsort(firsts)
    return firsts[order], np.argsort(order)[places]


def vectors_hash(blocks: Sequence[BlockChecksum], covered: int) -> bytes | None:
    """Say what the first `covered` rows of a vector file are: the SHA-256 of their checksums; None when these end elsewhere."""
    ends = [block.end for block in blocks]
    if covered not in ends:
        return None
    return hashlib.sha256("".join(block.sha256 for block in blocks[: ends.index(covered) + 1]).encode()).digest()


def _keep(
    store: Storage, graph: KnnGraph, path: Path, covered: int, blocks: Sequence[BlockChecksum], listener: Listener
) -> None:
    """Write a graph into the store; where that cannot be done, say so: it is computed again next time."""
    of = vectors_hash(blocks, covered)
    if of is not None:
        keep(store, "the neighbours", lambda: save_graph(graph, path, of, covered), listener)
