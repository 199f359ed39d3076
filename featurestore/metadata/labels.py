"""Labels and splits of items, set from a file."""

from dataclasses import dataclass
from pathlib import Path

from featurestore.metadata.matching import find_items
from featurestore.sources.keyed_table import KeyedTable
from featurestore.sources.label_file import read_labels
from featurestore.storage import Storage


@dataclass(frozen=True, slots=True)
class LabelReport:
    """The result of `label`."""

    labelled: int
    unknown: tuple[str, ...]  # keys of the file that no item has
    key: str  # what these are: "path" or "id"


def label(store: Storage, file: str | Path, key: str | None = None) -> LabelReport:
    """Set labels from a CSV or Parquet file with the columns path or id, label and perhaps split; an empty label removes the label.

    Paths are absolute, URLs, or relative to the file's folder or the current one. key: which of path and id to use, when the file
    has both. Raises SourceError when the file cannot be read, or no row is about an item of the store.
    """
    return apply_labels(store, read_labels(file, key))


def apply_labels(store: Storage, table: KeyedTable) -> LabelReport:
    """Set the labels, and splits if there are any, of a table that was read before. Raises SourceError, StoreBusy."""
    with store.writing():
        matched = find_items(store.catalog, table)
        if matched.items.rows:
            store.catalog.columns.set_values(table.names, matched.items)
    return LabelReport(matched.items.rows, tuple(sorted(matched.unknown.to_pylist())), table.key)
