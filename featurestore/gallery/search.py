"""Search: the items nearest to items, to pictures, or to several of both. The same answers as `search` of the command line."""

import time
from typing import TYPE_CHECKING, Any

from featurestore.catalog import no_such_encoder
from featurestore.gallery.endpoints import Endpoint, Parameter
from featurestore.gallery.items import ITEM_ID, items_json
from featurestore.gallery.schemas import FLAG, ITEM, TEXT, list_of
from featurestore.search.query import Query
from featurestore.search.search import search

if TYPE_CHECKING:
    from featurestore.gallery.gallery import Gallery

MOST, EXAMPLES = 1_000, 64
HITS = 100
SCORE = {"type": "number", "minimum": -1, "maximum": 1}
EXAMPLE_ITEMS, EXAMPLE_IMAGES = list_of(ITEM, EXAMPLES), list_of(TEXT, EXAMPLES)
K = {"type": "integer", "minimum": 1, "maximum": MOST}


def _search(
    gallery: "Gallery", items: list[int], not_items: list[int], images: list[str], not_images: list[str], k: int, where: str | None,
    above: float | None, unique: float | None, encoder: str | None, exact: bool,
) -> dict[str, Any]:  # fmt: skip
    began = time.perf_counter()
    wanted: list[Query] = [*items, *map(gallery.uploads.get, images)]
    unwanted: list[Query] = [*not_items, *map(gallery.uploads.get, not_images)]
    fingerprint = None if encoder is None else _named(gallery, encoder)
    found = search(
        gallery.store, wanted, k, where, exclude=unwanted, above=above, unique=unique, exact=exact, encoder=fingerprint
    )
    scores = [round(float(score), 6) for score in found.scores]
    hits = [{"score": score, **item} for score, item in zip(scores, items_json(gallery, found.ids), strict=True)]
    return {
        "hits": hits, "total": len(hits), "notes": list(found.warnings), "seconds": round(time.perf_counter() - began, 6),
    }  # fmt: skip


def _named(gallery: "Gallery", encoder: str) -> str:
    """Find an encoder of the store by its name, or the start of name or fingerprint; a path is none of these. Raises EncoderNotInStore."""
    records = gallery.store.snapshots.now().encoders
    matching = [r for r in records if r.name == encoder] or [
        r for r in records if encoder and (r.name.startswith(encoder) or r.fingerprint.startswith(encoder))
    ]
    if len(matching) != 1:
        raise no_such_encoder(encoder, records)
    return matching[0].fingerprint


def _neighbours(gallery: "Gallery", id: int, k: int) -> dict[str, Any]:
    return _search(gallery, [id], [], [], [], k, None, None, None, None, False)


GIVES = '{"hits": [{"score", …Item}], "total", "notes": [text], "seconds"}; the best first; notes say what the user should know'
ENDPOINTS = (
    Endpoint(
        "POST", "/search", "The items nearest to some examples.", GIVES,
        _search,
        (
            Parameter("items", EXAMPLE_ITEMS, "Items as examples.", [], place="body"),
            Parameter("not_items", EXAMPLE_ITEMS, "Items as negative examples.", [], place="body"),
            Parameter("images", EXAMPLE_IMAGES, "Uploads as examples, by the names that `uploads` gave.", [], place="body"),
            Parameter("not_images", EXAMPLE_IMAGES, "Uploads as negative examples.", [], place="body"),
            Parameter("k", K, "Number of hits.", HITS, place="body"),
            Parameter("where", TEXT, "Only items for which this SQL expression is true.", place="body"),
            Parameter("above", SCORE, "Only hits with at least this score.", place="body"),
            Parameter("unique", SCORE, "Leave out items with this score to a better hit.", place="body"),
            Parameter("encoder", TEXT, "The name of an encoder of the store, or the start of its fingerprint.", place="body"),
            Parameter("exact", FLAG, "Compare with every vector, without the index.", False, place="body"),
        ),
        workers="searches",
    ),
    Endpoint(
        "GET", "/items/{id}/neighbours", "The items nearest to one item.", GIVES, _neighbours,
        (ITEM_ID, Parameter("k", K, "Number of hits.", HITS)), workers="searches",
    ),
)  # fmt: skip
