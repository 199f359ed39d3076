"""What users settle for a store in the gallery: the keys of their classes."""

from typing import TYPE_CHECKING, Any

from featurestore.gallery.endpoints import Endpoint, Parameter
from featurestore.gallery.schemas import Schema, map_of, misfit

if TYPE_CHECKING:
    from featurestore.gallery.gallery import Gallery

NAME = "keys"  # in the catalog
KEYS: Schema = map_of({"type": "string", "minLength": 1, "maxLength": 1}, 1_000)


def _get(gallery: "Gallery") -> dict[str, Any]:
    keys = gallery.store.catalog.settings.get(NAME)
    return {"keys": {} if misfit(KEYS, keys, NAME) else keys}  # a stranger's store may hold anything


def _put(gallery: "Gallery", keys: dict[str, str]) -> dict[str, Any]:
    with gallery.store.holding_catalog():
        gallery.store.catalog.settings.put(NAME, keys)
    return {"keys": keys}


GIVES = '{"keys": {class: key}}'
ENDPOINTS = (
    Endpoint("GET", "/settings", "What is settled for this store.", GIVES, _get),
    Endpoint(
        "PUT", "/settings", "Settle it anew, for everyone who uses the store.", GIVES, _put,
        (Parameter("keys", KEYS, "The key of each class that has one of its own.", required=True, place="body"),),
        changes_store=True, workers="labels",
    ),
)  # fmt: skip
