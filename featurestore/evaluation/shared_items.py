"""The items that several encoders all have vectors of, in one order: what a comparison is measured on."""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featurestore.catalog import ItemTable
from featurestore.errors import EncoderNotInStore, EvaluationError, QueryError
from featurestore.storage import ItemVectors, LabelledItems
from featurestore.storage.no_match import describe_no_match
from featurestore.storage.storage import Storage
from featurestore.system.text import as_argument


@dataclass(frozen=True)
class StoreEncoder:
    """One encoder of one store, with its items."""

    store: Storage
    view: ItemVectors

    @property
    def name(self) -> str:
        return self.view.items.encoder.name


def find_encoders(stores: Sequence[Storage], encoders: Sequence[str | Path]) -> list[StoreEncoder]:
    """Find the encoders to compare: all of all stores, or those named, each in every store that has it.

    Raises EncoderNotInStore when no store has one of the names, EvaluationError when fewer than two are found.
    """
    if encoders:
        found = [one for name in encoders for one in _stores_with(stores, name)]
    else:
        found = [
            StoreEncoder(store, store.view(record.fingerprint))
            for store in stores
            for record in store.snapshots.now().encoders
        ]
    found = list({(one.store.path.resolve(), one.view.items.encoder.fingerprint): one for one in found}.values())
    if len(found) < 2:
        names = " and ".join(one.name for one in found) or "none"
        raise EvaluationError(
            f"expected two encoders or more to compare, found {names}; index the same source with another one: "
            "featurestore index STORE SOURCE --encoder OTHER.onnx"
        )
    return found


def _stores_with(stores: Sequence[Storage], name: str | Path) -> Iterator[StoreEncoder]:
    missing: list[EncoderNotInStore] = []
    for store in stores:
        try:
            yield StoreEncoder(store, store.view(name))
        except EncoderNotInStore as error:
            missing.append(error)
    if len(missing) == len(stores):
        raise missing[0]


@dataclass(frozen=True)
class SharedItems:
    """The N items that all encoders have, in the order of the first one's rows. Labels and splits are those of the first store."""

    encoders: list[StoreEncoder]
    positions: list[NDArray[np.int64]]  # (N,) for each encoder: indices among its items
    left_out: int  # items that some encoders have and others lack
    labelled_otherwise: int  # of the N, those with another label or split in another store

    @classmethod
    def of(cls, encoders: list[StoreEncoder]) -> "SharedItems":
        """Match items by id in one store, by path and content in several. Raises EvaluationError when fewer than two match."""
        one_store = all(one.store.path == encoders[0].store.path for one in encoders)
        keys = [one.view.items.ids.tolist() if one_store else _paths_and_contents(one) for one in encoders]
        position_of = [{key: i for i, key in enumerate(found) if key is not None} for found in keys]
        shared = [key for key in position_of[0] if all(key in others for others in position_of[1:])]
        if len(shared) < 2:
            counts = ", ".join(f"{one.name} {len(found)}" for one, found in zip(encoders, keys, strict=True))
            raise EvaluationError(
                f"expected at least 2 items that all encoders have vectors of, found {len(shared)} ({counts}); index the same source with each"
                + ("" if one_store else ": in several stores path and content must be the same")
            )
        positions = [np.array([of_key[key] for key in shared], np.int64) for of_key in position_of]
        every = set().union(*position_of)
        return cls(encoders, positions, len(every) - len(shared), _labelled_otherwise(encoders, positions))

    def matching(self, where: str) -> "SharedItems":
        """Give those items for which an SQL expression is true in the first store. Raises QueryError, EvaluationError."""
        first = self.encoders[0]
        ids = first.view.items.ids[self.positions[0]]
        kept = np.isin(ids, first.store.catalog.items.select(where))
        if not kept.any():
            raise QueryError(describe_no_match(first.store.catalog, where, first.view.items.encoder))
        if kept.sum() < 2:
            raise EvaluationError(f"expected at least 2 items where {where}, found 1")
        positions = [places[kept] for places in self.positions]
        return replace(self, positions=positions, labelled_otherwise=_labelled_otherwise(self.encoders, positions))

    def labelled(self, view: ItemVectors) -> LabelledItems | None:
        """Give the labelled items of a view of the shared items; None when none has a label. Raises EvaluationError."""
        columns = (view.items.labels, view.items.label_lists)
        if all(column.null_count == len(column) for column in columns):
            return None
        return self.encoders[0].store.labelled_among(view)

    def view(self, number: int) -> ItemVectors:
        """Get the shared items of the first store with the vectors of one encoder, as a view with rows 0 to N - 1. Raises EvaluationError for damaged vectors."""
        encoder, positions = self.encoders[number], self.positions[number]
        items = encoder.view.items
        vectors = encoder.view.vectors[items.rows[positions]]
        damaged = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if len(damaged):
            raise EvaluationError(
                f"{len(damaged)} vectors of {encoder.name} contain NaN or infinity, the first that of {items.paths[int(positions[damaged[0]])].as_py()}: "
                f"they were damaged after they were written; see: featurestore verify {as_argument(encoder.store.path)}"
            )
        first = self.encoders[0].view.items
        texts = (column.take(self.positions[0]) for column in (first.labels, first.label_lists, first.splits))
        paths = items.paths.take(positions)
        rows = np.arange(len(positions))
        return ItemVectors(ItemTable(items.encoder, rows, first.ids[self.positions[0]], paths, *texts), vectors)


def _paths_and_contents(encoder: StoreEncoder) -> list[Hashable]:
    """Path and content hash of each item; None where the content is unknown."""
    items = encoder.view.items
    content_of = encoder.store.catalog.items.contents()
    return [
        (path, content_of[id]) if content_of.get(id) else None
        for path, id in zip(items.paths.to_pylist(), items.ids.tolist(), strict=True)
    ]


def _labelled_otherwise(encoders: list[StoreEncoder], positions: list[NDArray[np.int64]]) -> int:
    """Count the shared items whose labels or split are not the same in all stores."""
    said = [
        list(zip(*(getattr(one.view.items, column).take(where).to_pylist() for column in ("labels", "label_lists", "splits")), strict=True))
        for one, where in zip(encoders, positions, strict=True)
    ]  # fmt: skip
    return sum(any(other != each[0] for other in each[1:]) for each in zip(*said, strict=True))
