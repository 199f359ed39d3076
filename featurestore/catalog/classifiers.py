"""Classifiers that the store keeps, and the columns of items that they fill."""

import hashlib
import json

import pyarrow as pa

from featurestore.catalog.column_writers import CLASSIFY, set_writer, writers
from featurestore.catalog.columns import add_columns, empty_columns, set_values, user_columns
from featurestore.catalog.connection import Database
from featurestore.catalog.engine import Connection
from featurestore.catalog.records import ClassifierRecord
from featurestore.errors import EncoderNotInStore, QueryError
from featurestore.system.spool import Spool
from featurestore.system.text import as_argument


class Classifiers:
    """The classifiers of a catalog."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[ClassifierRecord]:
        """Read all classifiers, by name."""
        with self._database.reading() as connection:
            return _records(connection)

    def get(self, name: str) -> ClassifierRecord:
        """Read one classifier. Raises QueryError when there is none of that name."""
        return _named(self.all(), name)

    def check_columns(self, name: str) -> None:
        """Raise QueryError when a classifier of that name would overwrite columns that it did not make."""
        with self._database.reading() as connection:
            existing = _records(connection)
            by = writers(connection)
            columns = [name for name in user_columns(connection) if by.get(name.lower()) != CLASSIFY]
        wanted = {column.lower() for column in ClassifierRecord.columns_of(name)}
        for other in existing:
            shared = wanted.intersection(column.lower() for column in other.columns)
            if shared and other.name.lower() != name.lower():
                raise QueryError(
                    f"classifier {name!r}: it would fill the column {min(shared)!r}, as the classifier {other.name!r} does; choose another name"
                )
        taken = [column for column in columns if column.lower() in wanted]
        if taken:
            raise QueryError(
                f"classifier {name!r}: it would fill {' and '.join(map(repr, taken))}, which the items have already; choose another name, "
                f"or remove that first: featurestore annotate STORE {' '.join(f'--drop {as_argument(column)}' for column in taken)}"
            )

    def put(self, record: ClassifierRecord) -> None:
        """Store a classifier, in place of one of that name; it takes over the columns which that one filled.

        Raises EncoderNotInStore when its encoder was dropped meanwhile.
        """
        with self._database.transaction() as connection:
            if not connection.execute("SELECT 1 FROM encoders WHERE fingerprint = ?", [record.encoder]).fetchall():
                raise EncoderNotInStore(
                    f"classifier {record.name!r}: its encoder {record.encoder[:16]} was dropped while it was being trained; nothing was stored: "
                    "train it on another encoder, or index with that encoder first"
                )
            card = json.dumps(record.card, sort_keys=True)
            checksum = hashlib.sha256(card.encode() + record.weights).hexdigest()
            same_name = "FROM classifiers WHERE lower(name) = lower(?)"
            [(applied_at,)] = connection.execute(f"SELECT max(applied_at) {same_name}", [record.name]).fetchall()
            connection.execute(f"DELETE {same_name}", [record.name])
            connection.execute(
                """INSERT INTO classifiers (name, encoder, method, card, weights, sha256, trained_at, applied_at)
                   VALUES (?, ?, ?, ?, ?, ?, now()::TIMESTAMP, ?)""",
                [record.name, record.encoder, record.method, card, record.weights, checksum, applied_at],
            )

    def drop(self, name: str) -> tuple[str, ...]:
        """Delete a classifier; returns the columns that it filled, which stay, and are the user's then.

        Raises QueryError when there is none of that name.
        """
        with self._database.transaction() as connection:
            found = _named(_records(connection), name)
            connection.execute("DELETE FROM classifiers WHERE name = ?", [found.name])
            by = writers(connection)
            filled = tuple(column for column in found.columns if by.get(column.lower()) == CLASSIFY)
            set_writer(connection, filled, None)
            return filled

    def fill(self, record: ClassifierRecord, rows: Spool, everywhere: bool) -> None:
        """Fill the two columns of a classifier. rows: the id of an item, a label and a confidence; no id occurs twice.

        everywhere: items without a row lose their values in these columns.
        """
        names = record.columns
        with self._database.transaction() as connection:
            add_columns(connection, pa.schema(zip(names, rows.schema.types[1:], strict=True)))
            set_writer(connection, names, CLASSIFY)
            if everywhere:
                empty_columns(connection, names)
            set_values(connection, names, rows.reader())
            connection.execute("UPDATE classifiers SET applied_at = now()::TIMESTAMP WHERE name = ?", [record.name])


def _records(connection: Connection) -> list[ClassifierRecord]:
    found = connection.execute(
        "SELECT name, encoder, method, card, weights, sha256, trained_at, applied_at FROM classifiers ORDER BY name"
    )
    return [ClassifierRecord.read(*row) for row in found.fetchall()]


def _named(records: list[ClassifierRecord], name: str) -> ClassifierRecord:
    found = [record for record in records if record.name.lower() == name.lower()]
    if not found:
        raise QueryError(
            f"classifier {name!r}: the store has {', '.join(repr(record.name) for record in records) or 'none'}; "
            "train one first: featurestore classify STORE --train --name NAME"
        )
    return found[0]
