"""What the rows of a catalog must agree on before vectors are read by them."""

import numpy as np
from numpy.typing import NDArray

from featurestore.catalog.encoders import encoder_record
from featurestore.catalog.engine import Connection
from featurestore.catalog.records import EncoderRecord
from featurestore.errors import StoreCorrupt
from featurestore.system.text import counted


def with_rows(connection: Connection, encoder: str) -> EncoderRecord:
    """Read the record of an encoder. Raises StoreCorrupt when items have no path, or rows that its vector file does not have."""
    record = encoder_record(connection, encoder)
    [(wrong,)] = connection.execute(
        "SELECT count(*) FROM vectors WHERE encoder = ? AND NOT coalesce(row BETWEEN 0 AND ? - 1, FALSE)",
        [encoder, record.rows],
    ).fetchall()
    if wrong:
        raise contradictory(f"{counted(wrong, 'item')} a row that the vector file {record.file} does not have")
    [(nameless,)] = connection.execute("SELECT count(*) FROM items WHERE path IS NULL").fetchall()
    if nameless:
        raise contradictory(f"{counted(nameless, 'item')} no path")
    return record


def distinct(rows: NDArray[np.int64], ids: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pass on the rows of items, ascending, and their ids. Raises StoreCorrupt when one occurs twice."""
    if (rows[1:] > rows[:-1]).all() and (ids[1:] > ids[:-1]).all():  # as usual; sorting a million ids takes time
        return rows, ids
    of_several, several = (int(np.count_nonzero(values[1:] == values[:-1])) for values in (rows, np.sort(ids)))
    if of_several or several:
        raise contradictory(
            f"{counted(of_several, 'row')} to several items, and several rows to {counted(several, 'item')}"
        )
    return rows, ids


def contradictory(what: str) -> StoreCorrupt:
    """Make the error for rows that contradict each other."""
    return StoreCorrupt(f"the catalog gives {what}; repair it: featurestore verify STORE --repair")
