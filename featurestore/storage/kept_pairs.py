"""Pairs of pictures that show the same: found once, kept by their contents, and good for exactly the contents that they were looked for among."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from struct import Struct

import numpy as np
from numpy.typing import NDArray

from featurestore.ann.knn_graph import places_in
from featurestore.catalog import EncoderRecord
from featurestore.errors import StoreCorrupt
from featurestore.progress import Listener
from featurestore.storage.derived import keep
from featurestore.storage.item_graph import fold_contents
from featurestore.storage.labelled_items import content_numbers
from featurestore.storage.snapshot import ItemVectors
from featurestore.storage.storage import Storage
from featurestore.system.checked_file import read_checked, write_checked
from featurestore.system.no_follow import delete_within

# Its number goes up when other pairs may be found, as by a change of curation/pairs.py: files of another one are not used.
MAGIC = b"pairs02\n"
HEADER = Struct(
    "<8s32sQQddd"
)  # MAGIC, the key of the contents, how many pairs and unseen contents, recall, limit, precision (NaN: none)
HASH = np.dtype("V32")  # SHA-256
PAIR = (
    2 * HASH.itemsize + 4 + 1
)  # bytes: two hashes, a score and whether it is mirrored; all of one kind stand together
PER_CONTENT = 64  # pairs; more than are looked at
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Contents:
    """The N items of an encoder, and their M contents, which are the nodes of `item_graph`."""

    view: ItemVectors
    nodes: Ints  # (N,): the content of each item, in [0, M)
    hashes: NDArray[np.void]  # (M,): SHA-256; zeros where the catalog has none
    state: object  # of the catalog

    @property
    def key(self) -> bytes | None:
        """Say which contents these are, and by which encoder pairs are found among them; None where one has no hash."""
        if not len(self.hashes) or np.zeros((), HASH) in self.hashes:
            return None
        fingerprint = self.view.items.encoder.fingerprint
        return hashlib.sha256(fingerprint.encode() + np.sort(self.hashes).tobytes()).digest()


@dataclass(frozen=True)
class KeptPairs:
    """Pairs of contents that show the same picture, surest first: all that there are among these contents."""

    contents: Contents
    left: Ints  # (P,): nodes, less than `right`
    right: Ints
    score: NDArray[np.float32]  # (P,), from 0 to 1
    mirrored: NDArray[np.bool_]
    unseen: Ints  # nodes whose picture could not be looked at
    recall: float  # of the neighbours that were looked at
    limit: float  # likeness from which pairs count, from 0 to 1
    precision: float | None  # estimated share of true pairs among them; None where nothing says it


def contents_of(store: Storage, encoder: str | Path | None = None) -> Contents:
    """Give the contents of an encoder's items as they are now. Raises EncoderNotInStore, StoreCorrupt."""
    snapshot = store.snapshots.now()
    view = snapshot.item_vectors(store.encoder_record(encoder, snapshot).fingerprint)
    first, nodes = fold_contents(content_numbers(view.items.ids, *snapshot.twins()))
    ids, hashes = store.catalog.items.hashes()
    places = places_in(ids, view.items.ids[first])
    found = np.where(places >= 0, hashes[places], np.zeros((), HASH)) if len(ids) else np.zeros(len(first), HASH)
    return Contents(view, nodes, found, snapshot.state)


def kept_pairs(store: Storage, encoder: str | Path | None = None) -> KeptPairs | None:
    """Read the pairs that were found among just those contents that the encoder's items have now; None where there are none.

    Raises EncoderNotInStore, StoreCorrupt, StoreUntrusted.
    """
    record = store.encoder_record(encoder, store.snapshots.now())
    content = _read(store, record)
    return None if content is None else _parse(content, contents_of(store, record.fingerprint))


def keep_pairs(store: Storage, found: KeptPairs, listener: Listener) -> None:
    """Write pairs into the store, unless it has changed since; where that cannot be done, say so: they are found again next time."""
    key = found.contents.key
    if key is None:
        return

    def write() -> None:
        if store.catalog.state() == found.contents.state:
            write_checked(store.layout.pairs_file(found.contents.view.items.encoder), _parts(found, key))

    keep(store, "the pairs", write, listener)


def forget_pairs(store: Storage) -> None:
    """Delete the pairs that were found among other contents than those of now; within `writing`. Raises DiskError, StoreUntrusted."""
    for record in store.catalog.encoders.all():
        try:
            stays = kept_pairs(store, record.fingerprint) is not None
        except StoreCorrupt:  # its vectors are damaged; that is told by those who need them
            stays = False
        if not stays:
            delete_within(store.layout.pairs_file(record))


def _parts(found: KeptPairs, key: bytes) -> Iterator[bytes]:
    yield HEADER.pack(
        MAGIC,
        key,
        len(found.left),
        len(found.unseen),
        found.recall,
        found.limit,
        np.nan if found.precision is None else found.precision,
    )
    for nodes in (found.left, found.right, found.unseen):
        yield found.contents.hashes[nodes].tobytes()
    yield found.score.astype("<f4").tobytes()
    yield found.mirrored.astype(np.uint8).tobytes()


def _read(store: Storage, record: EncoderRecord) -> memoryview | None:
    """Read the file of an encoder as far as its header says; None where it is not one of ours."""
    most = HEADER.size + record.rows * (PER_CONTENT * PAIR + HASH.itemsize)
    content = read_checked(store.layout.pairs_file(record), most)
    if content is None or len(content) < HEADER.size:
        return None
    magic, _, pairs, unseen, recall, limit, precision = HEADER.unpack_from(content)
    whole = len(content) == HEADER.size + pairs * PAIR + unseen * HASH.itemsize
    shares = 0 <= recall <= 1 and 0 <= limit <= 1 and (np.isnan(precision) or 0 <= precision <= 1)
    return content if magic == MAGIC and whole and shares else None


def _parse(content: memoryview, contents: Contents) -> KeptPairs | None:
    """Find the contents of pairs; None where these are of other contents, or make no sense: a stranger's file may have a checksum that fits."""
    _, key, pairs, unseen, recall, limit, precision = HEADER.unpack_from(content)
    if key != contents.key:
        return None
    hashes = np.frombuffer(content, HASH, 2 * pairs + unseen, HEADER.size)
    rest = HEADER.size + hashes.nbytes
    score = np.frombuffer(content, "<f4", pairs, rest)
    mirrored = np.frombuffer(content, np.uint8, pairs, rest + 4 * pairs)
    order = np.argsort(contents.hashes)
    at = np.searchsorted(contents.hashes[order], hashes).clip(max=len(order) - 1)
    nodes = order[at]
    one, other = nodes[:pairs], nodes[pairs : 2 * pairs]
    makes_sense = (
        (contents.hashes[nodes] == hashes).all()
        and (one != other).all()
        and ((score >= 0) & (score <= 1)).all()
        and (mirrored <= 1).all()
    )
    if not makes_sense:
        return None
    left, right = np.minimum(one, other), np.maximum(one, other)
    surest = np.lexsort((right, left, -score))
    columns = (left[surest], right[surest], score[surest].astype(np.float32), mirrored[surest].astype(bool))
    return KeptPairs(contents, *columns, nodes[2 * pairs :], recall, limit, None if np.isnan(precision) else precision)
