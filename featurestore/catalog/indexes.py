"""Search indexes: which encoder has one, and which file it is."""

import json

from featurestore.catalog.connection import Database
from featurestore.catalog.encoders import encoder_records
from featurestore.catalog.engine import Connection
from featurestore.catalog.records import EncoderRecord, IndexRecord


class Indexes:
    """The search indexes of a catalog."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[IndexRecord]:
        """Read the indexes of all encoders that have one. Raises StoreCorrupt when a name could lead out of the store."""
        with self._database.reading() as connection:
            return _index_records(connection)

    def with_encoders(self) -> tuple[list[EncoderRecord], list[IndexRecord]]:
        """Read all encoders and all indexes in one transaction."""
        with self._database.reading() as connection:
            return encoder_records(connection), _index_records(connection)

    def of_encoder(self, encoder: str) -> IndexRecord | None:
        """Read the index of an encoder; None when it has none."""
        return next((index for index in self.all() if index.encoder == encoder), None)

    def publish(self, index: IndexRecord) -> None:
        """Put an index in the place of the one that its encoder has."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM indexes WHERE encoder = ?", [index.encoder])
            connection.execute(
                """INSERT INTO indexes (encoder, generation, file, vectors, rows, bytes, sha256, card, built_at)
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?, now()::TIMESTAMP)""",
                [
                    index.encoder, index.generation, index.file, index.vectors, index.rows, index.bytes, index.sha256, json.dumps(index.card),
                ],
            )  # fmt: skip

    def drop(self, encoder: str) -> None:
        """Remove the index of an encoder, if it has one."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM indexes WHERE encoder = ?", [encoder])


def _index_records(connection: Connection) -> list[IndexRecord]:
    rows = connection.execute(
        "SELECT encoder, generation, file, vectors, rows, bytes, sha256, card FROM indexes ORDER BY encoder"
    )
    return [IndexRecord.read(*row) for row in rows.fetchall()]
