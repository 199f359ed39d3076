"""The items that several encoders all have vectors of, in one order: what a comparison is about."""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featurestore.catalog import ItemTable
from featurestore.errors import EncoderNotInStore, EvaluationError
from featurestore.storage.snapshot import ItemVectors
from featurestore.store import FeatureStore


@dataclass(frozen=True)
class Side:
    """One encoder of one store."""

    store: FeatureStore
    view: ItemVectors

    @property
    def name(self) -> str:
        return self.view.items.encoder.name


def sides(stores: Sequence[FeatureStore], encoders: Sequence[str | Path]) -> list[Side]:
    """Find what is to be compared: all encoders of all stores, or those named, each in every store that has it.

    Raises EncoderNotInStore when no store has one of the names, EvaluationError when fewer than two are found.
    """
    if encoders:
        found = [side for name in encoders for side in _having(stores, name)]
    else:
        found = [Side(store, store.view(e["fingerprint"])) for store in stores for e in store.info()["encoders"]]
    if len(found) < 2:
        names = " and ".join(side.name for side in found) or "none"
        raise EvaluationError(
            f"expected two encoders or more to compare, found {names}; index the same source with another one: "
            "featurestore index STORE SOURCE --encoder OTHER.onnx"
        )
    return found


def _having(stores: Sequence[FeatureStore], name: str | Path) -> Iterator[Side]:
    missing: list[EncoderNotInStore] = []
    for store in stores:
        try:
            yield Side(store, store.view(name))
        except EncoderNotInStore as error:
            missing.append(error)
    if len(missing) == len(stores):
        raise missing[0]


@dataclass(frozen=True)
class Common:
    """The N items that all sides have, in the order of the first side's rows. Labels and splits are those of the first side's store."""

    sides: list[Side]
    places: list[NDArray[np.int64]]  # (N,) for each side: where among its items they stand
    left_out: int  # items that some have and others lack
    otherwise: int  # of the N, those that another store labels or splits otherwise

    @classmethod
    def of(cls, sides: list[Side]) -> "Common":
        """Match the items of all sides: of one store by id, of several by path and content. Raises EvaluationError when fewer than two are common."""
        one_store = all(side.store.path == sides[0].store.path for side in sides)
        keys = [side.view.items.ids.tolist() if one_store else _paths_and_contents(side) for side in sides]
        known = [{key: place for place, key in enumerate(found) if key is not None} for found in keys]
        shared = [key for key in known[0] if all(key in others for others in known[1:])]
        if len(shared) < 2:
            counts = ", ".join(f"{side.name} {len(found)}" for side, found in zip(sides, keys, strict=True))
            raise EvaluationError(
                f"expected at least 2 items that all encoders have vectors of, found {len(shared)} ({counts}); index the same source with each"
                + ("" if one_store else ": in several stores path and content must be the same")
            )
        places = [np.array([others[key] for key in shared], np.int64) for others in known]
        every = set().union(*known)
        return cls(sides, places, len(every) - len(shared), _told_otherwise(sides, places))

    def view(self, side: int) -> ItemVectors:
        """The common items and their vectors of one side, as a view whose rows are 0 to N - 1. Raises EvaluationError for damaged vectors."""
        items, places = self.sides[side].view.items, self.places[side]
        vectors = self.sides[side].view.vectors[items.rows[places]]
        damaged = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if len(damaged):
            raise EvaluationError(
                f"{len(damaged)} vectors of {self.sides[side].name} have values that are no numbers, the first that of {items.paths[int(places[damaged[0]])].as_py()}: "
                f"they were damaged after they were written; see: featurestore verify {self.sides[side].store.path}"
            )
        told = self.sides[0].view.items
        labels, splits = told.labels.take(self.places[0]), told.splits.take(self.places[0])
        paths = items.paths.take(places)
        return ItemVectors(
            ItemTable(items.encoder, np.arange(len(places)), items.ids[places], paths, labels, splits), vectors
        )


def _paths_and_contents(side: Side) -> list[Hashable]:
    """Path and content hash of each item; None where the content is not known."""
    items = side.view.items
    told = side.store.sql("SELECT id, sha256 FROM items")
    contents = dict(zip(told["id"].to_pylist(), told["sha256"].to_pylist(), strict=True))
    return [
        (path, contents[id]) if contents.get(id) else None
        for path, id in zip(items.paths.to_pylist(), items.ids.tolist(), strict=True)
    ]


def _told_otherwise(sides: list[Side], places: list[NDArray[np.int64]]) -> int:
    """How many of the common items do not have the same label and split in all stores."""
    labels, splits = (
        [
            getattr(side.view.items, column).take(where).to_numpy(zero_copy_only=False)
            for side, where in zip(sides, places, strict=True)
        ]
        for column in ("labels", "splits")
    )
    differ = [(one != labels[0]) | (other != splits[0]) for one, other in zip(labels[1:], splits[1:], strict=True)]
    return int(np.any(differ, axis=0).sum())
