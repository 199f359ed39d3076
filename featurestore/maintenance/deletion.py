"""Deleting items."""

from contextlib import nullcontext

from featurestore.storage import Storage


def delete(store: Storage, where: str, dry_run: bool = False, seconds: float = 30.0) -> int:
    """Delete the items for which `where` holds, with their labels and vectors; returns how many. Their files stay as they are.

    Items that are marked as removed are included (`removed_at IS NOT NULL` selects them). The next `index` of their source adds them
    again, as new items. Raises QueryError.
    """
    with nullcontext() if dry_run else store.writing():
        ids = store.catalog.items.select(where, seconds, with_removed=True)
        if len(ids) and not dry_run:
            store.catalog.items.delete(ids)
    return len(ids)
