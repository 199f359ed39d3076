"""Items: the store as a whole, pages of items in an order, one item, and the values of a column."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurestore.errors import ConfigError
from featurestore.gallery.answers import NotFound, plain
from featurestore.gallery.contents import MARK
from featurestore.gallery.endpoints import Endpoint, Parameter
from featurestore.gallery.schemas import ITEM, TEXT, list_of
from featurestore.gallery.views import View
from featurestore.version import __version__

if TYPE_CHECKING:
    from featurestore.gallery.gallery import Gallery

MOST, MOST_IDS = 1_000, 100_000  # items, and ids, of one answer
LISTED = 10_000  # labels and splits that are counted by name
OURS = (
    "id", "path", "label", "labels", "split", "width", "height", "sha256", "label_source", "labelled_by", "labelled_at",
)  # fmt: skip
MORE: tuple[str, ...] = ("split_source", "bytes", "mtime_ns", "added_at")  # of one item that is looked at
NOT_COLUMNS = {*OURS, *MORE}
SIDE = 256  # of the thumbnail that an item names

WHERE = Parameter("where", TEXT, "One SQL expression over the columns of items, as for `--where`.")
ITEM_ID = Parameter("id", ITEM, "The id of an item.", required=True, place="path")


def items_json(gallery: "Gallery", ids: Sequence[int] | NDArray[np.int64]) -> list[dict[str, Any]]:
    """Give items as JSON, in the order of their ids; one that the store no longer has is marked as gone."""
    wanted = np.asarray(ids, np.int64)
    table, different = gallery.items.now(), np.unique(wanted)
    found = _rows(gallery.store.catalog.pages.page(different) if table is None else table.rows(different))
    return [_item(found[item]) if item in found else {"id": item, "gone": True} for item in wanted.tolist()]


def _rows(table: pa.Table) -> dict[int, dict[str, Any]]:
    return {row["id"]: row for row in table.to_pylist()}


def _item(row: dict[str, Any], more: bool = False) -> dict[str, Any]:
    item = {name: row[name] for name in OURS}
    item["name"] = item["path"].rpartition("/")[2]
    item["columns"] = {name: plain(value) for name, value in row.items() if name not in NOT_COLUMNS}
    mark = f"?h={item['sha256'][:MARK]}" if item["sha256"] else ""
    item["thumb"] = f"/api/v1/thumbs/{item['id']}/{SIDE}{mark}"
    return item | {name: row[name] for name in MORE} if more else item


def _list(
    gallery: "Gallery", where: str | None, sort: str, order: str, limit: int, after: str | None, offset: int, view: str | None, ids: list[int] | None
) -> dict[str, Any]:  # fmt: skip
    if ids is not None:
        return {"items": items_json(gallery, ids), "total": len(ids), "view": None, "next": None}
    if after is not None:
        view, _, place = after.rpartition(".")
        offset = int(place) if place.isdecimal() and len(place) < 16 else -1
        if offset < 0:
            raise ConfigError(f"after: expected what an answer gave as next, found {after[:40]!r}")
    chosen = gallery.views.named(view) if view is not None else gallery.views.of(where, sort, order == "desc")
    end = offset + limit
    return {
        "items": items_json(gallery, chosen.ids[offset:end]),
        "total": len(chosen.ids),
        "view": chosen.name,
        "next": f"{chosen.name}.{end}" if end < len(chosen.ids) else None,
    }


def _ids(gallery: "Gallery", view: str, start: int, stop: int | None) -> dict[str, Any]:
    chosen: View = gallery.views.named(view)
    stop = start + MOST_IDS if stop is None else min(stop, start + MOST_IDS)
    return {"ids": chosen.ids[start:stop].tolist(), "total": len(chosen.ids)}


def _one(gallery: "Gallery", id: int) -> dict[str, Any]:
    found = _rows(gallery.store.catalog.pages.page(np.array([id], np.int64)))
    if id not in found:
        raise NotFound(f"item {id}: the store has no such item")
    return _item(found[id], more=True)


def _values(gallery: "Gallery", name: str, where: str | None) -> dict[str, Any]:
    found = gallery.store.catalog.pages.values(name, where)
    pairs = zip(found["frequent"] or (), found["counts"] or (), strict=True)
    return {
        "type": found["type"], "distinct": found["distinct"], "least": plain(found["least"]), "greatest": plain(found["greatest"]),
        "frequent": [{"value": plain(value), "count": count} for value, count in pairs], "empty": found["empty"],
    }  # fmt: skip


def _store(gallery: "Gallery") -> dict[str, Any]:
    state = gallery.state()
    if gallery.summary is None or gallery.summary["state"] != state:
        gallery.summary = _summary(gallery, state)
    return gallery.summary


def _summary(gallery: "Gallery", state: str) -> dict[str, Any]:
    store = gallery.store
    counts = store.catalog.items.counts()
    records = store.snapshots.now().encoders
    encoders = [{"name": r.name, "dim": r.dim, "fingerprint": r.fingerprint, "vectors": r.rows} for r in records]
    columns = store.catalog.pages.columns()
    return {
        "name": store.path.resolve().name, "items": counts["items"], "labelled": counts["labelled"], "encoder": encoders[0] if encoders else None,
        "encoders": encoders, "columns": [{"name": name, "type": kind, "own": own} for name, (kind, own) in columns.items()],
        "labels": _most(counts["labels"]), "splits": _most(counts["splits"]), "read_only": gallery.read_only, "version": __version__, "state": state,
    }  # fmt: skip


def _most(counts: dict[str, int]) -> dict[str, int]:
    """Keep the most frequent names: a column may have one for each item."""
    if len(counts) <= LISTED:
        return counts
    return dict(sorted(counts.items(), key=lambda pair: -pair[1])[:LISTED])


ENDPOINTS = (
    Endpoint(
        "GET", "/store", "What the store holds: items, labels, encoders, columns.",
        '{"name", "items", "labelled", "encoder", "encoders", "columns": [{"name", "type", "own"}], "labels": {name: items}, "splits", "read_only", '
        f'"version", "state"}}; `state` changes with every change of the catalog; of labels and splits the {LISTED:,} most frequent',
        _store,
    ),
    Endpoint(
        "GET", "/items", "A page of items in an order.",
        '{"items": [Item], "total", "view", "next"}; `next` is null at the end; an item that is gone since is {"id", "gone": true}',
        _list,
        (
            WHERE,
            Parameter("sort", TEXT, "The column to sort by, then by id.", "id"),
            Parameter("order", {"type": "string", "enum": ["asc", "desc"]}, "Items without a value come last in both.", "asc"),
            Parameter("limit", {"type": "integer", "minimum": 1, "maximum": MOST}, "Items of this page.", 100),
            Parameter("after", TEXT, "What the last answer gave as `next`; it also says which view."),
            Parameter("offset", {"type": "integer", "minimum": 0, "maximum": 2**40}, "How many items to pass over.", 0),
            Parameter("view", TEXT, "A view that an answer named: its items in its order, whatever has changed since; `where` and `sort` do not count then."),
            Parameter("ids", list_of(ITEM, MOST), "These items instead, in this order."),
        ),
    ),
    Endpoint(
        "GET", "/ids", "The ids of a view, without the items.", '{"ids": [id], "total"}',
        _ids,
        (
            Parameter("view", TEXT, "A view that `items` named.", required=True),
            Parameter("start", {"type": "integer", "minimum": 0, "maximum": 2**40}, "Place of the first, from 0.", 0),
            Parameter("stop", {"type": "integer", "minimum": 0, "maximum": 2**40}, f"Place behind the last; at most {MOST_IDS:,} are given."),
        ),
    ),
    Endpoint("GET", "/items/{id}", "One item with everything that is known of it.", "Item", _one, (ITEM_ID,)),
    Endpoint(
        "GET", "/columns/{name:any}/values", "What values a column of the items has.",
        '{"type", "distinct", "least", "greatest", "frequent": [{"value", "count"}], "empty"}; up to 100 frequent ones, most frequent first',
        _values,
        (Parameter("name", TEXT, "A column of items.", required=True, place="path"), WHERE),
    ),
)  # fmt: skip
