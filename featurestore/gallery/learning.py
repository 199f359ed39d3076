"""What to label next, what the labels so far say of the other items, and how good they have become."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from featurestore.classification import Guesses, guess, learning_curve
from featurestore.curation import SuggestReport, keep_columns, suggest
from featurestore.errors import EvaluationError, QueryError, StoreBusy
from featurestore.gallery.endpoints import Endpoint, Parameter
from featurestore.gallery.items import MOST, WHERE, items_json
from featurestore.gallery.schemas import TEXT

if TYPE_CHECKING:
    from featurestore.gallery.gallery import Gallery

NOT_NOTED = "accuracy cannot be measured on these suggestions, since the store does not note which were drawn at random"
NO_GUESS = {"guess": None, "confidence": None}


def _suggest(gallery: "Gallery", count: int, by: str, where: str | None) -> dict[str, Any]:
    store = gallery.store
    report = suggest(store, count, by, where=where)
    ids = [item.id for item in report.items]
    guesses = _guesses_by_id(gallery, ids)
    why = _why_not_noted(gallery, report)
    items = [
        item | {"random": one.random, "reason": one.reason, **guesses.get(one.id, NO_GUESS)}
        for item, one in zip(items_json(gallery, ids), report.items, strict=True)
    ]
    return {
        "by": report.by,
        "n_labelled": report.n_labelled,
        "n_unlabelled": report.n_unlabelled,
        "note": why and f"{NOT_NOTED}: {why}",
        "items": items,
    }


def _why_not_noted(gallery: "Gallery", report: SuggestReport) -> str | None:
    """Note in the store which items were drawn at random; returns why that was not possible."""
    if gallery.read_only:
        return "the server was started with --read-only"
    try:
        keep_columns(gallery.store, report)
    except (QueryError, StoreBusy) as error:
        return str(error)
    return None


def _guesses_by_id(gallery: "Gallery", ids: list[int]) -> dict[int, dict[str, Any]]:
    try:
        found = guess(gallery.store, ids=np.array(ids, np.int64))
    except EvaluationError:  # fewer than two classes are known
        return {}
    return {item: _guess(found, place) for place, item in enumerate(found.ids.tolist())}


def _guess(guesses: Guesses, place: int) -> dict[str, Any]:
    return {"guess": guesses.classes[guesses.codes[place]], "confidence": round(float(guesses.confidence[place]), 4)}


def _guesses(gallery: "Gallery", label: str | None, limit: int, order: str) -> dict[str, Any]:
    state = gallery.state()
    if gallery.guesses is None or gallery.guesses[0] != state:
        gallery.guesses = state, guess(gallery.store)
    found = gallery.guesses[1]
    counts = np.bincount(found.codes, minlength=len(found.classes)).tolist()
    classes = [{"label": name, "n": n} for name, n in zip(found.classes, counts, strict=True)]
    if label not in found.classes:
        return {"classes": classes, "items": []}
    chosen = np.flatnonzero(found.codes == found.classes.index(label))
    surer = -found.confidence[chosen] if order == "sure" else found.confidence[chosen]
    places = chosen[np.argsort(surer, kind="stable")[:limit]].tolist()
    items = items_json(gallery, found.ids[places])
    return {
        "classes": classes,
        "items": [item | _guess(found, place) for item, place in zip(items, places, strict=True)],
    }


def _curve(gallery: "Gallery") -> dict[str, Any]:
    return asdict(learning_curve(gallery.store))


GUESS = 'Item and {"guess": class or null, "confidence": from 0 to 1, or null}'
ENDPOINTS = (
    Endpoint(
        "POST", "/suggest", "Which items to label next, as the command `suggest`; the column `suggested` notes which were drawn at random.",
        f'{{"by", "n_labelled", "n_unlabelled", "note": why nothing could be noted, or null, "items": [{GUESS} and {{"random", "reason"}}]}}',
        _suggest,
        (
            Parameter("count", {"type": "integer", "minimum": 1, "maximum": MOST}, "How many.", 20, place="body"),
            Parameter("by", TEXT, "The strategy.", "auto", place="body"),
            Parameter("where", WHERE.schema, WHERE.meaning, place="body"),
        ),
        workers="searches",
    ),
    Endpoint(
        "GET", "/predictions", "The items without a label, as a classifier of the labels so far sees them; it is fitted anew after each change, and not stored.",
        f'{{"classes": [{{"label", "n": items that it guesses to be of this class}}], "items": [{GUESS}]}}; an error with labels of fewer than two classes',
        _guesses,
        (
            Parameter("label", TEXT, "Items of this class only; without it, no items but the counts."),
            Parameter("limit", {"type": "integer", "minimum": 1, "maximum": MOST}, "How many items.", 100),
            Parameter("order", {"type": "string", "enum": ["doubtful", "sure"]}, "Which come first.", "doubtful"),
        ),
        workers="searches",
    ),
    Endpoint(
        "GET", "/learning", "How accurate such a classifier is on the items that were drawn at random, by the number of the other labels that it learns from.",
        '{"n_labelled", "n_classes", "n_test", "points": [{"labels", "top1", "ci95": [low, high]}]}; no points until five random items have a label, and two classes',
        _curve, workers="searches",
    ),
)  # fmt: skip
