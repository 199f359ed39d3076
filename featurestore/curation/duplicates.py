"""Duplicates: items with the same content, and items that show the same picture in another size, crop, compression or mirrored."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurestore.curation.find import FoundPairs, find_pairs
from featurestore.curation.pair_findings import PairFindings, search_facts
from featurestore.curation.pairs import EXACT, KINDS, MIRRORED, NEAR, Pairs
from featurestore.errors import ConfigError
from featurestore.progress import Listener
from featurestore.rendering.galleries import Gallery, Picture
from featurestore.storage.kept_pairs import Contents
from featurestore.storage.storage import Storage
from featurestore.system.text import counted

Keep = Literal["best", "first"]  # which item of a group to keep


@dataclass(frozen=True, slots=True)
class DuplicateItem:
    """An item of a group."""

    id: int
    path: str
    label: str | None
    labels: list[str] | None  # of an item with several
    split: str | None
    width: int | None  # in pixels
    height: int | None
    sharpness: float | None  # from 0 to 1; see the column of this name
    sha256: str  # of the content that was compared
    score: float  # how sure it is that it shows the picture of the item to keep, from 0 to 1; 1 for the same content


@dataclass(frozen=True, slots=True)
class DuplicateGroup:
    """Items that show one picture: the one to keep first, then the surest."""

    kind: str  # "exact": the same content; "near": another size, crop, compression or colours; "mirrored"
    items: list[DuplicateItem]

    @property
    def keep(self) -> DuplicateItem:
        """The item to keep."""
        return self.items[0]

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "keep": self.keep.path, "items": [asdict(item) for item in self.items]}


@dataclass(frozen=True, slots=True)
class DuplicatesReport(PairFindings):
    """The duplicates of a store: groups of exact copies, then of near ones, then of mirrored ones, surest first."""

    listed: ClassVar = "groups"
    n_items: int
    kinds: dict[str, int]  # groups of each kind, of which `groups` may be the first
    superfluous: int  # exact and near copies beside those to keep
    groups: list[DuplicateGroup]
    members: pa.Table  # of the items of all exact and near groups: id, and `dup_group`, the place of its group, from 0

    @property
    def total(self) -> int:
        """How many groups there are."""
        return sum(self.kinds.values())

    @property
    def title(self) -> str:
        return "Duplicates"

    @property
    def summary(self) -> list[str]:
        counts = ", ".join(f"{count:,} {kind}" for kind, count in self.kinds.items())
        found = [
            f"{counted(self.total, 'group')} among {counted(self.n_items, 'item')}{': ' + counts if counts else ''}"
        ]
        if self.superfluous:
            found.append(
                f"{counted(self.superfluous, 'item seems', 'items seem')} superfluous; look at them before you delete any"
            )
        return [*found, *self.notes]

    def to_json(self) -> dict[str, Any]:
        facts = self.facts("encoder", "n_items", "kinds", "superfluous")
        return {"protocol": "duplicates", **facts, "groups": [group.to_json() for group in self.groups]}

    def to_arrow(self) -> pa.Table:
        """Give one row for each item of the groups that are listed; `group` is the place of its group, from 0."""
        rows = [
            {"group": place, "kind": group.kind, **asdict(item)} for place, group in enumerate(self.groups) for item in group.items
        ]  # fmt: skip
        return pa.Table.from_pylist(rows, ITEM)

    @property
    def columns(self) -> pa.Table:
        return self.members

    def galleries(self) -> list[Gallery]:
        return [
            Gallery(
                f"{group.kind}, {counted(len(group.items), 'image')}", [_picture(group, item) for item in group.items]
            )
            for group in self.groups
        ]


# Of `to_arrow`.
ITEM = pa.schema({
    "group": pa.int64(), "kind": pa.string(), "id": pa.int64(), "path": pa.string(), "label": pa.string(), "labels": pa.list_(pa.string()),
    "split": pa.string(), "width": pa.int64(), "height": pa.int64(), "sharpness": pa.float64(), "sha256": pa.string(), "score": pa.float64(),
})  # fmt: skip


def _picture(group: DuplicateGroup, item: DuplicateItem) -> Picture:
    keep = item is group.keep
    size = None if item.width is None else f"{item.width:,} x {item.height:,}"
    label = item.label or ", ".join(item.labels or ())
    words = filter(None, (f"id {item.id}", size, item.split, label))
    return Picture(item.path, "keep" if keep else f"score {item.score:.3f}", ", ".join(words), marked=keep)


def duplicates(
    store: Storage,
    encoder: str | Path | None = None,
    listener: Listener | None = None,
    keep: Keep = "best",
    min_score: float = 0.0,
    limit: int | None = None,
) -> DuplicatesReport:
    """Find the items of a store that show the same picture.

    Exact copies have the same SHA-256. Other pairs are proposed by the k-NN graph and by similar pixels, and confirmed by aligning their
    pixels; see `find_pairs`. How alike they must be follows from what different pictures of this store are; see `choose_limit`.

    keep: which item of a group comes first, "best": a labelled one, then the largest, then the one with most copies, then the sharpest, then
    the one that was indexed first; or "first": that one. min_score: pairs below it do not count. limit: how many groups are listed at most.
    Raises EncoderNotInStore, StoreCorrupt, SourceError, ConfigError.
    """
    if keep not in ORDERS:
        raise ConfigError(f"keep {keep!r}: expected {' or '.join(ORDERS)}")
    if not 0 <= min_score <= 1:
        raise ConfigError(f"min_score {min_score:g}: expected a number from 0 to 1, such as 0.99")
    found = find_pairs(store, encoder, listener or Listener())
    return duplicates_among(store, found, keep, min_score).first(limit)


def duplicates_among(
    store: Storage, found: FoundPairs, keep: Keep = "best", min_score: float = 0.0
) -> DuplicatesReport:
    """Give the groups of items whose pairs were found; see `duplicates`."""
    sure = found.pairs.score >= np.float32(min_score)
    pairs = Pairs(found.pairs.left[sure], found.pairs.right[sure], found.pairs.score[sure], found.pairs.mirrored[sure])
    order = ORDERS[keep]
    groups = sorted(
        _groups(pairs, _members(store, found.contents, pairs, order), order),
        key=lambda group: (KINDS.index(group.kind), -group.items[-1].score),
    )
    counts = Counter(group.kind for group in groups)
    plain = [group for group in groups if group.kind != MIRRORED]
    places = [(item.id, place) for place, group in enumerate(plain) for item in group.items]
    ids, numbers = zip(*places, strict=True) if places else ((), ())
    members = pa.table({"id": pa.array(ids, pa.int64()), "dup_group": pa.array(numbers, pa.int64())})
    return DuplicatesReport(
        **search_facts(found),
        n_items=len(found.contents.view.items.ids),
        kinds={kind: counts[kind] for kind in KINDS if counts[kind]},
        superfluous=len(places) - len(plain),
        groups=groups,
        members=members,
    )


Members = Mapping[int, Sequence[DuplicateItem]]  # of the nodes that count
Order = Callable[[DuplicateItem, int], tuple[Any, ...]]  # of an item whose content is in so many pairs


def _members(store: Storage, contents: Contents, pairs: Pairs, order: Order) -> Members:
    """Give the items of each node that is in a pair or has several items, the one to keep first."""
    items, nodes = contents.view.items, contents.nodes
    counts = np.bincount(nodes, minlength=1)
    concerned = np.union1d(np.flatnonzero(counts > 1), np.concatenate([pairs.left, pairs.right]))
    places = np.flatnonzero(np.isin(nodes, concerned))
    columns = (items.paths, items.labels, items.label_lists, items.splits)
    texts = (column.take(places).to_pylist() for column in columns)
    looks = store.catalog.items.sizes_and_sharpness()
    found: dict[int, list[DuplicateItem]] = {node: [] for node in concerned.tolist()}
    for node, item, path, label, labels, split in zip(
        nodes[places].tolist(), items.ids[places].tolist(), *texts, strict=True
    ):
        look, sha256 = looks.get(item, (None, None, None)), contents.hashes[node].tobytes().hex()
        found[node].append(DuplicateItem(item, path, label, labels, split, *look, sha256, 1.0))
    return {node: sorted(members, key=lambda item: order(item, 0)) for node, members in found.items()}


def _by_worth(item: DuplicateItem, pairs: int) -> tuple[bool, int, int, float, int]:
    area = (item.width or 0) * (item.height or 0)
    return item.label is None and item.labels is None, -area, -pairs, -(item.sharpness or 0), item.id


def _by_age(item: DuplicateItem, _pairs: int) -> tuple[int]:
    return (item.id,)


ORDERS: Mapping[Keep, Order] = {"best": _by_worth, "first": _by_age}  # the first item is the one to keep


def _groups(pairs: Pairs, members: Members, order: Order) -> Iterator[DuplicateGroup]:
    """Make groups of nodes: exact and near copies of the item to keep, and mirrored pairs of such items."""
    plain, mirror = (_by_node(pairs, pairs.mirrored == way) for way in (False, True))
    kept: dict[int, int] = {}  # node: the one whose first item is kept instead
    worth = {node: order(of[0], len(plain.get(node, ()))) for node, of in members.items()}
    for node in sorted(members, key=worth.__getitem__):
        if node in kept:
            continue
        # Only what is paired with the item to keep itself: chains of pairs may lead to another picture.
        others = {other: score for other, score in plain.get(node, {}).items() if other not in kept}
        kept |= dict.fromkeys((node, *others), node)
        scores = {node: 1.0, **others}
        items = [replace(item, score=score) for of, score in scores.items() for item in members[of]]
        if len(items) > 1:
            yield DuplicateGroup(NEAR if others else EXACT, items)
    told = set()
    for node, others in mirror.items():
        for other, score in others.items():
            both = tuple(sorted((kept[node], kept[other]), key=worth.__getitem__))
            if both[0] != both[1] and both not in told:
                told.add(both)
                first, second = (members[of][0] for of in both)
                yield DuplicateGroup(MIRRORED, [first, replace(second, score=score)])


def _by_node(pairs: Pairs, chosen: NDArray[np.bool_]) -> dict[int, dict[int, float]]:
    """Give for each node of some pairs the others, with their scores, best first."""
    found: dict[int, dict[int, float]] = {}
    for left, right, score in zip(*(column[chosen].tolist() for column in pairs[:3]), strict=True):
        found.setdefault(left, {})[right] = score
        found.setdefault(right, {})[left] = score
    return found
