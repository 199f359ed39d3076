"""The pairs of a store that show the same picture: those that it has kept, or found now."""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from featurestore.curation.findings import neighbours_note, unseen_note
from featurestore.curation.limit import Limit
from featurestore.curation.pairs import Pairs, same_pictures
from featurestore.curation.pixels import Ints
from featurestore.progress import Listener
from featurestore.storage.item_graph import item_graph
from featurestore.storage.kept_pairs import Contents, KeptPairs, contents_of, keep_pairs, kept_pairs
from featurestore.storage.snapshot import ItemVectors
from featurestore.storage.storage import Storage
from featurestore.storage.thumbnails import ContentFile, Thumbnails, thumbnails

COPIES_TRIED = 4
NO_FILE = ("", 0, 0)  # of an item that was deleted meanwhile


class FoundPairs(NamedTuple):
    """The pairs of a store."""

    contents: Contents
    pairs: Pairs  # of the nodes
    unseen: int  # contents that could not be looked at: their files are gone, changed or broken
    recall: float  # of the neighbours that were looked at; less than 1 where an index found them
    limit: Limit  # from which pairs count


def find_pairs(store: Storage, encoder: str | Path | None, listener: Listener) -> FoundPairs:
    """Find the pairs of contents of a store that show the same picture. Raises EncoderNotInStore, StoreCorrupt, SourceError.

    What was found before is given as long as the store has the same contents, and no picture can be looked at that could not be then. The
    k-NN graph and the small pictures that finding needs are kept, too.
    """
    kept = kept_pairs(store, encoder)
    if kept is None or _is_there_again(store, kept, listener):
        kept = _found_now(store, encoder, listener)
        keep_pairs(store, kept, listener)
    pairs = Pairs(kept.left, kept.right, kept.score, kept.mirrored)
    return FoundPairs(kept.contents, pairs, len(kept.unseen), kept.recall, Limit(kept.limit, kept.precision))


def known_pairs(store: Storage, view: ItemVectors) -> FoundPairs | None:
    """Give the pairs among the items of a view that the store has kept; None where they were not looked for. No picture is read.

    Raises StoreCorrupt.
    """
    kept = kept_pairs(store, view.items.encoder.fingerprint)
    if kept is None:
        return None
    whole = kept.contents
    chosen = np.isin(whole.view.items.ids, view.items.ids)
    contents = replace(whole, view=replace(whole.view, items=whole.view.items.only(chosen)), nodes=whole.nodes[chosen])
    there = np.zeros(len(whole.hashes), bool)
    there[contents.nodes] = True
    both = there[kept.left] & there[kept.right]
    pairs = Pairs(kept.left[both], kept.right[both], kept.score[both], kept.mirrored[both])
    return FoundPairs(contents, pairs, int(there[kept.unseen].sum()), kept.recall, Limit(kept.limit, kept.precision))


def pair_notes(unseen: int, limit: float, precision: float | None, recall: float) -> list[str]:
    """Say in sentences how far pairs can be trusted; the values as in `FoundPairs`."""
    found = unseen_note(unseen, "of these, only those with nearly equal vectors are listed")
    if limit == 1:
        found.append(
            "different pictures of this collection are as alike as copies: no near or mirrored ones are listed"
        )
    elif precision is not None:
        found.append(
            f"{precision:.0%} of near and mirrored pairs are copies, by an estimate; their details agree by {limit:.3f} or more"
        )
    return found + neighbours_note(recall)


def _found_now(store: Storage, encoder: str | Path | None, listener: Listener) -> KeptPairs:
    contents = contents_of(store, encoder)
    graph = item_graph(store, encoder, listener)
    if not np.array_equal(graph.nodes, contents.nodes):  # the store has changed between the two
        return _found_now(store, encoder, listener)
    pictures = _pictures(store, contents, np.ones(len(contents.hashes), bool), listener)
    pairs, limit, recall = same_pictures(graph.graph, graph.view.vectors, pictures, listener)
    return KeptPairs(contents, *pairs, np.flatnonzero(~pictures.known), recall, limit.detail, limit.precision)


def _is_there_again(store: Storage, kept: KeptPairs, listener: Listener) -> bool:
    """Whether a picture that could not be looked at now can, as when a drive is mounted again."""
    unseen = np.zeros(len(kept.contents.hashes), bool)
    unseen[kept.unseen] = True
    return bool(unseen.any() and _pictures(store, kept.contents, unseen, listener).known.any())


def _pictures(store: Storage, contents: Contents, wanted: NDArray[np.bool_], listener: Listener) -> Thumbnails:
    """Give small pictures of the M contents; those that are not wanted, (M,), have none."""
    items, nodes = contents.view.items, contents.nodes
    ids, facts = items.ids.tolist(), store.catalog.items.files()
    pictures = Thumbnails.none(len(wanted))
    order = np.argsort(nodes, kind="stable")
    turn = np.arange(len(order)) - np.searchsorted(nodes[order], nodes[order])  # among items of one content
    for copy in range(COPIES_TRIED):  # where the first file of a content cannot be read
        places: Ints = order[turn == copy]
        places = places[(wanted & ~pictures.known)[nodes[places]]]
        if not len(places):
            break
        files = [
            ContentFile(*facts.get(ids[place], NO_FILE), path)
            for place, path in zip(places.tolist(), items.paths.take(places).to_pylist(), strict=True)
        ]
        pictures.grey[nodes[places]], pictures.known[nodes[places]] = thumbnails(store, files, listener)
    return pictures
