"""A column of the items for a number that was measured on their contents."""

import pyarrow as pa

from featurestore.storage import Storage
from featurestore.system.spool import Spool

MEASURED = pa.schema(
    [("id", pa.int64()), ("sha256", pa.string()), ("value", pa.float32())]
)  # sha256: what was measured


def check_measured(store: Storage, command: str, name: str) -> bool:
    """Tell whether the items have a column of that name already. Raises QueryError when the command did not write it."""
    store.catalog.columns.require_written_by(command, [name])
    return name.lower() in map(str.lower, store.catalog.columns.all())


def fill_measured(store: Storage, command: str, name: str, values: Spool, everywhere: bool) -> int:
    """Write what a command measured, rows of MEASURED, into a column, in one transaction; returns how many items got a value.

    An item whose content has changed since gets none. everywhere: items without a value lose the one that they had. Raises StoreBusy,
    DiskError, QueryError as `check_measured`.
    """
    with store.writing():
        return store.catalog.columns.write_measured(command, name, values, everywhere)
