"""What a file of deleted items says about them, given to the items that were added again."""

from dataclasses import replace

from featurestore.metadata.labels import LabelReport, apply_labels
from featurestore.metadata.matching import find_items
from featurestore.storage import Storage
from featurestore.storage.deleted_file import DeletedTable


def apply_deleted(store: Storage, table: DeletedTable) -> LabelReport:
    """Set labels, splits and columns of the user as a file of deleted items says. Raises SourceError when none of its paths is an item's."""
    report = apply_labels(store, table.labels)
    if table.columns is not None:
        with store.writing():
            matched = find_items(store.catalog, table.columns)
            store.catalog.columns.restore_values(table.columns.names, matched.items)
    return replace(report, empty=0)  # items that had no label
