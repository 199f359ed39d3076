"""Labels and splits of items, set from a file, and undone."""

from dataclasses import asdict, dataclass
from pathlib import Path

from featurestore.catalog import LabelChange
from featurestore.errors import QueryError
from featurestore.metadata.matching import find_items, unknown_note
from featurestore.sources.column_names import ColumnNames
from featurestore.sources.keyed_table import KeyedTable
from featurestore.sources.label_file import read_labels
from featurestore.storage import Storage
from featurestore.system.text import counted


@dataclass(frozen=True, slots=True)
class LabelReport:
    """The result of `label`."""

    labelled: int  # items that the file has a row of
    unknown: tuple[str, ...]  # keys of the file that no item has
    key: str  # what these are: "path" or "id"
    set: int  # items that had no label
    changed: int
    removed: int
    kept: int  # items whose label a person gave, which a file does not replace
    splits: int  # items whose split was set, changed or removed
    empty: int  # items with an empty label in the file, which changed nothing
    notes: tuple[str, ...] = ()  # how the file was read, where that is not plain

    @property
    def unchanged(self) -> int:
        """Items that have the label of the file already."""
        return self.labelled - self.set - self.changed - self.removed - self.kept - self.empty

    def remarks(self) -> list[str]:
        """Say how the file was read, and what of it changed nothing."""
        empty = f"{counted(self.empty, 'empty label')} changed nothing; to remove labels: label --clear"
        return [*unknown_note(self.key, self.unknown, len(self.unknown)), *[empty] * bool(self.empty), *self.notes]


def label(
    store: Storage,
    file: str | Path,
    key: str | None = None,
    clear: bool = False,
    path_column: str | None = None,
    label_column: str | None = None,
    split_column: str | None = None,
) -> LabelReport:
    """Set labels from a CSV, JSON Lines or Parquet file with columns for path or id, label and perhaps split, by these or other usual names.

    An empty value changes nothing; with `clear` it removes the label or split of its item. `undo_labels` takes the change back.
    Paths are absolute, URLs, or relative to the file's folder, the current one, or a source. key: which of path and id to use, when the
    file has both. path_column, label_column, split_column: columns that have no usual name. Raises SourceError when the file cannot be
    read, several columns could be the labels, or no row is about an item of the store.
    """
    return apply_labels(store, read_labels(file, key, ColumnNames(path_column, label_column, split_column)), clear)


def apply_labels(store: Storage, table: KeyedTable, clear: bool = False) -> LabelReport:
    """Set the labels, and splits if there are any, of a table that was read before. Raises SourceError, StoreBusy."""
    with store.writing():
        matched = find_items(store.catalog, table)
        counts = store.catalog.labels.set_from_file(matched.items, table.names, f"label {table.path.name}", clear)
    unknown = tuple(sorted(matched.unknown.to_pylist()))
    return LabelReport(matched.items.rows, unknown, table.key, **asdict(counts), notes=(*table.notes, *matched.notes))


def undo_labels(store: Storage) -> LabelChange:
    """Undo the last run of `label` or `index` that set labels or splits of known items; again for the one before.

    Labels that came with new items of `index` stay, because these items had none before.

    Raises QueryError when there is nothing left to undo.
    """
    with store.writing():
        undone = store.catalog.labels.undo()
    if undone is None:
        raise QueryError("no change of labels is left to undo; expected one by `label` or `index --labels`")
    return undone
