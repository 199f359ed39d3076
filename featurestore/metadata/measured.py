"""A column of the items for a number that was measured on their contents."""

import pyarrow as pa

from featurestore.errors import QueryError
from featurestore.sources.column_types import words
from featurestore.storage import Storage
from featurestore.system.spool import Spool
from featurestore.system.text import as_argument

MEASURED = pa.schema(
    [("id", pa.int64()), ("sha256", pa.string()), ("value", pa.float32())]
)  # sha256: what was measured


def check_measured(store: Storage, name: str) -> bool:
    """Tell whether the items have a column of that name already. Raises QueryError when it is not one of numbers."""
    held = {column.lower(): of for column, of in store.catalog.columns.all().items()}
    if name not in held:
        return False
    if not pa.types.is_floating(held[name]):
        raise QueryError(
            f"column {name!r}: expected numbers (float), found {words(held[name])} ({held[name]}), which something else wrote; "
            f"remove it first: featurestore annotate {as_argument(store.path)} --drop {as_argument(name)}"
        )
    return True


def fill_measured(store: Storage, name: str, values: Spool, everywhere: bool) -> int:
    """Write measured values, rows of MEASURED, into a column, in one transaction; returns how many items got one.

    An item whose content has changed since gets none. everywhere: items without a value lose the one that they had. Raises StoreBusy,
    DiskError, QueryError as `check_measured`.
    """
    with store.writing():
        check_measured(store, name)
        return store.catalog.columns.measured(name, values, everywhere)
