"""Leaks: pictures that are in two splits, so that figures on the later one look better than they are."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from featurestore.curation.find import FoundPairs, find_pairs
from featurestore.curation.pairs import EXACT, MIRRORED, NEAR
from featurestore.errors import EvaluationError
from featurestore.progress import Listener
from featurestore.storage.storage import Storage

ORDER = {"train": 0, "val": 1, "test": 2}  # of the splits; others come between


@dataclass(frozen=True, slots=True)
class Leak:
    """Two items of different splits that show the same picture."""

    a: str  # path of the one in the earlier split: train before val before test
    b: str
    ids: tuple[int, int]
    splits: tuple[str, str]
    labels: tuple[str | None, str | None]
    kind: str  # "exact", "near" or "mirrored"
    score: float  # how surely they show the same picture, from 0 to 1


@dataclass(frozen=True, slots=True)
class LeaksReport:
    """The leaks of a store, surest first."""

    encoder: str  # fingerprint
    splits: dict[str, int]  # items of each split
    leaking: dict[str, int]  # how many of them show a picture that an earlier split has
    pairs: list[Leak]
    unseen: int  # contents that could not be looked at: their files are gone, changed or broken
    recall: float  # of the neighbours that were looked at; less than 1 where an index found them
    limit: float  # from which the details of near and mirrored pairs have to agree, from 0 to 1; 1: none can be told from chance
    precision: (
        float | None
    )  # estimated share of copies among all such pairs of the store; None: none, or too little to estimate it from

    def to_json(self) -> dict[str, Any]:
        return {"protocol": "leaks", **asdict(self)}


def leaks(store: Storage, encoder: str | Path | None = None, listener: Listener | None = None) -> LeaksReport:
    """Find items of different splits that show the same picture; pairs are found as by `duplicates`.

    Of several equal pictures in the earlier split, one stands for all. Raises EvaluationError when items are not in two splits;
    EncoderNotInStore, StoreCorrupt, SourceError.
    """
    counts = Counter(split for split in store.view(encoder).items.splits.to_pylist() if split is not None)
    if len(counts) < 2:
        there = f"only {next(iter(counts))!r}" if counts else "none"
        raise EvaluationError(
            f"expected items in two splits, such as train and test, found {there}; index folders of these names with --labels folders, "
            "or give a column `split` to: featurestore label STORE FILE.csv"
        )
    found = find_pairs(store, encoder, listener or Listener())
    pairs = sorted(_leaks(found), key=lambda leak: (-leak.score, leak.ids))
    leaking = Counter(split for split, _ in {(leak.splits[1], leak.ids[1]) for leak in pairs})
    splits = dict(sorted(counts.items(), key=lambda split: _place(split[0])))
    fingerprint = found.contents.view.items.encoder.fingerprint
    return LeaksReport(
        fingerprint, splits, {split: leaking[split] for split in splits}, pairs, found.unseen, found.recall,
        found.limit.detail, found.limit.precision,
    )  # fmt: skip


def _place(split: str) -> tuple[int, str]:
    return ORDER.get(split, 1), split


def _leaks(found: FoundPairs) -> Iterator[Leak]:
    items = found.contents.view.items
    splits = items.splits.to_pylist()
    members: list[dict[str, list[int]]] = [
        {} for _ in found.contents.hashes
    ]  # places of the items of each node, by split
    for place, node in enumerate(found.contents.nodes.tolist()):
        if splits[place] is not None:
            members[node].setdefault(splits[place], []).append(place)
    exact = ((node, node, 1.0, EXACT) for node, own in enumerate(members) if len(own) > 1)
    kinds = np.where(found.pairs.mirrored, MIRRORED, NEAR).tolist()
    near = zip(*(column.tolist() for column in found.pairs[:3]), kinds, strict=True)
    across = [
        (*at, score, kind)
        for left, right, score, kind in (*exact, *near)
        for one, other in {(left, right), (right, left)}
        for at in _across(members[one], members[other])
    ]
    a, b = (np.array([pair[end] for pair in across], np.int64) for end in (0, 1))
    columns = [column.take(at).to_pylist() for column in (items.paths, items.labels) for at in (a, b)]
    for (one, other, score, kind), path, other_path, label, other_label in zip(across, *columns, strict=True):
        ids = int(items.ids[one]), int(items.ids[other])
        yield Leak(path, other_path, ids, (splits[one], splits[other]), (label, other_label), kind, score)


def _across(one: Mapping[str, list[int]], other: Mapping[str, list[int]]) -> Iterator[tuple[int, int]]:
    """Pair the items of later splits with the first item of the earliest one; both are places of items by split."""
    earliest = min(one, key=_place, default=None)
    if earliest is not None:
        for later, places in other.items():
            if _place(earliest) < _place(later):
                yield from ((one[earliest][0], place) for place in places)
