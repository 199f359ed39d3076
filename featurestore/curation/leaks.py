"""Leaks: pictures that are in two splits, so that figures on the later one look better than they are."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from featurestore.catalog import ItemTable
from featurestore.curation.find import FoundPairs, find_pairs
from featurestore.curation.pair_findings import PairFindings, search_facts
from featurestore.curation.pairs import EXACT, MIRRORED, NEAR
from featurestore.errors import EvaluationError
from featurestore.progress import Listener
from featurestore.rendering.galleries import Gallery, Picture
from featurestore.storage.storage import Storage
from featurestore.system.text import counted

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
class LeaksReport(PairFindings):
    """The leaks of a store, surest first."""

    listed: ClassVar = "pairs"
    splits: dict[str, int]  # items of each split
    leaking: dict[str, int]  # how many of them show a picture that an earlier split has
    total: int  # pairs, of which `pairs` may be the first
    pairs: list[Leak]

    def to_json(self) -> dict[str, Any]:
        facts = self.facts("encoder", "splits", "leaking", "total")
        return {"protocol": "leaks", **facts, "pairs": [asdict(leak) for leak in self.pairs]}

    def to_arrow(self) -> pa.Table:
        """Give one row for each pair: what is said of its two items ends in _a and _b."""
        pairs = self.pairs
        ends = {
            f"{name}_{end}": [getattr(leak, field)[at] for leak in pairs]
            for name, field in (("id", "ids"), ("split", "splits"), ("label", "labels"))
            for at, end in enumerate("ab")
        }
        paths = {"path_a": [leak.a for leak in pairs], "path_b": [leak.b for leak in pairs]}
        return pa.table(
            {"kind": [leak.kind for leak in pairs], "score": [leak.score for leak in pairs], **paths, **ends}
        )

    @property
    def title(self) -> str:
        return "Pictures in two splits"

    @property
    def summary(self) -> list[str]:
        return [
            f"{counted(self.total, 'pair')} across splits",
            *(
                f"{split}: {leaking:,} of {counted(self.splits[split], 'item')} ({leaking / self.splits[split]:.1%}) with a picture that an earlier split has"
                for split, leaking in self.leaking.items()
                if leaking
            ),
            *self.notes,
        ]

    def galleries(self) -> list[Gallery]:
        return [
            Gallery(
                f"{leak.kind}, score {leak.score:.3f}",
                [
                    Picture(path, leak.splits[at], leak.labels[at] or "", marked=at == 0)
                    for at, path in enumerate((leak.a, leak.b))
                ],
            )
            for leak in self.pairs
        ]


def leaks(
    store: Storage, encoder: str | Path | None = None, listener: Listener | None = None, limit: int | None = None
) -> LeaksReport:
    """Find items of different splits that show the same picture; pairs are found as by `duplicates`.

    Of several equal pictures in the earlier split, one stands for all. limit: how many pairs are listed at most. Raises EvaluationError when
    items are not in two splits; EncoderNotInStore, StoreCorrupt, SourceError.
    """
    require_two_splits(store.view(encoder).items)
    return leaks_among(find_pairs(store, encoder, listener or Listener())).first(limit)


def require_two_splits(items: ItemTable) -> None:
    """Raise EvaluationError when items are not in two splits."""
    names = split_names(items)
    if len(names) < 2:
        there = f"only {names[0]!r}" if names else "none"
        raise EvaluationError(
            f"expected items in two splits, such as train and test, found {there}; index folders of these names with --labels folders, "
            "or give a column `split` to: featurestore label STORE FILE.csv"
        )


def split_names(items: ItemTable) -> list[str]:
    """Give the names of the splits that items are in."""
    return sorted(set(items.splits.drop_null().to_pylist()))


def leaks_among(found: FoundPairs) -> LeaksReport:
    """Give the leaks among items whose pairs were found."""
    items = found.contents.view.items
    counts = Counter(items.splits.drop_null().to_pylist())
    pairs = sorted(_leaks(found), key=lambda leak: (-leak.score, leak.ids))
    leaking = Counter(split for split, _ in {(leak.splits[1], leak.ids[1]) for leak in pairs})
    splits = dict(sorted(counts.items(), key=lambda split: _place(split[0])))
    leaking_of = {split: leaking[split] for split in splits}
    return LeaksReport(**search_facts(found), splits=splits, leaking=leaking_of, total=len(pairs), pairs=pairs)


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
