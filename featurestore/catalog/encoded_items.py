"""Items that an encoder has vectors of: in which rows, and which of them an SQL expression selects."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurestore.catalog.agreement import distinct, with_rows
from featurestore.catalog.columns import user_columns
from featurestore.catalog.connection import Database
from featurestore.catalog.engine import Connection, quoted_name
from featurestore.catalog.records import DETAILS, EncoderRecord, spooled
from featurestore.system.spool import Spool

VALID = "i.id = v.item AND i.sha256 = v.sha256"  # the item's content is still the one that was encoded


@dataclass(frozen=True, slots=True)
class ItemTable:
    """The N items that one encoder has vectors of, ascending by row, as they were in one transaction."""

    encoder: EncoderRecord
    rows: NDArray[np.int64]
    ids: NDArray[np.int64]
    paths: pa.LargeStringArray
    labels: pa.LargeStringArray
    label_lists: pa.ListArray  # of items with several labels, which have no value in `labels`; of the others null
    splits: pa.LargeStringArray

    def only(self, chosen: NDArray[np.bool_]) -> "ItemTable":
        """Give the items where a mask (N,) is set."""
        columns = (column.filter(chosen) for column in (self.paths, self.labels, self.label_lists, self.splits))
        return ItemTable(self.encoder, self.rows[chosen], self.ids[chosen], *columns)


@dataclass(frozen=True, slots=True)
class ItemDetails:
    """All columns of the items of one encoder, as they were in one transaction."""

    encoder: EncoderRecord
    rows: Spool  # the row, DETAILS, then the user's columns


class EncodedItems:
    """The items of a catalog that an encoder has vectors of."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of_encoder(self, encoder: str) -> ItemTable:
        """Read which items an encoder has vectors of, and in which rows."""
        with self._database.reading() as connection:
            found = connection.sql(
                f"""SELECT v.row, v.item, i.path, i.label, i.labels, i.split FROM vectors v JOIN items i ON {VALID}
                    WHERE v.encoder = ? ORDER BY v.row""",
                params=[encoder],
            ).to_arrow_reader()
            schema = found.schema
            for name in ("path", "label", "split"):
                schema = schema.set(schema.get_field_index(name), pa.field(name, pa.large_string()))
            # Cast in the reader: the cast of a table would load pyarrow.compute. One chunk each is fastest to look up in.
            rows, ids, *texts = (column.combine_chunks() for column in found.cast(schema).read_all().columns)
            return ItemTable(with_rows(connection, encoder), *distinct(rows.to_numpy(), ids.to_numpy()), *texts)

    def details(self, encoder: str) -> ItemDetails:
        """Read all columns of the items an encoder has vectors of, ascending by row. Raises StoreCorrupt."""
        with self._database.reading() as connection:
            record = with_rows(connection, encoder)
            _rows_in_use(connection, encoder)  # the columns themselves may not fit into memory
            # A name that no column of a user may have.
            schema = pa.schema([("rowid", pa.int64()), *DETAILS, *user_columns(connection).items()])
            names = ", ".join(f"i.{quoted_name(name)}" for name in schema.names[1:])
            found = connection.sql(
                f"SELECT v.row AS rowid, {names} FROM vectors v JOIN items i ON {VALID} WHERE v.encoder = ? ORDER BY v.row",
                params=[encoder],
            )
            return ItemDetails(record, spooled(found, schema))

    def rows_in_use(self, encoder: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Read the rows of an encoder's vector file that belong to an item, ascending, and the ids of these items. Raises StoreCorrupt."""
        with self._database.reading() as connection:
            with_rows(connection, encoder)
            return _rows_in_use(connection, encoder)

    def at_rows(self, encoder: str, rows: NDArray[np.int64]) -> pa.Table:
        """Read row, id, path, label and labels of the items in some rows, in any order; rows without an item are left out."""
        with self._database.reading() as connection:
            return _with_vectors(connection, encoder, "row", rows)

    def by_id(self, encoder: str, ids: NDArray[np.int64]) -> pa.Table:
        """Read row, id, path, label and labels of some items, in any order; items that do not exist or have no vector are left out."""
        with self._database.reading() as connection:
            return _with_vectors(connection, encoder, "item", ids)

    def ids_at(self, encoder: str, paths: Sequence[str]) -> dict[str, int]:
        """Read the ids of the items at some paths, by path; those that do not exist or have no vector of an encoder are left out."""
        with self._database.reading() as connection:
            connection.register("wanted", pa.table({"path": pa.array(paths, pa.string())}))
            found = connection.execute(
                f"SELECT i.path, i.id FROM items i SEMI JOIN wanted USING (path) JOIN vectors v ON {VALID} WHERE v.encoder = ?",
                [encoder],
            )
            return dict(found.fetchall())

    def select_rows(self, encoder: str, where: str, seconds: float = 30.0) -> NDArray[np.int64]:
        """Give the rows, ascending, of the items that match `where` and have a valid vector of an encoder.

        Raises QueryError as `select` does.
        """
        text = f"""WITH chosen AS (SELECT id, sha256 FROM items WHERE {where}
            ) SELECT v.row FROM vectors v JOIN chosen i ON {VALID} WHERE v.encoder = '{encoder}' ORDER BY v.row"""
        found: NDArray[np.int64] = self._database.run_where(where, text, seconds, "items")["row"].to_numpy()
        return found


def _rows_in_use(connection: Connection, encoder: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Read the rows of an encoder that belong to an item, ascending, and the ids of these items. Raises StoreCorrupt."""
    found = connection.sql(
        f"SELECT v.row, v.item FROM vectors v JOIN items i ON {VALID} WHERE v.encoder = ? ORDER BY v.row",
        params=[encoder],
    ).to_arrow_table()
    return distinct(found["row"].to_numpy(), found["item"].to_numpy())


def _with_vectors(connection: Connection, encoder: str, column: str, keys: NDArray[np.int64]) -> pa.Table:
    """Read items by a key of `vectors`, ascending by row. Contents are compared last: joining by them too would read the whole tables."""
    connection.register("wanted", pa.table({"key": keys}))
    found = connection.execute("SELECT rows FROM encoders WHERE fingerprint = ?", [encoder]).fetchall()
    [rows] = found[0] if found else (0,)  # an encoder that is not there has no items
    table = connection.sql(
        f"""SELECT v.row, i.id, i.path, i.label, i.labels, i.sha256 = v.sha256 AND v.row BETWEEN 0 AND ? - 1 AS valid
            FROM wanted JOIN vectors v ON v.{column} = wanted.key JOIN items i ON i.id = v.item WHERE v.encoder = ? ORDER BY v.row""",
        params=[rows, encoder],
    ).to_arrow_table()
    items = table.drop_columns("valid")
    return items if all(table["valid"].to_pylist()) else items.filter(table["valid"])  # which loads pyarrow.compute
