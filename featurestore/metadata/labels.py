"""Labels and splits from a file."""

from dataclasses import dataclass

from featurestore.catalog import Catalog
from featurestore.metadata.matching import find_items
from featurestore.sources.keyed_table import KeyedTable


@dataclass(frozen=True, slots=True)
class LabelReport:
    """What a run of `label` did."""

    labelled: int
    unknown: tuple[str, ...]  # keys of the file that no item has
    key: str  # what they are: "path" or "id"


def apply(catalog: Catalog, given: KeyedTable) -> LabelReport:
    """Set labels, and splits where the file has them; an empty one takes it away. Raises SourceError when no row is about an item."""
    matched = find_items(catalog, given)
    if matched.items.rows:
        catalog.set_values(given.names, matched.items)
    return LabelReport(matched.items.rows, tuple(sorted(matched.unknown.to_pylist())), given.key)
