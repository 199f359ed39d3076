"""Deleting items."""

from contextlib import nullcontext

from featurestore.maintenance.optimization import optimize
from featurestore.storage import Storage


def delete(store: Storage, where: str, dry_run: bool = False, seconds: float = 30.0, forget: bool = False) -> int:
    """Delete the items for which `where` holds, with their labels and vectors; returns how many. Their files stay as they are.

    Items that are marked as removed are included (`removed_at IS NOT NULL` selects them). `index` passes these files over from now on,
    and others with the same content, unless it is told to include them. forget: keep nothing but the hash of the content; vectors and
    catalog are written again without them. That includes items that were deleted before, if `where` asks for path and sha256 only, since
    nothing else is left of them. Raises QueryError.
    """
    deletions = store.catalog.deletions
    with nullcontext() if dry_run else store.writing():
        ids = store.catalog.items.select(where, seconds, with_removed=True)
        before = deletions.select(where, seconds) if forget else []
        if (len(ids) or before) and not dry_run:
            if forget:
                deletions.forget(ids, before)
            else:
                deletions.delete(ids)
    if forget and not dry_run:  # also when an earlier run was stopped here
        optimize(store)
    return len(ids) + len(before)
