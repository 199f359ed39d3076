"""What the pixels of items say: which items have no values yet, and values by content."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurestore.catalog.connection import Database
from featurestore.catalog.schema import QUALITY

UNKNOWN = f"({' OR '.join(f'all_items.{name} IS NULL' for name in QUALITY)})"
ASSIGNED = ", ".join(f"{name} = known.{name}" for name in QUALITY)


class Measures:
    """The columns QUALITY of a catalog."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def unknown(self) -> list[tuple[str, int, int, str]]:
        """Read content hash, bytes, time of modification (ns) and path of the items without values, by id."""
        with self._database.reading() as connection:
            return connection.execute(
                f"""SELECT sha256, coalesce(bytes, 0), coalesce(mtime_ns, 0), path FROM all_items
                    WHERE removed_at IS NULL AND sha256 IS NOT NULL AND path IS NOT NULL AND {UNKNOWN} ORDER BY id"""
            ).fetchall()

    def of_items(self) -> dict[str, NDArray[np.generic]]:
        """Read id, width and height in pixels, and QUALITY of all items, by id; NaN where a value is not known."""
        names = ("width", "height", *QUALITY)
        numbers = ", ".join(f"coalesce({name}::DOUBLE, 'nan'::DOUBLE) AS {name}" for name in names)
        with self._database.reading() as connection:
            table = connection.sql(f"SELECT id, {numbers} FROM items ORDER BY id").to_arrow_table()
            return {name: table[name].to_numpy() for name in table.column_names}

    def share(self) -> None:
        """Give items the values of others with the same content."""
        with self._database.transaction() as connection:
            connection.execute(
                f"""UPDATE all_items SET {ASSIGNED} FROM (
                        SELECT DISTINCT ON (sha256) sha256, {", ".join(QUALITY)} FROM all_items WHERE NOT {UNKNOWN}
                    ) known WHERE all_items.sha256 = known.sha256 AND {UNKNOWN}"""
            )

    def set(self, values: pa.Table) -> None:
        """Set the values of contents where there are none. values: sha256 and QUALITY; no content occurs twice."""
        with self._database.transaction() as connection:
            connection.register("known", values)
            connection.execute(
                f"UPDATE all_items SET {ASSIGNED} FROM known WHERE all_items.sha256 = known.sha256 AND {UNKNOWN}"
            )
