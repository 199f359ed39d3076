"""Labels: what a person says about items, and how it is taken back."""

import getpass
from dataclasses import asdict
from functools import cache
from typing import TYPE_CHECKING, Any

from featurestore.errors import ConfigError
from featurestore.gallery.answers import NotFound
from featurestore.gallery.endpoints import Endpoint, Parameter
from featurestore.gallery.schemas import INTEGER, ITEM, TEXT, TEXT_OR_NULL, list_of, object_of
from featurestore.metadata import given_labels, undo_change
from featurestore.system.text import counted

if TYPE_CHECKING:
    from featurestore.gallery.gallery import Gallery

MOST, MOST_NAMES = 100_000, 1_000  # items of one change, and labels of an item
COMMAND = "serve"  # of the changes in the history
GIVEN = object_of({"id": ITEM}, {"label": TEXT_OR_NULL, "labels": list_of(TEXT, MOST_NAMES)})


def _set(gallery: "Gallery", labels: list[dict[str, Any]], by: str | None, request: str | None) -> dict[str, Any]:
    given = given_labels({one["id"]: _names(one) for one in labels}, by or _user(), COMMAND)
    if not len(given.rows):
        raise ConfigError("labels: expected a label for one item or more, found none")
    written = gallery.label_writer.write(given, request)
    if len(written.gone) == len(given.rows):
        shown = f"item {written.gone[0]}" if len(written.gone) == 1 else counted(len(written.gone), "item")
        raise NotFound(f"{shown}: the store has no such item; nothing was labelled")
    return asdict(written)


def _names(given: dict[str, Any]) -> list[str]:
    """Read the labels that an item is to have."""
    if ("label" in given) == ("labels" in given):
        raise ConfigError(
            f"labels: expected either label or labels of item {given['id']}, found {'both' if 'label' in given else 'neither'}"
        )
    if "labels" in given:
        return list(given["labels"])
    return [] if given["label"] is None else [given["label"]]


@cache
def _user() -> str | None:
    """Who runs the server, if the system says it."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return None


def _changes(gallery: "Gallery", limit: int) -> dict[str, Any]:
    found = gallery.store.catalog.labels.changes(limit)
    return {"changes": [asdict(change) for change in found]}


def _undo(gallery: "Gallery", change: int | None) -> dict[str, Any]:
    undone = undo_change(gallery.store, change)
    if undone is None:
        raise NotFound(
            "no change of labels is left to undo" if change is None else f"change {change} is not there, or was undone"
        )
    return asdict(undone)


CHANGE = '"change", "command", "made_at", "items"'
ENDPOINTS = (
    Endpoint(
        "POST", "/labels", "Label items, as a person does. Answers when the labels are on the disk; all of them, or none.",
        '{"change": its number, or null when every item had its label already, "items": how many were changed, "gone": [ids that the store does not have]}; '
        "an error when it has none of them",
        _set,
        (
            Parameter("labels", list_of(GIVEN, MOST), "What each item is to have: a label, null for none, or a list of labels. These replace all that it had; of several for one item the last counts.", required=True, place="body"),
            Parameter("request", {"type": "string", "minLength": 1, "maxLength": 100}, "A name that you give this request, such as a random one. Sent again, as after an answer that was lost, it changes nothing and gets the same answer.", place="body"),
            Parameter("by", TEXT, "Who says so; the user that runs the server, when it is not given.", place="body"),
        ),
        changes_store=True, workers="labels",
    ),
    Endpoint(
        "GET", "/labels/changes", "Changes of labels that can be undone, the newest first, also those of commands.", f'{{"changes": [{{{CHANGE}}}]}}',
        _changes, (Parameter("limit", {"type": "integer", "minimum": 1, "maximum": 1_000}, "How many.", 100),),
    ),
    Endpoint(
        "POST", "/labels/undo", "Undo a change of labels, whatever came after it: the items get what they had before, but what a later change made of them stays.",
        f"{{{CHANGE}}}, of what was undone; an error when it is not there",
        _undo, (Parameter("change", INTEGER, "Its number; the last one, when it is not given.", place="body"),),
        changes_store=True, workers="labels",
    ),
)  # fmt: skip
